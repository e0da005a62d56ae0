#include "sync/page.h"

#include "router/marks.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void page_init(struct page *p)
{
    *p = (struct page){.n = 0};
    arena_init(&p->arena);
}

void page_done(struct page *p)
{
    arena_done(&p->arena);
}

static void clear(struct page *p)
{
    arena_reset(&p->arena);
    p->entries = NULL;
    p->n = p->cap = p->looked = 0;
}

static bool is_own(struct slice key)
{
    return key.len >= strlen(MARKS_PREFIX) && memcmp(key.p, MARKS_PREFIX, strlen(MARKS_PREFIX)) == 0;
}

static void add(struct page *p, const struct archive_entry *e)
{
    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
        p->entries = arena_grow(&p->arena, p->entries, p->n * sizeof *p->entries, cap * sizeof *p->entries);
        p->cap = cap;
    }
    p->entries[p->n] = *e;
    p->entries[p->n++].key = arena_copy(&p->arena, e->key);
}

/* ---- the archive ---- */

struct gathering {
    struct page *page;
    page_want want;
    void *ctx;
    int64_t last;
};

static void gather(void *ctx, const struct archive_entry *e)
{
    struct gathering *g = ctx;

    g->page->looked++;
    g->last = e->hash;
    if (!is_own(e->key) && (g->want == NULL || g->want(g->ctx, e->key)))
        add(g->page, e);
}

enum err page_of_archive(struct page *p, struct archive_handle *h, enum archive_filter filter, int64_t *hash,
                         size_t limit, page_want want, void *ctx)
{
    struct gathering g = {.page = p, .want = want, .ctx = ctx};

    clear(p);
    enum err e = archive_scan(h, filter, *hash, limit, gather, &g);
    if (e == ERR_NONE)
        *hash = p->looked < limit ? -1 : g.last + 1;
    return e;
}

/* ---- Redis ---- */

static bool is_page(const redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->type == REDIS_REPLY_STRING &&
           r->element[1]->type == REDIS_REPLY_ARRAY;
}

static void ask(struct link *l, const char *match, uint64_t cursor, size_t limit)
{
    char at[24], count[24];

    snprintf(at, sizeof at, "%" PRIu64, cursor);
    snprintf(count, sizeof count, "%zu", limit);
    if (match != NULL)
        link_say(l, "SCAN", at, "MATCH", match, "COUNT", count, NULL);
    else
        link_say(l, "SCAN", at, "COUNT", count, NULL);
}

enum err page_of_redis(struct page *p, struct link *l, const char *match, uint64_t *cursor, size_t limit,
                       page_want want, void *ctx)
{
    enum err e = ERR_REDISDOWN;

    clear(p);
    ask(l, match, *cursor, limit);
    const redisReply *r = link_get(l);
    if (r == NULL)
        goto out;
    if (!is_page(r)) {
        link_refuse(l, r);
        goto out;
    }
    p->looked = r->element[1]->elements;
    for (size_t i = 0; i < p->looked; i++) {
        struct slice key = {r->element[1]->element[i]->str, r->element[1]->element[i]->len};
        if (!is_own(key) && (want == NULL || want(ctx, key)))
            add(p, &(struct archive_entry){.key = key});
    }
    *cursor = strtoull(r->element[0]->str, NULL, 10);
    e = ERR_NONE;
out:
    link_done(l);
    return e;
}

double page_progress(uint64_t cursor)
{
    double done = 0, bit = 0.5;

    for (; cursor != 0; cursor >>= 1, bit /= 2) {
        if (cursor & 1)
            done += bit;
    }
    return done;
}

double page_hash_progress(int64_t hash)
{
    return hash < 0 ? 1 : (double)hash / (double)(1ll << ARCHIVE_HASH_BITS);
}
