/* convctl's texts: what is missing in a document, what does not belong on a terminal, and rates. And its
 * URLs. */
#include "tools/client.h"
#include "tools/screen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_looking_into_documents(void **state)
{
    cJSON *doc = cJSON_Parse("{\"a\":{\"b\":2.5,\"c\":\"text\",\"d\":true,\"e\":\"\"},\"x\":[1]}");

    assert_true(screen_number(doc, "a.b") == 2.5);
    assert_string_equal(screen_text(doc, "a.c"), "text");
    assert_true(screen_flag(doc, "a.d"));
    assert_true(screen_number(doc, "a.c") == 0 && screen_number(doc, "a.b.z") == 0 &&
                screen_number(NULL, "a") == 0);
    assert_string_equal(screen_text(doc, "a.e"), "-");
    assert_string_equal(screen_text(doc, "nope"), "-");
    assert_false(screen_flag(doc, "x"));
    cJSON_Delete(doc);
}

/* An error text of Redis could hold an escape sequence. */
static void test_no_control_bytes(void **state)
{
    cJSON *doc = cJSON_Parse("{\"a\":\"x\\u001b[2Jy\\n\\u007f\"}");

    assert_string_equal(screen_text(doc, "a"), "x?[2Jy??");
    cJSON_Delete(doc);
}

static char *shown(void (*print)(FILE *out, const cJSON *doc), const char *json)
{
    cJSON *doc = cJSON_Parse(json);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    print(out, doc);
    fclose(out);
    cJSON_Delete(doc);
    return text;
}

static void test_any_document_is_shown(void **state)
{
    static const char *const odd[] = {"{}",
                                      "[]",
                                      "null",
                                      "1",
                                      "{\"policies\":3,\"redis\":[],\"reasons\":{\"a\":1}}",
                                      "{\"policies\":[1,{}],\"commands\":[{}],\"settings\":[null]}"};

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        char *status = shown(screen_status, odd[i]);
        assert_non_null(strstr(status, "NOT OK"));
        free(status);
        free(shown(screen_health, odd[i]));
        free(shown(screen_settings, odd[i]));
        free(shown(screen_placement, odd[i]));
        free(shown(screen_moves, odd[i]));
        free(shown(screen_move_end, odd[i]));
        free(shown(screen_dual_write, odd[i]));
    }
}

static char *drawn(const char *json, bool bar)
{
    cJSON *doc = cJSON_Parse(json);
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    screen_move(out, doc, bar);
    fclose(out);
    cJSON_Delete(doc);
    return text;
}

static void test_a_move_in_a_line(void **state)
{
    static const char running[] = "{\"id\":3,\"kind\":\"verify\",\"policy\":\"conv\",\"state\":\"running\","
                                  "\"done\":2500,\"total\":10000,"
                                  "\"found\":3,\"repaired\":1,\"keysPerSecond\":1250,\"etaSeconds\":66}";
    static const char waiting[] = "{\"id\":4,\"kind\":\"drain\",\"policy\":\"conv\",\"state\":\"waiting\","
                                  "\"done\":0,\"why\":\"Redis is down\"}";
    char *line = drawn(running, true);

    assert_non_null(
        strstr(line, "[########----------------------]  25%  2,500 of 10,000 keys   1,250/s   1min 6s left"));
    assert_non_null(strstr(line, "3 differ, 1 repaired"));
    assert_null(strchr(line, '\n'));
    free(line);
    line = drawn(waiting, false);
    assert_null(strchr(line, '['));
    assert_null(strstr(line, " of "));
    assert_non_null(strstr(line, "(Redis is down)"));
    free(line);
    line = drawn("{\"state\":\"done\",\"done\":0,\"total\":0}", true);
    assert_non_null(strstr(line, "100%"));
    free(line);
}

static void test_what_each_kind_of_move_has_found(void **state)
{
    static const struct {
        const char *kind, *words;
        bool wrong;
    } rows[] = {{"verify", "2 differ", true},
                {"ttl-audit", "2 without TTL", true},
                {"tier", "2 changed tier", false},
                {"of a newer proxy", "2 found", true}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cJSON *move = cJSON_CreateObject();
        cJSON_AddStringToObject(move, "kind", rows[i].kind);
        cJSON_AddNumberToObject(move, "found", 2);
        char *text = cJSON_PrintUnformatted(move), *line = drawn(text, false);
        assert_non_null(strstr(line, rows[i].words));
        assert_true(screen_move_wrong(move) == rows[i].wrong);
        cJSON_AddNumberToObject(move, "repaired", 2);
        assert_false(screen_move_wrong(move));
        free(line);
        free(text);
        cJSON_Delete(move);
    }
}

static char *watched(const char *now, const char *before)
{
    cJSON *a = cJSON_Parse(now), *b = before != NULL ? cJSON_Parse(before) : NULL;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    screen_watch(out, a, b, 2);
    fclose(out);
    cJSON_Delete(a);
    cJSON_Delete(b);
    return text;
}

#define STATE(requests, get, more)                                                                           \
    "{\"traffic\":{\"requests\":" requests "},\"commands\":[{\"name\":\"get\",\"calls\":" get                \
    ",\"errors\":0,\"seconds\":1}" more "]}"

static void test_rates(void **state)
{
    char *text =
        watched(STATE("3000", "100", ",{\"name\":\"set\",\"calls\":50,\"errors\":4,\"seconds\":0.1}"),
                STATE("1000", "80", ""));

    assert_non_null(strstr(text, "1,000 requests/s"));
    const char *set = strstr(text, "  set "), *get = strstr(text, "  get ");
    assert_true(set != NULL && get != NULL && set < get); /* the busier first; set was not there before */
    assert_non_null(strstr(set, "25/s"));
    assert_non_null(strstr(set, "2.000 ms"));
    assert_non_null(strstr(set, "2 err/s"));
    assert_non_null(strstr(get, "10/s"));
    free(text);
}

static void test_no_rates_without_a_before_or_after_a_restart(void **state)
{
    char *first = watched(STATE("3000", "100", ""), NULL);
    char *restarted = watched(STATE("10", "5", ""), STATE("3000", "100", ""));

    assert_non_null(strstr(first, " 0 requests/s"));
    assert_null(strstr(first, "  get "));
    assert_non_null(strstr(restarted, " 0 requests/s"));
    assert_null(strstr(restarted, "  get "));
    free(first);
    free(restarted);
}

static void test_urls(void **state)
{
    static const struct {
        const char *url;
        bool ok;
    } rows[] = {
        {"http://127.0.0.1:9380", true},  {"http://127.0.0.1:9380/", true},
        {"http://[::1]:9380", true},      {"http://name:1", true},
        {"unix:/run/x.sock", true},       {"http://127.0.0.1", false},
        {"https://name:1", false},        {"http://:1", false},
        {"http://name:", false},          {"http://name:1/x", false},
        {"http://name:123456789", false}, {"unix:x", false},
        {"http://[::1]", false},          {"", false},
        {"http://[]:1", false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (client_url_ok(rows[i].url) != rows[i].ok)
            fail_msg("%s", rows[i].url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_looking_into_documents),
        cmocka_unit_test(test_no_control_bytes),
        cmocka_unit_test(test_a_move_in_a_line),
        cmocka_unit_test(test_what_each_kind_of_move_has_found),
        cmocka_unit_test(test_any_document_is_shown),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_no_rates_without_a_before_or_after_a_restart),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
