#include "backends/archive/archive.h"

#include "backends/mongo/mongo.h"
#include "backends/sqlite/sqlite.h"

#include <stdio.h>
#include <string.h>

/* One row for each implementation: how its URLs begin, and how it is opened. */
static const struct {
    const char *scheme;
    struct archive *(*open)(const struct archive_options *options, char *why, size_t why_cap);
    bool (*url_ok)(const char *url, char *why, size_t why_cap);
} kinds[] = {
    {"mongodb:", mongo_archive_open, mongo_archive_url_ok},
    {"mongodb+srv:", mongo_archive_open, mongo_archive_url_ok},
    {SQLITE_ARCHIVE_SCHEME, sqlite_archive_open, sqlite_archive_url_ok},
};

#define KINDS (sizeof kinds / sizeof kinds[0])

static size_t kind_of(const char *url, char *why, size_t why_cap)
{
    size_t i = 0;
    while (i < KINDS && (kinds[i].open == NULL || strncmp(url, kinds[i].scheme, strlen(kinds[i].scheme)) != 0))
        i++;
    if (i == KINDS)
        snprintf(why, why_cap, "an archive is sqlite:PATH or mongodb://…");
    return i;
}

bool archive_url_ok(const char *url, char *why, size_t why_cap)
{
    size_t i = kind_of(url, why, why_cap);
    return i < KINDS && kinds[i].url_ok(url, why, why_cap);
}

struct archive *archive_open(const struct archive_options *options, char *why, size_t why_cap)
{
    size_t i = kind_of(options->url, why, why_cap);
    return i < KINDS ? kinds[i].open(options, why, why_cap) : NULL;
}

void archive_close(struct archive *own_a)
{
    if (own_a != NULL)
        own_a->ops->close(own_a);
}

const char *archive_kind(const struct archive *a)
{
    return a->ops->kind;
}

unsigned archive_writers(const struct archive *a)
{
    return a->ops->writers;
}

struct archive_handle *archive_attach(struct archive *a)
{
    return a->ops->attach(a);
}

void archive_detach(struct archive_handle *own_h)
{
    own_h->archive->ops->detach(own_h);
}

const char *archive_why(const struct archive_handle *h)
{
    return h->why;
}

/* FNV-1a, then mixed so that similar keys lie far apart (the end of MurmurHash3's 64-bit variant does the same). */
int64_t archive_hash(struct slice key)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 33;
    return (int64_t)(h >> (64 - ARCHIVE_HASH_BITS));
}

enum err archive_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                      struct archive_found *found)
{
    return h->archive->ops->load(h, keys, n, arena, found);
}

enum err archive_commit(struct archive_handle *h, const struct archive_write *writes, size_t n)
{
    return h->archive->ops->commit(h, writes, n);
}

enum err archive_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                      void (*each)(void *ctx, const struct archive_entry *e), void *ctx)
{
    return h->archive->ops->scan(h, filter, from_hash, limit, each, ctx);
}

enum err archive_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    return h->archive->ops->sweep(h, now_ms, limit, ret_swept);
}

enum err archive_control_get(struct archive_handle *h, const char *name, struct arena *arena, struct archive_found *found)
{
    return h->archive->ops->control_get(h, name, arena, found);
}

enum err archive_control_set(struct archive_handle *h, const char *name, int64_t expected, int64_t version, const bson_t *doc)
{
    return h->archive->ops->control_set(h, name, expected, version, doc);
}

enum err archive_clear(struct archive_handle *h)
{
    return h->archive->ops->clear(h);
}

enum err archive_stats(struct archive_handle *h, struct archive_stats *ret)
{
    ret->racy = false;
    return h->archive->ops->stats(h, ret);
}

enum err archive_ping(struct archive_handle *h)
{
    return h->archive->ops->ping(h);
}
