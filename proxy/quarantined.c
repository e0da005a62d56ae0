#include "proxy/quarantined.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/inside.h"
#include "proxy/overview.h"
#include "proxy/told.h"
#include "proxy/viewer.h"
#include "router/policy.h"
#include "sync/commands.h"
#include "sync/kept.h"
#include "sync/quarantine.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MOST    4096
#define LIST_US     500000 /* for one answer, about */
#define PATIENCE_MS 15000  /* for a write that may have to wait until the stores have changed places */
#define TRIES       5      /* against clients that write the key */

#define COUNT_EVERY_S 60   /* others may have put something aside */

static _Atomic int64_t entries = -1;
static _Atomic bool counting; /* a job of quarantined_second is under way */

/* ---- what all need ---- */

__attribute__((format(printf, 3, 4))) static unsigned refuse(cJSON **ret_doc, unsigned status, const char *format, ...)
{
    char sentence[400];
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    *ret_doc = cJSON_CreateObject();
    cJSON_AddStringToObject(*ret_doc, "error", sentence);
    return status;
}

static unsigned refuse_archive(const struct clerk_tools *t, cJSON **ret_doc)
{
    return t->archive == NULL ? refuse(ret_doc, 503, "there is no archive, and so no quarantine")
                              : refuse(ret_doc, 503, "the archive does not answer: %s", archive_why(t->archive));
}

static void count(const struct clerk_tools *t)
{
    int64_t n;

    if (t->archive != NULL && quarantine_count(t->archive, &n) == ERR_NONE)
        atomic_store(&entries, n);
}

int64_t quarantined_entries(void)
{
    return atomic_load(&entries);
}

/* 200, or the reply to a number that can't be had. */
static unsigned get(const struct clerk_tools *t, struct arena *a, int64_t number, struct quarantine_entry *q, cJSON **ret_doc)
{
    bool found = false;
    enum err e = t->archive != NULL ? quarantine_get(t->archive, a, number, q, &found) : ERR_ARCHIVEDOWN;

    if (e == ERR_ARCHIVEBAD && t->archive != NULL)
        return refuse(ret_doc, 500, "entry %" PRId64 " is damaged: it can only be dropped", number);
    if (e != ERR_NONE)
        return refuse_archive(t, ret_doc);
    return found ? 200 : refuse(ret_doc, 404, "there is no entry %" PRId64, number);
}

static void tell_entry(const struct clerk_tools *t, cJSON *doc, const struct quarantine_entry *q)
{
    const struct policy_conf *policy = policy_of_key(t->settings, q->object.key);

    cJSON_AddNumberToObject(doc, "number", (double)q->number);
    cJSON_AddItemToObject(doc, "key", told_bytes(q->object.key, KEY_MOST));
    if (policy != NULL)
        cJSON_AddStringToObject(doc, "policy", policy->name);
    else
        cJSON_AddNullToObject(doc, "policy");
    cJSON_AddStringToObject(doc, "why", q->why);
    cJSON_AddItemToObject(doc, "at", told_time(q->at_ms * 1000));
    cJSON_AddNumberToObject(doc, "version", (double)q->version);
}

/* ---- LIST ---- */

static cJSON *list_item(const struct clerk_tools *t, struct arena *a, struct quarantine_entry *q, enum err e)
{
    cJSON *item = cJSON_CreateObject();
    const struct viewed_page none = {0, 0, 1};

    if (e == ERR_ARCHIVEBAD) {
        cJSON_AddNumberToObject(item, "number", (double)q->number);
        cJSON_AddStringToObject(item, "damaged", archive_why(t->archive));
        return item;
    }
    tell_entry(t, item, q);
    viewed_sort(&q->object, a);
    viewed_tell(item, &q->object, &none, q->at_ms);
    cJSON_DeleteItemFromObject(item, "items");
    cJSON_DeleteItemFromObject(item, "from");
    return item;
}

static enum err list_from(const struct clerk_tools *t, int64_t *number, int64_t last, int64_t most, cJSON *list)
{
    int64_t until_us = clock_mono_us() + LIST_US;
    enum err e = ERR_NONE;

    while (*number < last && cJSON_GetArraySize(list) < most && clock_mono_us() < until_us) {
        struct quarantine_entry q = {.number = *number + 1};
        struct arena a;
        bool found = false;
        arena_init(&a);
        e = quarantine_get(t->archive, &a, q.number, &q, &found);
        if (found && (e == ERR_NONE || e == ERR_ARCHIVEBAD))
            cJSON_AddItemToArray(list, list_item(t, &a, &q, e));
        arena_done(&a);
        if (e != ERR_NONE && e != ERR_ARCHIVEBAD)
            return e;
        ++*number;
    }
    return ERR_NONE;
}

unsigned quarantined_list(const struct clerk_tools *t, int64_t after, int64_t most, cJSON **ret_doc)
{
    int64_t last = 0, left = 0;
    cJSON *list = cJSON_CreateArray();
    enum err e = t->archive != NULL ? quarantine_bounds(t->archive, &last, &left) : ERR_ARCHIVEDOWN;

    if (e == ERR_NONE)
        e = list_from(t, &after, last, most, list);
    if (e != ERR_NONE) {
        cJSON_Delete(list);
        return refuse_archive(t, ret_doc);
    }
    atomic_store(&entries, left);
    *ret_doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(*ret_doc, "total", (double)left);
    cJSON_AddItemToObject(*ret_doc, "entries", list);
    if (after < last)
        cJSON_AddNumberToObject(*ret_doc, "next", (double)after);
    else
        cJSON_AddNullToObject(*ret_doc, "next");
    return 200;
}

/* ---- SHOW ---- */

static bool archive_acts(const struct clerk_tools *t, const struct policy_conf *policy)
{
    struct overview o;

    overview_take(&o, t->server);
    bool acts = overview_archive_acts(&o, policy);
    overview_done(&o);
    return acts;
}

/* What the key holds where it is answered from. NULL: it was read (type NONE: there is none); otherwise why not. */
static const char *read_now(const struct clerk_tools *t, struct arena *a, struct slice key, bool archive, struct object *ret, int64_t *ret_version)
{
    struct redis_state state = {.torn = true};
    struct kept kept;
    const char *why;

    *ret = (struct object){.key = key, .expire_ms = -1};
    if (archive) {
        if (kept_load(t->archive, &key, 1, a, clock_wall_us() / 1000, &kept) != ERR_NONE)
            return archive_why(t->archive);
        *ret_version = kept.version;
        if (!kept.dead && kept.damaged == NULL)
            *ret = kept.object;
        return kept.damaged;
    }
    if ((why = clerk_redis(t)) != NULL)
        return why;
    for (int i = 0; state.torn && i < TRIES; i++)
        if (value_read(t->link, &key, 1, a, &state) != ERR_NONE)
            return link_why(t->link);
    *ret_version = state.version;
    if (!state.torn && state.bad == NULL)
        *ret = state.object;
    return state.torn ? "the key is being written all the time" : state.bad;
}

static void tell_differences(cJSON *doc, const struct clerk_tools *t, struct arena *a, struct quarantine_entry *q)
{
    const struct policy_conf *policy = policy_of_key(t->settings, q->object.key);
    struct object now;
    int64_t version;

    if (policy == NULL)
        return;
    bool archive = archive_acts(t, policy);
    cJSON_AddStringToObject(doc, "acting", archive ? "archive" : "redis");
    if (read_now(t, a, q->object.key, archive, &now, &version) != NULL)
        return;
    viewed_sort(&now, a);
    cJSON_AddItemToObject(doc, "differences", viewed_differences(&q->object, "the entry", &now, archive ? "the archive" : "Redis"));
}

unsigned quarantined_show(const struct clerk_tools *t, int64_t number, const struct viewed_page *page, cJSON **ret_doc)
{
    struct quarantine_entry q;
    struct arena a;

    arena_init(&a);
    unsigned status = get(t, &a, number, &q, ret_doc);
    if (status == 200) {
        *ret_doc = cJSON_CreateObject();
        tell_entry(t, *ret_doc, &q);
        viewed_sort(&q.object, &a);
        viewed_tell(cJSON_AddObjectToObject(*ret_doc, "entry"), &q.object, page, clock_wall_us() / 1000);
        viewer_add_sides(*ret_doc, t, q.object.key, page);
        tell_differences(*ret_doc, t, &a, &q);
    }
    arena_done(&a);
    return status;
}

/* ---- RESTORE ---- */

struct restoring {
    const struct clerk_tools *tools;
    struct quarantine_entry q;
    const struct policy_conf *policy; /* of the key that is written */
    struct slice key;
    bool other;       /* it is not its own */
    struct link *inside;
    int64_t replaced; /* the entry that has what was there; 0: there was nothing */
    char why[300];
};

enum step { STEP_DONE, STEP_AGAIN, STEP_EXISTS, STEP_FAILED };

static enum step fail(struct restoring *r, const char *what, const char *why)
{
    snprintf(r->why, sizeof r->why, "%s%s%s", what, what[0] != '\0' ? ": " : "", why);
    return STEP_FAILED;
}

static void put(struct link *l, const char *verb, struct slice key)
{
    struct slice argv[] = {{verb, strlen(verb)}, key};
    link_put(l, argv, 2);
}

/* What the key holds now, which the write replaces, is kept first. */
static enum step put_aside(struct restoring *r, struct arena *a)
{
    const struct clerk_tools *t = r->tools;
    struct quarantine_entry old = {.why = "replaced by what was put back from the quarantine"};
    const char *why = read_now(t, a, r->key, archive_acts(t, r->policy), &old.object, &old.version);

    if (why != NULL)
        return fail(r, "what the key holds now can't be kept", why);
    if (old.object.type == OBJECT_NONE)
        return STEP_AGAIN;
    old.object.key = r->key;
    if (quarantine_put(t->archive, &old) != ERR_NONE)
        return fail(r, "what the key holds now can't be kept", archive_why(t->archive));
    r->replaced = old.number;
    return STEP_DONE;
}

/* Watches the key, and keeps what it holds. */
static enum step prepare(struct restoring *r, struct arena *a)
{
    put(r->inside, "WATCH", r->key);
    put(r->inside, "EXISTS", r->key);
    const redisReply *watch = link_get(r->inside), *exists = watch != NULL ? link_get(r->inside) : NULL;
    if (exists == NULL)
        return fail(r, "", link_why(r->inside));
    if (watch->type == REDIS_REPLY_ERROR || exists->type != REDIS_REPLY_INTEGER)
        return fail(r, "", watch->type == REDIS_REPLY_ERROR ? watch->str : exists->type == REDIS_REPLY_ERROR ? exists->str : "an unexpected answer");
    bool there = exists->integer == 1;
    link_done(r->inside);
    if (there && r->other)
        return STEP_EXISTS;
    r->replaced = 0;
    return there ? put_aside(r, a) : STEP_DONE;
}

/* The policy's TTL begins anew, as with every write. Where it has none, the state's own counts while it lasts. */
static struct object to_write(const struct restoring *r)
{
    struct object o = r->q.object;

    o.key = r->key;
    if (r->policy->ttl > 0 || o.expire_ms <= clock_wall_us() / 1000)
        o.expire_ms = -1;
    return o;
}

/* All queued; NULL: they are. */
static const char *read_queued(struct restoring *r)
{
    const char *why = NULL;

    while (link_owed(r->inside) > 1) {
        const redisReply *reply = link_get(r->inside);
        if (reply == NULL)
            return link_why(r->inside);
        if (reply->type == REDIS_REPLY_ERROR && why == NULL)
            why = reply->str;
    }
    return why;
}

static enum step write_it(struct restoring *r)
{
    struct object o = to_write(r);
    char first[200] = "";

    link_say(r->inside, "MULTI", NULL);
    put(r->inside, "DEL", r->key);
    commands_put(r->inside, &o);
    link_say(r->inside, "EXEC", NULL);
    const char *why = read_queued(r);
    if (why != NULL)
        snprintf(first, sizeof first, "%s", why); /* the cause; EXEC then only says that it was aborted */
    const redisReply *exec = link_is_open(r->inside) ? link_get(r->inside) : NULL;
    if (exec == NULL)
        return fail(r, "it may or may not have been written", link_why(r->inside));
    if (exec->type == REDIS_REPLY_NIL)
        return STEP_AGAIN;
    if (exec->type != REDIS_REPLY_ARRAY)
        return fail(r, "", first[0] != '\0' ? first : exec->type == REDIS_REPLY_ERROR ? exec->str : "an unexpected answer");
    for (size_t i = 0; i < exec->elements; i++)
        if (exec->element[i]->type == REDIS_REPLY_ERROR)
            return fail(r, "it was written in part", exec->element[i]->str);
    return STEP_DONE;
}

static enum step try_restore(struct restoring *r)
{
    enum step step = STEP_AGAIN;

    for (int i = 0; step == STEP_AGAIN && i < TRIES; i++) {
        struct arena a;
        if (!inside_open(r->tools->server, r->inside, PATIENCE_MS))
            return fail(r, "", link_why(r->inside));
        arena_init(&a);
        step = prepare(r, &a);
        if (step == STEP_DONE)
            step = write_it(r);
        link_done(r->inside);
        link_close(r->inside); /* also ends the WATCH */
        arena_done(&a);
    }
    return step;
}

static unsigned restored(struct restoring *r, const char *by, cJSON **ret_doc)
{
    const struct clerk_tools *t = r->tools;
    enum err e = quarantine_drop(t->archive, r->q.number);
    char undo[200];

    log_event(LOG_WARN, "quarantine_restored", LOG_INT("number", r->q.number), LOG_BYTES("key", r->key.p, r->key.len),
              LOG_INT("replaced", r->replaced), LOG_STR("by", by));
    *ret_doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(*ret_doc, "restored", (double)r->q.number);
    cJSON_AddItemToObject(*ret_doc, "key", told_bytes(r->key, KEY_MOST));
    if (r->replaced != 0) {
        cJSON_AddNumberToObject(*ret_doc, "replaced", (double)r->replaced);
        snprintf(undo, sizeof undo, "what the key held is entry %" PRId64 " now: restore that", r->replaced);
    } else {
        cJSON_AddNullToObject(*ret_doc, "replaced");
        snprintf(undo, sizeof undo, "there was no such key: delete it");
    }
    cJSON_AddStringToObject(*ret_doc, "undo", undo);
    if (e != ERR_NONE)
        cJSON_AddStringToObject(*ret_doc, "warning", "it was put back, but the entry could not be dropped: drop it by hand");
    count(t);
    return 200;
}

static unsigned restore(struct restoring *r, const char *by, cJSON **ret_doc)
{
    enum step step = try_restore(r);

    switch (step) {
    case STEP_DONE:
        return restored(r, by, ret_doc);
    case STEP_AGAIN:
        return refuse(ret_doc, 409, "clients were always faster in writing this key; nothing was changed, try again");
    case STEP_EXISTS:
        return refuse(ret_doc, 409, "that key exists already; nothing was changed");
    case STEP_FAILED:
        break;
    }
    return refuse(ret_doc, 503, "entry %" PRId64 " is still there: %s", r->q.number, r->why);
}

unsigned quarantined_restore(const struct clerk_tools *t, int64_t number, struct slice as, const char *by, cJSON **ret_doc)
{
    struct restoring r = {.tools = t, .other = as.p != NULL};
    struct arena a;

    arena_init(&a);
    unsigned status = get(t, &a, number, &r.q, ret_doc);
    if (status == 200) {
        r.key = r.other ? as : r.q.object.key;
        r.policy = policy_of_key(t->settings, r.key);
        if (r.policy == NULL) {
            status = refuse(ret_doc, 400, "no policy has that key: a state goes back to a managed key");
        } else {
            r.inside = link_new();
            status = restore(&r, by, ret_doc);
            link_free(r.inside);
        }
    }
    arena_done(&a);
    return status;
}

/* ---- DROP ---- */

unsigned quarantined_drop(const struct clerk_tools *t, int64_t number, const char *by, cJSON **ret_doc)
{
    enum err e = t->archive != NULL ? quarantine_drop(t->archive, number) : ERR_ARCHIVEDOWN;

    if (e == ERR_RACE)
        return refuse(ret_doc, 404, "there is no entry %" PRId64, number);
    if (e != ERR_NONE)
        return refuse_archive(t, ret_doc);
    log_event(LOG_WARN, "quarantine_dropped", LOG_INT("number", number), LOG_STR("by", by));
    *ret_doc = cJSON_CreateObject();
    cJSON_AddNumberToObject(*ret_doc, "dropped", (double)number);
    cJSON_AddStringToObject(*ret_doc, "undo", "this can't be undone");
    count(t);
    return 200;
}

/* ---- how many there are ---- */

static void run_count(struct clerk_job *own_job, const struct clerk_tools *tools)
{
    if (tools != NULL)
        count(tools);
    atomic_store(&counting, false);
    free(own_job);
}

void quarantined_second(const struct server *server)
{
    static uint64_t counted_at; /* what this process had put aside */
    static int64_t counted_us;
    struct clerk *clerk = server_clerk(server);
    struct executor *executor = server_executor(server);
    struct sync_report report = {.waiting = 0};
    int64_t now_us = clock_mono_us();

    if (clerk == NULL || executor == NULL || server_sync(server) == NULL || !executor_up(executor) || atomic_load(&counting))
        return;
    sync_report(server_sync(server), &report);
    uint64_t put = report.handoff.quarantined;
    if (quarantined_entries() >= 0 && put == counted_at && now_us - counted_us < COUNT_EVERY_S * INT64_C(1000000))
        return;
    struct clerk_job *job = calloc(1, sizeof *job);
    if (job == NULL)
        abort();
    job->run = run_count;
    counted_at = put;
    counted_us = now_us;
    atomic_store(&counting, true);
    if (!clerk_do(clerk, job)) {
        atomic_store(&counting, false);
        free(job);
    }
}
