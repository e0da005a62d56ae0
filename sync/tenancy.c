#include "sync/tenancy.h"

#include "base/hashed.h"
#include "engine/json.h"
#include "sync/page.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define JSON_MOST (1 << 20) /* larger values are not fetched to look at them */

struct row {
    struct hashed_node node; /* first: see base/hashed */
    struct tenancy_row told;
};

struct tenancy {
    atomic_size_t refs;
    const struct settings *settings;
    const struct policy_conf *policy;
    struct policy_set *policies;
    char *glob;
    struct page page;
    uint64_t cursor;
    int64_t hash;
    bool archive;
    int64_t took_us, ended_us;
    struct hashed by_name;
    struct row **rows;
    size_t count, cap;
    struct tenancy_row others, all;
    char examples[TENANCY_EXAMPLES][TENANCY_KEY];
    size_t nexamples;
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct tenancy *tenancy_new(const struct settings *own_settings, const struct policy_conf *policy)
{
    struct tenancy *t = must(calloc(1, sizeof *t));

    atomic_init(&t->refs, 1);
    t->settings = own_settings;
    t->policy = policy;
    t->policies = must(policy_set_new(own_settings));
    t->glob = policy_glob(policy->match);
    page_init(&t->page);
    t->others.oldest_s = t->all.oldest_s = -1;
    return t;
}

struct tenancy *tenancy_ref(struct tenancy *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void tenancy_unref(struct tenancy *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->count; i++) {
        hashed_remove(&t->by_name, &t->rows[i]->node);
        free(t->rows[i]);
    }
    free(t->rows);
    page_done(&t->page);
    free(t->glob);
    policy_set_free(t->policies);
    settings_unref(t->settings);
    free(t);
}

/* ---- rows ---- */

/* Names that agree in 64 seeded bits are one. */
static struct tenancy_row *row_of(struct tenancy *t, struct slice tenant)
{
    uint64_t hash = hashed_name(tenant, 0);
    struct hashed_node *found = hashed_find(&t->by_name, hash);

    if (found != NULL)
        return &((struct row *)found)->told;
    if (t->count == TENANCY_MOST)
        return &t->others;
    if (t->count == t->cap) {
        t->cap = t->cap == 0 ? 64 : 2 * t->cap;
        t->rows = must(realloc(t->rows, t->cap * sizeof *t->rows));
    }
    struct row *row = must(calloc(1, sizeof *row));
    row->told.oldest_s = -1;
    row->told.name_len = tenant.len < TENANCY_NAME ? tenant.len : TENANCY_NAME;
    if (tenant.len > 0)
        memcpy(row->told.name, tenant.p, row->told.name_len);
    t->rows[t->count++] = row;
    hashed_add(&t->by_name, &row->node, hash);
    return &row->told;
}

/* What one key is. */
struct look {
    int64_t ttl_ms; /* -1: none, -2: the key is gone */
    int64_t bytes;  /* -1: not known */
    bool malformed;
};

static void add_to(struct tenancy_row *row, const struct tenancy *t, const struct look *k)
{
    int64_t age_s = k->ttl_ms >= 0 && t->policy->ttl >= k->ttl_ms ? (t->policy->ttl - k->ttl_ms) / 1000 : -1;

    row->keys++;
    row->without_ttl += k->ttl_ms == -1;
    row->malformed += k->malformed;
    row->bytes = k->bytes < 0 || row->bytes < 0 ? -1 : row->bytes + k->bytes;
    if (age_s > row->oldest_s)
        row->oldest_s = age_s;
}

static void add(struct tenancy *t, struct slice key, const struct look *k)
{
    struct slice tenant;

    if (k->ttl_ms == -2)
        return;
    if (!policy_tenant(key, t->policy->tenant_segment, &tenant))
        tenant = (struct slice){"", 0};
    add_to(row_of(t, tenant), t, k);
    add_to(&t->all, t, k);
    if (k->malformed && t->nexamples < TENANCY_EXAMPLES)
        snprintf(t->examples[t->nexamples++], TENANCY_KEY, "%.*s", (int)(key.len < TENANCY_KEY ? key.len : TENANCY_KEY), key.p);
}

static bool wants(void *ctx, struct slice key)
{
    const struct tenancy *t = ctx;
    return policy_find(t->policies, key) == t->policy;
}

/* ---- Redis ---- */

/* PTTL and MEMORY USAGE of each key of the page. */
static enum err look_at(struct tenancy *t, struct link *l, struct look *looks)
{
    struct page *p = &t->page;
    enum err e = ERR_NONE;

    for (size_t i = 0; i < p->n; i++) {
        link_put(l, (struct slice[]){{"PTTL", 4}, p->entries[i].key}, 2);
        link_put(l, (struct slice[]){{"MEMORY", 6}, {"USAGE", 5}, p->entries[i].key}, 3);
    }
    for (size_t i = 0; e == ERR_NONE && i < 2 * p->n; i++) {
        const redisReply *r = link_get(l);
        bool is_number = r != NULL && r->type == REDIS_REPLY_INTEGER;
        if (r == NULL)
            e = ERR_REDISDOWN;
        else if (i % 2 == 1)
            looks[i / 2].bytes = is_number ? r->integer : -1; /* a user of Redis may not be allowed to ask */
        else if (is_number)
            looks[i / 2].ttl_ms = r->integer;
        else {
            link_refuse(l, r);
            e = ERR_REDISDOWN;
        }
    }
    link_done(l);
    return e;
}

/* Strings only: what GET refuses is another type, whose parts are not looked at. */
static enum err look_inside(struct tenancy *t, struct link *l, struct look *looks)
{
    struct page *p = &t->page;
    enum err e = ERR_NONE;

    for (size_t i = 0; i < p->n; i++)
        if (looks[i].ttl_ms != -2 && looks[i].bytes <= JSON_MOST)
            link_put(l, (struct slice[]){{"GET", 3}, p->entries[i].key}, 2);
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++) {
        if (looks[i].ttl_ms == -2 || looks[i].bytes > JSON_MOST)
            continue;
        const redisReply *r = link_get(l);
        if (r == NULL)
            e = ERR_REDISDOWN;
        else if (r->type == REDIS_REPLY_STRING)
            looks[i].malformed = !json_is_valid((struct slice){r->str, r->len});
    }
    link_done(l);
    return e;
}

enum err tenancy_of_redis(struct tenancy *t, struct link *l, size_t *ret_looked, bool *ret_more)
{
    enum err e = page_of_redis(&t->page, l, t->glob, &t->cursor, TENANCY_PAGE, wants, t);

    if (e != ERR_NONE)
        return e;
    struct look *looks = arena_get(&t->page.arena, t->page.n * sizeof *looks + 1);
    e = look_at(t, l, looks);
    if (e == ERR_NONE && t->policy->format != FORMAT_ANY)
        e = look_inside(t, l, looks);
    for (size_t i = 0; e == ERR_NONE && i < t->page.n; i++)
        add(t, t->page.entries[i].key, &looks[i]);
    *ret_looked = TENANCY_PAGE;
    *ret_more = t->cursor != 0;
    return e;
}

/* ---- the archive ---- */

enum err tenancy_of_archive(struct tenancy *t, struct archive_handle *h, int64_t now_ms, size_t *ret_looked, bool *ret_more)
{
    enum err e = page_of_archive(&t->page, h, ARCHIVE_ALL, &t->hash, TENANCY_PAGE, wants, t);

    t->archive = true;
    for (size_t i = 0; e == ERR_NONE && i < t->page.n; i++) {
        const struct archive_entry *entry = &t->page.entries[i];
        bool there = entry->type != 0 && (entry->expire_ms == -1 || entry->expire_ms > now_ms);
        struct look k = {.ttl_ms = entry->expire_ms == -1 ? -1 : entry->expire_ms - now_ms, .bytes = -1};
        if (there)
            add(t, entry->key, &k);
    }
    *ret_looked = t->page.looked;
    *ret_more = t->hash != -1;
    return e;
}

/* ---- the result ---- */

static int by_keys(const void *a, const void *b)
{
    const struct tenancy_row *x = &(*(struct row *const *)a)->told, *y = &(*(struct row *const *)b)->told;
    size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;

    if (x->keys != y->keys)
        return x->keys > y->keys ? -1 : 1;
    int order = memcmp(x->name, y->name, n);
    return order != 0 ? order : (x->name_len > y->name_len) - (x->name_len < y->name_len);
}

void tenancy_seal(struct tenancy *t, int64_t took_us, int64_t ended_us)
{
    if (t->count > 0)
        qsort(t->rows, t->count, sizeof *t->rows, by_keys);
    page_done(&t->page);
    page_init(&t->page);
    t->took_us = took_us;
    t->ended_us = ended_us;
}

const char *tenancy_policy(const struct tenancy *t)
{
    return t->policy->name;
}

bool tenancy_was_archive(const struct tenancy *t)
{
    return t->archive;
}

int64_t tenancy_took_us(const struct tenancy *t)
{
    return t->took_us;
}

int64_t tenancy_ended_us(const struct tenancy *t)
{
    return t->ended_us;
}

size_t tenancy_count(const struct tenancy *t)
{
    return t->count;
}

const struct tenancy_row *tenancy_row(const struct tenancy *t, size_t i)
{
    return &t->rows[i]->told;
}

const struct tenancy_row *tenancy_others(const struct tenancy *t)
{
    return &t->others;
}

const struct tenancy_row *tenancy_all(const struct tenancy *t)
{
    return &t->all;
}

const char *tenancy_example(const struct tenancy *t, size_t i)
{
    return i < t->nexamples ? t->examples[i] : NULL;
}
