/* CLUSTER SLOTS as a topology. */
#include "backends/redis/topology.h"

#include <hiredis/hiredis.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct redis_seeds seeds = {.kind = REDIS_CLUSTER};

static struct topology *topology_of(const char *bytes)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, strlen(bytes));
    assert_int_equal(redisReaderGetReply(reader, &reply), REDIS_OK);
    assert_non_null(reply);
    redisReaderFree(reader);
    struct topology *t = topology_new(reply, &seeds, "asked");
    freeReplyObject(reply);
    return t;
}

#define NODE(host, port) "*3\r\n" host ":" port "\r\n$1\r\nx\r\n"
#define H(len, name)     "$" len "\r\n" name "\r\n"

static void shards(void **state)
{
    struct topology *t = topology_of("*3\r\n"
                                     "*3\r\n:8000\r\n:16383\r\n" NODE(H("1", "b"), "2")
                                     "*4\r\n:0\r\n:99\r\n" NODE(H("1", "a"), "1") NODE(H("1", "r"), "9")
                                     "*3\r\n:100\r\n:100\r\n" NODE(H("1", "b"), "2"));
    assert_non_null(t);
    assert_int_equal(t->count, 2); /* in the order of their first slots */
    assert_int_equal(t->nodes[0].nreplicas, 1);
    assert_string_equal(t->nodes[0].replicas[0], "redis://r:9/0");
    assert_int_equal(t->nodes[1].nreplicas, 0);
    assert_string_equal(t->nodes[0].host, "a");
    assert_string_equal(t->nodes[1].url, "redis://b:2/0");
    assert_int_equal(t->owner[0], 0);
    assert_int_equal(t->owner[99], 0);
    assert_int_equal(t->owner[100], 1);
    assert_int_equal(t->owner[101], TOPOLOGY_NOBODY);
    assert_int_equal(t->owner[16383], 1);
    assert_int_equal(t->covered, 100 + 1 + 8384);
    assert_int_equal(topology_find(t, "b", 2), 1);
    assert_int_equal(topology_find(t, "b", 3), TOPOLOGY_NOBODY);
    topology_unref(t);
}

static void names_that_are_not_told(void **state)
{
    static const char *const texts[] = {"*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$0\r\n\r\n", "7"),
                                        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$-1\r\n", "7"),
                                        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE("$1\r\n?\r\n", "7")};
    for (size_t i = 0; i < 3; i++) {
        struct topology *t = topology_of(texts[i]);
        assert_string_equal(t->nodes[0].host, "asked");
        topology_unref(t);
    }
}

/* In whatever order they are told, and with each range of their master; those without a name can't be asked. */
static void replicas(void **state)
{
    struct topology *a = topology_of("*2\r\n"
                                     "*5\r\n:0\r\n:1\r\n" NODE(H("1", "a"), "1") NODE(H("1", "r"), "9") NODE(H("1", "q"), "8")
                                     "*6\r\n:5\r\n:6\r\n" NODE(H("1", "a"), "1") NODE(H("1", "q"), "8") NODE(H("1", "r"), "9")
                                         NODE("$-1\r\n", "7"));
    struct topology *b = topology_of("*2\r\n"
                                     "*5\r\n:0\r\n:1\r\n" NODE(H("1", "a"), "1") NODE(H("1", "q"), "8") NODE(H("1", "r"), "9")
                                     "*3\r\n:5\r\n:6\r\n" NODE(H("1", "a"), "1"));
    struct topology *c = topology_of("*2\r\n"
                                     "*4\r\n:0\r\n:1\r\n" NODE(H("1", "a"), "1") NODE(H("1", "q"), "8")
                                     "*3\r\n:5\r\n:6\r\n" NODE(H("1", "a"), "1"));
    assert_int_equal(a->nodes[0].nreplicas, 2);
    assert_string_equal(a->nodes[0].replicas[0], "redis://q:8/0");
    assert_string_equal(a->nodes[0].replicas[1], "redis://r:9/0");
    assert_true(topology_equal(a, b));
    assert_false(topology_equal(b, c));
    topology_unref(a);
    topology_unref(b);
    topology_unref(c);
}

static void refused(void **state)
{
    static const char *const texts[] = {
        "*0\r\n",
        "$1\r\nx\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:1\r\n" NODE(H("1", "a"), "1"),
        "*1\r\n*3\r\n:-1\r\n:1\r\n" NODE(H("1", "a"), "1"),
        "*1\r\n*3\r\n:0\r\n:16384\r\n" NODE(H("1", "a"), "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE(H("1", "a"), "0"),
        "*1\r\n*3\r\n:0\r\n:1\r\n" NODE(":1\r\n", "1"),
        "*1\r\n*3\r\n:0\r\n:1\r\n*1\r\n$1\r\na\r\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_null(topology_of(texts[i]));
}

static void equal(void **state)
{
    struct topology *a = topology_of("*1\r\n*3\r\n:0\r\n:9\r\n" NODE(H("1", "a"), "1"));
    struct topology *same = topology_of("*1\r\n*3\r\n:0\r\n:9\r\n" NODE(H("1", "a"), "1"));
    struct topology *fewer = topology_of("*1\r\n*3\r\n:0\r\n:8\r\n" NODE(H("1", "a"), "1"));
    struct topology *moved = topology_of("*1\r\n*3\r\n:0\r\n:9\r\n" NODE(H("1", "a"), "2"));

    assert_true(topology_equal(a, same));
    assert_false(topology_equal(a, fewer));
    assert_false(topology_equal(a, moved));
    assert_false(topology_equal(a, NULL));
    assert_true(topology_equal(NULL, NULL));
    topology_unref(topology_ref(a));
    topology_unref(a);
    topology_unref(same);
    topology_unref(fewer);
    topology_unref(moved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards), cmocka_unit_test(replicas),
        cmocka_unit_test(names_that_are_not_told),
        cmocka_unit_test(refused),
        cmocka_unit_test(equal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
