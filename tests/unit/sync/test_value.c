#include "sync/value.h"

#include "engine/call.h"
#include "engine/dict.h"
#include "engine/document.h"
#include "engine/stream.h"
#include "tests/unit/sync/sync_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SLICE(text)  ((struct slice){text, sizeof(text) - 1})
#define KEY          SLICE("k")
#define COUNT(table) (sizeof(table) / sizeof *(table))
#define COMMANDS     12
#define VERSION      INT64_C(2251799813685999)

static int set_up_alone(void **state)
{
    sync_redis_up(state);
    return sync_redis_set_up(state);
}

static int tear_down_alone(void **state)
{
    sync_redis_tear_down(state);
    return sync_redis_down(state);
}

static struct redis_state read_key(struct slice key)
{
    struct redis_state s;

    if (value_read(sync_link, &key, 1, &sync_arena, &s) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
    return s;
}

/* ---- round trips ---- */

static int by_name(const void *a, const void *b)
{
    return slice_compare(((const struct dict_entry *)a)->name, ((const struct dict_entry *)b)->name);
}

/* The state as JSON: members of hash tables sorted, and without what commands can't restore. */
static char *image_of(const struct object *o)
{
    bson_t doc;

    if (o->type == OBJECT_HASH || o->type == OBJECT_SET)
        qsort(o->v.hash->entries, o->v.hash->count, sizeof *o->v.hash->entries, by_name);
    for (size_t i = 0; o->type == OBJECT_STREAM && i < o->v.stream->ngroups; i++)
        for (size_t j = 0; j < o->v.stream->groups[i].nconsumers; j++)
            o->v.stream->groups[i].consumers[j].seen_ms = 0;
    bson_init(&doc);
    assert_int_equal(document_encode(o, &doc), ERR_NONE);
    char *json = bson_as_canonical_extended_json(&doc, NULL);
    bson_destroy(&doc);
    return json;
}

/* Digits behind these words don't count: how entries are packed, and when a consumer was seen. */
static void mask(char *line)
{
    static const char *const words[] = {"radix-tree-keys, ", "radix-tree-nodes, ", "seen-time, "};

    for (size_t i = 0; i < COUNT(words); i++)
        for (char *at = line; (at = strstr(at, words[i])) != NULL;)
            for (at += strlen(words[i]); isdigit((unsigned char)*at); at++)
                *at = '#';
}

/* Blanks in the script are "_": hiredis splits commands at blanks. */
#define MANY(command) "EVAL for_i=1,1203_do_redis.call(" command ")_end 0"
static const struct row {
    const char *name;
    const char *look; /* a command whose reply must be the same afterwards */
    const char *make[COMMANDS];
} rows[] = {
    {"nothing", "EXISTS k", {"DEL k"}},
    {"integer", "GET k", {"SET k 12345"}},
    {"text", "GET k", {"SET k hello"}},
    {"long text", "STRLEN k", {"SETRANGE k 100000 x"}},
    {"bytes", "GET k", {"SETBIT k 999 1"}},
    {"counter of distinct values", "PFCOUNT k", {"PFADD k a b c d"}},
    {"expiring", "PEXPIRETIME k", {"SET k v", "PEXPIREAT k 4102444800123"}},
    {"list", "LRANGE k 0 -1", {"RPUSH k a b a 1 2"}},
    {"long list", "LRANGE k 0 -1", {MANY("'RPUSH','k',i*i")}},
    {"hash", "HGETALL k", {"HSET k f 1 g 2", "PEXPIREAT k 4102444800123"}},
    {"hash table", "HLEN k", {MANY("'HSET','k','f'..i,i")}},
    {"set of integers", "SMEMBERS k", {"SADD k 3 1 2 -5"}},
    {"set", "SORT k ALPHA", {"SADD k a b c 1"}},
    {"large set", "SORT k ALPHA", {MANY("'SADD','k','m'..i")}},
    {"sorted set", "ZRANGE k 0 -1 WITHSCORES", {"ZADD k 0.1 a inf b -inf c 5e-324 d 1e300 e 3 f 3 g"}},
    {"large sorted set",
     "ZRANGE k 0 -1 WITHSCORES",
     {MANY("'ZADD','k',i/7,'m'..i"), "ZADD k -0.0 minus 0 zero"}},
    {"stream", "XINFO STREAM k FULL COUNT 0", {"XADD k 1-1 a b", "XADD k 1-2 c d e f", "XADD k 7-0 a b"}},
    {"stream, ids spent",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 1-1 a b", "XADD k 2-1 a b", "XADD k 3-1 a b", "XDEL k 3-1", "XSETID k 9-9"}},
    {"long stream", "XINFO STREAM k FULL COUNT 0", {MANY("'XADD','k',i..'-1','n',i"), "XTRIM k MAXLEN 1001"}},
    {"stream that lost all", "XINFO STREAM k FULL COUNT 0", {"XADD k 5-1 a b", "XTRIM k MAXLEN 0"}},
    {"stream that deleted all",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 5-1 a b", "XDEL k 5-1", "XGROUP CREATE k g 0"}},
    {"stream that never had any",
     "XINFO STREAM k FULL COUNT 0",
     {"XGROUP CREATE k g $ MKSTREAM", "XGROUP DESTROY k g"}},
    {"groups",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 1-1 a b", "XADD k 2-1 a b", "XADD k 3-1 a b", "XGROUP CREATE k all 0",
      "XGROUP CREATE k middle 2-1", "XGROUP CREATE k none $", "XGROUP CREATECONSUMER k none idle",
      "XREADGROUP GROUP all bob COUNT 1 STREAMS k >", "XREADGROUP GROUP all alice STREAMS k >",
      "XCLAIM k all bob 0 2-1 RETRYCOUNT 7 TIME 1600000000000", "XACK k all 3-1"}},
    {"owed, but gone",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 1-1 a b", "XADD k 2-1 a b", "XADD k 3-1 a b", "XADD k 4-1 a b", "XADD k 5-1 a b",
      "XGROUP CREATE k g 0", "XGROUP CREATE k h 0", "XREADGROUP GROUP g c STREAMS k >",
      "XREADGROUP GROUP h d STREAMS k >", "XTRIM k MINID 2-1", "XDEL k 3-1 5-1"}},
    {"owed, trimmed",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 1-1 a b", "XADD k 2-1 a b", "XADD k 3-1 a b", "XGROUP CREATE k g 0",
      "XREADGROUP GROUP g c STREAMS k >", "XTRIM k MAXLEN 1"}},
    {"owed, and nothing left",
     "XINFO STREAM k FULL COUNT 0",
     {"XADD k 1-1 a b", "XADD k 2-1 a b", "XGROUP CREATE k g 0", "XREADGROUP GROUP g c STREAMS k >",
      "XTRIM k MAXLEN 0"}},
    {"owed by many",
     "XPENDING k g",
     {MANY("'XADD','k',i..'-1','n',i"), "XGROUP CREATE k g 0", "XREADGROUP GROUP g a COUNT 700 STREAMS k >",
      "XREADGROUP GROUP g b STREAMS k >", "XDEL k 600-1 601-1 800-1"}},
};

static void make(const char *command)
{
    char script[256];
    size_t n = 0;

    if (strncmp(command, "EVAL ", 5) != 0) {
        sync_redis_ask(&sync_redis, command);
        return;
    }
    for (const char *p = command + 5; *p != ' '; p++)
        script[n++] = *p == '_' ? ' ' : *p;
    script[n] = '\0';
    sync_redis_ask(&sync_redis, "EVAL %s 0", script);
}

static char *look(const struct row *row)
{
    char *line = sync_redis_line(sync_redis_ask(&sync_redis, row->look));

    mask(line);
    return line;
}

static void restore_as_read(const struct redis_state *s)
{
    struct value_restore r = {.object = &s->object, .expected = 0, .version = VERSION};

    sync_redis_ask(&sync_redis, "FLUSHALL");
    sync_redis_ask(&sync_redis, "SADD cvp:dirty k other");
    if (value_restore(sync_link, &r, 1) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
    assert_true(r.done);
    assert_false(r.damaged);
}

static void check_round_trip(const struct row *row)
{
    sync_redis_ask(&sync_redis, "FLUSHALL");
    for (size_t i = 0; i < COMMANDS && row->make[i] != NULL; i++)
        make(row->make[i]);
    char *line = look(row);
    struct redis_state before = read_key(KEY);
    assert_false(before.torn);
    assert_null(before.bad);
    assert_int_equal(before.version, 0);
    restore_as_read(&before);
    char *line_after = look(row);
    struct redis_state after = read_key(KEY);
    char *image = image_of(&before.object), *image_after = image_of(&after.object);
    if (strcmp(image, image_after) != 0 || strcmp(line, line_after) != 0)
        fail_msg("%s:\n%s\n%s\n%s\n%s", row->name, image, image_after, line, line_after);
    assert_int_equal(after.version, VERSION);
    sync_redis_expect(&sync_redis, "[other]", "SMEMBERS cvp:dirty");
    bson_free(image);
    bson_free(image_after);
    free(line);
    free(line_after);
}

static void test_round_trips(void **state)
{
    for (size_t i = 0; i < COUNT(rows); i++)
        check_round_trip(&rows[i]);
}

static void test_bytes_in_elements(void **state)
{
    sync_redis_ask(&sync_redis, "RPUSH k %b %b %b", "", (size_t)0, "a\0b\r\n", (size_t)5, "\xff\xfe",
                   (size_t)2);
    struct redis_state s = read_key(KEY);
    restore_as_read(&s);
    const redisReply *r = sync_redis_ask(&sync_redis, "LRANGE k 0 -1");
    assert_int_equal(r->elements, 3);
    assert_int_equal(r->element[0]->len, 0);
    assert_int_equal(r->element[1]->len, 5);
    assert_memory_equal(r->element[1]->str, "a\0b\r\n", 5);
    assert_memory_equal(r->element[2]->str, "\xff\xfe", 2);
}

/* ---- what comes with a value ---- */

static void test_encodings(void **state)
{
    static const struct {
        const char *make, *encoding;
    } kinds[] = {
        {"SET k 12", "int"},        {"SET k abc", "embstr"},    {"SETRANGE k 99 x", "raw"},
        {"RPUSH k a", "quicklist"}, {"HSET k f v", "listpack"}, {"SADD k 1", "intset"},
        {"SADD k a", "hashtable"},  {"ZADD k 1 a", "listpack"}, {"XADD k * f v", "stream"},
    };

    for (size_t i = 0; i < COUNT(kinds); i++) {
        sync_redis_ask(&sync_redis, "DEL k");
        sync_redis_ask(&sync_redis, kinds[i].make);
        struct redis_state s = read_key(KEY);
        assert_string_equal(object_encoding_name(s.object.encoding), kinds[i].encoding);
    }
    sync_redis_ask(&sync_redis, "CONFIG SET hash-max-listpack-entries 0 zset-max-listpack-entries 0");
    sync_redis_ask(&sync_redis, "DEL k");
    sync_redis_ask(&sync_redis, "HSET k f v g w");
    assert_int_equal(read_key(KEY).object.encoding, ENC_HASHTABLE);
    sync_redis_ask(&sync_redis, "DEL k");
    sync_redis_ask(&sync_redis, "ZADD k 1 a 2 b");
    assert_int_equal(read_key(KEY).object.encoding, ENC_SKIPLIST);
    sync_redis_ask(&sync_redis, "CONFIG SET hash-max-listpack-entries 512 zset-max-listpack-entries 128");
}

static void test_version_and_sessions(void **state)
{
    sync_redis_ask(&sync_redis, "SET k v");
    sync_redis_ask(&sync_redis, "HSET cvp:ver k 77 gone 78");
    sync_redis_ask(&sync_redis, "HSET cvp:sess a-1 5 b-2 9 this-name-is-far-too-long-for-a-session 3 c x");
    struct redis_state s = read_key(KEY), gone = read_key(SLICE("gone"));
    assert_int_equal(s.version, 77);
    assert_int_equal(s.nsessions, 2);
    assert_string_equal(s.sessions[0].session, "a-1");
    assert_int_equal(s.sessions[0].seq, 5);
    assert_string_equal(s.sessions[1].session, "b-2");
    assert_int_equal(s.sessions[1].seq, 9);
    assert_int_equal(gone.object.type, OBJECT_NONE);
    assert_int_equal(gone.version, 78);
    assert_int_equal(gone.nsessions, 2);
}

static void test_many_versions(void **state)
{
    enum { N = 1300 };
    static char names[N][8];
    static struct slice keys[N];
    static int64_t versions[N];

    for (int i = 0; i < N; i++) {
        keys[i] = (struct slice){names[i], (size_t)snprintf(names[i], sizeof names[i], "k%d", i)};
        if (i % 3 != 0)
            sync_redis_ask(&sync_redis, "HSET cvp:ver %s %d", names[i], i);
    }
    assert_int_equal(value_versions(sync_link, keys, N, versions), ERR_NONE);
    for (int i = 0; i < N; i++)
        assert_int_equal(versions[i], i % 3 != 0 ? i : 0);
}

/* ---- what can't be carried ---- */

struct fake {
    int listener;
    const char *script; /* all that it ever answers */
};

static void *answer(void *arg)
{
    const struct fake *f = arg;
    int fd = accept(f->listener, NULL, NULL);
    char byte;

    assert_int_equal(send(fd, f->script, strlen(f->script), 0), (ssize_t)strlen(f->script));
    while (recv(fd, &byte, 1, 0) > 0) /* until the link closes it */
        ;
    close(fd);
    return NULL;
}

/* What one key's state is on a server that gives these answers behind that to the greeting. */
static struct redis_state read_from(const char *script)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct fake f = {.listener = socket(AF_UNIX, SOCK_STREAM, 0), .script = script};
    pthread_t thread;

    /* In the place of the server's own socket, so that the same settings name it. */
    assert_int_equal(unlink(sync_redis.path), 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", sync_redis.path);
    assert_int_equal(bind(f.listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(f.listener, 1), 0);
    assert_int_equal(pthread_create(&thread, NULL, answer, &f), 0);
    link_close(sync_link);
    if (!link_open(sync_link, sync_redis.settings))
        fail_msg("%s", link_why(sync_link));
    struct redis_state s = read_key(KEY);
    link_close(sync_link);
    pthread_join(thread, NULL);
    close(f.listener);
    return s;
}

#define OK   "+OK\r\n"
#define FIVE "+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n"
#define REST ":-1\r\n$1\r\n7\r\n*0\r\n$3\r\n256\r\n"

/* No module is at hand, so a fake server tells of one. */
static void test_module_type(void **state)
{
    struct redis_state s = read_from(OK "+ReJSON-RL\r\n" OK FIVE "*5\r\n+ReJSON-RL\r\n" REST);

    assert_string_equal(s.bad, "a value of type ReJSON-RL");
    assert_false(s.torn);
    assert_int_equal(s.object.type, OBJECT_NONE);
    assert_int_equal(s.version, 7);
    assert_int_equal(s.epoch, 256);
}

static void test_module_type_gone(void **state)
{
    struct redis_state s = read_from(OK "+ReJSON-RL\r\n" OK FIVE "*5\r\n+string\r\n" REST);

    assert_null(s.bad);
    assert_true(s.torn);
}

static void test_value_not_told(void **state)
{
    struct redis_state s = read_from(OK "+list\r\n" OK FIVE "+QUEUED\r\n+QUEUED\r\n*7\r\n+list\r\n" REST
                                        "-NOPERM no\r\n+quicklist\r\n");

    assert_non_null(s.bad);
    assert_false(s.torn);
    assert_int_equal(s.object.type, OBJECT_NONE);
}

/* ---- Redis away ---- */

static void test_closed(void **state)
{
    struct object o = {.key = KEY, .expire_ms = -1};
    struct value_restore r = {.object = &o};
    struct redis_state s;
    struct slice key = KEY;
    int64_t version;

    link_close(sync_link);
    assert_int_equal(value_read(sync_link, &key, 1, &sync_arena, &s), ERR_REDISDOWN);
    assert_int_equal(value_versions(sync_link, &key, 1, &version), ERR_REDISDOWN);
    assert_int_equal(value_restore(sync_link, &r, 1), ERR_REDISDOWN);
}

static void cut(void)
{
    if (!link_open(sync_link, sync_redis.settings))
        fail_msg("%s", link_why(sync_link));
    sync_redis_ask(&sync_redis, "CLIENT KILL TYPE normal SKIPME yes");
}

static void test_lost(void **state)
{
    struct object o = {.key = KEY, .expire_ms = -1};
    struct value_restore r = {.object = &o};
    struct redis_state s;
    struct slice key = KEY;
    int64_t version;

    cut();
    assert_int_equal(value_read(sync_link, &key, 1, &sync_arena, &s), ERR_REDISLOST);
    cut();
    assert_int_equal(value_versions(sync_link, &key, 1, &version), ERR_REDISLOST);
    cut();
    assert_int_equal(value_restore(sync_link, &r, 1), ERR_REDISLOST);
    assert_false(r.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trips, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_bytes_in_elements, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_encodings, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_version_and_sessions, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_many_versions, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_closed, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_lost, sync_redis_set_up, sync_redis_tear_down),
    };
    /* These take the server's socket away. */
    const struct CMUnitTest fakes[] = {
        cmocka_unit_test_setup_teardown(test_module_type, set_up_alone, tear_down_alone),
        cmocka_unit_test_setup_teardown(test_module_type_gone, set_up_alone, tear_down_alone),
        cmocka_unit_test_setup_teardown(test_value_not_told, set_up_alone, tear_down_alone),
    };
    if (sync_redis_missing())
        return SYNC_REDIS_SKIPPED;
    int failed = cmocka_run_group_tests(tests, sync_redis_up, sync_redis_down);
    return failed + cmocka_run_group_tests(fakes, NULL, NULL);
}
