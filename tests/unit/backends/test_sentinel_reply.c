/* What sentinels answer, read from the bytes that they send. */
#include "backends/redis/sentinel_reply.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static redisReply *reply_of(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, strlen(bytes));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    return reply;
}

static void addresses(void **state)
{
    static const struct {
        const char *bytes;
        const char *host; /* NULL: refused */
        int port;
    } rows[] = {
        {"*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6381\r\n", "127.0.0.1", 6381},
        {"*2\r\n$3\r\n::1\r\n$5\r\n65535\r\n", "::1", 65535},
        {"*-1\r\n", NULL, 0},
        {"*0\r\n", NULL, 0},
        {"*1\r\n$1\r\nh\r\n", NULL, 0},
        {"*2\r\n$0\r\n\r\n$1\r\n1\r\n", NULL, 0},
        {"*2\r\n$1\r\nh\r\n$0\r\n\r\n", NULL, 0},
        {"*2\r\n$1\r\nh\r\n$1\r\n0\r\n", NULL, 0},
        {"*2\r\n$1\r\nh\r\n$5\r\n65536\r\n", NULL, 0},
        {"*2\r\n$1\r\nh\r\n$3\r\n12x\r\n", NULL, 0},
        {"*2\r\n$1\r\nh\r\n:12\r\n", NULL, 0},
        {"$1\r\nh\r\n", NULL, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sentinel_address at = {.port = -1};
        redisReply *r = reply_of(rows[i].bytes);
        assert_int_equal(sentinel_take_address(r, &at), rows[i].host != NULL);
        assert_int_equal(at.port, rows[i].host != NULL ? rows[i].port : -1);
        if (rows[i].host != NULL)
            assert_string_equal(at.host, rows[i].host);
        freeReplyObject(r);
    }
}

static void long_host(void **state)
{
    char bytes[SENTINEL_HOST + 64], host[SENTINEL_HOST + 1];
    struct sentinel_address at;

    memset(host, 'h', SENTINEL_HOST);
    host[SENTINEL_HOST] = '\0';
    snprintf(bytes, sizeof bytes, "*2\r\n$%d\r\n%s\r\n$1\r\n1\r\n", SENTINEL_HOST, host);
    redisReply *r = reply_of(bytes);
    assert_false(sentinel_take_address(r, &at));
    freeReplyObject(r);
}

static void epochs(void **state)
{
    redisReply *r = reply_of("*4\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n$2\r\n17\r\n");
    assert_int_equal(sentinel_take_epoch(r), 17);
    freeReplyObject(r);
    r = reply_of("*3\r\n$4\r\nname\r\n$1\r\nm\r\n$12\r\nconfig-epoch\r\n");
    assert_int_equal(sentinel_take_epoch(r), -1);
    freeReplyObject(r);
    assert_int_equal(sentinel_take_epoch(NULL), -1);
}

static void roles(void **state)
{
    redisReply *r = reply_of("*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    assert_true(sentinel_is_master(r));
    freeReplyObject(r);
    r = reply_of("*2\r\n$5\r\nslave\r\n$1\r\nh\r\n");
    assert_false(sentinel_is_master(r));
    freeReplyObject(r);
    assert_false(sentinel_is_master(NULL));
}

static bool is_switch(const char *bytes)
{
    redisReply *r = reply_of(bytes);
    bool yes = sentinel_is_switch(r, "my");
    freeReplyObject(r);
    return yes;
}

static void switches(void **state)
{
    assert_true(is_switch("*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$11\r\nmy a 1 b 22\r\n"));
    assert_false(is_switch("*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$12\r\nmy2 a 1 b 22\r\n"));
    assert_false(is_switch("*3\r\n$9\r\nsubscribe\r\n$14\r\n+switch-master\r\n:1\r\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses), cmocka_unit_test(long_host), cmocka_unit_test(epochs),
        cmocka_unit_test(roles),     cmocka_unit_test(switches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
