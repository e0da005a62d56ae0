/* The admin server's documents, and on which addresses it may start. Over HTTP: tests/system/test_admin.py.
 */
#include "fake_server.h"
#include "proxy/admin.h"
#include "proxy/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SERVER(...)                                                                                          \
    fake_server_new((const char *const[]){__VA_ARGS__},                                                      \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static cJSON *document(const struct server *s, cJSON *(*make)(const struct overview *o))
{
    struct overview o;

    fake_stats();
    overview_take(&o, s);
    cJSON *doc = make(&o);
    overview_done(&o);
    return doc;
}

static const cJSON *in(const cJSON *doc, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);
    assert_non_null(item);
    return item;
}

static void test_health(void **state)
{
    struct server *s = SERVER("conv.dual_write=yes");
    cJSON *doc = document(s, state_health);

    assert_true(cJSON_IsTrue(in(doc, "healthy")));
    assert_int_equal(cJSON_GetArraySize(in(doc, "reasons")), 0);
    assert_int_equal(cJSON_GetArraySize(in(doc, "warnings")), 0);
    const cJSON *placement = in(doc, "placement")->child;
    assert_string_equal(in(placement, "primary")->valuestring, "redis");
    assert_string_equal(in(placement, "acting")->valuestring, "redis");
    assert_true(cJSON_IsTrue(in(placement, "dualWriteWanted")));
    assert_true(cJSON_IsFalse(in(placement, "dualWrite")));
    cJSON_Delete(doc);

    s->redis.up = false;
    strcpy(s->redis.error, "LOADING it loads");
    doc = document(s, state_health);
    assert_true(cJSON_IsFalse(in(doc, "healthy")));
    assert_string_equal(in(doc, "reasons")->child->valuestring, "redis: LOADING it loads");
    cJSON_Delete(doc);
    fake_server_free(s);
}

/* Healthy is who answers for managed keys; that the other store is away is a warning. */
static void test_health_of_the_archive(void **state)
{
    struct server *s = SERVER("conv.match=conv:*");

    fake_server_archive(s, NULL);
    s->redis.up = false;
    strcpy(s->redis.error, "connection refused");
    cJSON *doc = document(s, state_health);
    assert_true(cJSON_IsTrue(in(doc, "healthy")));
    assert_int_equal(cJSON_GetArraySize(in(doc, "reasons")), 0);
    assert_non_null(strstr(in(doc, "warnings")->child->valuestring, "connection refused"));
    assert_string_equal(in(in(in(doc, "stores"), "archive"), "kind")->valuestring, "sqlite");
    assert_string_equal(in(in(doc, "placement")->child, "acting")->valuestring, "archive");
    cJSON_Delete(doc);

    fake_server_archive(s, "it hangs");
    strcpy(s->archive.faults, "op=ping hang");
    doc = document(s, state_health);
    assert_true(cJSON_IsFalse(in(doc, "healthy")));
    assert_string_equal(in(doc, "reasons")->child->valuestring, "archive: it hangs");
    assert_string_equal(in(in(in(doc, "stores"), "archive"), "faults")->valuestring, "op=ping hang");
    assert_non_null(strstr(in(doc, "warnings")->child->valuestring, "op=ping hang"));
    cJSON_Delete(doc);
    fake_server_free(s);
}

/* The four fields tell of the store that acts. */
static void test_memory_of_the_archive(void **state)
{
    struct server *s = SERVER("conv.match=conv:*");

    fake_server_archive(s, "it hangs");
    s->archive.attempts = 3;
    s->archive.ping_ms = 0.5;
    cJSON *doc = document(s, state_memory);
    assert_int_equal(cJSON_GetArraySize(doc), 4);
    assert_true(cJSON_IsFalse(in(doc, "healthy")));
    assert_string_equal(in(doc, "connectionState")->valuestring, "reconnecting");
    assert_true(in(doc, "reconnectAttempts")->valuedouble == 3);
    assert_true(in(doc, "latencyMs")->valuedouble == 0.5);
    cJSON_Delete(doc);
    fake_server_free(s);
}

static void test_warnings_about_redis(void **state)
{
    struct server *s = SERVER("conv.match=conv:*");

    s->redis.maxmemory = 1000;
    strcpy(s->redis.maxmemory_policy, "allkeys-lru");
    s->redis.clock_offset_us = -2500000;
    cJSON *doc = document(s, state_health);
    const cJSON *warnings = in(doc, "warnings");
    assert_int_equal(cJSON_GetArraySize(warnings), 2);
    assert_non_null(strstr(cJSON_GetArrayItem(warnings, 0)->valuestring, "allkeys-lru"));
    assert_non_null(strstr(cJSON_GetArrayItem(warnings, 1)->valuestring, "-2.5 s"));
    assert_true(cJSON_IsTrue(in(doc, "healthy")));
    cJSON_Delete(doc);
    fake_server_free(s);
}

static void test_ready(void **state)
{
    static const struct {
        bool known, up, draining, ready;
    } rows[] = {{true, true, false, true},
                {true, false, false, true},
                {false, false, false, false},
                {true, true, true, false}};
    struct server *s = SERVER("conv.match=conv:*");

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s->redis.known = rows[i].known;
        s->redis.up = rows[i].up;
        s->draining = rows[i].draining;
        cJSON *doc = document(s, state_ready);
        assert_int_equal(cJSON_IsTrue(in(doc, "ready")), rows[i].ready);
        assert_int_equal(cJSON_GetArraySize(in(doc, "reasons")), rows[i].ready ? 0 : 1);
        cJSON_Delete(doc);
    }
    fake_server_free(s);
}

static void test_memory_has_exactly_four_fields(void **state)
{
    struct server *s = SERVER("conv.match=conv:*");

    s->redis.reconnects = 2;
    s->redis.latency_us = 1500;
    cJSON *doc = document(s, state_memory);
    assert_int_equal(cJSON_GetArraySize(doc), 4);
    assert_true(cJSON_IsTrue(in(doc, "healthy")));
    assert_string_equal(in(doc, "connectionState")->valuestring, "connected");
    assert_true(in(doc, "reconnectAttempts")->valuedouble == 2);
    assert_true(in(doc, "latencyMs")->valuedouble == 1.5);
    cJSON_Delete(doc);
    fake_server_free(s);
}

static void test_state_hides_secrets(void **state)
{
    struct server *s =
        SERVER("redis.url=redis://me:geheim@127.0.0.1:1", "redis.password=geheim", "admin.token=geheim");
    cJSON *docs[] = {document(s, state_full), state_settings(s->config, "*")};

    for (int i = 0; i < 2; i++) {
        char *text = cJSON_PrintUnformatted(docs[i]);
        assert_null(strstr(text, "geheim"));
        assert_non_null(strstr(text, "redis://me:***@127.0.0.1:1"));
        free(text);
        cJSON_Delete(docs[i]);
    }
    fake_server_free(s);
}

static void test_settings_rows(void **state)
{
    struct server *s = SERVER("conv.ttl=10d");
    cJSON *doc = state_settings(s->config, "conv.*");
    const cJSON *row;
    unsigned seen = 0;

    cJSON_ArrayForEach(row, in(doc, "settings"))
    {
        const char *name = in(row, "name")->valuestring;
        assert_string_equal(in(row, "policy")->valuestring, "conv");
        if (strcmp(name, "conv.ttl") == 0) {
            assert_string_equal(in(row, "value")->valuestring, "10d");
            assert_string_equal(in(row, "source")->valuestring, "--set");
            assert_string_equal(in(row, "unit")->valuestring, "s");
            assert_string_equal(in(row, "most")->valuestring, "36500d");
            seen |= 1;
        } else if (strcmp(name, "conv.primary") == 0) {
            assert_int_equal(cJSON_GetArraySize(in(row, "words")), 3);
            assert_string_equal(in(row, "words")->child->next->valuestring, "mongo");
            seen |= 2;
        }
    }
    assert_int_equal(seen, 3);
    cJSON_Delete(doc);
    fake_server_free(s);
}

/* config refuses the combination as well; the server must not rely on that. */
/* The phase is told, and while requests wait, who has acted before. */
static void test_placement(void **state)
{
    static const struct {
        enum place place;
        const char *phase, *acting, *level;
        bool dual_write;
    } rows[] = {
        {PLACE_REDIS, "redis", "redis", "both", true},
        {PLACE_DRAIN, "redis", "redis", "both", true},
        {PLACE_LEAVE, "hold", "redis", "none", true},
        {PLACE_LOSE, "hold", "redis", "none", true},
        {PLACE_ARCHIVE, "archive", "archive", "archive", false},
        {PLACE_CLAIM, "archive", "archive", "archive", false},
        {PLACE_RETURN, "hold", "archive", "none", false},
        {PLACE_CATCHUP, "catchup", "redis", "both", true},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct server *s = SERVER("conv.dual_write=yes", "conv.ack=both");
        fake_server_place(s, "conv", rows[i].place);
        cJSON *doc = document(s, state_placement);
        const cJSON *item = in(doc, "placement")->child;
        assert_string_equal(in(item, "phase")->valuestring, rows[i].phase);
        assert_string_equal(in(item, "acting")->valuestring, rows[i].acting);
        assert_int_equal(cJSON_IsTrue(in(item, "dualWrite")), rows[i].dual_write);
        assert_string_equal(in(in(item, "guarantee"), "level")->valuestring, rows[i].level);
        assert_int_equal(cJSON_GetArraySize(in(in(item, "guarantee"), "loweredBy")),
                         strcmp(rows[i].level, "none") == 0);
        cJSON_Delete(doc);
        fake_server_free(s);
    }
}

/* Every fact that the guarantee is made of comes from where it is known. */
static void test_guarantee_has_its_facts(void **state)
{
    struct server *s = SERVER("conv.dual_write=yes", "conv.ack=primary");

    fake_server_place(s, "conv", PLACE_REDIS);
    s->redis.maxmemory = 1;
    strcpy(s->redis.maxmemory_policy, "allkeys-lfu");
    strcpy(s->redis.role, "slave");
    s->redis.clock_offset_us = -600000;
    s->sync.copier.dirty = 5;
    s->sync.copier.oldest_us = 1;
    cJSON *doc = document(s, state_health);
    const cJSON *g = in(in(doc, "placement")->child, "guarantee");
    char *text = cJSON_PrintUnformatted(g);
    static const char *const words[] = {"\"none\"", "allkeys-lfu", "is a replica", "ack is primary",
                                        "5 keys",   "600 ms",      "appendonly"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        assert_non_null(strstr(text, words[i]));
    free(text);
    cJSON_Delete(doc);
    fake_server_free(s);
}

static void test_moves(void **state)
{
    struct move_report list[2] = {
        {.id = 4, .order = {.kind = MOVE_BACKFILL, .policy = "conv", .rate = 10}, .total = -1, .eta_s = -1},
        {.id = 3,
         .order = {.kind = MOVE_VERIFY, .policy = "conv", .deep = true, .repair = true},
         .state = MOVE_DONE,
         .done = 7,
         .total = 9,
         .found = 2,
         .repaired = 1,
         .rate = 3.5,
         .eta_s = 0,
         .started_us = 1000000,
         .ended_us = 2000000,
         .examples = "conv:1 conv:2"},
    };
    cJSON *doc = state_moves(list, 2);
    const cJSON *waiting = in(doc, "moves")->child, *done = waiting->next;

    assert_string_equal(in(waiting, "state")->valuestring, "waiting");
    assert_true(in(waiting, "rate")->valuedouble == 10);
    static const char *const unknown[] = {"total", "etaSeconds", "startedAt", "endedAt", "why"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++)
        assert_null(cJSON_GetObjectItemCaseSensitive(waiting, unknown[i]));
    assert_true(cJSON_IsTrue(in(done, "deep")) && cJSON_IsTrue(in(done, "repair")));
    assert_true(in(done, "found")->valuedouble == 2 && in(done, "total")->valuedouble == 9);
    assert_string_equal(in(done, "startedAt")->valuestring, "1970-01-01T00:00:01Z");
    assert_int_equal(cJSON_GetArraySize(in(done, "examples")), 2);
    assert_string_equal(in(done, "examples")->child->next->valuestring, "conv:2");
    cJSON_Delete(doc);
}

static void test_check(void **state)
{
    static const struct {
        char *listen, *token;
        bool ok;
    } rows[] = {
        {"127.0.0.1:9", "", true}, {"[::1]:9", "", true},         {"localhost:9", "", true},
        {"unix:/x", "", true},     {"0.0.0.0:9", "", false},      {"0.0.0.0:9", "t", true},
        {"[::]:9", "", false},     {"host.example:9", "", false}, {"rubbish", "t", false},
    };
    char why[300];

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct settings s = {.admin_listen = rows[i].listen, .admin_token = rows[i].token};
        why[0] = '\0';
        assert_int_equal(admin_check(&s, why, sizeof why), rows[i].ok);
        assert_int_equal(why[0] == '\0', rows[i].ok);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_health),
        cmocka_unit_test(test_health_of_the_archive),
        cmocka_unit_test(test_memory_of_the_archive),
        cmocka_unit_test(test_warnings_about_redis),
        cmocka_unit_test(test_ready),
        cmocka_unit_test(test_memory_has_exactly_four_fields),
        cmocka_unit_test(test_state_hides_secrets),
        cmocka_unit_test(test_settings_rows),
        cmocka_unit_test(test_placement),
        cmocka_unit_test(test_guarantee_has_its_facts),
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
