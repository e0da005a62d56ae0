#include "tests/unit/sync/sync_world.h"

#include "backends/archive/fields.h"
#include "backends/trace/trace.h"
#include "config/config.h"
#include "engine/document.h"
#include "executor/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOGETHER 500

static const char policies[] = "policies:\n"
                               "  - name: conv\n"
                               "    match: \"conv:*\"\n"
                               "  - name: arch\n"
                               "    match: \"arch:*\"\n"
                               "    primary: mongo\n"
                               "  - name: bare\n"
                               "    match: \"bare:*\"\n"
                               "    ttl: 0s\n"
                               "    dual_write: no\n";

static void load(struct world *w)
{
    char url[96], archive[96], path[80];
    const char *sets[] = {url, archive};
    struct config_start start = {.file = path, .sets = sets, .set_count = 2};
    struct config_error error;

    snprintf(path, sizeof path, "%s.yaml", w->path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fputs(policies, f) < 0, 0);
    fclose(f);
    snprintf(url, sizeof url, "redis.url=unix://%s", w->redis.path);
    snprintf(archive, sizeof archive, "archive.url=sqlite:%s", w->path);
    w->config = config_new();
    if (config_load(w->config, &start, &error) != ERR_NONE)
        fail_msg("%s", error.text);
    w->settings = config_current(w->config);
}

void world_start(struct world *w)
{
    char why[256];

    memset(w, 0, sizeof *w);
    sync_redis_start(&w->redis);
    if (w->redis.pid == 0)
        return;
    snprintf(w->path, sizeof w->path, "%s.db", w->redis.dir);
    load(w);
    struct archive_options options = {
        .url = w->settings->archive_url, .workers = 4, .connect_timeout = 1000, .timeout = 4000};
    w->archive = trace_wrap(archive_open(&options, why, sizeof why));
    if (w->archive == NULL)
        fail_msg("%s", why);
    w->h = archive_attach(w->archive);
    w->link = link_new();
    assert_true(link_open(w->link, w->settings));
    arena_init(&w->arena);
}

void world_stop(struct world *w)
{
    static const char *const ends[] = {"", "-wal", "-shm", ".yaml"};
    char path[80];

    if (w->redis.pid == 0)
        return;
    arena_done(&w->arena);
    link_free(w->link);
    archive_detach(w->h);
    archive_close(w->archive);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(path, sizeof path, "%s%s", w->path, ends[i]);
        unlink(path);
    }
    settings_unref(w->settings);
    config_free(w->config);
    sync_redis_stop(&w->redis);
}

void world_faults(struct world *w, const char *plan)
{
    char why[160];

    if (!trace_set_plan(w->archive, plan, why, sizeof why))
        fail_msg("%s", why);
}

void world_clear(struct world *w)
{
    world_faults(w, "");
    sync_redis_ask(&w->redis, "FLUSHALL");
    sync_redis_ask(&w->redis, "SET cvp:ep %d", WORLD_EPOCH);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
}

void world_set(struct world *w, const char *name, const char *value)
{
    struct config_error error;
    struct config_pair pair = {name, value};

    if (config_set(w->config, &pair, 1, &error) != ERR_NONE)
        fail_msg("%s", error.text);
    settings_unref(w->settings);
    w->settings = config_current(w->config);
}

/* ---- the archive ---- */

static void seal(const struct world_doc *d, int64_t expected, struct archive_write *ret)
{
    struct slice key = {d->key, strlen(d->key)};
    struct object o = {.key = key, .type = OBJECT_NONE, .expire_ms = d->expire_ms == 0 ? -1 : d->expire_ms};
    struct record record = {.redis = d->redis};
    bson_t *doc = bson_new();

    if (d->value != NULL) {
        o.type = OBJECT_STRING;
        o.encoding = ENC_EMBSTR;
        o.v.string = (struct slice){d->value, strlen(d->value)};
    }
    *ret = (struct archive_write){.expected = expected, .doc = doc};
    ret->entry = (struct archive_entry){.key = key,
                                        .hash = archive_hash(key),
                                        .version = d->version,
                                        .expire_ms = o.expire_ms,
                                        .type = o.type,
                                        .dirty = d->dirty};
    assert_int_equal(document_encode(&o, doc), ERR_NONE);
    assert_true(fields_append(&ret->entry, 1, doc) && record_encode(&record, doc));
}

void world_put(struct world *w, const struct world_doc *docs, size_t n)
{
    struct archive_write writes[TOGETHER];

    assert_true(n <= TOGETHER);
    for (size_t i = 0; i < n; i++)
        seal(&docs[i], world_version(w, docs[i].key), &writes[i]);
    if (archive_commit(w->h, writes, n) != ERR_NONE)
        fail_msg("%s", archive_why(w->h));
    for (size_t i = 0; i < n; i++)
        bson_destroy((bson_t *)writes[i].doc);
}

int64_t world_version(struct world *w, const char *key)
{
    struct slice name = {key, strlen(key)};
    struct archive_found found;

    arena_reset(&w->arena);
    if (archive_load(w->h, &name, 1, &w->arena, &found) != ERR_NONE)
        fail_msg("%s", archive_why(w->h));
    return found.version;
}

/* ---- both ---- */

static void fill_redis(struct world *w, size_t from, size_t n, int64_t version)
{
    redisReply *r;

    for (size_t i = from; i < from + n; i++) {
        redisAppendCommand(w->redis.client, "SET conv:%d value-%d", (int)i, (int)i);
        redisAppendCommand(w->redis.client, "HSET cvp:ver conv:%d %lld", (int)i, (long long)version);
    }
    for (size_t i = 0; i < 2 * n; i++) {
        assert_int_equal(redisGetReply(w->redis.client, (void **)&r), REDIS_OK);
        freeReplyObject(r);
    }
    if (version == 0)
        sync_redis_ask(&w->redis, "DEL cvp:ver");
}

static void fill_archive(struct world *w, size_t from, size_t n, int64_t version, bool redis)
{
    struct world_doc docs[TOGETHER];
    char(*texts)[2][32] = calloc(n, sizeof *texts);

    assert_non_null(texts);
    for (size_t i = 0; i < n; i++) {
        snprintf(texts[i][0], sizeof texts[i][0], "conv:%zu", from + i);
        snprintf(texts[i][1], sizeof texts[i][1], "value-%zu", from + i);
        docs[i] =
            (struct world_doc){.key = texts[i][0], .value = texts[i][1], .version = version, .redis = true};
    }
    world_put(w, docs, n);
    free(texts);
}

void world_fill(struct world *w, size_t n, int64_t version, bool redis, bool archive)
{
    for (size_t i = 0; i < n; i += TOGETHER) {
        size_t some = n - i < TOGETHER ? n - i : TOGETHER;
        if (redis)
            fill_redis(w, i, some, version);
        if (archive)
            fill_archive(w, i, some, version, redis);
    }
}

double world_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}
