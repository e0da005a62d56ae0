#include "resp/request.h"
#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* "Observed" below: what redis-server 7.0.15 answered on a raw socket. */

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define TEXT(s)                                                                                              \
    {                                                                                                        \
        s, sizeof(s) - 1                                                                                     \
    }
#define MAX      (512u << 20) /* Redis's own default for max_bytes */
#define MAX_SEEN 64

/* What came out of a stream of requests, in a form that is easily compared: each request as its number of
 * arguments and the arguments themselves. */
struct seen {
    enum request_status status;
    char error[64];
    size_t requests;
    size_t used[MAX_SEEN];
    bool was_inline[MAX_SEEN];
    char *text;
    size_t len, cap;
};

static void note(struct seen *seen, const void *p, size_t n)
{
    while (seen->len + n > seen->cap) {
        seen->cap = seen->cap == 0 ? 4096 : 2 * seen->cap;
        seen->text = realloc(seen->text, seen->cap);
        assert_non_null(seen->text);
    }
    memcpy(seen->text + seen->len, p, n);
    seen->len += n;
}

static void note_request(struct seen *seen, const struct request *r)
{
    assert_true(seen->requests < MAX_SEEN);
    seen->used[seen->requests] = r->used;
    seen->was_inline[seen->requests++] = r->was_inline;
    note(seen, &r->argc, sizeof r->argc);
    for (size_t i = 0; i < r->argc; i++) {
        note(seen, &r->argv[i].len, sizeof r->argv[i].len);
        note(seen, r->argv[i].p, r->argv[i].len);
    }
}

/* Parses what is whole of p[*taken, end), shown in a block of just that size. */
static void show(struct seen *seen, struct request *r, struct request_progress *g, const char *p,
                 size_t *taken, size_t end, size_t max)
{
    size_t from = *taken;
    char *own = malloc(end - from > 0 ? end - from : 1);

    assert_non_null(own);
    memcpy(own, p + from, end - from);
    do {
        size_t at = *taken - from;
        seen->status = request_parse(r, g, own + at, end - *taken, max);
        if (seen->status == REQUEST_DONE) {
            assert_true(r->used > 0 && r->used <= end - *taken);
            assert_true(g->at == 0 && g->left == 0);
            note_request(seen, r);
            *taken += r->used;
        }
    } while (seen->status == REQUEST_DONE);
    if (seen->status == REQUEST_BAD)
        memcpy(seen->error, r->error, sizeof seen->error);
    free(own);
}

/* Feeds p[0, n) in pieces of step bytes; the bytes of a request that is not whole stay, as in a session. */
static void feed(struct seen *seen, const char *p, size_t n, size_t step, size_t max)
{
    struct request r;
    struct request_progress g = {0};
    size_t taken = 0;

    *seen = (struct seen){.status = REQUEST_MORE};
    request_init(&r);
    for (size_t end = 0; end < n && seen->status != REQUEST_BAD;) {
        end = n - end < step ? n : end + step;
        show(seen, &r, &g, p, &taken, end, max);
    }
    request_done(&r);
}

static void assert_same(const struct seen *a, const struct seen *b)
{
    assert_int_equal(a->status, b->status);
    assert_string_equal(a->error, b->error);
    assert_int_equal(a->requests, b->requests);
    assert_memory_equal(a->used, b->used, a->requests * sizeof *a->used);
    assert_memory_equal(a->was_inline, b->was_inline, a->requests * sizeof *a->was_inline);
    assert_int_equal(a->len, b->len);
    if (a->len > 0)
        assert_memory_equal(a->text, b->text, a->len);
}

/* One piece and pieces of 1 to 40 bytes: all alike. The caller frees seen->text. */
static void check_splits(struct seen *seen, struct slice in, size_t max)
{
    feed(seen, in.p, in.len, in.len, max);
    for (size_t step = in.len > 1000 ? 701 : 1; step <= (in.len > 1000 ? 711 : 40); step++) {
        struct seen pieces;
        feed(&pieces, in.p, in.len, step, max);
        assert_same(seen, &pieces);
        free(pieces.text);
    }
}

/* Request number `request` is argv, which ends with NULL. */
static void assert_seen(const struct seen *seen, size_t request, const char *const *argv)
{
    const char *at = seen->text;
    size_t argc, len;

    for (size_t i = 0;; i++) {
        memcpy(&argc, at, sizeof argc);
        at += sizeof argc;
        if (i == request)
            break;
        for (size_t j = 0; j < argc; j++) {
            memcpy(&len, at, sizeof len);
            at += sizeof len + len;
        }
    }
    for (size_t j = 0; j < argc; j++) {
        assert_non_null(argv[j]);
        memcpy(&len, at, sizeof len);
        assert_int_equal(len, strlen(argv[j]));
        assert_memory_equal(at + sizeof len, argv[j], len);
        at += sizeof len + len;
    }
    assert_null(argv[argc]);
}

#define ARGV(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ARGS   ((const char *const[]){NULL})

/* ---- multi-bulk ---- */

static void test_multibulk(void **state)
{
    struct slice in = TEXT("*1\r\n$4\r\nPING\r\n"
                           "*3\r\n$3\r\nSET\r\n$5\r\nk\r\n*1\r\n$0\r\n\r\n"
                           "*0\r\n"
                           "*-1\r\n"
                           "*2\r\n$3\r\nGET\r\n$12\r\n$1\r\n*1\r\n+OK\n\r\n");
    struct seen seen;

    check_splits(&seen, in, MAX);
    assert_int_equal(seen.status, REQUEST_MORE);
    assert_int_equal(seen.requests, 5);
    assert_seen(&seen, 0, ARGV("PING"));
    assert_seen(&seen, 1, ARGV("SET", "k\r\n*1", ""));
    assert_seen(&seen, 2, NO_ARGS);
    assert_seen(&seen, 3, NO_ARGS);
    assert_seen(&seen, 4, ARGV("GET", "$1\r\n*1\r\n+OK\n"));
    for (size_t i = 0; i < seen.requests; i++)
        assert_false(seen.was_inline[i]);
    free(seen.text);
}

static void test_binary_arguments(void **state)
{
    char in[300] = "*2\r\n$3\r\nGET\r\n$256\r\n";
    size_t head = strlen(in);
    struct seen seen;

    for (size_t i = 0; i < 256; i++)
        in[head + i] = (char)i;
    memcpy(in + head + 256, "\r\n", 2);
    check_splits(&seen, (struct slice){in, head + 258}, MAX);
    assert_int_equal(seen.requests, 1);
    assert_memory_equal(seen.text + seen.len - 256, in + head, 256);
    free(seen.text);
}

/* Every prefix of a request is not whole, and nothing of it is taken. */
static void test_prefixes(void **state)
{
    const char in[] = "*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$1\r\nv\r\n";

    for (size_t n = 0; n < sizeof in - 1; n++) {
        struct seen seen;
        feed(&seen, in, n, n, MAX);
        assert_int_equal(seen.status, REQUEST_MORE);
        assert_int_equal(seen.requests, 0);
        free(seen.text);
    }
}

/* Observed: a count of 0 or below is no request, and the next one is read on. */
static void test_counts_below_one(void **state)
{
    static const char *const counts[] = {"0", "-1", "-5", "-9223372036854775808"};

    for (size_t i = 0; i < COUNT(counts); i++) {
        char in[64];
        struct seen seen;
        int n = snprintf(in, sizeof in, "*%s\r\nPING\r\n", counts[i]);
        check_splits(&seen, (struct slice){in, (size_t)n}, MAX);
        assert_int_equal(seen.status, REQUEST_MORE);
        assert_int_equal(seen.requests, 2);
        assert_seen(&seen, 0, NO_ARGS);
        assert_seen(&seen, 1, ARGV("PING"));
        free(seen.text);
    }
}

/* ---- errors ---- */

#define MULTIBULK "Protocol error: invalid multibulk length"
#define BULK      "Protocol error: invalid bulk length"
#define GOT(c)    "Protocol error: expected '$', got '" c "'"

static const struct {
    struct slice in;
    const char *error;
} errors[] = {
    /* Observed, each as "-ERR " and this text. */
    {TEXT("*-9223372036854775809\r\n"), MULTIBULK},
    {TEXT("*9223372036854775807\r\n"), MULTIBULK},
    {TEXT("*2147483648\r\n"), MULTIBULK},
    {TEXT("*\r\n"), MULTIBULK},
    {TEXT("*a\r\n"), MULTIBULK},
    {TEXT("*+1\r\n$4\r\nPING\r\n"), MULTIBULK},
    {TEXT("*01\r\n$4\r\nPING\r\n"), MULTIBULK},
    {TEXT("* 1\r\n$4\r\nPING\r\n"), MULTIBULK},
    {TEXT("*1 \r\n$4\r\nPING\r\n"), MULTIBULK},
    {TEXT("*-0\r\n"), MULTIBULK},
    {TEXT("*00\r\n"), MULTIBULK},
    {TEXT("*1\r\n$-1\r\n"), BULK},
    {TEXT("*1\r\n$\r\n"), BULK},
    {TEXT("*1\r\n$a\r\n"), BULK},
    {TEXT("*1\r\n$+4\r\nPING\r\n"), BULK},
    {TEXT("*1\r\n$04\r\nPING\r\n"), BULK},
    {TEXT("*1\r\n$536870913\r\n"), BULK},
    {TEXT("*1\r\n$9223372036854775808\r\n"), BULK},
    {TEXT("*1\r\n$18446744073709551620\r\n"), BULK},
    {TEXT("*2\r\n$3\r\nGET\r\n$-1\r\n"), BULK},
    {TEXT("*1\r\nPING\r\n"), GOT("P")},
    {TEXT("*1\r\n:4\r\n"), GOT(":")},
    {TEXT("*1\r\n\r\n"), GOT(" ")},
    {TEXT("*1\r\n \r\n"), GOT(" ")},
    {TEXT("*1\r\n\"\r\n"), GOT("\"")},
    {TEXT("*1\r\n\x7f\r\n"), GOT("\x7f")},
    {TEXT("*1\r\n\xff\r\n"), GOT("\xff")},
    {TEXT("*2\r\n$3\r\nGET\r\nkey\r\n"), GOT("k")},
    {TEXT("ECHO \"abc\r\n"), "Protocol error: unbalanced quotes in request"},
    /* Where we refuse and Redis does not. It waits for ever behind a NUL, takes any byte for the LF behind a
     * CR, skips the two bytes behind a body unseen, and takes 2^31 - 1 arguments. */
    {TEXT("*1\r\n\0\r\n"), GOT(" ")},
    {TEXT("*0\rxPING\r\n"), MULTIBULK},
    {TEXT("*1\rX$4\r\nPING\r\n"), MULTIBULK},
    {TEXT("*1\r\n$4\rXPING\r\n"), BULK},
    {TEXT("*1\r\n$4\r\nPINGXX"), BULK},
    {TEXT("*1\r\n$4\r\nPING\rX"), BULK},
    {TEXT("*1\r\n$4\r\nPING\n\n"), BULK},
    {TEXT("*1\r\n$3\r\nPING\r\n"), BULK},
    {TEXT("*1048577\r\n"), MULTIBULK},
};

static void test_errors(void **state)
{
    for (size_t i = 0; i < COUNT(errors); i++) {
        struct seen seen;
        check_splits(&seen, errors[i].in, MAX);
        if (seen.status != REQUEST_BAD || strcmp(seen.error, errors[i].error) != 0)
            fail_msg("row %zu: status %d, \"%s\"", i, (int)seen.status, seen.error);
        assert_int_equal(seen.requests, 0);
        free(seen.text);
    }
}

/* What stands in front of an error is answered first. */
static void test_error_in_pipeline(void **state)
{
    struct slice in = TEXT("*1\r\n$4\r\nPING\r\nPING\r\n*1\r\n*1\r\n");
    struct seen seen;

    check_splits(&seen, in, MAX);
    assert_int_equal(seen.requests, 2);
    assert_int_equal(seen.status, REQUEST_BAD);
    assert_string_equal(seen.error, GOT("*"));
    free(seen.text);
}

/* head, then n digits, then tail. */
static void check_digits(const char *head, size_t n, const char *tail, enum request_status want,
                         const char *error)
{
    size_t len = strlen(head) + n + strlen(tail);
    char *in = malloc(len);
    struct seen seen;

    assert_non_null(in);
    memcpy(in, head, strlen(head));
    memset(in + strlen(head), '1', n);
    memcpy(in + strlen(head) + n, tail, strlen(tail));
    check_splits(&seen, (struct slice){in, len}, MAX);
    assert_int_equal(seen.status, want);
    assert_string_equal(seen.error, error);
    free(seen.text);
    free(in);
}

/* Observed: type byte and digits may be 64 KiB, one byte more is too big. */
static void test_long_counts(void **state)
{
    check_digits("*", 65535, "", REQUEST_MORE, "");
    check_digits("*", 65534, "\r", REQUEST_MORE, "");
    check_digits("*", 65536, "", REQUEST_BAD, "Protocol error: too big mbulk count string");
    check_digits("*", 70000, "", REQUEST_BAD, "Protocol error: too big mbulk count string");
    check_digits("*", 65534, "\r\n", REQUEST_BAD, MULTIBULK);
    check_digits("*1\r\n$", 65535, "", REQUEST_MORE, "");
    check_digits("*1\r\n$", 65536, "", REQUEST_BAD, "Protocol error: too big bulk count string");
    check_digits("*1\r\n$", 70000, "", REQUEST_BAD, "Protocol error: too big bulk count string");
    check_digits("*1\r\n$", 65534, "\r\n", REQUEST_BAD, BULK);
}

/* ---- limits ---- */

static enum request_status status_of(const char *in, size_t max)
{
    struct seen seen;

    check_splits(&seen, (struct slice){in, strlen(in)}, max);
    if (seen.status == REQUEST_BAD)
        assert_string_equal(seen.error, BULK);
    free(seen.text);
    return seen.requests > 0 ? REQUEST_DONE : seen.status;
}

static void test_max_bytes_of_an_argument(void **state)
{
    assert_int_equal(status_of("*1\r\n$4\r\nPING\r\n", 4), REQUEST_DONE);
    assert_int_equal(status_of("*1\r\n$5\r\nPINGS\r\n", 4), REQUEST_BAD);
    assert_int_equal(status_of("*1\r\n$5\r\n", 4), REQUEST_BAD);
    assert_int_equal(status_of("*1\r\n$0\r\n\r\n", 0), REQUEST_DONE);
    assert_int_equal(status_of("*1\r\n$1\r\na\r\n", 0), REQUEST_BAD);
    assert_int_equal(status_of("*1\r\n$536870912\r\n", MAX), REQUEST_MORE);
    assert_int_equal(status_of("*1\r\n$536870913\r\n", MAX), REQUEST_BAD);
}

/* A request may hold max_bytes and 64 KiB for what is around the bodies; then its length says no before its
 * bytes come. */
static void test_max_bytes_of_a_request(void **state)
{
    size_t max = 1000, n = 0, cap = 200000;
    char *in = malloc(cap);
    struct seen seen;

    assert_non_null(in);
    n += (size_t)snprintf(in, cap, "*1000\r\n");
    while (n + 1010 <= max + LIMIT_INLINE) {
        n += (size_t)snprintf(in + n, cap - n, "$1000\r\n%01000d\r\n", 0);
    }
    feed(&seen, in, n, 4096, max);
    assert_int_equal(seen.status, REQUEST_MORE);
    free(seen.text);
    n += (size_t)snprintf(in + n, cap - n, "$1000\r\n");
    feed(&seen, in, n, 4096, max);
    assert_int_equal(seen.status, REQUEST_BAD);
    assert_string_equal(seen.error, BULK);
    free(seen.text);
    free(in);
}

/* "*count", then as many empty arguments. */
static char *empty_arguments(size_t count, size_t *ret_len)
{
    char *in = malloc(32 + 6 * count);
    size_t n;

    assert_non_null(in);
    n = (size_t)snprintf(in, 32, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++, n += 6)
        memcpy(in + n, "$0\r\n\r\n", 6);
    *ret_len = n;
    return in;
}

static void test_most_arguments(void **state)
{
    struct request r;
    struct request_progress g = {0};
    size_t n;
    char *in = empty_arguments(LIMIT_ARGS, &n);

    request_init(&r);
    assert_int_equal(request_parse(&r, &g, in, n - 1, MAX), REQUEST_MORE);
    assert_int_equal(request_parse(&r, &g, in, n, MAX), REQUEST_DONE);
    assert_int_equal(r.argc, LIMIT_ARGS);
    assert_int_equal(r.used, n);
    for (size_t i = 0; i < r.argc; i++)
        assert_true(r.argv[i].len == 0 && r.argv[i].p >= in && r.argv[i].p < in + n);
    request_done(&r);
    free(in);
}

/* ---- work ---- */

/* Seconds of processor that a request of count arguments takes, arriving in pieces of 1 KiB. All that was
 * settled is behind progress.at: what a call looks at is the piece and less than one argument, but for the
 * last call. */
static double pieces_cost(size_t count)
{
    struct request r;
    struct request_progress g = {0};
    size_t n, before = 0;
    char *in = empty_arguments(count, &n);
    enum request_status status = REQUEST_MORE;
    clock_t start = clock();

    request_init(&r);
    for (size_t end = 0; end < n;) {
        end = n - end < 1024 ? n : end + 1024;
        status = request_parse(&r, &g, in, end, MAX);
        if (end < n) {
            assert_int_equal(status, REQUEST_MORE);
            assert_true(g.at >= before && end - g.at < 8);
            before = g.at;
        }
    }
    double cost = (double)(clock() - start) / CLOCKS_PER_SEC;
    assert_int_equal(status, REQUEST_DONE);
    assert_int_equal(r.argc, count);
    request_done(&r);
    free(in);
    return cost;
}

static double least_cost(size_t count)
{
    double least = pieces_cost(count);

    for (int i = 0; i < 4; i++) {
        double cost = pieces_cost(count);
        least = cost < least ? cost : least;
    }
    return least;
}

/* Ten times as many would take a hundred times as long if they were looked at again with each piece; a busy machine alone makes
 * no forty of ten. */
static void test_pieces_take_linear_work(void **state)
{
    double some = least_cost(100000), all = least_cost(1000000);

    if (all > 40 * some)
        fail_msg("100,000 arguments took %.4f s, 1,000,000 took %.4f s", some, all);
}

/* Inline lines and large bodies are not looked at again either. */
static void test_line_and_body_settle(void **state)
{
    struct request r;
    struct request_progress g = {0};
    char line[LIMIT_INLINE];

    request_init(&r);
    memset(line, 'a', sizeof line);
    for (size_t n = 1; n <= sizeof line; n++) {
        assert_int_equal(request_parse(&r, &g, line, n, MAX), REQUEST_MORE);
        assert_int_equal(g.at, n);
    }
    g = (struct request_progress){0};
    memcpy(line, "*2\r\n$3\r\nSET\r\n$60000\r\n", 21);
    for (size_t n = 21; n < 60000; n += 100) {
        assert_int_equal(request_parse(&r, &g, line, n, MAX), REQUEST_MORE);
        assert_true(g.at == 13 && g.left == 1);
    }
    request_done(&r);
}

/* ---- inline ---- */

/* Observed by ECHO or by the error for an unknown command; argc 0 is "answers nothing". */
static const struct {
    struct slice line;
    size_t argc;
    struct slice argv[3];
} lines[] = {
    {TEXT("PING\n"), 1, {TEXT("PING")}},
    {TEXT("PING\r\n"), 1, {TEXT("PING")}},
    {TEXT("\r\n"), 0, {{0}}},
    {TEXT("\n"), 0, {{0}}},
    {TEXT(" \t \r\n"), 0, {{0}}},
    {TEXT("   PING  \r\n"), 1, {TEXT("PING")}},
    {TEXT("\tPING\t\r\n"), 1, {TEXT("PING")}},
    {TEXT("$4\r\n"), 1, {TEXT("$4")}},
    {TEXT("+PING\r\n"), 1, {TEXT("+PING")}},
    {TEXT("\vECHO\f\va\r\n"), 1, {TEXT("ECHO\f\va")}},
    {TEXT("ECHO a\vb\r\n"), 2, {TEXT("ECHO"), TEXT("a\vb")}},
    {TEXT("ECHO a\fb\r\n"), 2, {TEXT("ECHO"), TEXT("a\fb")}},
    {TEXT("ECHO a\rb\r\n"), 3, {TEXT("ECHO"), TEXT("a"), TEXT("b")}},
    {TEXT("ECHO a\r\r\n"), 2, {TEXT("ECHO"), TEXT("a")}},
    {TEXT("ECHO \"a b\"\r\n"), 2, {TEXT("ECHO"), TEXT("a b")}},
    {TEXT("ECHO \"a\"\v\r\n"), 2, {TEXT("ECHO"), TEXT("a")}},
    {TEXT("ECHO 'a b'\r\n"), 2, {TEXT("ECHO"), TEXT("a b")}},
    {TEXT("ECHO \"\"\r\n"), 2, {TEXT("ECHO"), TEXT("")}},
    {TEXT("ECHO ''\r\n"), 2, {TEXT("ECHO"), TEXT("")}},
    {TEXT("\"\" a\r\n"), 2, {TEXT(""), TEXT("a")}},
    {TEXT("ECHO \"a\\nb\\r\\t\\b\\a\\\\\\\"\"\r\n"), 2, {TEXT("ECHO"), TEXT("a\nb\r\t\b\a\\\"")}},
    {TEXT("ECHO \"\\x41\\x0a\\xfF\\xg1\\x1\"\r\n"),
     2,
     {TEXT("ECHO"), TEXT("A\n\xff"
                         "xg1x1")}},
    {TEXT("ECHO \"\\x00\"\r\n"), 2, {TEXT("ECHO"), TEXT("\0")}},
    {TEXT("ECHO \"\\x4\"\r\n"), 2, {TEXT("ECHO"), TEXT("x4")}},
    {TEXT("ECHO \"\\x\"\r\n"), 2, {TEXT("ECHO"), TEXT("x")}},
    {TEXT("ECHO \"\\q\\0\"\r\n"), 2, {TEXT("ECHO"), TEXT("q0")}},
    {TEXT("\"PI\\x4eG\"\r\n"), 1, {TEXT("PING")}},
    {TEXT("ECHO 'a\\nb\\'c'\r\n"), 2, {TEXT("ECHO"), TEXT("a\\nb'c")}},
    {TEXT("ECHO 'a\"b'\r\n"), 2, {TEXT("ECHO"), TEXT("a\"b")}},
    {TEXT("ECHO \"a'b\" \r\n"), 2, {TEXT("ECHO"), TEXT("a'b")}},
    {TEXT("ECHO a\\nb\r\n"), 2, {TEXT("ECHO"), TEXT("a\\nb")}},
    {TEXT("ECHO \\\r\n"), 2, {TEXT("ECHO"), TEXT("\\")}},
    {TEXT("ECHO a\"b\"\r\n"), 2, {TEXT("ECHO"), TEXT("ab")}},
    {TEXT("ECHO a'b'\r\n"), 2, {TEXT("ECHO"), TEXT("ab")}},
    {TEXT("ECHO \"\v\"\r\n"), 2, {TEXT("ECHO"), TEXT("\v")}},
    {TEXT("ECHO \xc3\xa9\r\n"), 2, {TEXT("ECHO"), TEXT("\xc3\xa9")}},
    {TEXT("ECHO \x85\r\n"), 2, {TEXT("ECHO"), TEXT("\x85")}},
    {TEXT("ECHO \xa0\r\n"), 2, {TEXT("ECHO"), TEXT("\xa0")}},
    /* A byte like others here; Redis answers nothing any more once it saw one. */
    {TEXT("ECHO a\0b\r\n"), 2, {TEXT("ECHO"), TEXT("a\0b")}},
    {TEXT("\0\n"), 1, {TEXT("\0")}},
};

static const char *const unbalanced[] = {
    "ECHO a\"b c\"d\r\n", "ECHO \"a\"b\r\n",    "ECHO \"a\"\"b\"\r\n",      "ECHO \"a\"'b'\r\n",
    "ECHO \"abc\r\n",     "ECHO 'abc\r\n",      "ECHO \"abc\\\r\n",         "ECHO 'abc\\\r\n",
    "ECHO 'abc\\'\r\n",   "ECHO \"abc\\\"\r\n", "ECHO 'a\\nb\\'c\\\\'\r\n", "\"\n",
};

static void test_inline(void **state)
{
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct seen seen, want = {.status = REQUEST_MORE};
        struct request r = {.argv = (struct slice *)(uintptr_t)lines[i].argv, .argc = lines[i].argc};

        r.used = lines[i].line.len;
        r.was_inline = true;
        note_request(&want, &r);
        check_splits(&seen, lines[i].line, MAX);
        if (seen.len != want.len || memcmp(seen.text, want.text, want.len) != 0)
            fail_msg("row %zu: %s", i, lines[i].line.p);
        assert_same(&want, &seen);
        free(seen.text);
        free(want.text);
    }
}

static void test_unbalanced_quotes(void **state)
{
    for (size_t i = 0; i < COUNT(unbalanced); i++) {
        struct seen seen;
        check_splits(&seen, (struct slice){unbalanced[i], strlen(unbalanced[i])}, MAX);
        assert_int_equal(seen.status, REQUEST_BAD);
        assert_string_equal(seen.error, "Protocol error: unbalanced quotes in request");
        assert_int_equal(seen.requests, 0);
    }
}

/* A line of n bytes before the LF; 64 KiB are taken, more are not, whether LF has come or not. */
static void check_line(size_t n, const char *end, enum request_status want)
{
    char *in = malloc(n + 2);
    size_t len = n + strlen(end);
    struct seen seen;

    assert_non_null(in);
    memset(in, 'a', n);
    memcpy(in, "ECHO ", 5);
    memcpy(in + n, end, strlen(end));
    check_splits(&seen, (struct slice){in, len}, MAX);
    assert_int_equal(seen.requests, want == REQUEST_DONE);
    assert_int_equal(seen.status, want == REQUEST_DONE ? REQUEST_MORE : want);
    assert_string_equal(seen.error, want == REQUEST_BAD ? "Protocol error: too big inline request" : "");
    if (want == REQUEST_DONE)
        assert_int_equal(seen.used[0], len);
    free(seen.text);
    free(in);
}

static void test_long_lines(void **state)
{
    check_line(LIMIT_INLINE, "\n", REQUEST_DONE);
    check_line(LIMIT_INLINE - 1, "\r\n", REQUEST_DONE);
    check_line(LIMIT_INLINE, "", REQUEST_MORE);
    check_line(LIMIT_INLINE + 1, "", REQUEST_BAD);
    check_line(LIMIT_INLINE + 1, "\n", REQUEST_BAD);
    check_line(LIMIT_INLINE, "\r\n", REQUEST_BAD);
    check_line(3 * LIMIT_INLINE, "\r\n", REQUEST_BAD);
}

/* Inline and multi-bulk requests take turns on one object; its scratch is allocated once. */
static void test_reuse(void **state)
{
    struct request r;
    struct request_progress g = {0};
    const char *scratch = NULL;

    request_init(&r);
    for (int i = 0; i < 100; i++) {
        char in[200];
        int n = snprintf(in, sizeof in, "SET k%d \"%0*d\"\n", i, 1 + i, 0);
        assert_int_equal(request_parse(&r, &g, in, (size_t)n, MAX), REQUEST_DONE);
        assert_int_equal(r.argc, 3);
        assert_int_equal(r.argv[2].len, 1 + i);
        assert_true(r.was_inline && r.argv[0].p == r.scratch);
        assert_true(i == 0 || r.scratch == scratch);
        scratch = r.scratch;
        assert_int_equal(request_parse(&r, &g, "*1\r\n$4\r\nPING\r\n", 14, MAX), REQUEST_DONE);
        assert_true(r.argc == 1 && !r.was_inline && r.used == 14);
    }
    request_done(&r);
    assert_true(r.argv == NULL && r.scratch == NULL);
    request_done(&r);
}

static void test_nothing_to_parse(void **state)
{
    struct request r;
    struct request_progress g = {0};

    request_init(&r);
    assert_int_equal(request_parse(&r, &g, NULL, 0, MAX), REQUEST_MORE);
    assert_true(g.at == 0 && g.left == 0 && r.argc == 0);
    request_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_multibulk),
        cmocka_unit_test(test_binary_arguments),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_counts_below_one),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_error_in_pipeline),
        cmocka_unit_test(test_long_counts),
        cmocka_unit_test(test_max_bytes_of_an_argument),
        cmocka_unit_test(test_max_bytes_of_a_request),
        cmocka_unit_test(test_most_arguments),
        cmocka_unit_test(test_pieces_take_linear_work),
        cmocka_unit_test(test_line_and_body_settle),
        cmocka_unit_test(test_inline),
        cmocka_unit_test(test_unbalanced_quotes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_nothing_to_parse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
