#include "base/err.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int retryable;
    const char *prefix;
    const char *text;
} rows[ERR_COUNT] = {
    [ERR_NONE] = {"none", 0, "ERR", "no error"},
#define ERR(name, retryable, prefix, text) [ERR_##name] = {#name, retryable, prefix, text},
#include "base/err.def"
#undef ERR
};

/* Lower-case copies of the names, made once by the compiler's constructor so that readers need no lock. */
static char lower[ERR_COUNT][24];

__attribute__((constructor)) static void fill_lower(void)
{
    for (int i = 0; i < ERR_COUNT; i++)
        for (size_t j = 0; rows[i].name[j] != '\0' && j < sizeof lower[i] - 1; j++) {
            char c = rows[i].name[j];
            lower[i][j] = (c >= 'A' && c <= 'Z') ? (char)(c + 32) : c;
        }
}

const char *err_name(enum err e)
{
    return lower[e];
}

int err_retryable(enum err e)
{
    return rows[e].retryable;
}

size_t err_line(char *buf, size_t cap, enum err e, const char *detail)
{
    const char *text = rows[e].text;
    const char *hole = strstr(text, "%s");
    int n;

    if (hole != NULL)
        n = snprintf(buf, cap, "-%s %.*s%s%s", rows[e].prefix, (int)(hole - text), text,
                     detail != NULL ? detail : "unknown", hole + 2);
    else
        n = snprintf(buf, cap, "-%s %s", rows[e].prefix, text);
    size_t len = n < 0 ? 0 : ((size_t)n >= cap ? cap - 1 : (size_t)n);
    for (size_t i = 0; i < len; i++)
        if (buf[i] == '\r' || buf[i] == '\n')
            buf[i] = ' ';
    return len;
}
