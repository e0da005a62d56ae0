#include "proxy/viewer.h"

#include "base/clock.h"
#include "engine/pattern.h"
#include "proxy/overview.h"
#include "proxy/told.h"
#include "router/marks.h"
#include "router/policy.h"
#include "sync/compare.h"
#include "sync/kept.h"
#include "sync/page.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEY_MOST     4096             /* bytes of a key that are shown */
#define LOOKS        5                /* until two states count as different */
#define LOOK_AGAIN_US 20000
#define SHOWN_MOST   (64LL << 20)     /* bytes in Redis; more is not read */
#define SCAN_US      500000           /* for one page of keys, about */

/* ---- one key in one store ---- */

struct side {
    const char *why;     /* it does not answer; NULL: it does */
    const char *bad;     /* what it has can't be shown */
    struct object object; /* type NONE: it has no such key */
    int64_t version;
    bool owed;           /* of Redis: it has a mark for the key; of the archive: its document is dirty */
};

static bool get_integer(struct link *l, int64_t *ret)
{
    const struct redisReply *r = link_get(l);

    if (r != NULL && r->type == REDIS_REPLY_ERROR)
        link_refuse(l, r);
    *ret = r != NULL && r->type == REDIS_REPLY_INTEGER ? r->integer : 0;
    return link_is_open(l);
}

static void put_words(struct link *l, const char *a, const char *b, struct slice key)
{
    struct slice argv[] = {{a, strlen(a)}, {b, strlen(b)}, key};
    link_put(l, argv, 3);
}

static void read_redis(const struct clerk_tools *t, struct arena *a, struct slice key, struct side *ret)
{
    struct redis_state state = {.torn = true};
    int64_t bytes = 0, owed = 0;

    *ret = (struct side){.why = clerk_redis(t), .object = {.key = key, .expire_ms = -1}};
    if (ret->why != NULL)
        return;
    put_words(t->link, "MEMORY", "USAGE", key);
    put_words(t->link, "SISMEMBER", MARKS_DIRTY, key);
    bool ok = get_integer(t->link, &bytes) && get_integer(t->link, &owed);
    link_done(t->link);
    for (int i = 0; ok && state.torn && bytes <= SHOWN_MOST && i < LOOKS; i++)
        ok = value_read(t->link, &key, 1, a, &state) == ERR_NONE;
    if (!ok) {
        ret->why = link_why(t->link);
        return;
    }
    ret->bad = bytes > SHOWN_MOST ? "it is larger than 64 MB, and not shown" : state.torn ? "it is being written all the time" : state.bad;
    ret->owed = owed == 1;
    ret->version = state.version;
    if (ret->bad == NULL)
        ret->object = state.object;
}

static void read_archive(const struct clerk_tools *t, struct arena *a, struct slice key, struct side *ret)
{
    struct kept kept;

    *ret = (struct side){.object = {.key = key, .expire_ms = -1}};
    if (t->archive == NULL)
        ret->why = depot_why(server_depot(t->server));
    else if (kept_load(t->archive, &key, 1, a, clock_wall_us() / 1000, &kept) != ERR_NONE)
        ret->why = archive_why(t->archive);
    if (ret->why != NULL)
        return;
    ret->version = kept.version;
    ret->bad = kept.damaged;
    ret->owed = kept.dirty;
    if (kept.damaged == NULL && !kept.dead)
        ret->object = kept.object;
}

static void tell_side(cJSON *doc, const char *name, struct side *s, struct arena *a, const struct viewed_page *page)
{
    cJSON *item = cJSON_AddObjectToObject(doc, name);

    cJSON_AddBoolToObject(item, "answers", s->why == NULL);
    if (s->why != NULL) {
        cJSON_AddStringToObject(item, "why", s->why);
        return;
    }
    cJSON_AddBoolToObject(item, "present", s->bad != NULL || s->object.type != OBJECT_NONE);
    if (s->version > 0)
        cJSON_AddNumberToObject(item, "version", (double)s->version);
    else
        cJSON_AddNullToObject(item, "version");
    if (s->bad != NULL)
        cJSON_AddStringToObject(item, "why", s->bad);
    viewed_sort(&s->object, a);
    if (s->object.type != OBJECT_NONE)
        viewed_tell(item, &s->object, page, clock_wall_us() / 1000);
}

void viewer_add_sides(cJSON *doc, const struct clerk_tools *t, struct slice key, const struct viewed_page *page)
{
    struct side redis, archive;
    struct arena a;

    arena_init(&a);
    read_redis(t, &a, key, &redis);
    tell_side(doc, "redis", &redis, &a, page);
    read_archive(t, &a, key, &archive);
    tell_side(doc, "archive", &archive, &a, page);
    arena_done(&a);
}

/* ---- a conversation ---- */

struct view {
    struct side redis, archive;
    cJSON *differences; /* NULL: not known */
    bool archive_acts, dual_write;
};

/* Whether the store that acts owes the other one this key. */
static bool is_pending(const struct view *v)
{
    return v->archive_acts ? v->archive.owed : v->redis.owed;
}

static void look(const struct clerk_tools *t, struct arena *a, struct slice key, struct view *v)
{
    read_redis(t, a, key, &v->redis);
    read_archive(t, a, key, &v->archive);
    viewed_sort(&v->redis.object, a);
    viewed_sort(&v->archive.object, a);
    cJSON_Delete(v->differences);
    bool known = v->redis.why == NULL && v->archive.why == NULL && v->redis.bad == NULL && v->archive.bad == NULL;
    v->differences = known ? viewed_differences(&v->redis.object, "Redis", &v->archive.object, "the archive") : NULL;
}

static void judge(cJSON *doc, struct view *v)
{
    bool equal = v->differences != NULL && cJSON_GetArraySize(v->differences) == 0;
    const char *state = v->differences == NULL ? "unknown" : equal ? "equal" : is_pending(v) ? "copy pending" : "different";

    cJSON_AddStringToObject(doc, "state", state);
    if (v->differences == NULL)
        cJSON_AddNullToObject(doc, "equal");
    else
        cJSON_AddBoolToObject(doc, "equal", equal);
    cJSON_AddItemToObject(doc, "differences", v->differences != NULL ? v->differences : cJSON_CreateArray());
    v->differences = NULL;
    if (strcmp(state, "copy pending") == 0)
        cJSON_AddStringToObject(doc, "note", v->archive_acts ? "the archive acts; Redis gets this key when it acts again"
                                                             : "Redis has a mark for this key: its copy to the archive is on its way");
    else if (strcmp(state, "different") == 0 && !v->archive_acts && !v->dual_write)
        cJSON_AddStringToObject(doc, "note", "dual writes are off: the archive gets no copies");
}

/* Fills in who acts. NULL: no policy has this key. */
static const char *policy_of(const struct clerk_tools *t, struct slice key, struct view *v)
{
    const struct policy_conf *policy = policy_of_key(t->settings, key);
    struct overview o;

    if (policy == NULL)
        return NULL;
    overview_take(&o, t->server);
    v->archive_acts = overview_archive_acts(&o, policy);
    v->dual_write = policy->dual_write;
    overview_done(&o);
    return policy->name;
}

void viewer_conversation(const struct clerk_tools *t, struct slice key, const struct viewed_page *page, struct http_reply *reply)
{
    struct view v = {.differences = NULL};
    const char *policy = policy_of(t, key, &v);
    struct arena a;

    if (policy == NULL) {
        http_reply_error(reply, 404, "no policy has this key: only managed keys are shown");
        return;
    }
    arena_init(&a);
    look(t, &a, key, &v);
    for (int i = 1; i < LOOKS && v.differences != NULL && cJSON_GetArraySize(v.differences) > 0 && !is_pending(&v); i++) {
        usleep(LOOK_AGAIN_US); /* it may have been written in between */
        arena_reset(&a);
        look(t, &a, key, &v);
    }
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddItemToObject(doc, "key", told_bytes(key, KEY_MOST));
    cJSON_AddStringToObject(doc, "policy", policy);
    cJSON_AddStringToObject(doc, "acting", v.archive_acts ? "archive" : "redis");
    judge(doc, &v);
    tell_side(doc, "redis", &v.redis, &a, page);
    tell_side(doc, "archive", &v.archive, &a, page);
    arena_done(&a);
    http_reply_json(reply, 200, doc);
}

/* ---- keys ---- */

bool viewer_cursor_read(const char *text, struct viewer_cursor *ret)
{
    char *end = NULL;

    *ret = (struct viewer_cursor){VIEWER_REDIS, 0};
    if (text == NULL || strcmp(text, "0") == 0)
        return true;
    ret->phase = text[0] == 'r' ? VIEWER_REDIS : text[0] == 'a' ? VIEWER_ARCHIVE : VIEWER_DONE;
    if (ret->phase == VIEWER_DONE || text[1] < '0' || text[1] > '9' || strlen(text) > 21)
        return false;
    ret->at = strtoull(text + 1, &end, 10);
    return *end == '\0' && (ret->phase == VIEWER_REDIS || ret->at < UINT64_C(1) << ARCHIVE_HASH_BITS);
}

struct listing {
    const struct clerk_tools *tools;
    struct policy_set *policies;
    struct slice match;
    struct viewer_cursor cursor;
    size_t count; /* still wanted */
    const char *redis_why, *archive_why; /* NULL: they answer */
    int64_t until_us;
    cJSON *keys;
    struct page page;
};

static bool is_wanted(void *ctx, struct slice key)
{
    const struct listing *l = ctx;
    return policy_find(l->policies, key) != NULL && pattern_match(l->match, key);
}

static void add_key(struct listing *l, struct slice key, const char *type, bool redis, const bool *archive)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, "key", told_bytes(key, KEY_MOST));
    cJSON_AddStringToObject(item, "policy", policy_find(l->policies, key)->name);
    cJSON_AddStringToObject(item, "type", type);
    if (l->redis_why == NULL)
        cJSON_AddBoolToObject(item, "redis", redis);
    else
        cJSON_AddNullToObject(item, "redis");
    if (archive != NULL)
        cJSON_AddBoolToObject(item, "archive", *archive);
    else
        cJSON_AddNullToObject(item, "archive");
    cJSON_AddItemToArray(l->keys, item);
    l->count -= l->count > 0;
}

/* Of the page's keys. False: it does not answer. */
static bool are_archived(struct listing *l, bool *ret)
{
    struct kept *kept = arena_get(&l->page.arena, l->page.n * sizeof *kept + 1);
    struct slice *names = arena_get(&l->page.arena, l->page.n * sizeof *names + 1);

    for (size_t i = 0; i < l->page.n; i++)
        names[i] = l->page.entries[i].key;
    if (l->archive_why == NULL && l->page.n > 0 &&
        kept_load(l->tools->archive, names, l->page.n, &l->page.arena, clock_wall_us() / 1000, kept) != ERR_NONE)
        l->archive_why = archive_why(l->tools->archive);
    for (size_t i = 0; l->archive_why == NULL && i < l->page.n; i++)
        ret[i] = !kept[i].dead;
    return l->archive_why == NULL;
}

/* Their types as Redis tells them; "none" for those that have gone. */
static bool ask_types(struct listing *l, const char **ret)
{
    struct link *link = l->tools->link;

    for (size_t i = 0; i < l->page.n; i++) {
        struct slice argv[] = {{"TYPE", 4}, l->page.entries[i].key};
        link_put(link, argv, 2);
    }
    for (size_t i = 0; i < l->page.n; i++) {
        const struct redisReply *r = link_get(link);
        if (r == NULL || r->type != REDIS_REPLY_STATUS)
            return false;
        ret[i] = arena_copy(&l->page.arena, (struct slice){r->str, r->len + 1}).p;
    }
    link_done(link);
    return true;
}

static void list_redis_page(struct listing *l)
{
    uint64_t cursor = l->cursor.at;
    bool has_nul = memchr(l->match.p, '\0', l->match.len) != NULL;
    enum err e = page_of_redis(&l->page, l->tools->link, has_nul ? NULL : l->match.p, &cursor, l->count, is_wanted, l);
    const char **types = arena_get(&l->page.arena, l->page.n * sizeof *types + 1);
    bool *archived = arena_get(&l->page.arena, l->page.n + 1);

    if (e != ERR_NONE || !ask_types(l, types)) {
        l->redis_why = link_why(l->tools->link);
        return;
    }
    bool known = are_archived(l, archived);
    for (size_t i = 0; i < l->page.n; i++)
        if (strcmp(types[i], "none") != 0)
            add_key(l, l->page.entries[i].key, types[i], true, known ? &archived[i] : NULL);
    l->cursor = cursor != 0 ? (struct viewer_cursor){VIEWER_REDIS, cursor} : (struct viewer_cursor){VIEWER_ARCHIVE, 0};
}

/* Those that Redis has were listed before. */
static void list_archive_page(struct listing *l)
{
    int64_t hash = (int64_t)l->cursor.at, now_ms = clock_wall_us() / 1000;
    enum err e = page_of_archive(&l->page, l->tools->archive, ARCHIVE_ALL, &hash, l->count, is_wanted, l);
    bool *there = arena_get(&l->page.arena, l->page.n + 1), yes = true;
    struct slice *names = arena_get(&l->page.arena, l->page.n * sizeof *names + 1);

    if (e != ERR_NONE) {
        l->archive_why = archive_why(l->tools->archive);
        return;
    }
    for (size_t i = 0; i < l->page.n; i++)
        names[i] = l->page.entries[i].key;
    if (l->redis_why == NULL && compare_presence(l->tools->link, names, l->page.n, there) != ERR_NONE)
        l->redis_why = link_why(l->tools->link);
    for (size_t i = 0; i < l->page.n; i++) {
        const struct archive_entry *entry = &l->page.entries[i];
        bool dead = entry->type == OBJECT_NONE || (entry->expire_ms >= 0 && entry->expire_ms <= now_ms);
        if (!dead && (l->redis_why != NULL || !there[i]))
            add_key(l, entry->key, object_type_name((enum object_type)entry->type), false, &yes);
    }
    l->cursor = hash >= 0 ? (struct viewer_cursor){VIEWER_ARCHIVE, (uint64_t)hash} : (struct viewer_cursor){VIEWER_DONE, 0};
}

/* A pattern that only one key can match: no scan. */
static void list_one(struct listing *l)
{
    const char *type = NULL;
    struct kept kept = {.dead = true};
    struct arena *a = &l->page.arena;

    l->page.entries = &(struct archive_entry){.key = l->match};
    l->page.n = 1;
    if (l->redis_why == NULL && !ask_types(l, &type))
        l->redis_why = link_why(l->tools->link);
    if (l->archive_why == NULL && kept_load(l->tools->archive, &l->match, 1, a, clock_wall_us() / 1000, &kept) != ERR_NONE)
        l->archive_why = archive_why(l->tools->archive);
    bool redis = type != NULL && strcmp(type, "none") != 0, archive = l->archive_why == NULL && !kept.dead;
    if (redis || archive)
        add_key(l, l->match, redis ? type : object_type_name((enum object_type)kept.object.type), redis,
                l->archive_why == NULL ? &archive : NULL);
    l->cursor.phase = VIEWER_DONE;
}

static bool is_exact(struct slice match)
{
    for (size_t i = 0; i < match.len; i++)
        if (memchr("*?[\\", match.p[i], 4) != NULL)
            return false;
    return true;
}

static void list(struct listing *l)
{
    if (is_exact(l->match)) {
        if (is_wanted(l, l->match))
            list_one(l);
        l->cursor.phase = VIEWER_DONE;
        return;
    }
    do {
        if (l->cursor.phase == VIEWER_REDIS && l->redis_why == NULL)
            list_redis_page(l);
        else if (l->cursor.phase == VIEWER_REDIS)
            l->cursor = (struct viewer_cursor){VIEWER_ARCHIVE, 0};
        else if (l->archive_why == NULL)
            list_archive_page(l);
        else
            l->cursor.phase = VIEWER_DONE;
    } while (l->count > 0 && l->cursor.phase != VIEWER_DONE && clock_mono_us() < l->until_us);
}

static void tell_store(cJSON *doc, const char *name, const char *why)
{
    cJSON *item = cJSON_AddObjectToObject(doc, name);

    cJSON_AddBoolToObject(item, "answers", why == NULL);
    if (why != NULL)
        cJSON_AddStringToObject(item, "why", why);
}

void viewer_keys(const struct clerk_tools *t, struct slice match, struct viewer_cursor cursor, size_t count, struct http_reply *reply)
{
    struct listing l = {.tools = t, .match = match, .cursor = cursor, .count = count, .keys = cJSON_CreateArray()};
    char at[32] = "0";

    l.policies = policy_set_new(t->settings);
    if (l.policies == NULL)
        abort();
    l.redis_why = clerk_redis(t);
    l.archive_why = t->archive == NULL ? depot_why(server_depot(t->server)) : NULL;
    l.until_us = clock_mono_us() + SCAN_US;
    page_init(&l.page);
    list(&l);
    cJSON *doc = cJSON_CreateObject();
    if (l.cursor.phase != VIEWER_DONE)
        snprintf(at, sizeof at, "%c%" PRIu64, l.cursor.phase == VIEWER_REDIS ? 'r' : 'a', l.cursor.at);
    cJSON_AddStringToObject(doc, "cursor", at);
    cJSON_AddItemToObject(doc, "keys", l.keys);
    tell_store(doc, "redis", l.redis_why);
    tell_store(doc, "archive", l.archive_why);
    page_done(&l.page);
    policy_set_free(l.policies);
    http_reply_json(reply, 200, doc);
}
