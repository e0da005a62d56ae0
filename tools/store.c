#include "tools/store.h"

#include "config/config.h"
#include "engine/list.h"
#include "router/policy.h"
#include "sync/commands.h"
#include "sync/reply.h"
#include "tools/paint.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_COUNT   "1000"
#define TORN_TRIES   20
#define MULTI_BYTES  (48u << 20) /* a transaction of the proxy takes 64 MiB */
#define WORD(w)      ((struct slice){w, sizeof(w) - 1})
#define PUT(l, ...)                                                                                          \
    link_put(l, (struct slice[]){__VA_ARGS__}, sizeof((struct slice[]){__VA_ARGS__}) / sizeof(struct slice))

/* ---- opening ---- */

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL ? value : "";
}

/* "0.0.0.0:6380" can't be connected to: the admin server's host is taken instead. */
static void url_of_listener(const struct options *o, const char *address, char *url, size_t cap)
{
    const char *colon = strrchr(address, ':'), *admin = strstr(o->client.url, "://");

    if (strncmp(address, "unix:", 5) == 0) {
        snprintf(url, cap, "unix://%s", address + 5);
        return;
    }
    bool anywhere = strncmp(address, "0.0.0.0:", 8) == 0 || strncmp(address, "[::]:", 5) == 0;
    if (!anywhere || admin == NULL) {
        snprintf(url, cap, "redis://%s%s", anywhere ? "127.0.0.1" : "", anywhere ? colon : address);
        return;
    }
    admin += 3;
    const char *end = strrchr(admin, ':');
    snprintf(url, cap, "redis://%.*s%s", (int)(end != NULL ? (size_t)(end - admin) : strlen(admin)), admin, colon);
}

/* malloc'ed; NULL after a message. */
static char *find_url(const struct options *o, const cJSON *state, const char *given)
{
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(state, "listen"), 0);
    char url[512];

    if (given == NULL && environment("CONVCTL_PROXY")[0] != '\0')
        given = environment("CONVCTL_PROXY");
    if (given == NULL && !cJSON_IsString(first)) {
        fprintf(stderr, "convctl: the proxy does not say where clients connect; --proxy redis://HOST:PORT does\n");
        return NULL;
    }
    if (given == NULL)
        url_of_listener(o, first->valuestring, url, sizeof url);
    return strdup(given != NULL ? given : url);
}

/* malloc'ed. */
static char *set_of(const char *name, const char *value)
{
    char *text;

    if (asprintf(&text, "%s=%s", name, value) < 0)
        abort();
    return text;
}

/* The settings' own machinery connects: to the proxy as if it were a Redis. */
static bool configure(struct store *s, const char *url)
{
    char *own_url = set_of("redis.url", url), *own_password = set_of("redis.password", environment("CONVCTL_PASSWORD")),
         *own_ca = set_of("redis.tls_ca", environment("CONVCTL_CA"));
    const char *sets[] = {own_url, own_password, own_ca, "redis.connect_timeout=5s", "redis.slow_timeout=60s", "archive.url="};
    struct config_start start = {.sets = sets, .set_count = sizeof sets / sizeof sets[0]};
    struct config_error error;

    s->config = config_new();
    bool ok = config_load(s->config, &start, &error) == ERR_NONE;
    if (ok)
        s->settings = config_current(s->config);
    else
        fprintf(stderr, "convctl: the proxy's address: %s\n", error.reason);
    free(own_url);
    free(own_password);
    free(own_ca);
    return ok;
}

/* Without what stands before the '@': that is a secret. */
static const char *shown(const char *url)
{
    const char *at = strrchr(url, '@');
    return at != NULL ? at + 1 : url;
}

static int connect_at(struct store *s, const char *url)
{
    if (!configure(s, url))
        return EXIT_WRONG_USAGE;
    s->link = link_new();
    if (store_ready(s))
        return EXIT_OK;
    fprintf(stderr, "convctl: cannot reach convproxy at %s: %s\n", shown(url), s->why);
    return EXIT_UNREACHABLE;
}

int store_open(struct store *s, const struct options *o, const char *given)
{
    int code = EXIT_WRONG_USAGE;

    memset(s, 0, sizeof *s);
    s->options = o;
    s->state = ctl_document(o, "/api/v1/state", &code);
    if (s->state == NULL)
        return code;
    signal(SIGPIPE, SIG_IGN);
    char *own_url = find_url(o, s->state, given);
    code = own_url != NULL ? connect_at(s, own_url) : EXIT_WRONG_USAGE;
    free(own_url);
    if (code != EXIT_OK)
        store_done(s);
    return code;
}

void store_done(struct store *s)
{
    link_free(s->link);
    settings_unref(s->settings);
    if (s->config != NULL)
        config_free(s->config);
    cJSON_Delete(s->state);
    memset(s, 0, sizeof *s);
}

const cJSON *store_policies(const struct store *s)
{
    return cJSON_GetObjectItemCaseSensitive(s->state, "policies");
}

/* "" when there is none: that matches no key but the empty one, which is no key. */
static const char *match_of(const cJSON *policy)
{
    const cJSON *match = paint_find(policy, "settings.match");
    return cJSON_IsString(match) ? match->valuestring : "";
}

const cJSON *store_policy_of(const struct store *s, struct slice key)
{
    const cJSON *policy;

    cJSON_ArrayForEach(policy, store_policies(s))
    {
        if (policy_match(match_of(policy), key))
            return policy;
    }
    return NULL;
}

bool store_failed(struct store *s, const char *text)
{
    snprintf(s->why, sizeof s->why, "%s", text != NULL ? text : link_why(s->link));
    link_done(s->link);
    link_close(s->link);
    return false;
}

bool store_may_pass(const struct store *s)
{
    static const char *const passing[] = {"TRYAGAIN", "ARCHIVEDOWN", "REDISDOWN", "REDISLOST", "INDOUBT", "LOADING", "MASTERDOWN", "CLUSTERDOWN"};
    const char *why = s->why;

    if (why[0] < 'A' || why[0] > 'Z' || why[1] < 'A' || why[1] > 'Z')
        return true; /* the connection's */
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        if (strncmp(why, passing[i], strlen(passing[i])) == 0)
            return true;
    return false;
}

bool store_ready(struct store *s)
{
    if (link_is_open(s->link))
        return true;
    return link_open(s->link, s->settings) || store_failed(s, NULL);
}

/* The next reply, which must not be an error. NULL: why. */
static const redisReply *get(struct store *s)
{
    const redisReply *r = link_get(s->link);

    if (r == NULL) {
        store_failed(s, NULL);
        return NULL;
    }
    if (r->type != REDIS_REPLY_ERROR)
        return r;
    store_failed(s, r->str);
    return NULL;
}

/* ---- SCAN ---- */

bool store_scan(struct store *s, uint64_t *cursor, const char *pattern, void (*each)(void *ctx, struct slice key),
                void *ctx)
{
    char from[24];

    if (!store_ready(s))
        return false;
    snprintf(from, sizeof from, "%" PRIu64, *cursor);
    link_say(s->link, "SCAN", from, "MATCH", pattern, "COUNT", SCAN_COUNT, NULL);
    const redisReply *r = get(s);
    if (r == NULL)
        return false;
    if (!reply_is_array(r) || r->elements != 2 || !reply_is_text(r->element[0]) || !reply_is_array(r->element[1]))
        return store_failed(s, "an answer to SCAN of an unexpected kind");
    *cursor = strtoull(r->element[0]->str, NULL, 10);
    for (size_t i = 0; i < r->element[1]->elements; i++)
        if (reply_is_text(r->element[1]->element[i]))
            each(ctx, reply_slice(r->element[1]->element[i]));
    link_done(s->link);
    return true;
}

bool store_scan_policy(struct store *s, uint64_t *cursor, const cJSON *policy, void (*each)(void *ctx, struct slice key), void *ctx)
{
    char *own_glob = policy_glob(match_of(policy));
    bool ok = store_scan(s, cursor, own_glob, each, ctx);

    free(own_glob);
    return ok;
}

int64_t store_count(struct store *s)
{
    int64_t n = -1;

    if (!store_ready(s))
        return -1;
    link_say(s->link, "DBSIZE", NULL);
    const redisReply *r = get(s);
    if (r == NULL || !reply_int(r, &n))
        n = -1;
    link_done(s->link);
    if (n < 0) /* without Redis nobody knows all keys */
        n = (int64_t)screen_number(s->state, "archive.documents");
    return n > 0 ? n : -1;
}

/* ---- reading ---- */

static bool read_types(struct store *s, const struct slice *keys, size_t n, bool watch, struct object *ret,
                       const char **bad)
{
    for (size_t i = 0; i < n; i++) {
        if (watch)
            PUT(s->link, WORD("WATCH"), keys[i]);
        PUT(s->link, WORD("TYPE"), keys[i]);
    }
    for (size_t i = 0; i < n; i++) {
        enum object_type type = OBJECT_NONE;
        if (watch && get(s) == NULL)
            return false;
        const redisReply *r = get(s);
        if (r == NULL)
            return false;
        bad[i] = reply_type(r, &type) ? NULL : "its type is a module's, which can't be carried";
        ret[i] = (struct object){.key = keys[i], .type = (uint8_t)type, .expire_ms = -1};
    }
    link_done(s->link);
    return true;
}

static void ask(struct store *s, const struct object *o, bool watch)
{
    if (!watch)
        PUT(s->link, WORD("MULTI"));
    PUT(s->link, WORD("PEXPIRETIME"), o->key);
    reply_ask(s->link, (enum object_type)o->type, o->key);
    PUT(s->link, WORD("TYPE"), o->key);
    if (!watch)
        PUT(s->link, WORD("EXEC"));
}

/* The three answers as a value. False: they are not of one moment; torn is told by a type that is another now. */
static bool take(const redisReply *const *three, struct arena *a, struct object *o)
{
    enum object_type type;
    int64_t expire_ms;

    if (!reply_type(three[2], &type) || !reply_int(three[0], &expire_ms))
        return false;
    if (type == OBJECT_NONE || expire_ms == -2) {
        o->type = OBJECT_NONE;
        return true;
    }
    o->expire_ms = expire_ms;
    return type == o->type && three[1]->type != REDIS_REPLY_ERROR && reply_value(three[1], a, o);
}

/* False: the connection is lost or the answer an error; *ret_torn: ask again. */
static bool answer_of(struct store *s, bool watch, struct arena *a, struct object *o, bool *ret_torn)
{
    const redisReply *three[3], *r = NULL;

    for (int i = 0; i < (watch ? 0 : 4); i++) /* OK, and QUEUED three times */
        if ((r = get(s)) == NULL)
            return false;
    if (!watch) {
        if ((r = get(s)) == NULL)
            return false;
        if (!reply_is_array(r) || r->elements != 3)
            return store_failed(s, "an answer to EXEC of an unexpected kind");
        memcpy(three, r->element, sizeof three);
    }
    for (int i = 0; watch && i < 3; i++) {
        three[i] = link_get(s->link);
        if (three[i] == NULL)
            return store_failed(s, NULL);
    }
    for (int i = 0; i < 3; i++)
        if (three[i]->type == REDIS_REPLY_ERROR && strncmp(three[i]->str, "WRONGTYPE", 9) != 0 &&
            strncmp(three[i]->str, "ERR no such key", 15) != 0)
            return store_failed(s, three[i]->str);
    *ret_torn = !take(three, a, o);
    return true;
}

static bool read_again(struct store *s, bool watch, struct arena *a, struct object *o, const char **bad)
{
    bool torn = true;

    for (int try = 0; torn && try < TORN_TRIES; try++) {
        if (!read_types(s, &o->key, 1, false, o, bad))
            return false;
        if (*bad != NULL || o->type == OBJECT_NONE)
            return true;
        ask(s, o, watch);
        if (!answer_of(s, watch, a, o, &torn))
            return false;
        link_done(s->link);
    }
    return !torn || store_failed(s, "a key changes its type all the time");
}

bool store_read(struct store *s, const struct slice *keys, size_t n, bool watch, struct arena *a, struct object *ret,
                const char **bad)
{
    bool torn[STORE_PIECE] = {false};

    if (!store_ready(s) || !read_types(s, keys, n, watch, ret, bad))
        return false;
    for (size_t i = 0; i < n; i++)
        if (ret[i].type != OBJECT_NONE)
            ask(s, &ret[i], watch);
    for (size_t i = 0; i < n; i++)
        if (ret[i].type != OBJECT_NONE && !answer_of(s, watch, a, &ret[i], &torn[i]))
            return false;
    link_done(s->link);
    for (size_t i = 0; i < n; i++)
        if (torn[i] && !read_again(s, watch, a, &ret[i], &bad[i]))
            return false;
    return true;
}

/* ---- writing ---- */

void store_unwatch(struct store *s)
{
    if (!link_is_open(s->link))
        return;
    link_say(s->link, "UNWATCH", NULL);
    (void)get(s);
    link_done(s->link);
}

/* How long it has become; -1 stands for types that no policy trims. */
static void ask_length(struct store *s, const struct object *o)
{
    if (o->type == OBJECT_LIST)
        PUT(s->link, WORD("LLEN"), o->key);
    else
        PUT(s->link, WORD("STRLEN"), o->key);
}

static bool has_length(const struct object *o)
{
    return o->type == OBJECT_LIST || o->type == OBJECT_STRING;
}

static void put_values(struct store *s, const struct object *objects, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        PUT(s->link, WORD("DEL"), objects[i].key);
        commands_put(s->link, &objects[i]);
        if (has_length(&objects[i]))
            ask_length(s, &objects[i]);
    }
}

/* Where in EXEC's answer the length of each stands is known by how many commands were put. */
static enum store_result take_exec(struct store *s, const redisReply *exec, const struct object *objects, size_t n,
                                   const size_t *ends, int64_t *lengths)
{
    if (exec->type == REDIS_REPLY_NIL)
        return STORE_CHANGED;
    if (!reply_is_array(exec)) {
        store_failed(s, "an answer to EXEC of an unexpected kind");
        return STORE_FAILED;
    }
    for (size_t i = 0; i < exec->elements; i++)
        if (exec->element[i]->type == REDIS_REPLY_ERROR) {
            store_failed(s, exec->element[i]->str);
            return STORE_FAILED;
        }
    for (size_t i = 0; i < n; i++) {
        lengths[i] = -1;
        if (has_length(&objects[i]) && ends[i] <= exec->elements)
            (void)reply_int(exec->element[ends[i] - 1], &lengths[i]);
    }
    return STORE_DONE;
}

/* Too large for a transaction: piece by piece, and readers may see a part of it. */
static enum store_result write_large(struct store *s, const struct object *o)
{
    store_unwatch(s);
    put_values(s, o, 1);
    while (link_owed(s->link) > 0)
        if (get(s) == NULL)
            return STORE_FAILED;
    link_done(s->link);
    return STORE_DONE;
}

enum store_result store_write(struct store *s, const struct object *objects, size_t n, int64_t *lengths)
{
    size_t ends[STORE_PIECE];

    if (n == 1 && commands_size(objects) > MULTI_BYTES) {
        lengths[0] = -1;
        return write_large(s, objects);
    }
    PUT(s->link, WORD("MULTI"));
    for (size_t i = 0; i < n; i++) {
        put_values(s, &objects[i], 1);
        ends[i] = link_owed(s->link) - 1;
    }
    PUT(s->link, WORD("EXEC"));
    while (link_owed(s->link) > 1)
        if (get(s) == NULL)
            return STORE_FAILED;
    const redisReply *exec = get(s);
    enum store_result result = exec != NULL ? take_exec(s, exec, objects, n, ends, lengths) : STORE_FAILED;
    link_done(s->link);
    return result;
}
