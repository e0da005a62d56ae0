#include "tests/unit/sync/two_stores.h"

#include "backends/archive/fields.h"
#include "base/clock.h"
#include "base/version.h"
#include "engine/document.h"
#include "engine/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- the wrapped archive ---- */

struct wrapped_handle {
    struct archive_handle base; /* first */
    struct archive_handle *inner;
};

static struct archive_handle *inner_of(struct archive_handle *h)
{
    return ((struct wrapped_handle *)h)->inner;
}

static struct archive_handle *on_attach(struct archive *a)
{
    struct wrapped_handle *h = calloc(1, sizeof *h);

    h->base.archive = a;
    h->inner = archive_attach(((struct wrapped *)a)->inner);
    return &h->base;
}

static void on_detach(struct archive_handle *own_h)
{
    archive_detach(inner_of(own_h));
    free(own_h);
}

static enum err on_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *a,
                        struct archive_found *found)
{
    return archive_load(inner_of(h), keys, n, a, found);
}

static enum err on_commit(struct archive_handle *h, const struct archive_write *writes, size_t n)
{
    struct two_stores *t = ((struct wrapped *)h->archive)->owner;
    enum err e = ERR_NONE;

    if (t->hook == NULL)
        return archive_commit(inner_of(h), writes, n);
    int commit = ++t->commits;
    e = t->hook(t, commit, false);
    if (e == ERR_NONE)
        e = archive_commit(inner_of(h), writes, n);
    if (e == ERR_NONE && t->hook != NULL)
        e = t->hook(t, commit, true);
    return e;
}

static enum err on_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    return archive_sweep(inner_of(h), now_ms, limit, ret_swept);
}

static enum err on_control_get(struct archive_handle *h, const char *name, struct arena *a,
                               struct archive_found *found)
{
    return archive_control_get(inner_of(h), name, a, found);
}

static enum err on_control_set(struct archive_handle *h, const char *name, int64_t expected, int64_t version,
                               const bson_t *doc)
{
    return archive_control_set(inner_of(h), name, expected, version, doc);
}

static const struct archive_ops ops = {
    .kind = "wrapped",
    .writers = 1,
    .attach = on_attach,
    .detach = on_detach,
    .load = on_load,
    .commit = on_commit,
    .sweep = on_sweep,
    .control_get = on_control_get,
    .control_set = on_control_set,
};

/* ---- the world ---- */

void two_stores_link(struct two_stores *t)
{
    assert_true(link_open(t->link, t->redis.settings));
}

bool two_stores_open(struct two_stores *t)
{
    char url[80], why[160];

    *t = (struct two_stores){.dir = "/tmp/two_stores.XXXXXX"};
    sync_redis_start(&t->redis);
    if (t->redis.pid == 0)
        return false;
    assert_non_null(mkdtemp(t->dir));
    snprintf(url, sizeof url, "sqlite:%s/a.db", t->dir);
    struct archive *a =
        archive_open(&(struct archive_options){.url = url, .workers = 4, .timeout = 5000}, why, sizeof why);
    assert_non_null(a);
    t->archive = (struct wrapped){{&ops}, a, t};
    t->handle = archive_attach(&t->archive.base);
    t->link = link_new();
    arena_init(&t->arena);
    two_stores_link(t);
    sync_redis_ask(&t->redis, "SET cvp:ep 300");
    return true;
}

void two_stores_close(struct two_stores *t)
{
    char command[80];

    link_free(t->link);
    archive_detach(t->handle);
    archive_close(t->archive.inner);
    arena_done(&t->arena);
    sync_redis_stop(&t->redis);
    snprintf(command, sizeof command, "rm -rf %s", t->dir);
    assert_int_equal(system(command), 0);
}

void two_stores_set_hook(struct two_stores *t, two_stores_hook hook)
{
    t->hook = hook;
    t->commits = 0;
}

struct slice two_stores_key(const char *key)
{
    return (struct slice){key, strlen(key)};
}

/* ---- the archive's side ---- */

static struct archive_found find(struct two_stores *t, const char *key)
{
    struct slice k = two_stores_key(key);
    struct archive_found found;

    assert_int_equal(archive_load(t->handle, &k, 1, &t->arena, &found), ERR_NONE);
    return found;
}

static void fill(struct two_stores *t, struct object *o, const char *elements)
{
    const char *p = elements;

    while (p != NULL && *p != '\0') {
        size_t n = strcspn(p, " ");
        list_push(list_make(&t->arena, o), (struct slice){p, n}, false);
        p += n + (p[n] == ' ');
    }
}

void two_stores_put(struct two_stores *t, const struct two_doc *d)
{
    struct object o = {.key = two_stores_key(d->key), .expire_ms = d->expire_ms > 0 ? d->expire_ms : -1};
    bson_t doc = BSON_INITIALIZER;

    fill(t, &o, d->elements);
    o.key = two_stores_key(d->key);
    o.expire_ms = d->expire_ms > 0 ? d->expire_ms : -1;
    struct archive_write w = {.entry = {.key = o.key,
                                        .hash = archive_hash(o.key),
                                        .version = d->version,
                                        .expire_ms = o.expire_ms,
                                        .type = o.type,
                                        .dirty = d->dirty},
                              .expected = find(t, d->key).version,
                              .doc = &doc};
    assert_int_equal(document_encode(&o, &doc), ERR_NONE);
    assert_true(fields_append(&w.entry, 1, &doc) && record_encode(&d->record, &doc));
    assert_int_equal(archive_commit(inner_of(t->handle), &w, 1), ERR_NONE);
    bson_destroy(&doc);
}

struct record two_stores_record(struct two_stores *t, const char *key)
{
    struct archive_found found = find(t, key);
    struct record r = {0};
    bson_t doc;

    if (found.version == 0)
        return r;
    assert_true(bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len));
    record_decode(&doc, &t->arena, &r);
    return r;
}

static void print_object(FILE *out, const struct object *o)
{
    if (o->type != OBJECT_LIST) {
        fputs(object_type_name(o->type), out);
        return;
    }
    for (size_t i = 0; i < o->v.list->count; i++)
        fprintf(out, "%s%.*s", i == 0 ? "[" : " ", (int)list_at(o->v.list, i)->len, list_at(o->v.list, i)->p);
    fputc(']', out);
}

const char *two_stores_line(struct two_stores *t, const char *key)
{
    struct archive_found found = find(t, key);
    struct record r = two_stores_record(t, key);
    struct object o;
    const char *why;
    bson_t doc;
    char *line;
    size_t len;

    if (found.version == 0)
        return "absent";
    assert_true(bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len));
    assert_int_equal(document_decode(&doc, &t->arena, &o, &why), ERR_NONE);
    FILE *out = open_memstream(&line, &len);
    print_object(out, &o);
    fprintf(out, " %s %s", r.redis ? "redis" : "archive", found.dirty ? "dirty" : "clean");
    if (r.journalled)
        fprintf(out, " base %" PRId64 " j %zu%s", r.base, r.nwrites, r.overflowed ? " jx" : "");
    fclose(out);
    const char *kept = arena_copy(&t->arena, (struct slice){line, len + 1}).p;
    free(line);
    return kept;
}

int64_t two_stores_version(struct two_stores *t, const char *key)
{
    return find(t, key).version;
}

void two_stores_journal(struct two_stores *t, struct record *r, const char *key, const char *element,
                        const char *session, int64_t seq)
{
    char request[256];
    int n = snprintf(request, sizeof request, "*3\r\n$5\r\nRPUSH\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n",
                     strlen(key), key, strlen(element), element);
    struct record_write w = {.id.seq = seq,
                             .now_ms = clock_wall_us() / 1000,
                             .requests = arena_copy(&t->arena, (struct slice){request, (size_t)n})};

    snprintf(w.id.session, sizeof w.id.session, "%s", session);
    record_journal(r, &t->arena, r->base, &w);
    record_add_id(r, &w.id);
}

/* ---- Redis' side ---- */

int64_t two_stores_append(struct two_stores *t, const char *key, const char *element, const char *session,
                          int64_t seq)
{
    struct sync_redis *r = &t->redis;

    sync_redis_ask(r, "MULTI");
    sync_redis_ask(r, "RPUSH %s %s", key, element);
    sync_redis_ask(r, "HSETNX cvp:ver %s %lld", key, (long long)version_make(256, 1000));
    sync_redis_ask(r, "HINCRBY cvp:ver %s 1", key);
    sync_redis_ask(r, "SADD cvp:dirty %s", key);
    sync_redis_ask(r, "HSET cvp:sess %s %lld", session, (long long)seq);
    const redisReply *exec = sync_redis_ask(r, "EXEC");
    assert_int_equal(exec->elements, 5);
    return exec->element[2]->integer;
}

int64_t two_stores_redis_version(struct two_stores *t, const char *key)
{
    const redisReply *r = sync_redis_ask(&t->redis, "HGET cvp:ver %s", key);
    return r->type == REDIS_REPLY_STRING ? strtoll(r->str, NULL, 10) : 0;
}

/* ---- for cmocka ---- */

struct two_stores *world;

int two_stores_set_up(void **state)
{
    world = calloc(1, sizeof *world);
    if (two_stores_open(world))
        return 0;
    free(world);
    world = NULL;
    return 0;
}

int two_stores_tear_down(void **state)
{
    if (world != NULL)
        two_stores_close(world);
    free(world);
    return 0;
}

void two_stores_need(void)
{
    if (world == NULL)
        skip();
}
