#include "tools/tally.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS      18.0 /* buckets to a power of two: a step of 4 % */
#define NAME_SHOWN 200  /* bytes of a name */

static const struct {
    const char *name;
    int64_t below_ms;
} ttls[TTLS] = {
    [TTL_NONE] = {"none", 0},
    [TTL_HOUR] = {"under an hour", 3600000},
    [TTL_DAY] = {"under a day", 86400000},
    [TTL_WEEK] = {"under a week", 604800000},
    [TTL_MONTH] = {"under 30 days", 2592000000},
    [TTL_MORE] = {"more", INT64_MAX},
};

const char *tally_ttl_name(enum tally_ttl ttl)
{
    return ttls[ttl].name;
}

/* Printable in a terminal and in JSON, whatever the bytes are; what is long is shown as cut. */
static char *name_of(struct slice bytes)
{
    size_t len = bytes.len < NAME_SHOWN ? bytes.len : NAME_SHOWN;
    char *text = malloc(len + sizeof "...");

    if (text == NULL)
        abort();
    for (size_t i = 0; i < len; i++)
        text[i] = (unsigned char)bytes.p[i] < ' ' || (unsigned char)bytes.p[i] > 126 ? '?' : bytes.p[i];
    strcpy(text + len, len < bytes.len ? "..." : "");
    return text;
}

void tally_init(struct tally *t, struct slice name, size_t top)
{
    memset(t, 0, sizeof *t);
    t->name = name_of(name);
    t->most = top;
    t->top = calloc(top + 1, sizeof *t->top);
    if (t->top == NULL)
        abort();
}

void tally_done(struct tally *t)
{
    for (size_t i = 0; i < t->ntop; i++)
        free(t->top[i].name);
    free(t->top);
    free(t->name);
}

/* ---- adding ---- */

static size_t bucket_of(int64_t bytes)
{
    double at = bytes > 1 ? log2((double)bytes) * STEPS : 0;
    return at < TALLY_BUCKETS - 1 ? (size_t)at : TALLY_BUCKETS - 1;
}

/* One more than most is kept for a moment, and the smallest goes. */
static void add_top(struct tally *t, const struct tally_fact *f)
{
    if (t->most == 0 || (t->ntop == t->most && f->bytes <= t->top[t->ntop - 1].bytes))
        return;
    size_t i = t->ntop++;
    for (; i > 0 && t->top[i - 1].bytes < f->bytes; i--)
        t->top[i] = t->top[i - 1];
    t->top[i] = (struct tally_key){name_of(f->key), f->bytes};
    if (t->ntop > t->most)
        free(t->top[--t->ntop].name);
}

static struct tally_kind *kind_of(struct tally *t, const char *type, const char *encoding)
{
    char name[40];

    snprintf(name, sizeof name, "%s/%s", type, encoding);
    for (size_t i = 0; i < t->nkinds; i++)
        if (strcmp(t->kinds[i].name, name) == 0)
            return &t->kinds[i];
    if (t->nkinds == TALLY_KINDS)
        return &t->kinds[TALLY_KINDS - 1];
    struct tally_kind *kind = &t->kinds[t->nkinds++];
    snprintf(kind->name, sizeof kind->name, "%s", t->nkinds == TALLY_KINDS ? "other" : name);
    return kind;
}

static enum tally_ttl ttl_of(int64_t ttl_ms)
{
    int ttl = TTL_HOUR;

    if (ttl_ms < 0)
        return TTL_NONE;
    while (ttl_ms >= ttls[ttl].below_ms)
        ttl++;
    return (enum tally_ttl)ttl;
}

void tally_add(struct tally *t, const struct tally_fact *f)
{
    if (f->bytes < 0) {
        t->unsized++;
        return;
    }
    struct tally_kind *kind = kind_of(t, f->type, f->encoding);
    t->keys++;
    t->bytes += (uint64_t)f->bytes;
    t->buckets[bucket_of(f->bytes)]++;
    t->ttls[ttl_of(f->ttl_ms)]++;
    kind->keys++;
    kind->bytes += (uint64_t)f->bytes;
    add_top(t, f);
}

/* ---- telling ---- */

double tally_mean(const struct tally *t)
{
    return t->keys > 0 ? (double)t->bytes / (double)t->keys : 0;
}

double tally_quantile(const struct tally *t, double q)
{
    double wanted = q * (double)t->keys, seen = 0;

    for (size_t i = 0; i < TALLY_BUCKETS && t->keys > 0; i++) {
        seen += t->buckets[i];
        if (seen >= wanted && t->buckets[i] > 0)
            return exp2(((double)i + 0.5) / STEPS);
    }
    return 0;
}

static void add_kinds(cJSON *doc, const struct tally *t)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "kinds");

    for (size_t i = 0; i < t->nkinds; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "kind", t->kinds[i].name);
        cJSON_AddNumberToObject(row, "keys", (double)t->kinds[i].keys);
        cJSON_AddNumberToObject(row, "bytes", (double)t->kinds[i].bytes);
        cJSON_AddItemToArray(list, row);
    }
}

cJSON *tally_json(const struct tally *t)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "name", t->name);
    cJSON_AddNumberToObject(doc, "keys", (double)t->keys);
    cJSON_AddNumberToObject(doc, "bytes", (double)t->bytes);
    cJSON_AddNumberToObject(doc, "unsized", (double)t->unsized);
    cJSON_AddNumberToObject(doc, "mean", tally_mean(t));
    cJSON_AddNumberToObject(doc, "p95", tally_quantile(t, 0.95));
    cJSON_AddNumberToObject(doc, "per10K", tally_mean(t) * 10000);
    add_kinds(doc, t);
    cJSON *expiries = cJSON_AddObjectToObject(doc, "ttl");
    for (int i = 0; i < TTLS; i++)
        cJSON_AddNumberToObject(expiries, ttls[i].name, (double)t->ttls[i]);
    cJSON *list = cJSON_AddArrayToObject(doc, "largest");
    for (size_t i = 0; i < t->ntop; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "key", t->top[i].name);
        cJSON_AddNumberToObject(row, "bytes", (double)t->top[i].bytes);
        cJSON_AddItemToArray(list, row);
    }
    return doc;
}
