#include "tools/paint.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS    16
#define TEXT_MAX 160

/* ---- looking into documents ---- */

const cJSON *paint_find(const cJSON *doc, const char *path)
{
    char name[64];

    while (doc != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        doc = cJSON_GetObjectItemCaseSensitive(doc, name);
        path += len + (path[len] == '.');
    }
    return doc;
}

const cJSON *paint_row(const cJSON *list, const char *member, const char *text)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, list)
    {
        const cJSON *its = cJSON_GetObjectItemCaseSensitive(row, member);
        if (cJSON_IsString(its) && strcmp(its->valuestring, text) == 0)
            return row;
    }
    return NULL;
}

double screen_number(const cJSON *doc, const char *path)
{
    const cJSON *item = paint_find(doc, path);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

bool screen_flag(const cJSON *doc, const char *path)
{
    return cJSON_IsTrue(paint_find(doc, path));
}

static char *next_text(void)
{
    static _Thread_local char texts[TEXTS][TEXT_MAX];
    static _Thread_local unsigned at;
    return texts[at++ % TEXTS];
}

const char *screen_text(const cJSON *doc, const char *path)
{
    const cJSON *item = paint_find(doc, path);
    char *text = next_text();

    if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
        return "-";
    snprintf(text, TEXT_MAX, "%s", item->valuestring);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return text;
}

/* ---- units ---- */

const char *paint_bytes(double n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char *text = next_text();
    size_t u = 0;

    while (n >= 1024 && u + 1 < sizeof units / sizeof units[0]) {
        n /= 1024;
        u++;
    }
    snprintf(text, TEXT_MAX, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
    return text;
}

const char *paint_count(double n)
{
    char digits[32], *text = next_text();
    size_t at = 0;

    snprintf(digits, sizeof digits, "%.0f", fabs(n) < 1e15 ? fabs(n) : 1e15);
    for (size_t i = 0, len = strlen(digits); i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

const char *paint_duration(double s)
{
    char *text = next_text();
    long n = (long)s;

    if (n >= 86400)
        snprintf(text, TEXT_MAX, "%ldd %ldh", n / 86400, n % 86400 / 3600);
    else if (n >= 3600)
        snprintf(text, TEXT_MAX, "%ldh %ldmin", n / 3600, n % 3600 / 60);
    else if (n >= 60)
        snprintf(text, TEXT_MAX, "%ldmin %lds", n / 60, n % 60);
    else
        snprintf(text, TEXT_MAX, "%lds", n);
    return text;
}

void paint_list(FILE *out, const cJSON *doc, const char *name, const char *title)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, paint_find(doc, name))
    {
        fprintf(out, "%-10s %s\n", title, screen_text(item, ""));
    }
}

int paint_value(FILE *out, const cJSON *value, int most)
{
    char *own_text = cJSON_IsString(value) ? NULL : cJSON_PrintUnformatted(value);
    const char *text = cJSON_IsString(value) ? value->valuestring : own_text != NULL ? own_text : "-";
    int n = 0;

    for (; text[n] != '\0' && n < most; n++)
        putc((unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n], out);
    if (text[n] != '\0')
        n += fprintf(out, "...");
    free(own_text);
    return n;
}

void paint_bar(FILE *out, double part)
{
    int n = (int)(part * BAR_WIDTH + 0.5);

    for (int i = 0; i < n && i < BAR_WIDTH; i++)
        putc('#', out);
}
