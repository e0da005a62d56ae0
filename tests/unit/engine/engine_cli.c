/* engine_cli — the engine over pipes, for tests/system/test_engine.py: RESP requests on stdin, each answered
 * at once on stdout. A key's value is kept only as its encoded document, so every command also tests the
 * codec both ways. Beside the engine's commands: HELLO 2|3, SELECT, FLUSHALL, DBSIZE as Redis has them, and
 *   DEBUG-CLOCK ms   stops the clock there; 0 lets it run again
 *   DEBUG-KEYS       the keys that have not expired
 *   DEBUG-ROWS       the commands that engine/engine.def has
 *   DEBUG-JSON key   the document, as a person sees it
 * Aborts when a handler breaks its contract: a change that was not said, or one by a command that failed. */
#include "engine/call.h"
#include "engine/document.h"
#include "router/command.h"
#include "router/keys.h"
#include "tests/unit/requests.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BUCKETS 1024

struct entry {
    struct entry *next;
    struct slice key;
    bson_t *doc;
};

struct cli {
    struct entry *buckets[BUCKETS];
    struct chunk_pool pool;
    struct chain out;
    struct arena arena;
    enum resp resp;
    int64_t clock_ms; /* 0: the real one */
    uint64_t random;
};

/* ---- the store ---- */

static struct entry **place(struct cli *cli, struct slice key)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.p[i]) * 16777619u;
    struct entry **at = &cli->buckets[h % BUCKETS];
    while (*at != NULL && !slice_equal((*at)->key, key))
        at = &(*at)->next;
    return at;
}

static void store_remove(struct entry **at)
{
    struct entry *e = *at;

    *at = e->next;
    bson_destroy(e->doc);
    free((char *)e->key.p);
    free(e);
}

static void store_put(struct cli *cli, struct slice key, bson_t *own_doc)
{
    struct entry **at = place(cli, key);

    if (*at == NULL) {
        char *copy = malloc(key.len + 1);
        struct entry *e = calloc(1, sizeof *e);
        if (copy == NULL || e == NULL)
            abort();
        if (key.len > 0)
            memcpy(copy, key.p, key.len);
        e->key = (struct slice){copy, key.len};
        *at = e;
    } else {
        bson_destroy((*at)->doc);
    }
    (*at)->doc = own_doc;
}

static void store_clear(struct cli *cli)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (cli->buckets[i] != NULL)
            store_remove(&cli->buckets[i]);
}

static int64_t now(const struct cli *cli)
{
    struct timespec t;

    if (cli->clock_ms != 0)
        return cli->clock_ms;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static struct object decode(struct cli *cli, const struct entry *e)
{
    struct object o;
    const char *why;

    if (document_decode(e->doc, &cli->arena, &o, &why) == ERR_NONE && slice_equal(o.key, e->key))
        return o;
    fprintf(stderr, "engine_cli: a document of our own is refused: %s\n", why);
    abort();
}

static bool expired(const struct object *o, int64_t now_ms)
{
    return o->expire_ms >= 0 && now_ms > o->expire_ms;
}

/* ---- a command of the engine ---- */

struct loader {
    struct cli *cli;
    const struct slice *argv;
    struct keyspace *keys;
    bool *changeable; /* by object: the row says that the command may write it */
};

static void load(struct loader *l, struct slice key, bool write)
{
    struct keyspace *keys = l->keys;
    size_t i = 0;

    while (i < keys->count && !slice_equal(keys->objects[i].key, key))
        i++;
    l->changeable[i] |= write;
    if (i < keys->count)
        return;
    const struct entry *e = *place(l->cli, key);
    struct object o = {.key = key, .expire_ms = -1};
    keys->objects[keys->count++] = e != NULL ? decode(l->cli, e) : o;
}

static bool load_ref(void *ctx, struct key_ref ref)
{
    struct loader *l = ctx;

    load(l, l->argv[ref.arg], ref.write);
    return true;
}

static void breach(const struct command *cmd, struct slice key, const char *what)
{
    fprintf(stderr, "engine_cli: %s, key %.*s: %s\n", cmd->name, (int)key.len, key.p, what);
    abort();
}

/* The document as it would be stored now; NULL: too large. */
static bson_t *encode(const struct object *o)
{
    bson_t *doc = bson_new();

    if (document_encode(o, doc) == ERR_NONE)
        return doc;
    bson_destroy(doc);
    return NULL;
}

/* What was not changed must look the same as before. */
static void check_untouched(struct cli *cli, const struct command *cmd, const struct object *o)
{
    const struct entry *e = *place(cli, o->key);

    if (e == NULL) {
        if (o->type != OBJECT_NONE)
            breach(cmd, o->key, "a value appeared, but nothing was said to change");
        return;
    }
    if (expired(&(struct object){.expire_ms = decode(cli, e).expire_ms}, now(cli)))
        return;
    bson_t *after = encode(o);
    if (after == NULL || !bson_equal(after, e->doc))
        breach(cmd, o->key, "the value changed, but this was not said");
    bson_destroy(after);
}

static void check_change(const struct loader *l, size_t i, const struct command *cmd, bool failed)
{
    struct slice key = l->keys->objects[i].key;

    if (failed)
        breach(cmd, key, "a command that failed changed something");
    if (!l->changeable[i])
        breach(cmd, key, "changed, but the command's row says that it is only read");
}

/* The documents of the changed values, by object. All are made before one is stored: after RENAME a value
 * borrows the bytes of the other key's document. False: one is too large. */
static bool encode_changes(struct cli *cli, const struct loader *l, const struct command *cmd, bool failed,
                           bson_t **docs)
{
    bool fit = true;

    for (size_t i = 0; i < l->keys->count; i++) {
        const struct object *o = &l->keys->objects[i];
        if (!o->changed) {
            check_untouched(cli, cmd, o);
            continue;
        }
        check_change(l, i, cmd, failed);
        docs[i] = o->type == OBJECT_NONE ? NULL : encode(o);
        fit &= o->type == OBJECT_NONE || docs[i] != NULL;
    }
    return fit;
}

static bool store_changes(struct cli *cli, const struct loader *l, const struct command *cmd, bool failed)
{
    bson_t **docs = arena_get(&cli->arena, l->keys->count * sizeof *docs);
    bool fit = encode_changes(cli, l, cmd, failed, docs);

    for (size_t i = 0; i < l->keys->count; i++) {
        const struct object *o = &l->keys->objects[i];
        struct entry **at = place(cli, o->key);
        if (fit && docs[i] != NULL)
            store_put(cli, o->key, docs[i]);
        else if (docs[i] != NULL)
            bson_destroy(docs[i]);
        else if (fit && o->changed && *at != NULL)
            store_remove(at);
    }
    return fit;
}

static uint64_t draw(void *ctx)
{
    struct cli *cli = ctx;

    cli->random ^= cli->random << 13;
    cli->random ^= cli->random >> 7;
    cli->random ^= cli->random << 17;
    return cli->random;
}

static void fetch(void *ctx, struct slice key, struct object *o)
{
    struct cli *cli = ctx;
    const struct entry *e = *place(cli, key);

    *o = e != NULL ? decode(cli, e) : (struct object){.key = key, .expire_ms = -1};
}

static void run(struct cli *cli, const struct command *cmd, call_fn fn, const struct slice *argv, size_t argc)
{
    struct keyspace keys = {.objects = arena_get(&cli->arena, argc * sizeof *keys.objects)};
    struct loader l = {cli, argv, &keys, arena_get(&cli->arena, argc)};
    struct call c = {.argv = argv,
                     .argc = argc,
                     .resp = cli->resp,
                     .now_ms = now(cli),
                     .out = &cli->out,
                     .arena = &cli->arena,
                     .keys = &keys,
                     .fetch = fetch,
                     .fetch_ctx = cli,
                     .random = draw,
                     .random_ctx = cli};

    /* Malformed arguments: the handler words the error, and may look at a key before it sees them. */
    if (keys_each(cmd, argv, argc, load_ref, &l) < 0)
        for (size_t i = 1; i < argc; i++)
            load(&l, argv[i], false);
    fn(&c);
    if (cli->out.len == 0)
        breach(cmd, argv[0], "no reply");
    if (!store_changes(cli, &l, cmd, c.failed)) {
        chain_clear(&cli->out);
        build_err(&cli->out, ERR_TOO_LARGE, cmd->name);
    }
}

/* ---- commands of our own ---- */

static void own_hello(struct cli *cli, const struct slice *argv, size_t argc)
{
    if (argc > 1)
        cli->resp = slice_equal(argv[1], (struct slice){"3", 1}) ? RESP3 : RESP2;
    build_status(&cli->out, "OK");
}

static void own_select(struct cli *cli, const struct slice *argv, size_t argc)
{
    build_status(&cli->out, "OK");
}

static void own_flushall(struct cli *cli, const struct slice *argv, size_t argc)
{
    store_clear(cli);
    build_status(&cli->out, "OK");
}

static void own_clock(struct cli *cli, const struct slice *argv, size_t argc)
{
    char text[32] = "";

    if (argc > 1)
        memcpy(text, argv[1].p, argv[1].len < sizeof text ? argv[1].len : sizeof text - 1);
    cli->clock_ms = strtoll(text, NULL, 10);
    build_status(&cli->out, "OK");
}

static size_t each_key(struct cli *cli, bool print)
{
    size_t n = 0;

    for (size_t i = 0; i < BUCKETS; i++)
        for (struct entry *e = cli->buckets[i]; e != NULL; e = e->next) {
            struct object o = decode(cli, e);
            if (expired(&o, now(cli)))
                continue;
            n++;
            if (print)
                build_bulk(&cli->out, e->key.p, e->key.len);
        }
    return n;
}

static void own_dbsize(struct cli *cli, const struct slice *argv, size_t argc)
{
    build_int(&cli->out, (int64_t)each_key(cli, false));
}

static void own_keys(struct cli *cli, const struct slice *argv, size_t argc)
{
    build_array(&cli->out, each_key(cli, false));
    each_key(cli, true);
}

static void own_rows(struct cli *cli, const struct slice *argv, size_t argc)
{
    size_t n = 0;

    for (uint16_t id = 0; id < command_count(); id++)
        n += engine_find(command_at(id)->name) != NULL;
    build_array(&cli->out, n);
    for (uint16_t id = 0; id < command_count(); id++)
        if (engine_find(command_at(id)->name) != NULL)
            build_text(&cli->out, command_at(id)->name);
}

static void own_json(struct cli *cli, const struct slice *argv, size_t argc)
{
    const struct entry *e = argc > 1 ? *place(cli, argv[1]) : NULL;
    char *json = e != NULL ? bson_as_relaxed_extended_json(e->doc, NULL) : NULL;

    build_text(&cli->out, json != NULL ? json : "null");
    bson_free(json);
}

static const struct own {
    const char *name;
    void (*run)(struct cli *cli, const struct slice *argv, size_t argc);
} owns[] = {
    {"HELLO", own_hello},     {"SELECT", own_select},     {"FLUSHALL", own_flushall},
    {"DBSIZE", own_dbsize},   {"DEBUG-CLOCK", own_clock}, {"DEBUG-KEYS", own_keys},
    {"DEBUG-ROWS", own_rows}, {"DEBUG-JSON", own_json},
};

static bool run_own(struct cli *cli, const struct slice *argv, size_t argc)
{
    for (size_t i = 0; i < sizeof owns / sizeof *owns; i++)
        if (slice_equal(argv[0], (struct slice){owns[i].name, strlen(owns[i].name)})) {
            owns[i].run(cli, argv, argc);
            return true;
        }
    return false;
}

/* ---- requests ---- */

static void dispatch(struct cli *cli, const struct slice *argv, size_t argc)
{
    const struct command *cmd = command_of(argv, argc);
    call_fn fn = cmd != NULL ? engine_find(cmd->name) : NULL;

    if (cmd != NULL && !command_arity_ok(cmd, argc))
        build_err(&cli->out, ERR_ARITY, cmd->name);
    else if (fn == NULL)
        build_err(&cli->out, ERR_UNSUPPORTED, cmd != NULL ? cmd->name : "this command");
    else
        run(cli, cmd, fn, argv, argc);
}

static void answer(void *ctx, const struct slice *argv, size_t argc)
{
    struct cli *cli = ctx;

    arena_reset(&cli->arena);
    if (!run_own(cli, argv, argc))
        dispatch(cli, argv, argc);
    struct slice all = chain_flat(&cli->out);
    fwrite(all.p, 1, all.len, stdout);
    chain_clear(&cli->out);
}

int main(void)
{
    static struct cli cli = {.resp = RESP2, .random = 88172645463325252u};

    chunk_pool_init(&cli.pool);
    chain_init(&cli.out, &cli.pool);
    arena_init(&cli.arena);
    int status = requests_serve(answer, &cli);
    store_clear(&cli);
    arena_done(&cli.arena);
    chunk_pool_done(&cli.pool);
    return status;
}
