#include "sync/value.h"

#include "base/decimal.h"
#include "router/marks.h"
#include "sync/commands.h"
#include "sync/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#define READ_PIECE     128 /* keys whose replies are in memory at once */
#define VERSIONS_PIECE 512
#define GROUP_KEYS     64 /* of one transaction */
#define GROUP_BYTES    (4u << 20)
#define WORD(w)        ((struct slice){w, sizeof(w) - 1})
#define PUT(l, ...)                                                                                          \
    link_put(l, (struct slice[]){__VA_ARGS__}, sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

/* ---- what both need ---- */

/* The next reply, which must not be an error. NULL: *ret_e says why, and the link is closed. */
static const redisReply *get(struct link *l, enum err *ret_e)
{
    const redisReply *r = link_get(l);

    *ret_e = r == NULL ? ERR_REDISLOST : ERR_NONE;
    if (r != NULL && r->type == REDIS_REPLY_ERROR) {
        link_refuse(l, r);
        *ret_e = ERR_REDISDOWN;
        return NULL;
    }
    return r;
}

/* The same for one that must be an array of so many elements. */
static const redisReply *get_array(struct link *l, size_t elements, enum err *ret_e)
{
    const redisReply *r = get(l, ret_e);

    if (r == NULL || (reply_is_array(r) && r->elements == elements))
        return r;
    link_refuse(l, r);
    *ret_e = ERR_REDISDOWN;
    return NULL;
}

/* All replies but the last `left`, none of them an error. */
static enum err skip(struct link *l, size_t left)
{
    enum err e = ERR_NONE;

    while (e == ERR_NONE && link_owed(l) > left)
        if (get(l, &e) == NULL)
            return e;
    return e;
}

/* Or epoch; 0: there is none. */
static int64_t version_of(const redisReply *r)
{
    int64_t version;

    return reply_int(r, &version) ? version : 0;
}

/* ---- reading ---- */

/* What EXEC answers, by position. */
enum {
    AT_TYPE,
    AT_EXPIRY,
    AT_VERSION,
    AT_SESSIONS,
    AT_EPOCH,
    AT_FIXED,
    AT_VALUE = AT_FIXED,
    AT_ENCODING,
    AT_ALL
};

static void ask_state(struct link *l, const struct redis_state *s)
{
    struct slice key = s->object.key;

    PUT(l, WORD("MULTI"));
    PUT(l, WORD("TYPE"), key);
    PUT(l, WORD("PEXPIRETIME"), key);
    PUT(l, WORD("HGET"), WORD(MARKS_VERSION), key);
    PUT(l, WORD("HGETALL"), WORD(MARKS_SESSION));
    PUT(l, WORD("GET"), WORD(MARKS_EPOCH));
    if (s->object.type != OBJECT_NONE) {
        reply_ask(l, s->object.type, key);
        PUT(l, WORD("OBJECT"), WORD("ENCODING"), key);
    }
    PUT(l, WORD("EXEC"));
}

static void take_sessions(const redisReply *r, struct arena *a, struct redis_state *s)
{
    size_t n = reply_is_array(r) ? r->elements / 2 : 0;

    s->sessions = arena_get(a, n * sizeof *s->sessions);
    for (size_t i = 0; i < n; i++) {
        const redisReply *name = r->element[2 * i];
        struct write_id *id = &s->sessions[s->nsessions];
        if (!reply_is_text(name) || name->len >= WRITE_SESSION || !reply_int(r->element[2 * i + 1], &id->seq))
            continue; /* none of ours */
        memcpy(id->session, name->str, (size_t)name->len);
        id->session[name->len] = '\0';
        s->nsessions++;
    }
}

/* The type that was asked for is the object's. */
static void take_value(const redisReply *exec, struct arena *a, struct redis_state *s)
{
    enum object_type asked = s->object.type, found;
    bool known = reply_type(exec->element[AT_TYPE], &found);

    s->torn = s->bad == NULL ? !known || found != asked : known;
    s->object.type = OBJECT_NONE;
    if (s->torn) {
        s->bad = NULL;
        s->version = -1;
    }
    if (s->torn || asked == OBJECT_NONE)
        return;
    s->object.type = (uint8_t)asked;
    if (!reply_value(exec->element[AT_VALUE], a, &s->object) ||
        !reply_encoding(exec->element[AT_ENCODING], &s->object)) {
        s->object.type = OBJECT_NONE;
        s->bad = "Redis does not tell its value";
    } else if (!reply_int(exec->element[AT_EXPIRY], &s->object.expire_ms) || s->object.expire_ms < 0) {
        s->object.expire_ms = -1;
    }
}

static enum err take_state(struct link *l, struct arena *a, struct redis_state *s)
{
    size_t n = s->object.type == OBJECT_NONE ? AT_FIXED : AT_ALL;
    enum err e;

    for (size_t i = 0; i < n + 1; i++) /* OK, and QUEUED for each */
        if (get(l, &e) == NULL)
            return e;
    const redisReply *exec = get_array(l, n, &e);
    if (exec == NULL)
        return e;
    s->version = version_of(exec->element[AT_VERSION]);
    s->epoch = version_of(exec->element[AT_EPOCH]);
    take_sessions(exec->element[AT_SESSIONS], a, s);
    take_value(exec, a, s);
    link_done(l);
    return ERR_NONE;
}

static enum err take_type(struct link *l, struct arena *a, struct redis_state *s)
{
    enum object_type type;
    enum err e;
    const redisReply *r = get(l, &e);

    if (r == NULL)
        return e;
    if (reply_type(r, &type)) {
        s->object.type = (uint8_t)type;
    } else {
        static const char words[] = "a value of type ";
        struct slice name = reply_is_text(r) ? reply_slice(r) : WORD("unknown");
        char *text = arena_get(a, sizeof words + name.len);
        memcpy(text, words, sizeof words - 1);
        memcpy(text + sizeof words - 1, name.p, name.len);
        s->bad = text;
    }
    return ERR_NONE;
}

static enum err read_piece(struct link *l, const struct slice *keys, size_t n, struct arena *a,
                           struct redis_state *ret)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n; i++) {
        ret[i] = (struct redis_state){.object = {.key = arena_copy(a, keys[i]), .expire_ms = -1}};
        PUT(l, WORD("TYPE"), keys[i]);
    }
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        e = take_type(l, a, &ret[i]);
    link_done(l);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        ask_state(l, &ret[i]);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        e = take_state(l, a, &ret[i]);
    link_done(l);
    return e;
}

enum err value_read(struct link *l, const struct slice *keys, size_t n, struct arena *a,
                    struct redis_state *ret)
{
    enum err e = ERR_NONE;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    for (size_t at = 0; e == ERR_NONE && at < n; at += READ_PIECE)
        e = read_piece(l, keys + at, n - at < READ_PIECE ? n - at : READ_PIECE, a, ret + at);
    return e;
}

/* ---- versions ---- */

/* One HMGET; n at most VERSIONS_PIECE. */
static void ask_versions(struct link *l, const struct slice *keys, size_t n)
{
    struct slice argv[2 + VERSIONS_PIECE] = {WORD("HMGET"), WORD(MARKS_VERSION)};

    memcpy(argv + 2, keys, n * sizeof *keys);
    link_put(l, argv, n + 2);
}

static enum err take_versions(struct link *l, size_t n, int64_t *ret)
{
    enum err e;
    const redisReply *r = get_array(l, n, &e);

    for (size_t i = 0; r != NULL && i < n; i++)
        ret[i] = version_of(r->element[i]);
    return e;
}

enum err value_versions(struct link *l, const struct slice *keys, size_t n, int64_t *ret)
{
    enum err e = ERR_NONE;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    for (size_t at = 0; e == ERR_NONE && at < n; at += VERSIONS_PIECE) {
        size_t piece = n - at < VERSIONS_PIECE ? n - at : VERSIONS_PIECE;
        ask_versions(l, keys + at, piece);
        e = take_versions(l, piece, ret + at);
        link_done(l);
    }
    return e;
}

enum err value_epoch(struct link *l, int64_t *ret)
{
    enum err e;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    PUT(l, WORD("GET"), WORD(MARKS_EPOCH));
    const redisReply *r = get(l, &e);
    if (r != NULL)
        *ret = version_of(r);
    link_done(l);
    return e;
}

/* ---- restoring ---- */

/* One transaction. Only those whose version is the expected one take part. */
struct group {
    struct value_restore *parts[GROUP_KEYS];
    size_t first[GROUP_KEYS + 1]; /* its commands are [first[i], first[i + 1]) of the block */
    size_t n;
};

/* verb, perhaps a key, then the keys of all. */
static void put_keys(struct link *l, const struct group *g, const char *verb, const char *key)
{
    struct slice argv[2 + GROUP_KEYS] = {{verb, strlen(verb)}};
    size_t n = 1;

    if (key != NULL)
        argv[n++] = (struct slice){key, strlen(key)};
    for (size_t i = 0; i < g->n; i++)
        argv[n++] = g->parts[i]->object->key;
    link_put(l, argv, n);
}

static void put_versions(struct link *l, const struct group *g)
{
    struct slice argv[2 + 2 * GROUP_KEYS] = {WORD("HSET"), WORD(MARKS_VERSION)};
    char texts[GROUP_KEYS][DECIMAL_MAX];
    size_t n = 2;

    for (size_t i = 0; i < g->n; i++) {
        argv[n++] = g->parts[i]->object->key;
        argv[n++] = (struct slice){texts[i], decimal_print(texts[i], g->parts[i]->version)};
    }
    link_put(l, argv, n);
}

static bool fits(const struct value_restore *r, int64_t version, int64_t epoch)
{
    return version == r->expected && (r->epoch == 0 || epoch == r->epoch);
}

/* Watches them all, and Redis' epoch, and drops those that have another version. */
static enum err watch(struct link *l, struct group *g)
{
    struct slice keys[GROUP_KEYS];
    int64_t versions[GROUP_KEYS];
    size_t n = g->n;
    enum err e;

    for (size_t i = 0; i < n; i++)
        keys[i] = g->parts[i]->object->key;
    put_keys(l, g, "WATCH", MARKS_EPOCH);
    PUT(l, WORD("GET"), WORD(MARKS_EPOCH));
    ask_versions(l, keys, n);
    const redisReply *r = get(l, &e) != NULL ? get(l, &e) : NULL;
    if (r == NULL)
        return e;
    int64_t epoch = version_of(r);
    e = take_versions(l, n, versions);
    g->n = 0;
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (fits(g->parts[i], versions[i], epoch))
            g->parts[g->n++] = g->parts[i];
    return e;
}

static void put_block(struct link *l, struct group *g)
{
    PUT(l, WORD("MULTI"));
    put_keys(l, g, "DEL", NULL);
    for (size_t i = 0; i < g->n; i++) {
        g->first[i] = link_owed(l) - 1;
        commands_put(l, g->parts[i]->object);
    }
    g->first[g->n] = link_owed(l) - 1;
    put_versions(l, g);
    put_keys(l, g, "SREM", MARKS_DIRTY);
    PUT(l, WORD("EXEC"));
}

/* A block runs to its end whatever its commands say, so half a value may be there under the new version: neither may stay. */
static enum err undo(struct link *l, const struct group *damaged)
{
    if (damaged->n == 0)
        return ERR_NONE;
    put_keys(l, damaged, "DEL", NULL);
    put_keys(l, damaged, "HDEL", MARKS_VERSION);
    return skip(l, 0);
}

static enum err take_block(struct link *l, const struct group *g, const redisReply *exec)
{
    struct group damaged = {.n = 0};

    for (size_t i = 0; i < g->n; i++) {
        struct value_restore *r = g->parts[i];
        for (size_t c = g->first[i]; !r->damaged && c < g->first[i + 1]; c++)
            r->damaged = exec->element[c]->type == REDIS_REPLY_ERROR;
        r->done = !r->damaged;
        if (r->damaged)
            damaged.parts[damaged.n++] = r;
    }
    return undo(l, &damaged);
}

/* *ret_raced: somebody wrote one of the keys meanwhile, and nothing was done. */
static enum err run_group(struct link *l, struct group *g, bool *ret_raced)
{
    enum err e = watch(l, g);

    *ret_raced = false;
    if (e == ERR_NONE && g->n == 0) {
        PUT(l, WORD("UNWATCH"));
        return skip(l, 0);
    }
    if (e != ERR_NONE)
        return e;
    put_block(l, g);
    size_t commands = g->first[g->n] + 2;
    e = skip(l, 1);
    const redisReply *exec = e == ERR_NONE ? get(l, &e) : NULL;
    if (exec == NULL)
        return e;
    *ret_raced = exec->type == REDIS_REPLY_NIL;
    if (*ret_raced)
        return ERR_NONE;
    if (!reply_is_array(exec) || exec->elements != commands) {
        link_refuse(l, exec);
        return ERR_REDISDOWN;
    }
    return take_block(l, g, exec);
}

/* Key by key when one of them was written meanwhile: the others are not to wait for it. */
static enum err restore_group(struct link *l, struct group *g)
{
    bool raced;
    enum err e = run_group(l, g, &raced);

    link_done(l);
    for (size_t i = 0; e == ERR_NONE && raced && g->n > 1 && i < g->n; i++) {
        struct group alone = {.parts = {g->parts[i]}, .n = 1};
        bool again;
        e = run_group(l, &alone, &again);
        link_done(l);
    }
    return e;
}

enum err value_restore(struct link *l, struct value_restore *restores, size_t n)
{
    enum err e = ERR_NONE;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    for (size_t i = 0; i < n; i++)
        restores[i].done = restores[i].damaged = false;
    for (size_t at = 0; e == ERR_NONE && at < n;) {
        struct group g = {.n = 0};
        size_t bytes = 0;
        do {
            g.parts[g.n++] = &restores[at];
            bytes += commands_size(restores[at++].object);
        } while (at < n && g.n < GROUP_KEYS && bytes + commands_size(restores[at].object) <= GROUP_BYTES);
        e = restore_group(l, &g);
    }
    return e;
}
