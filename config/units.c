#include "config/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

struct unit {
    const char *name;
    int64_t factor;
};

#define KIB INT64_C(1024)

/* In redis.conf a lone letter is decimal, a letter with b is binary. */
static const struct unit byte_units[] = {
    {"tb", KIB *KIB *KIB *KIB},
    {"gb", KIB *KIB *KIB},
    {"mb", KIB *KIB},
    {"kb", KIB},
    {"tib", KIB *KIB *KIB *KIB},
    {"gib", KIB *KIB *KIB},
    {"mib", KIB *KIB},
    {"kib", KIB},
    {"t", INT64_C(1000000000000)},
    {"g", 1000000000},
    {"m", 1000000},
    {"k", 1000},
    {"b", 1},
    {NULL, 0},
};

static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {NULL, 0},
};

static const struct unit rate_units[] = {
    {"s", 1000},      {"sec", 1000},     {"second", 1000}, {"min", 60000},   {"minute", 60000},
    {"h", 3600000},   {"hour", 3600000}, {"d", 86400000},  {"day", 86400000}, {NULL, 0},
};

/* Beyond it a rate is none: no client sends as much. */
#define RATE_MOST 1000000000

/* Words for true stand first. */
static const char *const bool_words[] = {"1", "yes", "true", "on", "0", "no", "false", "off"};

/* Reads digits; *ret_rest is what follows them. Digits that overflow are read to their end all the same, so
 * that a long number with a wrong unit is called malformed. */
static enum units_result read_digits(const char *text, int64_t *ret, const char **ret_rest)
{
    int64_t n = 0;
    bool over = false;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(n, INT64_C(10), &n) || __builtin_add_overflow(n, (int64_t)(*p - '0'), &n))
            over = true;
    if (p == text)
        return UNITS_MALFORMED;
    *ret = n;
    *ret_rest = p;
    return over ? UNITS_TOO_LARGE : UNITS_OK;
}

static int64_t factor_of(const struct unit *units, const char *name)
{
    for (; units->name != NULL; units++)
        if (strcasecmp(units->name, name) == 0)
            return units->factor;
    return 0;
}

static enum units_result parse_scaled(const char *text, const struct unit *units, int64_t bare, int64_t *ret)
{
    const char *rest;
    int64_t n, scaled;
    enum units_result rc = read_digits(text, &n, &rest);

    if (rc == UNITS_MALFORMED)
        return rc;
    int64_t factor = *rest == '\0' ? bare : factor_of(units, rest);
    if (factor == 0)
        return UNITS_MALFORMED;
    if (rc != UNITS_OK || __builtin_mul_overflow(n, factor, &scaled))
        return UNITS_TOO_LARGE;
    *ret = scaled;
    return UNITS_OK;
}

enum units_result units_parse_int(const char *text, int64_t *ret)
{
    const char *rest;
    int64_t n;
    bool negative = text[0] == '-';
    enum units_result rc = read_digits(text + negative, &n, &rest);

    if (rc == UNITS_MALFORMED || *rest != '\0')
        return UNITS_MALFORMED;
    if (rc == UNITS_OK)
        *ret = negative ? -n : n;
    return rc;
}

enum units_result units_parse_bytes(const char *text, int64_t *ret)
{
    return parse_scaled(text, byte_units, 1, ret);
}

enum units_result units_parse_duration(const char *text, int64_t bare_ms, int64_t *ret)
{
    return parse_scaled(text, time_units, bare_ms, ret);
}

enum units_result units_parse_rate(const char *text, int64_t *ret_count, int64_t *ret_ms)
{
    const char *rest;
    int64_t n;

    if (text[0] == '\0' || (text[0] == '0' && text[1] == '\0')) {
        *ret_count = *ret_ms = 0;
        return UNITS_OK;
    }
    enum units_result rc = read_digits(text, &n, &rest);
    if (rc == UNITS_MALFORMED || rest[0] != '/' || n == 0)
        return UNITS_MALFORMED;
    int64_t ms = factor_of(rate_units, rest + 1);
    if (ms == 0)
        return UNITS_MALFORMED;
    if (rc != UNITS_OK || n > RATE_MOST)
        return UNITS_TOO_LARGE;
    *ret_count = n;
    *ret_ms = ms;
    return UNITS_OK;
}

enum units_result units_parse_bool(const char *text, bool *ret)
{
    for (size_t i = 0; i < sizeof bool_words / sizeof bool_words[0]; i++)
        if (strcasecmp(text, bool_words[i]) == 0) {
            *ret = i < 4;
            return UNITS_OK;
        }
    return UNITS_MALFORMED;
}

int64_t units_duration_unit(const char *text)
{
    const char *rest;
    int64_t n;
    if (read_digits(text, &n, &rest) == UNITS_MALFORMED)
        return 1;
    int64_t factor = factor_of(time_units, rest);
    return factor == 0 ? 1 : factor;
}

static void print_scaled(int64_t n, const struct unit *units, const char *smallest, char buf[UNITS_TEXT])
{
    for (; n != 0 && units->name != NULL; units++)
        if (units->factor > 1 && n % units->factor == 0) {
            snprintf(buf, UNITS_TEXT, "%" PRId64 "%s", n / units->factor, units->name);
            return;
        }
    snprintf(buf, UNITS_TEXT, "%" PRId64 "%s", n, n == 0 ? "" : smallest);
}

void units_print_bytes(int64_t bytes, char buf[UNITS_TEXT])
{
    /* 3000 is "3k", exact, but reads like 3072: only the binary units are printed. */
    static const struct unit binary[] = {
        {"tb", KIB * KIB * KIB * KIB}, {"gb", KIB * KIB * KIB}, {"mb", KIB * KIB}, {"kb", KIB}, {NULL, 0}};
    print_scaled(bytes, binary, "", buf);
}

void units_print_duration(int64_t ms, char buf[UNITS_TEXT])
{
    print_scaled(ms, time_units, "ms", buf);
}
