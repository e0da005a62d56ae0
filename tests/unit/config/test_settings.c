/* The rows of settings.def, each against the rules that the table promises. */
#include "config/settings.h"

#include "config/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

union field {
    char *text;
    struct text_list list;
    int64_t number;
    bool flag;
    int word;
};

/* The canonical text of a value, or NULL when it is refused; why says why. */
static char *canonical(const struct setting_row *row, const char *text, struct reason *why)
{
    union field field;
    memset(&field, 0, sizeof field);
    if (!value_parse(row, text, &field, why))
        return NULL;
    char *printed = value_print(row, &field);
    value_done(row, &field);
    return printed;
}

static void must_be(const struct setting_row *row, const char *text)
{
    struct reason why;
    char *once = canonical(row, text, &why);
    if (once == NULL)
        fail_msg("%s: %s", row->name, why.text);
    char *twice = canonical(row, once, &why);
    assert_non_null(twice);
    assert_string_equal(once, twice);
    free(once);
    free(twice);
}

static void must_not_be(const struct setting_row *row, const char *text, const char *reason)
{
    struct reason why = {""};
    char *printed = canonical(row, text, &why);
    if (printed != NULL)
        fail_msg("%s took '%s'", row->name, text);
    assert_string_equal(why.text, reason);
}

static const struct setting_row *global(const char *name)
{
    const struct setting_row *row = settings_row_find(name, false);
    assert_non_null(row);
    return row;
}

static void test_defaults(void **state)
{
    assert_true(settings_row_count() > 30);
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        must_be(row, row->def);
        if (row->type == SETTING_TYPE_int || row->type == SETTING_TYPE_bytes ||
            row->type == SETTING_TYPE_duration) {
            must_be(row, row->least);
            must_be(row, row->most);
        }
    }
    assert_null(settings_row(settings_row_count()));
}

static bool is_word(const char *text, const char *others)
{
    for (; *text != '\0'; text++)
        if (!islower((unsigned char)*text) && strchr(others, *text) == NULL)
            return false;
    return true;
}

static void test_names(void **state)
{
    bool policies = false;
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        policies = policies || row->policy;
        assert_int_equal(row->policy, policies); /* they stand at the end */
        assert_true(is_word(row->name, row->policy ? "_" : "._"));
        assert_true(strlen(row->help) > 10);
        assert_ptr_equal(settings_row_find(row->name, row->policy), row);
        for (size_t j = 0; row->env != NULL && j < i; j++)
            if (settings_row(j)->env != NULL)
                assert_string_not_equal(settings_row(j)->env, row->env);
    }
}

static void test_enum_words(void **state)
{
    size_t words = 0;
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        char copy[128], *save, index = 0;
        if (row->type != SETTING_TYPE_enum)
            continue;
        snprintf(copy, sizeof copy, "%s", row->least);
        for (char *word = strtok_r(copy, "|", &save); word != NULL;
             word = strtok_r(NULL, "|", &save), words++) {
            int field = -1;
            struct reason why;
            assert_true(value_parse(row, word, &field, &why));
            assert_int_equal(field, index++);
            char *printed = value_print(row, &field);
            assert_string_equal(printed, word);
            free(printed);
        }
    }
    assert_int_equal(words, 3 + 2 + 4 + 2 + 3 + 2 + 2 + 3 + 3 + 2);
}

/* The C enums and the rows must say the same. */
static void test_enum_order(void **state)
{
    const struct setting_row *primary = settings_row_find("primary", true),
                             *ack = settings_row_find("ack", true);
    struct reason why;
    int field = -1;
    assert_true(value_parse(primary, "redis", &field, &why) && field == STORE_REDIS);
    assert_true(value_parse(primary, "Mongo", &field, &why) && field == STORE_MONGO);
    assert_true(value_parse(primary, "archive", &field, &why) && field == STORE_ARCHIVE);
    assert_true(value_parse(ack, "both", &field, &why) && field == ACK_BOTH);
    assert_true(value_parse(settings_row_find("format", true), "json-strict", &field, &why) && field == FORMAT_JSON_STRICT);
    assert_true(value_parse(settings_row_find("format", true), "json", &field, &why) && field == FORMAT_JSON);
    assert_true(value_parse(settings_row_find("error_codes", true), "mem", &field, &why) && field == CODES_MEM);
    assert_true(value_parse(ack, "primary", &field, &why) && field == ACK_PRIMARY);
    assert_true(value_parse(global("script.trace"), "no", &field, &why) && field == TRACE_NO);
    assert_true(value_parse(global("script.trace"), "keyless", &field, &why) && field == TRACE_KEYLESS);
    assert_true(value_parse(global("script.trace"), "all", &field, &why) && field == TRACE_ALL);
}

static void test_reasons(void **state)
{
    const struct setting_row *ttl = settings_row_find("ttl", true);
    must_not_be(ttl, "30x", "'30x' is not a duration; expected a number and a unit such as 500ms, 10s, 30d");
    must_not_be(ttl, "36501d", "'36501d' is too large; expected 0s to 36500d");
    must_not_be(ttl, "99999999999999999999", "'99999999999999999999' is too large; expected 0s to 36500d");
    must_not_be(global("redis.timeout"), "9ms", "'9ms' is too small; expected 10ms to 60s");
    must_not_be(global("proxy.max_memory"), "big",
                "'big' is not a size; expected a number and a unit such as 512kb, 64mb, 1gb");
    must_not_be(global("proxy.threads"), "-1", "'-1' is too small; expected 0 to 256");
    must_not_be(global("proxy.threads"), "many", "'many' is not a number; expected a whole number");
    must_not_be(global("log.level"), "loud", "'loud' is not known here; expected debug, info, warn or error");
    must_not_be(settings_row_find("dual_write", true), "maybe",
                "'maybe' is neither yes nor no; expected yes, no, true, false, on, off, 1 or 0");
    must_not_be(settings_row_find("match", true), "",
                "the pattern is empty; expected a prefix with optional *, such as conv:*");
    must_not_be(settings_row_find("limit_search", true), "30",
                "'30' is not a rate; expected a number and a unit such as 100/min, 5/s, 1000/h");
    must_not_be(settings_row_find("limit_bulk", true), "2000000000/s", "'2000000000/s' is too large; expected at most 1000000000");
    must_not_be(global("listen"), " , ", "the list is empty; expected at least one address");
    must_not_be(global("listen"), "127.0.0.1:1,nowhere",
                "'nowhere' is not an address; expected host:port, [v6]:port or unix:/path");
}

/* A long or unprintable value does not spoil the line. */
static void test_quoting(void **state)
{
    char text[300] = "";
    memset(text, 'a', sizeof text - 1);
    text[5] = '\n';
    text[6] = 0x1B;
    struct reason why;
    assert_null(canonical(global("proxy.threads"), text, &why));
    assert_null(strchr(why.text, '\n'));
    assert_null(strchr(why.text, 0x1B));
    assert_non_null(strstr(why.text, "'aaaaa??a"));
    assert_non_null(strstr(why.text, "aaa...' is not a number"));
    assert_true(strlen(why.text) < 200);
}

static void test_clean_text(void **state)
{
    static const char *const good[] = {"plain", "gr\xC3\xBC\xC3\x9F", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    static const char *const bad[] = {
        "a\nb", "\x7F",     "\xC3", "\xC0\x80",     "\xED\xA0\x80", "\xF4\x90\x80\x80",
        "\xFF", "\xE2\x82", "\x80", "\xE0\x80\x80", "\xC2\x85"};
    const struct setting_row *row = global("redis.password");
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        must_be(row, good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        must_not_be(row, bad[i], "the value is not clean text; expected UTF-8 without control characters");
}

static void test_list(void **state)
{
    struct reason why;
    char *printed = canonical(global("listen"), "127.0.0.1:1, [::1]:2,,unix:/a  h:3", &why);
    assert_string_equal(printed, "127.0.0.1:1 [::1]:2 unix:/a h:3");
    free(printed);
}

static void test_bare_numbers(void **state)
{
    static const struct {
        const char *name;
        bool policy;
        const char *text, *want;
    } rows[] = {
        {"redis.timeout", false, "750", "750ms"},     {"proxy.output_soft_time", false, "60", "1min"},
        {"proxy.idle_timeout", false, "300", "5min"}, {"ttl", true, "2592000", "30d"},
        {"slowlog.time", false, "10", "10ms"},        {"proxy.drain_time", false, "10", "10s"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reason why;
        char *printed = canonical(settings_row_find(rows[i].name, rows[i].policy), rows[i].text, &why);
        assert_string_equal(printed, rows[i].want);
        free(printed);
    }
}

static char *printed_by(void (*print)(FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(out);
    fclose(out);
    return text;
}

/* Every row is on both pages, with its environment names and its help. */
static void test_reference(void **state)
{
    char *help = printed_by(settings_help), *page = printed_by(settings_markdown);
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        char cell[96], line[96], names[96];
        snprintf(cell, sizeof cell, "| `%s%s` |", row->policy ? "NAME." : "", row->name);
        snprintf(line, sizeof line, "\n  %s%s", row->policy ? "NAME." : "", row->name);
        assert_non_null(strstr(page, cell));
        assert_non_null(strstr(help, line));
        assert_non_null(strstr(page, row->help));
        assert_non_null(strstr(help, row->help));
        snprintf(names, sizeof names, "%s", row->env == NULL ? "" : row->env);
        for (char *save, *name = strtok_r(names, "|", &save); name != NULL;
             name = strtok_r(NULL, "|", &save)) {
            assert_non_null(strstr(page, name));
            assert_non_null(strstr(help, name));
        }
    }
    assert_non_null(strstr(help, "      10ms to 60s; default 500ms; can be changed while running\n"));
    assert_non_null(strstr(page, "| `log.format` | `CONV_LOG_FORMAT` | `logfmt` | logfmt or json | live |"));
    free(help);
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),     cmocka_unit_test(test_names),
        cmocka_unit_test(test_enum_words),   cmocka_unit_test(test_enum_order),
        cmocka_unit_test(test_reasons),      cmocka_unit_test(test_quoting),
        cmocka_unit_test(test_clean_text),   cmocka_unit_test(test_list),
        cmocka_unit_test(test_bare_numbers), cmocka_unit_test(test_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
