#include "config/value.h"

#include "config/internal.h"
#include "config/seeds.h"
#include "config/units.h"
#include "config/url.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Words of an enum row or items of a list value, separated by any of the given bytes. */
static const char *next_word(const char *p, const char *separators, size_t *len)
{
    p += strspn(p, separators);
    *len = strcspn(p, separators);
    return *len == 0 ? NULL : p;
}

bool value_has_form(const struct setting_row *row, const char *form)
{
    bool textual = row->type == SETTING_TYPE_text || row->type == SETTING_TYPE_list;
    return textual && row->least != NULL && strcmp(row->least, form) == 0;
}

/* UTF-8 by RFC 3629, and no control bytes: a text must survive a log line and a YAML file. */
static bool is_clean(const char *text)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *p = (const unsigned char *)text;

    while (*p != '\0') {
        size_t len = *p < 0x80 ? 1 : *p >= 0xF0 ? 4 : *p >= 0xE0 ? 3 : *p >= 0xC0 ? 2 : 0;
        if (len == 0 || *p < ' ' || *p == 0x7F || *p > 0xF4)
            return false;
        uint32_t code = len == 1 ? *p : *p & (0x7Fu >> len);
        for (size_t i = 1; i < len; i++) {
            if ((p[i] & 0xC0) != 0x80)
                return false;
            code = code << 6 | (p[i] & 0x3Fu);
        }
        if (code < smallest[len] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF) ||
            (code >= 0x80 && code < 0xA0))
            return false;
        p += len;
    }
    return true;
}

static bool check_address(const char *text, struct reason *why)
{
    struct net_address address;
    if (!net_address_parse(text, &address, why))
        return false;
    net_address_done(&address);
    return true;
}

static bool check_url(const char *text, struct reason *why)
{
    struct redis_url url;
    struct redis_seeds seeds;
    if (redis_kind(text) != REDIS_SINGLE) {
        bool good = redis_seeds_parse(text, &seeds, why);
        if (good)
            redis_seeds_done(&seeds);
        return good;
    }
    if (!redis_url_parse(text, &url, why))
        return false;
    redis_url_done(&url);
    return true;
}

static bool check_rate(const char *text, struct reason *why)
{
    char shown[QUOTE_TEXT];
    int64_t count, ms;
    enum units_result rc = units_parse_rate(text, &count, &ms);

    if (rc == UNITS_TOO_LARGE)
        return because(why, "%s is too large; expected at most 1000000000", quote(text, shown));
    return rc == UNITS_OK ||
           because(why, "%s is not a rate; expected a number and a unit such as 100/min, 5/s, 1000/h",
                   quote(text, shown));
}

static bool parse_text(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    if (!is_clean(text))
        return because(why, "the value is not clean text; expected UTF-8 without control characters");
    if (value_has_form(row, "address") && text[0] != '\0' && !check_address(text, why))
        return false;
    if (value_has_form(row, "url") && !check_url(text, why))
        return false;
    if (value_has_form(row, "rate") && !check_rate(text, why))
        return false;
    if (value_has_form(row, "pattern") && text[0] == '\0')
        return because(why, "the pattern is empty; expected a prefix with optional *, such as conv:*");
    free(*(char **)field);
    *(char **)field = must_dup(text);
    return true;
}

/* Users are lines of words; other lists are words. */
static const char *separators_of(const struct setting_row *row)
{
    return value_has_form(row, "users") ? "\n" : ", ";
}

static bool parse_list(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    struct text_list list = {0};
    size_t len;
    bool good = true;

    for (const char *p = text; good && (p = next_word(p, separators_of(row), &len)) != NULL; p += len) {
        char *item = must_copy(p, len);
        good = is_clean(item) || because(why, "the value is not clean text; expected UTF-8 without control characters");
        good = good && (!value_has_form(row, "address") || check_address(item, why));
        text_list_add(&list, item);
        free(item);
    }
    if (good && list.count == 0 && row->def[0] != '\0')
        good = because(why, "the list is empty; expected at least one %s", row->least);
    struct text_list *old = field, drop = good ? *old : list;
    if (good)
        *old = list;
    text_list_done(&drop);
    return good;
}

static enum units_result read_number(const struct setting_row *row, const char *text, int64_t *ret)
{
    if (row->type == SETTING_TYPE_bytes)
        return units_parse_bytes(text, ret);
    if (row->type == SETTING_TYPE_duration)
        return units_parse_duration(text, units_duration_unit(row->def), ret);
    return units_parse_int(text, ret);
}

static bool parse_number(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    static const char *const expected[] = {
        [SETTING_TYPE_int] = "a number; expected a whole number",
        [SETTING_TYPE_bytes] = "a size; expected a number and a unit such as 512kb, 64mb, 1gb",
        [SETTING_TYPE_duration] = "a duration; expected a number and a unit such as 500ms, 10s, 30d",
    };
    char shown[QUOTE_TEXT];
    int64_t n = 0, least = INT64_MIN, most = INT64_MAX;
    enum units_result rc = read_number(row, text, &n);

    if (rc == UNITS_MALFORMED)
        return because(why, "%s is not %s", quote(text, shown), expected[row->type]);
    bool limited = (row->least == NULL || read_number(row, row->least, &least) == UNITS_OK) &&
                   (row->most == NULL || read_number(row, row->most, &most) == UNITS_OK);
    assert(limited);
    (void)limited;
    if (rc == UNITS_TOO_LARGE)
        n = text[0] == '-' ? INT64_MIN : INT64_MAX;
    if (n < least || n > most || rc == UNITS_TOO_LARGE)
        return because(why, "%s is too %s; expected %s to %s", quote(text, shown),
                       n < least ? "small" : "large", row->least == NULL ? "any" : row->least,
                       row->most == NULL ? "any" : row->most);
    *(int64_t *)field = n;
    return true;
}

static bool parse_bool(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    char shown[QUOTE_TEXT];
    if (units_parse_bool(text, field) == UNITS_OK)
        return true;
    return because(why, "%s is neither yes nor no; expected yes, no, true, false, on, off, 1 or 0",
                   quote(text, shown));
}

static bool parse_enum(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    char shown[QUOTE_TEXT], words[128] = "";
    size_t len, used = 0;
    int index = 0;

    for (const char *p = row->least; (p = next_word(p, "|", &len)) != NULL; p += len, index++) {
        if (strlen(text) == len && strncasecmp(p, text, len) == 0) {
            *(int *)field = index;
            return true;
        }
        const char *joint = index == 0 ? "" : p[len] == '\0' ? " or " : ", ";
        used += (size_t)snprintf(words + used, sizeof words - used, "%s%.*s", joint, (int)len, p);
        assert(used < sizeof words);
    }
    return because(why, "%s is not known here; expected %s", quote(text, shown), words);
}

static char *print_text(const struct setting_row *row, const void *field)
{
    return must_dup(*(char *const *)field);
}

static char *print_list(const struct setting_row *row, const void *field)
{
    const struct text_list *list = field;
    char *text = must_dup("");
    for (size_t i = 0; i < list->count; i++) {
        char *longer = must_print("%s%s%s", text, i == 0 ? "" : value_has_form(row, "users") ? "\n" : " ", list->items[i]);
        free(text);
        text = longer;
    }
    return text;
}

static char *print_int(const struct setting_row *row, const void *field)
{
    return must_print("%" PRId64, *(const int64_t *)field);
}

static char *print_bytes(const struct setting_row *row, const void *field)
{
    char buf[UNITS_TEXT];
    units_print_bytes(*(const int64_t *)field, buf);
    return must_dup(buf);
}

static char *print_duration(const struct setting_row *row, const void *field)
{
    char buf[UNITS_TEXT];
    units_print_duration(*(const int64_t *)field, buf);
    return must_dup(buf);
}

static char *print_bool(const struct setting_row *row, const void *field)
{
    return must_dup(*(const bool *)field ? "yes" : "no");
}

static char *print_enum(const struct setting_row *row, const void *field)
{
    const char *p = row->least;
    size_t len = 0;
    for (int index = *(const int *)field; (p = next_word(p, "|", &len)) != NULL && index > 0; index--)
        p += len;
    assert(p != NULL);
    return must_copy(p, len);
}

static void done_text(void *field)
{
    free(*(char **)field);
}

static void done_list(void *field)
{
    text_list_done(field);
}

static const struct {
    const char *name;
    bool (*parse)(const struct setting_row *row, const char *text, void *field, struct reason *why);
    char *(*print)(const struct setting_row *row, const void *field);
    void (*done)(void *field); /* NULL: nothing to release */
} types[] = {
    [SETTING_TYPE_text] = {"text", parse_text, print_text, done_text},
    [SETTING_TYPE_list] = {"list", parse_list, print_list, done_list},
    [SETTING_TYPE_int] = {"int", parse_number, print_int, NULL},
    [SETTING_TYPE_bytes] = {"bytes", parse_number, print_bytes, NULL},
    [SETTING_TYPE_duration] = {"duration", parse_number, print_duration, NULL},
    [SETTING_TYPE_bool] = {"bool", parse_bool, print_bool, NULL},
    [SETTING_TYPE_enum] = {"enum", parse_enum, print_enum, NULL},
};

const char *value_type_name(enum setting_type type)
{
    return types[type].name;
}

bool value_parse(const struct setting_row *row, const char *text, void *field, struct reason *why)
{
    return types[row->type].parse(row, text, field, why);
}

char *value_print(const struct setting_row *row, const void *field)
{
    return types[row->type].print(row, field);
}

void value_done(const struct setting_row *row, void *field)
{
    if (types[row->type].done != NULL)
        types[row->type].done(field);
}
