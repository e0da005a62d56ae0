#include "resp/frame.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define TEXT(s)                                                                                              \
    {                                                                                                        \
        s, sizeof(s) - 1                                                                                     \
    }
#define MAX_FRAMES 128
#define CUTS(...)  ((const size_t[]){__VA_ARGS__})

/* One whole value each. */
static const struct slice samples[] = {
    TEXT("+OK\r\n"),
    TEXT("+\r\n"),
    TEXT("-ERR no such key\r\n"),
    TEXT("-ERR a\rb\nc\n\r\n"),
    TEXT("+a\nb\r\n"),
    TEXT(":0\r\n"),
    TEXT(":-9223372036854775808\r\n"),
    TEXT(":+7\r\n"),
    TEXT("$0\r\n\r\n"),
    TEXT("$-1\r\n"),
    TEXT("$2\r\n\r\n\r\n"),
    TEXT("$5\r\n$1\r\na\r\n"),
    TEXT("$3\r\n\0\xff\n\r\n"),
    TEXT("*0\r\n"),
    TEXT("*-1\r\n"),
    TEXT("*3\r\n:1\r\n$1\r\na\r\n*-1\r\n"),
    TEXT("*2\r\n*2\r\n+a\r\n*0\r\n*1\r\n*1\r\n$-1\r\n"),
    TEXT("_\r\n"),
    TEXT("#t\r\n"),
    TEXT("#f\r\n"),
    TEXT(",3.14\r\n"),
    TEXT(",-inf\r\n"),
    TEXT(",nan\r\n"),
    TEXT("(3492890328409238509324850943850943825024385\r\n"),
    TEXT("!21\r\nSYNTAX invalid syntax\r\n"),
    TEXT("!-1\r\n"),
    TEXT("=15\r\ntxt:Some string\r\n"),
    TEXT("~2\r\n+a\r\n:1\r\n"),
    TEXT("~0\r\n"),
    TEXT("%2\r\n+a\r\n:1\r\n$1\r\nb\r\n%1\r\n+x\r\n_\r\n"),
    TEXT("%0\r\n"),
    TEXT(">3\r\n+message\r\n$1\r\nc\r\n$1\r\nm\r\n"),
    TEXT(">0\r\n"),
    TEXT("|1\r\n+ttl\r\n:9\r\n+OK\r\n"),
    TEXT("|0\r\n+OK\r\n"),
    TEXT("|1\r\n+a\r\n+b\r\n|2\r\n+c\r\n+d\r\n+e\r\n+f\r\n$1\r\nx\r\n"),
    TEXT("*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:2\r\n|1\r\n|0\r\n+k\r\n+v\r\n$-1\r\n"),
    TEXT("%1\r\n|1\r\n+a\r\n+b\r\n+k\r\n|1\r\n+c\r\n+d\r\n+v\r\n"),
};

/* Where frames ended, and how it stopped. */
struct run {
    enum frame_status status;
    size_t settled;
    size_t frames;
    size_t ends[MAX_FRAMES];
};

/* Shows f the bytes [run->settled, end) in a block of just their size, until no frame is whole. */
static void show(struct run *run, struct frame *f, const char *p, size_t end)
{
    size_t n = end - run->settled;
    char *own = malloc(n > 0 ? n : 1);
    size_t at = 0;

    assert_non_null(own);
    memcpy(own, p + run->settled, n);
    do {
        size_t used = SIZE_MAX;
        run->status = frame_scan(f, own + at, n - at, &used);
        assert_true(used <= n - at);
        at += used;
        if (run->status == FRAME_DONE) {
            assert_true(used > 0);
            assert_true(f->owed == 0 && f->body == 0 && !f->tail);
            assert_true(run->frames < MAX_FRAMES);
            run->ends[run->frames++] = run->settled + at;
        }
    } while (run->status == FRAME_DONE);
    run->settled += at;
    free(own);
}

/* Feeds p[0, n) in pieces that end at the cuts, as a connection does: what is not settled is shown again. */
static void feed(struct run *run, const char *p, size_t n, const size_t *cuts, size_t ncuts)
{
    struct frame f = {0};

    run->settled = run->frames = 0;
    run->status = FRAME_MORE;
    for (size_t i = 0; i < ncuts && run->status != FRAME_BAD; i++)
        show(run, &f, p, cuts[i]);
    if (run->status != FRAME_BAD)
        show(run, &f, p, n);
}

static void assert_same(const struct run *a, const struct run *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->frames, b->frames);
    for (size_t i = 0; i < a->frames; i++)
        assert_int_equal(a->ends[i], b->ends[i]);
    if (a->status != FRAME_BAD)
        assert_int_equal(a->settled, b->settled);
}

/* Unsplit, split at every byte, at every pair of bytes, and into single bytes. */
static void check_all_splits(const char *p, size_t n, const struct run *want)
{
    struct run run;
    size_t *every = malloc((n + 1) * sizeof *every);

    assert_non_null(every);
    for (size_t i = 0; i <= n; i++)
        every[i] = i;
    feed(&run, p, n, every, n + 1);
    assert_same(want, &run);
    free(every);
    for (size_t i = 0; i <= n; i++)
        for (size_t j = i; j <= n; j++) {
            feed(&run, p, n, CUTS(i, j), 2);
            assert_same(want, &run);
        }
}

static void test_samples(void **state)
{
    for (size_t i = 0; i < COUNT(samples); i++) {
        struct slice s = samples[i];
        struct run run;

        feed(&run, s.p, s.len, NULL, 0);
        assert_int_equal(run.frames, 1);
        assert_int_equal(run.ends[0], s.len);
        assert_int_equal(run.status, FRAME_MORE);
        check_all_splits(s.p, s.len, &run);
        assert_int_equal(frame_length(s.p, s.len), s.len);
        for (size_t n = 0; n < s.len; n++)
            assert_int_equal(frame_length(s.p, n), 0);
    }
}

/* All samples behind each other: every end is found, whatever the split. */
static void test_pipeline(void **state)
{
    char all[2048];
    size_t n = 0;
    struct run want = {.status = FRAME_MORE};

    for (size_t i = 0; i < COUNT(samples); i++) {
        assert_true(n + samples[i].len <= sizeof all);
        memcpy(all + n, samples[i].p, samples[i].len);
        n += samples[i].len;
        want.ends[want.frames++] = n;
    }
    want.settled = n;
    check_all_splits(all, n, &want);
}

/* A value that is followed by another ends where it ends. */
static void test_length_ignores_what_follows(void **state)
{
    char two[256];

    for (size_t i = 0; i < COUNT(samples); i++) {
        memcpy(two, samples[i].p, samples[i].len);
        memcpy(two + samples[i].len, ":1\r\n", 4);
        assert_int_equal(frame_length(two, samples[i].len + 4), samples[i].len);
    }
}

/* ---- random values ---- */

/* A fixed sequence, so that a failure repeats. */
static uint64_t seed;

static unsigned draw(unsigned below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)((seed >> 11) % below);
}

static char *put_bulk(char *out, char type)
{
    size_t n = draw(12);

    out += sprintf(out, "%c%zu\r\n", type, n);
    for (size_t i = 0; i < n; i++)
        *out++ = "\r\n$*:a0"[draw(7)];
    return out + sprintf(out, "\r\n");
}

/* At most 2^3 leaves a level: fits into 4 KiB at the depth that is asked for below. */
static char *put_random(char *out, unsigned depth)
{
    static const char *const lines[] = {"+OK\r\n",  "-ERR x\r\n", ":12\r\n", "_\r\n",  "#t\r\n",
                                        ",1.5\r\n", "(99\r\n",    "$-1\r\n", "*-1\r\n"};
    static const char aggregates[] = "*~>%|";

    if (depth == 0 || draw(3) == 0) {
        if (draw(2) == 0)
            return put_bulk(out, "$!="[draw(3)]);
        return out + sprintf(out, "%s", lines[draw(COUNT(lines))]);
    }
    char type = aggregates[draw(5)];
    unsigned items = draw(3);
    out += sprintf(out, "%c%u\r\n", type, items);
    for (unsigned i = 0; i < (type == '%' || type == '|' ? 2 * items : items); i++)
        out = put_random(out, depth - 1);
    return type == '|' ? put_random(out, depth - 1) : out;
}

static void test_random_values(void **state)
{
    static char text[65536];

    seed = 88172645463325252ull;
    for (int round = 0; round < 3000; round++) {
        struct run want = {.status = FRAME_MORE}, run;
        char *out = text;
        for (int i = 0; i < 3; i++) {
            out = put_random(out, 4);
            want.ends[want.frames++] = (size_t)(out - text);
        }
        size_t n = (size_t)(out - text);
        want.settled = n;
        feed(&run, text, n, NULL, 0);
        assert_same(&want, &run);
        for (int i = 0; i < 20; i++) {
            size_t a = draw((unsigned)n + 1), b = a + draw((unsigned)(n - a) + 1);
            feed(&run, text, n, CUTS(a, b), 2);
            assert_same(&want, &run);
        }
    }
}

/* ---- nesting ---- */

/* levels times open, then last: one value. Scanned at once and in pieces of an odd size. */
static void check_nesting(size_t levels, const char *open, const char *last)
{
    size_t step = strlen(open), n = levels * step + strlen(last);
    char *text = malloc(n);
    struct frame f = {0};
    size_t settled = 0, used;

    assert_non_null(text);
    for (size_t i = 0; i < levels; i++)
        memcpy(text + i * step, open, step);
    memcpy(text + levels * step, last, strlen(last));
    assert_int_equal(frame_length(text, n), n);
    assert_int_equal(frame_length(text, n - 1), 0);
    for (size_t end = 997; end < n; end += 997) {
        assert_int_equal(frame_scan(&f, text + settled, end - settled, &used), FRAME_MORE);
        settled += used;
        assert_true(end - settled < step + strlen(last));
    }
    assert_int_equal(frame_scan(&f, text + settled, n - settled, &used), FRAME_DONE);
    assert_int_equal(settled + used, n);
    free(text);
}

static void test_nesting(void **state)
{
    static const char *const opens[] = {
        "*1\r\n", "~1\r\n", ">1\r\n", "%1\r\n+k\r\n", "|1\r\n+a\r\n:1\r\n", "*2\r\n$1\r\nx\r\n"};

    for (size_t i = 0; i < COUNT(opens); i++) {
        check_nesting(10000, opens[i], "$2\r\nhi\r\n");
        check_nesting(1000000, opens[i], "$2\r\nhi\r\n");
    }
}

/* ---- hostile input ---- */

#define TWO40      "1099511627776"
#define TWO40_MORE "1099511627777"

static const struct {
    struct slice text;
    enum frame_status want;
} hostile[] = {
    /* lengths and counts */
    {TEXT("$-2\r\n"), FRAME_BAD},
    {TEXT("*-2\r\n"), FRAME_BAD},
    {TEXT("%-2\r\n"), FRAME_BAD},
    {TEXT("|-1\r\n"), FRAME_BAD},
    {TEXT("$-9223372036854775808\r\n"), FRAME_BAD},
    {TEXT("*-9223372036854775809\r\n"), FRAME_BAD},
    {TEXT("$9223372036854775807\r\n"), FRAME_MORE},
    {TEXT("$9223372036854775808\r\n"), FRAME_BAD},
    {TEXT("*9223372036854775807\r\n"), FRAME_BAD},
    {TEXT("%9223372036854775807\r\n"), FRAME_BAD},
    {TEXT("|9223372036854775807\r\n"), FRAME_BAD},
    {TEXT("*9223372036854775808\r\n"), FRAME_BAD},
    {TEXT("$18446744073709551615\r\n"), FRAME_BAD},
    {TEXT("$18446744073709551616\r\n"), FRAME_BAD},
    {TEXT("*18446744073709551617\r\n"), FRAME_BAD},
    {TEXT("$10000000000000000000000000000000\r\n"), FRAME_BAD},
    {TEXT("$+1\r\na\r\n"), FRAME_BAD},
    {TEXT("*+1\r\n:1\r\n"), FRAME_BAD},
    {TEXT("$01\r\na\r\n"), FRAME_BAD},
    {TEXT("$00\r\n\r\n"), FRAME_BAD},
    {TEXT("$-0\r\n\r\n"), FRAME_BAD},
    {TEXT("$-01\r\n"), FRAME_BAD},
    {TEXT("*01\r\n:1\r\n"), FRAME_BAD},
    {TEXT("$ 1\r\na\r\n"), FRAME_BAD},
    {TEXT("$1 \r\na\r\n"), FRAME_BAD},
    {TEXT("$1\t\r\na\r\n"), FRAME_BAD},
    {TEXT("$\r\n"), FRAME_BAD},
    {TEXT("*\r\n"), FRAME_BAD},
    {TEXT("$-\r\n"), FRAME_BAD},
    {TEXT("$--1\r\n"), FRAME_BAD},
    {TEXT("$1a\r\n"), FRAME_BAD},
    {TEXT("$0x1\r\n"), FRAME_BAD},
    {TEXT("$1\0\r\n"), FRAME_BAD},
    {TEXT("$1\r\r\n"), FRAME_BAD},
    {TEXT("$?\r\n"), FRAME_BAD},
    {TEXT("*?\r\n"), FRAME_BAD},
    /* line ends */
    {TEXT("$1\na\n"), FRAME_BAD},
    {TEXT("*1\n"), FRAME_BAD},
    {TEXT(":1\n"), FRAME_BAD},
    {TEXT("_\n"), FRAME_BAD},
    {TEXT(":1\r"), FRAME_MORE},
    {TEXT(":1\r:2\r\n"), FRAME_MORE}, /* a malformed number, framed like any other line */
    {TEXT("+OK\n"), FRAME_MORE},
    {TEXT("+OK\r"), FRAME_MORE},
    {TEXT("-ERR\n\n\n"), FRAME_MORE},
    {TEXT("$1\r"), FRAME_MORE},
    {TEXT("$1\ra\r\n"), FRAME_BAD},
    /* bodies */
    {TEXT("$1\r\naXY"), FRAME_BAD},
    {TEXT("$1\r\na\rX"), FRAME_BAD},
    {TEXT("$1\r\na\n\n"), FRAME_BAD},
    {TEXT("$1\r\nab\r\n"), FRAME_BAD},
    {TEXT("$0\r\n$0\r\n"), FRAME_BAD},
    {TEXT("$1\r\n\r\n"), FRAME_MORE}, /* CR is the body; LF and what follows is not its end: */
    {TEXT("$1\r\n\r\n\r"), FRAME_BAD},
    {TEXT("$-1\r\n\r\n"), FRAME_BAD},
    /* type bytes */
    {TEXT("\r\n"), FRAME_BAD},
    {TEXT("\n"), FRAME_BAD},
    {TEXT("\0"), FRAME_BAD},
    {TEXT("PONG\r\n"), FRAME_BAD},
    {TEXT("HTTP/1.1 400 Bad Request\r\n"), FRAME_BAD},
    {TEXT("\x16\x03\x01"), FRAME_BAD},
    {TEXT("@1\r\n"), FRAME_BAD},
    {TEXT(";1\r\na\r\n"), FRAME_BAD},
    {TEXT(".\r\n"), FRAME_BAD},
    {TEXT("\xff"), FRAME_BAD},
    {TEXT("*1\r\nx"), FRAME_BAD},
    {TEXT("+OK\r\nx"), FRAME_BAD},
    /* what is owed */
    {TEXT("*" TWO40 "\r\n"), FRAME_MORE},
    {TEXT("*" TWO40_MORE "\r\n"), FRAME_BAD},
    {TEXT("*" TWO40 "\r\n*1\r\n"), FRAME_MORE},
    {TEXT("*" TWO40 "\r\n*2\r\n"), FRAME_BAD},
    {TEXT("*" TWO40 "\r\n*" TWO40 "\r\n"), FRAME_BAD},
    {TEXT("%549755813888\r\n"), FRAME_MORE},
    {TEXT("%549755813889\r\n"), FRAME_BAD},
    {TEXT("%" TWO40 "\r\n"), FRAME_BAD},
    {TEXT("|549755813887\r\n"), FRAME_MORE},
    {TEXT("|549755813888\r\n"), FRAME_BAD},
    {TEXT("*" TWO40 "\r\n|0\r\n"), FRAME_MORE},
    {TEXT("*" TWO40 "\r\n|1\r\n"), FRAME_BAD},
};

static void test_hostile(void **state)
{
    for (size_t i = 0; i < COUNT(hostile); i++) {
        struct run run;
        feed(&run, hostile[i].text.p, hostile[i].text.len, NULL, 0);
        if (run.status != hostile[i].want)
            fail_msg("row %zu: \"%s\": status %d", i, hostile[i].text.p, (int)run.status);
        check_all_splits(hostile[i].text.p, hostile[i].text.len, &run);
    }
}

/* "<type>aaaa…" of n bytes, the last of them end; scanned at once and in pieces. */
static void check_line(char type, size_t n, const char *end, enum frame_status want)
{
    char *text = malloc(n);
    size_t cuts[64], ncuts = 0;
    struct run whole, run;

    assert_non_null(text);
    memset(text, 'a', n);
    text[0] = type;
    memcpy(text + n - strlen(end), end, strlen(end));
    for (size_t at = 1; at < n && ncuts < COUNT(cuts); at += 65521)
        cuts[ncuts++] = at;
    feed(&whole, text, n, NULL, 0);
    feed(&run, text, n, cuts, ncuts);
    assert_int_equal(whole.status, want == FRAME_DONE ? FRAME_MORE : want);
    assert_int_equal(whole.frames, want == FRAME_DONE);
    assert_same(&whole, &run);
    free(text);
}

static void test_long_lines(void **state)
{
    for (const char *type = "+-:,("; *type != '\0'; type++) {
        check_line(*type, LIMIT_REPLY_LINE - 1, "", FRAME_MORE);
        check_line(*type, LIMIT_REPLY_LINE, "", FRAME_BAD);
        check_line(*type, LIMIT_REPLY_LINE + 100000, "", FRAME_BAD);
        check_line(*type, LIMIT_REPLY_LINE, "\r\n", FRAME_DONE);
        check_line(*type, LIMIT_REPLY_LINE + 1, "\r\n", FRAME_BAD);
    }
    check_line('-', LIMIT_REPLY_LINE, "\n\n\n", FRAME_BAD);
    check_line('-', LIMIT_REPLY_LINE, "\n\r\n", FRAME_DONE);
}

/* A body larger than memory: only counters move. */
static void test_huge_body(void **state)
{
    struct frame f = {0};
    char block[65536];
    size_t used;
    const char head[] = "$8589934592\r\n"; /* 8 GiB */

    memset(block, '\r', sizeof block);
    assert_int_equal(frame_scan(&f, head, sizeof head - 1, &used), FRAME_MORE);
    assert_int_equal(used, sizeof head - 1);
    for (int i = 0; i < 131072; i++) {
        assert_int_equal(frame_scan(&f, block, sizeof block, &used), FRAME_MORE);
        assert_int_equal(used, sizeof block);
    }
    assert_true(f.body == 0 && f.tail);
    assert_int_equal(frame_scan(&f, "\r\n+OK\r\n", 7, &used), FRAME_DONE);
    assert_int_equal(used, 2);
}

static void test_nothing_to_scan(void **state)
{
    struct frame f = {0};
    size_t used = 1;

    assert_int_equal(frame_scan(&f, NULL, 0, &used), FRAME_MORE);
    assert_true(used == 0 && f.owed == 0 && f.body == 0 && !f.tail);
    assert_int_equal(frame_scan(&f, "*2\r\n:1\r\n", 8, &used), FRAME_MORE);
    assert_int_equal(used, 8);
    assert_int_equal(frame_scan(&f, NULL, 0, &used), FRAME_MORE);
    assert_true(used == 0 && f.owed == 1);
    assert_int_equal(frame_scan(&f, ":1\r\n:1\r\n", 8, &used), FRAME_DONE);
    assert_int_equal(used, 4);
    assert_int_equal(frame_length(NULL, 0), 0);
}

/* ---- headers and numbers ---- */

static void test_aggregate(void **state)
{
    static const struct {
        const char *text;
        size_t length;
        int64_t items;
    } rows[] = {
        {"*3\r\n", 4, 3},
        {"*3\r\n:1\r\n", 4, 3},
        {"*0\r\n", 4, 0},
        {"*-1\r\n", 5, -1},
        {"~2\r\n", 4, 2},
        {">4\r\n", 4, 4},
        {"%2\r\n", 4, 4},
        {"%0\r\n", 4, 0},
        {"%-1\r\n", 5, -1},
        {"|1\r\n", 4, 2},
        {"*1048577\r\n", 10, 1048577},
        {"*" TWO40 "\r\n", 16, (int64_t)1 << 40},
        {"", 0, 0},
        {"*", 0, 0},
        {"*3", 0, 0},
        {"*3\r", 0, 0},
        {"*3\n", 0, 0},
        {"*\r\n", 0, 0},
        {"*-2\r\n", 0, 0},
        {"|-1\r\n", 0, 0},
        {"*+1\r\n", 0, 0},
        {"*01\r\n", 0, 0},
        {"$3\r\n", 0, 0},
        {":3\r\n", 0, 0},
        {"+3\r\n", 0, 0},
        {"_\r\n", 0, 0},
        {"3\r\n", 0, 0},
        {"*x\r\n", 0, 0},
        {"*" TWO40_MORE "\r\n", 0, 0},
        {"%9223372036854775807\r\n", 0, 0},
        {"*9223372036854775808\r\n", 0, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t items = 77;
        assert_int_equal(frame_aggregate(rows[i].text, strlen(rows[i].text), &items), rows[i].length);
        assert_true(items == (rows[i].length > 0 ? rows[i].items : 77));
    }
}

enum { NUMBER = 1, CANONICAL = 2 };

static void test_numbers(void **state)
{
    static const struct {
        struct slice text;
        int64_t value;
        int takes; /* NUMBER: frame_number; CANONICAL: frame_count, too */
    } rows[] = {
        {TEXT("0"), 0, NUMBER | CANONICAL},
        {TEXT("7"), 7, NUMBER | CANONICAL},
        {TEXT("-1"), -1, NUMBER | CANONICAL},
        {TEXT("10"), 10, NUMBER | CANONICAL},
        {TEXT("9223372036854775807"), INT64_MAX, NUMBER | CANONICAL},
        {TEXT("-9223372036854775807"), -INT64_MAX, NUMBER | CANONICAL},
        {TEXT("-9223372036854775808"), INT64_MIN, NUMBER | CANONICAL},
        {TEXT("+0"), 0, NUMBER},
        {TEXT("-0"), 0, NUMBER},
        {TEXT("+12"), 12, NUMBER},
        {TEXT("00"), 0, NUMBER},
        {TEXT("007"), 7, NUMBER},
        {TEXT("-007"), -7, NUMBER},
        {TEXT("+9223372036854775807"), INT64_MAX, NUMBER},
        {TEXT("9223372036854775808"), 0, 0},
        {TEXT("-9223372036854775809"), 0, 0},
        {TEXT("9999999999999999999"), 0, 0},
        {TEXT("18446744073709551615"), 0, 0},
        {TEXT("18446744073709551616"), 0, 0},
        {TEXT("00000000000000000001"), 0, 0},
        {TEXT(""), 0, 0},
        {TEXT("-"), 0, 0},
        {TEXT("+"), 0, 0},
        {TEXT("+-1"), 0, 0},
        {TEXT("--1"), 0, 0},
        {TEXT(" 1"), 0, 0},
        {TEXT("1 "), 0, 0},
        {TEXT("1.0"), 0, 0},
        {TEXT("1e3"), 0, 0},
        {TEXT("0x10"), 0, 0},
        {TEXT("1\0"), 0, 0},
        {TEXT("\xb1"), 0, 0}, /* '1' with its high bit set */
        {TEXT("/"), 0, 0},
        {TEXT(":"), 0, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t number = 77, count = 77;
        bool is_number = frame_number(rows[i].text.p, rows[i].text.len, &number);
        bool is_count = frame_count(rows[i].text.p, rows[i].text.len, &count);
        assert_int_equal(is_number, rows[i].takes & NUMBER ? 1 : 0);
        assert_int_equal(is_count, rows[i].takes & CANONICAL ? 1 : 0);
        assert_true(number == (is_number ? rows[i].value : 77));
        assert_true(count == (is_count ? rows[i].value : 77));
    }
    assert_false(frame_number(NULL, 0, &(int64_t){0}));
    assert_false(frame_count(NULL, 0, &(int64_t){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_samples),
        cmocka_unit_test(test_pipeline),
        cmocka_unit_test(test_length_ignores_what_follows),
        cmocka_unit_test(test_random_values),
        cmocka_unit_test(test_nesting),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_huge_body),
        cmocka_unit_test(test_nothing_to_scan),
        cmocka_unit_test(test_aggregate),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
