#include "resp/build.h"
#include "resp/frame.h"
#include "resp/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct chunk_pool pool;
static struct chain chain;

static int set_up(void **state)
{
    chunk_pool_init(&pool);
    chain_init(&chain, &pool);
    return 0;
}

static int tear_down(void **state)
{
    chain_clear(&chain);
    assert_int_equal(atomic_load(&pool.bytes), 0);
    chunk_pool_done(&pool);
    return 0;
}

/* The chain holds exactly these bytes; it is empty afterwards. */
static void assert_bytes(const void *want, size_t n)
{
    struct slice got = chain_flat(&chain);

    assert_int_equal(got.len, n);
    assert_memory_equal(got.p, want, n);
    chain_clear(&chain);
}

static void assert_text(const char *want)
{
    assert_bytes(want, strlen(want));
}

/* The same, and it is one whole value to a client. */
static void assert_value(const char *want)
{
    assert_text(want);
    assert_int_equal(frame_length(want, strlen(want)), strlen(want));
}

static void test_lines(void **state)
{
    build_status(&chain, "OK");
    assert_value("+OK\r\n");
    build_status(&chain, "");
    assert_value("+\r\n");
    build_error(&chain, "WRONGTYPE Operation against a key holding the wrong kind of value");
    assert_value("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

/* Text that quotes a client can't end its line and forge a second reply. */
static void test_line_ends_become_spaces(void **state)
{
    build_error(&chain, "ERR unknown command 'a\r\n+OK\r\nb'");
    assert_value("-ERR unknown command 'a  +OK  b'\r\n");
    build_error(&chain, "\r\n");
    assert_value("-  \r\n");
    build_status(&chain, "a\nb\r");
    assert_value("+a b \r\n");
    build_err(&chain, ERR_CONFIG, "a\r\nb");
    assert_value("-ERR a  b\r\n");
}

static void test_err_rows(void **state)
{
    char detail[1000];

    memset(detail, 'd', sizeof detail - 1);
    detail[sizeof detail - 1] = '\0';
    for (int e = 1; e < ERR_COUNT; e++) {
        char line[600], want[600];
        size_t n = err_line(line, 512, (enum err)e, "why");
        snprintf(want, sizeof want, "%.*s\r\n", (int)n, line);
        build_err(&chain, (enum err)e, "why");
        assert_true(want[0] == '-');
        assert_value(want);
        /* However long: one line. */
        build_err(&chain, (enum err)e, detail);
        struct slice got = chain_flat(&chain);
        assert_int_equal(frame_length(got.p, got.len), got.len);
        chain_clear(&chain);
        build_err(&chain, (enum err)e, NULL);
        got = chain_flat(&chain);
        assert_int_equal(frame_length(got.p, got.len), got.len);
        chain_clear(&chain);
    }
    build_err(&chain, ERR_SYNTAX, NULL);
    assert_value("-ERR syntax error\r\n");
    build_err(&chain, ERR_ARITY, "get");
    assert_value("-ERR wrong number of arguments for 'get' command\r\n");
}

static void test_integers(void **state)
{
    static const int64_t values[] = {
        0,  1,   -1,   9,    10,        -10,           99,        100,       1000000,
        42, -42, 4096, 4095, INT32_MAX, INT64_MAX - 1, INT64_MAX, INT64_MIN, INT64_MIN + 1};

    for (size_t i = 0; i < COUNT(values); i++) {
        char want[32];
        int64_t back;
        int n = snprintf(want, sizeof want, ":%lld\r\n", (long long)values[i]);
        build_int(&chain, values[i]);
        assert_value(want);
        assert_true(frame_number(want + 1, (size_t)n - 3, &back) && back == values[i]);
    }
}

static void test_bulks(void **state)
{
    build_bulk(&chain, "a\0\r\nb", 5);
    assert_bytes("$5\r\na\0\r\nb\r\n", 11);
    build_bulk(&chain, NULL, 0);
    assert_value("$0\r\n\r\n");
    build_text(&chain, "hello");
    assert_value("$5\r\nhello\r\n");
    build_text(&chain, "");
    assert_value("$0\r\n\r\n");
    build_status(&chain, "x"); /* behind other bytes, too */
    build_bulk(&chain, NULL, 0);
    assert_text("+x\r\n$0\r\n\r\n");
}

static void test_numbers_as_bulks(void **state)
{
    build_number(&chain, 0);
    assert_value("$1\r\n0\r\n");
    build_number(&chain, INT64_MIN);
    assert_value("$20\r\n-9223372036854775808\r\n");
    build_double(&chain, RESP2, "-1.5e+300", 9);
    assert_value("$9\r\n-1.5e+300\r\n");
    build_double(&chain, RESP3, "-1.5e+300", 9);
    assert_value(",-1.5e+300\r\n");
}

static void test_nulls(void **state)
{
    build_null(&chain, RESP2);
    assert_value("$-1\r\n");
    build_null(&chain, RESP3);
    assert_value("_\r\n");
    build_null_array(&chain, RESP2);
    assert_value("*-1\r\n");
    build_null_array(&chain, RESP3);
    assert_value("_\r\n");
}

static void test_aggregates(void **state)
{
    build_array(&chain, 0);
    assert_value("*0\r\n");
    build_array(&chain, 1234567);
    assert_text("*1234567\r\n");
    build_map(&chain, RESP2, 3);
    assert_text("*6\r\n");
    build_map(&chain, RESP3, 3);
    assert_text("%3\r\n");
    build_map(&chain, RESP2, 0);
    assert_value("*0\r\n");
    build_map(&chain, RESP3, 0);
    assert_value("%0\r\n");
    build_set(&chain, RESP2, 2);
    assert_text("*2\r\n");
    build_set(&chain, RESP3, 2);
    assert_text("~2\r\n");
}

static void test_verbatim(void **state)
{
    build_verbatim(&chain, RESP2, "# Server", 8);
    assert_value("$8\r\n# Server\r\n");
    build_verbatim(&chain, RESP3, "# Server", 8);
    assert_value("=12\r\ntxt:# Server\r\n");
    build_verbatim(&chain, RESP3, NULL, 0);
    assert_value("=4\r\ntxt:\r\n");
}

/* A nested reply in both versions is one value. */
static void build_nested(enum resp resp)
{
    build_map(&chain, resp, 3);
    build_text(&chain, "list");
    build_array(&chain, 3);
    build_int(&chain, 1);
    build_null(&chain, resp);
    build_null_array(&chain, resp);
    build_text(&chain, "set");
    build_set(&chain, resp, 1);
    build_verbatim(&chain, resp, "x", 1);
    build_text(&chain, "status");
    build_status(&chain, "OK");
}

static void test_nested(void **state)
{
    build_nested(RESP2);
    assert_value("*6\r\n$4\r\nlist\r\n*3\r\n:1\r\n$-1\r\n*-1\r\n$3\r\nset\r\n*1\r\n$1\r\nx\r\n$"
                 "6\r\nstatus\r\n+OK\r\n");
    build_nested(RESP3);
    assert_value("%3\r\n$4\r\nlist\r\n*3\r\n:1\r\n_\r\n_\r\n$3\r\nset\r\n~1\r\n=5\r\ntxt:x\r\n$"
                 "6\r\nstatus\r\n+OK\r\n");
}

static void test_request(void **state)
{
    const struct slice argv[] = {{"SET", 3}, {"k\0y", 3}, {NULL, 0}};

    build_request(&chain, argv, 3);
    assert_bytes("*3\r\n$3\r\nSET\r\n$3\r\nk\0y\r\n$0\r\n\r\n", 28);
    build_command(&chain, "PING", NULL);
    assert_value("*1\r\n$4\r\nPING\r\n");
    build_command(&chain, "CLIENT", "SETINFO", "LIB-NAME", "", NULL);
    assert_value("*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$0\r\n\r\n");
}

/* No argument is lost, however many there are. */
static void test_long_command(void **state)
{
    struct request r;
    struct request_progress g = {0};

    build_command(&chain, "MSET", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14",
                  "15", "16", "17", "18", NULL);
    struct slice flat = chain_flat(&chain);
    request_init(&r);
    assert_int_equal(request_parse(&r, &g, flat.p, flat.len, 1000), REQUEST_DONE);
    assert_int_equal(r.used, flat.len);
    assert_int_equal(r.argc, 19);
    for (size_t i = 1; i < r.argc; i++) {
        char want[8];
        assert_int_equal(r.argv[i].len, snprintf(want, sizeof want, "%zu", i));
        assert_memory_equal(r.argv[i].p, want, r.argv[i].len);
    }
    request_done(&r);
}

/* Values that meet the end of a chunk at every of their bytes, and values of several chunks. */
static void test_across_chunks(void **state)
{
    static const char value[] = "*2\r\n:-12345\r\n=9\r\ntxt:hello\r\n";
    static char fill[CHUNK_ROOM];

    memset(fill, '.', sizeof fill);
    for (size_t room = 0; room < sizeof value + 2; room++) {
        chain_append(&chain, fill, sizeof fill - room);
        build_array(&chain, 2);
        build_int(&chain, -12345);
        build_verbatim(&chain, RESP3, "hello", 5);
        chain_consume(&chain, sizeof fill - room);
        assert_value(value);
    }
    char *large = malloc(100000);
    assert_non_null(large);
    memset(large, 'v', 100000);
    build_bulk(&chain, large, 100000);
    struct slice flat = chain_flat(&chain);
    assert_int_equal(flat.len, 9 + 100000 + 2);
    assert_memory_equal(flat.p, "$100000\r\n", 9);
    assert_memory_equal(flat.p + 9, large, 100000);
    assert_memory_equal(flat.p + 100009, "\r\n", 2);
    free(large);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lines),         TEST(test_line_ends_become_spaces),
        TEST(test_err_rows),      TEST(test_integers),
        TEST(test_bulks),         TEST(test_numbers_as_bulks),
        TEST(test_nulls),         TEST(test_aggregates),
        TEST(test_verbatim),      TEST(test_nested),
        TEST(test_request),       TEST(test_long_command),
        TEST(test_across_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
