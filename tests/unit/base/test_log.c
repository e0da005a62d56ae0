#include "base/log.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <iconv.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_MOST 4096

/* Each write to the one end is one message at the other, so a line in two writes shows. */
static int write_end = -1;
static int read_end = -1;

static int open_pair(void **state)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) != 0)
        return -1;
    read_end = fds[0];
    write_end = fds[1];
    return 0;
}

static int close_pair(void **state)
{
    close(read_end);
    close(write_end);
    return 0;
}

/* The next message as text; its length, or -1 when none is waiting. */
static ssize_t next_line(char *buf, size_t cap)
{
    ssize_t n = recv(read_end, buf, cap - 1, MSG_DONTWAIT);

    if (n >= 0)
        buf[n] = '\0';
    return n;
}

/* ---- A reader of {"key": string or number or null or true, …}, strict about escapes and UTF-8. ---- */

static bool is_utf8(const char *p, size_t len)
{
    iconv_t cd = iconv_open("UCS-4LE", "UTF-8");
    char *out = malloc(len * 4 + 4);
    char *to = out;
    char *from = (char *)(uintptr_t)p;
    size_t room = len * 4 + 4;
    size_t left = len;
    size_t r = iconv(cd, &from, &left, &to, &room);

    iconv_close(cd);
    free(out);
    return r != (size_t)-1 && left == 0;
}

static const char *read_string(const char *p)
{
    if (p == NULL || *p++ != '"')
        return NULL;
    while (*p != '"') {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\' && p[1] == 'u') {
            if (strspn(p + 2, "0123456789abcdef") < 4)
                return NULL;
            p += 6;
        } else if (*p == '\\') {
            if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL)
                return NULL;
            p += 2;
        } else {
            p++;
        }
    }
    return p + 1;
}

static const char *read_value(const char *p)
{
    char *end = NULL;

    if (p == NULL)
        return NULL;
    if (*p == '"')
        return read_string(p);
    if (strncmp(p, "null", 4) == 0 || strncmp(p, "true", 4) == 0)
        return p + 4;
    if (strspn(p, "-0123456789") == 0)
        return NULL;
    (void)strtod(p, &end);
    return end;
}

static bool is_json_line(const char *text, size_t len)
{
    const char *p = text;

    if (!is_utf8(text, len) || *p != '{')
        return false;
    do {
        p = read_string(p + 1);
        if (p == NULL || *p != ':')
            return false;
        p = read_value(p + 1);
    } while (p != NULL && *p == ',');
    return p != NULL && strcmp(p, "}\n") == 0;
}

/* ---- Whole lines ---- */

/* Without its time stamp, which is checked here. */
static const char *after_time(const char *line, const char *before, const char *behind)
{
    struct tm tm = {0};
    size_t n = strlen(before);

    assert_memory_equal(line, before, n);
    const char *rest = strptime(line + n, "%Y-%m-%dT%H:%M:%S", &tm);
    assert_ptr_equal(rest, line + n + 19);
    assert_true(rest[0] == '.' && strspn(rest + 1, "0123456789") == 3 && rest[4] == 'Z');
    int64_t ms = (int64_t)timegm(&tm) * 1000 + strtol(rest + 1, NULL, 10);
    int64_t now = clock_wall_us() / 1000;
    assert_true(ms <= now && ms > now - 10000);
    assert_memory_equal(rest + 5, behind, strlen(behind));
    return rest + 5 + strlen(behind);
}

static void test_logfmt_line(void **state)
{
    char line[8192];

    log_setup(LOG_INFO, LOG_LOGFMT, write_end);
    log_event(LOG_WARN, "redis_error", LOG_STR("reason", "timeout"), LOG_INT("after_ms", -500),
              LOG_DBL("load", 0.25), LOG_BYTES("key", "conv:42xxx", 7), LOG_STR("text", "two words"));
    assert_true(next_line(line, sizeof line) > 0);
    assert_string_equal(after_time(line, "ts=", " "),
                        "level=warn event=redis_error reason=timeout after_ms=-500 load=0.25 key=conv:42 "
                        "text=\"two words\"\n");
    assert_int_equal(next_line(line, sizeof line), -1);
}

static void test_json_line(void **state)
{
    char line[8192];

    log_setup(LOG_DEBUG, LOG_JSON, write_end);
    log_event(LOG_DEBUG, "persist_error", LOG_STR("reason", "timeout"), LOG_INT("n", INT64_MIN),
              LOG_DBL("load", 1e300), LOG_BYTES("key", "conv:42xxx", 7));
    ssize_t n = next_line(line, sizeof line);
    assert_true(n > 0 && is_json_line(line, (size_t)n));
    assert_string_equal(after_time(line, "{\"ts\":\"", "\","),
                        "\"level\":\"debug\",\"event\":\"persist_error\",\"reason\":\"timeout\","
                        "\"n\":-9223372036854775808,\"load\":1e+300,\"key\":\"conv:42\"}\n");
    assert_int_equal(next_line(line, sizeof line), -1);
}

static const struct {
    const char *bytes;
    size_t len;
    const char *logfmt;
    const char *json;
} values[] = {
#define VALUE(bytes, logfmt, json)                                                                           \
    {                                                                                                        \
        bytes, sizeof bytes - 1, logfmt, json                                                                \
    }
    VALUE("", "\"\"", "\"\""),
    VALUE("plain-1.2/3:4", "plain-1.2/3:4", "\"plain-1.2/3:4\""),
    VALUE("a b", "\"a b\"", "\"a b\""),
    VALUE("a=b", "\"a=b\"", "\"a=b\""),
    VALUE("say \"x\"", "\"say \\\"x\\\"\"", "\"say \\\"x\\\"\""),
    VALUE("a\"b", "\"a\\\"b\"", "\"a\\\"b\""),
    VALUE("c:\\d", "\"c:\\\\d\"", "\"c:\\\\d\""),
    VALUE("1\r\n2\t", "\"1\\r\\n2\\t\"", "\"1\\r\\n2\\t\""),
    VALUE("\0\x1b[0m\x7f", "\"\\u0000\\u001b[0m\\u007f\"", "\"\\u0000\\u001b[0m\\u007f\""),
    VALUE("\xC2\x85\xC2\x9F\xC2\xA0", "\"\\u0085\\u009f\xC2\xA0\"", "\"\\u0085\\u009f\xC2\xA0\""),
    VALUE("\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\"",
          "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""),
    /* Not UTF-8: a lone start, a lone continuation, one cut off, too long a form, a surrogate, beyond the
       last. */
    VALUE("\xFF", "\"\\xff\"", "\"\\\\xff\""),
    VALUE("a\x80z", "\"a\\x80z\"", "\"a\\\\x80z\""),
    VALUE("\xE2\x82", "\"\\xe2\\x82\"", "\"\\\\xe2\\\\x82\""),
    VALUE("\xC0\x80", "\"\\xc0\\x80\"", "\"\\\\xc0\\\\x80\""),
    VALUE("\xE0\x80\xAF", "\"\\xe0\\x80\\xaf\"", "\"\\\\xe0\\\\x80\\\\xaf\""),
    VALUE("\xED\xA0\x80", "\"\\xed\\xa0\\x80\"", "\"\\\\xed\\\\xa0\\\\x80\""),
    VALUE("\xF4\x90\x80\x80", "\"\\xf4\\x90\\x80\\x80\"", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\""),
    VALUE("\xF8\x88\x80\x80\x80", "\"\\xf8\\x88\\x80\\x80\\x80\"", "\"\\\\xf8\\\\x88\\\\x80\\\\x80\\\\x80\""),
#undef VALUE
};

static void check_value(size_t i, enum log_format format, const char *want)
{
    char line[8192];
    char end[512];

    log_setup(LOG_INFO, format, write_end);
    log_event(LOG_ERROR, "e", LOG_BYTES("v", values[i].bytes, values[i].len));
    ssize_t n = next_line(line, sizeof line);
    assert_true(n > 0);
    snprintf(end, sizeof end, format == LOG_JSON ? ",\"v\":%s}\n" : " v=%s\n", want);
    if ((size_t)n < strlen(end) || strcmp(line + (size_t)n - strlen(end), end) != 0)
        fail_msg("value %zu: %s, not %s", i, line, end);
    assert_true(format == LOG_LOGFMT || is_json_line(line, (size_t)n));
}

static void test_values(void **state)
{
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        check_value(i, LOG_LOGFMT, values[i].logfmt);
        check_value(i, LOG_JSON, values[i].json);
    }
}

static void test_odd_numbers_and_null(void **state)
{
    char line[8192];

    log_setup(LOG_INFO, LOG_JSON, write_end);
    log_event(LOG_INFO, "e", LOG_DBL("a", strtod("nan", NULL)), LOG_DBL("b", strtod("-inf", NULL)),
              LOG_STR("c", NULL), LOG_BYTES("d", NULL, 0));
    assert_true(next_line(line, sizeof line) > 0);
    assert_non_null(strstr(line, "\"a\":null,\"b\":null,\"c\":\"\",\"d\":\"\"}\n"));
}

static int evaluated;

static int64_t count_evaluation(void)
{
    return ++evaluated;
}

static void test_levels(void **state)
{
    char line[8192];

    for (int least = LOG_DEBUG; least <= LOG_ERROR; least++) {
        log_setup((enum log_level)least, LOG_LOGFMT, write_end);
        for (int level = LOG_DEBUG; level <= LOG_ERROR; level++) {
            evaluated = 0;
            log_event((enum log_level)level, "e", LOG_INT("n", count_evaluation()));
            assert_int_equal(evaluated, level >= least);
            assert_int_equal(next_line(line, sizeof line) > 0, level >= least);
            assert_int_equal(log_enabled((enum log_level)level), level >= least);
        }
    }
}

/* ---- The 4 KiB cut ---- */

/* One value of n times the unit, then a number. */
static void check_length(enum log_format format, const char *unit, size_t n)
{
    static char value[8192];
    static char line[8192];
    size_t step = strlen(unit);

    for (size_t i = 0; i < n; i++)
        memcpy(value + i * step, unit, step);
    log_setup(LOG_INFO, format, write_end);
    log_event(LOG_INFO, "e", LOG_BYTES("v", value, n * step), LOG_INT("num", 123456));
    ssize_t len = next_line(line, sizeof line);
    assert_true(len > 0 && len <= LINE_MOST && line[len - 1] == '\n');
    assert_int_equal(next_line(value, sizeof value), -1);
    assert_true(memchr(line, '\n', (size_t)len) == line + len - 1);
    assert_true(is_utf8(line, (size_t)len));
    if (format == LOG_JSON && !is_json_line(line, (size_t)len))
        fail_msg("%zu times %s: %s", n, unit, line + len - 60);
    bool cut = strstr(line, format == LOG_JSON ? ",\"cut\":true}\n" : " cut=true\n") != NULL;
    bool number = strstr(line, format == LOG_JSON ? "\"num\":123456" : "num=123456") != NULL;
    if (cut == number || (strstr(line, "num") != NULL) != number)
        fail_msg("%zu times %s: %s", n, unit, line + len - 60);
    assert_true(!cut || len > LINE_MOST - 40);
}

static void test_cut(void **state)
{
    static const char *const units[] = {"a", " ", "\n", "\"", "\x01", "\xff", "\xC3\xA9", "\xF0\x9F\x98\x80"};
    static const size_t widths[] = {1, 1, 2, 2, 6, 5, 2, 4};

    for (size_t u = 0; u < sizeof units / sizeof units[0]; u++)
        for (size_t n = 3900 / widths[u] - 20; n * widths[u] < 4200; n++) {
            check_length(LOG_LOGFMT, units[u], n);
            check_length(LOG_JSON, units[u], n);
        }
}

/* Two long values whose border moves over the end of the line, and keys that no longer fit. */
static void test_cut_between_fields(void **state)
{
    static char line[8192];
    static char value[4096];

    memset(value, 'x', sizeof value);
    for (size_t n = 3950; n < 4096; n++)
        for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
            log_setup(LOG_INFO, (enum log_format)format, write_end);
            log_event(LOG_INFO, "e", LOG_BYTES("v", value, n), LOG_STR("w", "y z"), LOG_DBL("d", 1.5));
            ssize_t len = next_line(line, sizeof line);
            assert_true(len > 0 && len <= LINE_MOST && line[len - 1] == '\n');
            assert_true(format == LOG_LOGFMT || is_json_line(line, (size_t)len));
        }
}

static void test_random_bytes(void **state)
{
    static char line[8192];
    char value[64];
    unsigned seed = 7;

    log_setup(LOG_INFO, LOG_JSON, write_end);
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof value; i++) {
            seed = seed * 1103515245u + 12345u;
            value[i] = (char)(seed >> 16);
        }
        log_event(LOG_INFO, "e", LOG_BYTES("v", value, sizeof value));
        ssize_t n = next_line(line, sizeof line);
        assert_true(n > 0 && is_json_line(line, (size_t)n));
    }
}

/* ---- Threads and errno ---- */

enum { THREADS = 4, LINES = 500 };

static void *write_lines(void *arg)
{
    const char *name = arg;

    for (int i = 0; i < LINES; i++)
        log_event(LOG_INFO, "thread", LOG_STR("name", name), LOG_INT("i", i));
    return NULL;
}

static void test_threads(void **state)
{
    static const char *const names[THREADS] = {"aaaa", "bbbb", "cccc", "dddd"};
    pthread_t threads[THREADS];
    int next[THREADS] = {0};
    char line[8192];

    log_setup(LOG_INFO, LOG_LOGFMT, write_end);
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, write_lines, (void *)(uintptr_t)names[t]), 0);
    for (int i = 0; i < THREADS * LINES; i++) {
        char name = 0;
        int at = 0;
        ssize_t n = recv(read_end, line, sizeof line - 1, 0);
        assert_true(n > 0);
        line[n] = '\0';
        assert_int_equal(sscanf(strstr(line, "name="), "name=%c%*3c i=%d\n", &name, &at), 2);
        assert_int_equal(at, next[name - 'a']++);
    }
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
}

static void test_errno_is_kept(void **state)
{
    log_setup(LOG_INFO, LOG_LOGFMT, -1);
    errno = ENOENT;
    log_event(LOG_INFO, "e", LOG_INT("n", 1));
    assert_int_equal(errno, ENOENT);
}

/* Before log_setup: info and above, in logfmt, to stderr. Runs first. */
static void test_defaults(void **state)
{
    char line[8192];
    int kept = dup(STDERR_FILENO);

    dup2(write_end, STDERR_FILENO);
    log_event(LOG_DEBUG, "silent", LOG_INT("n", 1));
    log_event(LOG_INFO, "loud", LOG_INT("n", 2));
    dup2(kept, STDERR_FILENO);
    close(kept);
    assert_true(next_line(line, sizeof line) > 0);
    assert_string_equal(after_time(line, "ts=", " "), "level=info event=loud n=2\n");
    assert_int_equal(next_line(line, sizeof line), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_logfmt_line),
        cmocka_unit_test(test_json_line),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_odd_numbers_and_null),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_cut_between_fields),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_errno_is_kept),
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
