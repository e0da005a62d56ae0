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
        cmocka_unit_test(test_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
