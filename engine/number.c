#include "engine/number.h"
#include "base/decimal.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_ON_STACK 512

static locale_t plain; /* the locale "C" */
static pthread_once_t plain_made = PTHREAD_ONCE_INIT;

static void make_plain(void)
{
    plain = newlocale(LC_ALL_MASK, "C", NULL);
    if (plain == NULL)
        abort();
}

static locale_t plain_locale(void)
{
    pthread_once(&plain_made, make_plain);
    return plain;
}

bool number_int(struct slice s, int64_t *ret)
{
    bool minus = s.len > 0 && s.p[0] == '-';
    size_t at = minus;
    uint64_t value = 0, most = minus ? (uint64_t)INT64_MAX + 1 : INT64_MAX;

    if (s.len == 1 && s.p[0] == '0') {
        *ret = 0;
        return true;
    }
    if (s.len == at || s.len > at + 19 || s.p[at] == '0')
        return false;
    for (; at < s.len; at++) {
        if (s.p[at] < '0' || s.p[at] > '9')
            return false;
        value = value * 10 + (uint64_t)(s.p[at] - '0'); /* 19 digits fit */
    }
    if (value > most)
        return false;
    *ret = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

/* s with a NUL behind it: in few when it is short, else malloc'ed. */
static char *text_of(struct slice s, char few[static TEXT_ON_STACK])
{
    char *text = s.len < TEXT_ON_STACK ? few : malloc(s.len + 1);

    if (text == NULL)
        abort();
    if (s.len > 0)
        memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    return text;
}

/* Whether strtod read all of s: what is left over, too large, or too small to be anything but 0 makes it no
 * number. */
static bool whole(struct slice s, size_t read, int error, bool zero_or_infinite)
{
    return read == s.len && !(error == ERANGE && zero_or_infinite) && error != EINVAL;
}

bool number_double(struct slice s, double *ret)
{
    char few[TEXT_ON_STACK], *end;

    if (s.len == 0 || isspace((unsigned char)s.p[0]))
        return false;
    char *text = text_of(s, few);
    errno = 0;
    double value = strtod_l(text, &end, plain_locale());
    bool good = whole(s, (size_t)(end - text), errno, value == 0 || isinf(value)) && !isnan(value);
    if (text != few)
        free(text);
    if (good)
        *ret = value;
    return good;
}

/* What strtod makes of s up to a NUL, however large or small. */
static bool loose(struct slice s, double *ret_value, int *ret_error)
{
    char few[TEXT_ON_STACK], *end;
    char *text = text_of(s, few);

    errno = 0;
    *ret_value = strtod_l(text, &end, plain_locale());
    *ret_error = errno;
    bool good = *end == '\0' && !isnan(*ret_value);
    if (text != few)
        free(text);
    return good;
}

bool number_sortable(struct slice s, double *ret)
{
    double value;
    int error;

    if (!loose(s, &value, &error) || error == ERANGE)
        return false;
    *ret = value;
    return true;
}

bool number_bound(struct slice s, double *ret)
{
    double value;
    int error;

    if (!loose(s, &value, &error))
        return false;
    *ret = value;
    return true;
}

bool number_long_double(struct slice s, long double *ret)
{
    char few[TEXT_ON_STACK], *end;

    if (s.len == 0 || s.len >= 5 * 1024 || isspace((unsigned char)s.p[0]))
        return false; /* Redis has a buffer of this size */
    char *text = text_of(s, few);
    errno = 0;
    long double value = strtold_l(text, &end, plain_locale());
    bool good = whole(s, (size_t)(end - text), errno, value == 0 || isinf(value)) && !isnan(value);
    if (text != few)
        free(text);
    if (good)
        *ret = value;
    return good;
}

size_t number_print_int(char *buf, int64_t value)
{
    size_t len = decimal_print(buf, value);
    buf[len] = '\0';
    return len;
}

size_t number_print_double(char *buf, double value)
{
    /* 2^52: below it every integer is a double, and its digits are what %.17g would print. */
    if (fabs(value) < 4503599627370496.0 && value == (double)(int64_t)value &&
        (value != 0 || !signbit(value)))
        return number_print_int(buf, (int64_t)value);
    locale_t before = uselocale(plain_locale());
    int n = isnan(value) ? snprintf(buf, NUMBER_TEXT, "nan") : snprintf(buf, NUMBER_TEXT, "%.17g", value);
    uselocale(before);
    return (size_t)n;
}

size_t number_print_human(char *buf, long double value)
{
    locale_t before = uselocale(plain_locale());
    size_t n = (size_t)snprintf(buf, NUMBER_TEXT, "%.17Lf", value);

    uselocale(before);
    if (memchr(buf, '.', n) != NULL) {
        while (buf[n - 1] == '0')
            n--;
        n -= buf[n - 1] == '.';
        buf[n] = '\0';
    }
    if (strcmp(buf, "-0") == 0) {
        buf[0] = '0';
        buf[--n] = '\0';
    }
    return n;
}
