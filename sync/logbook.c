#include "sync/logbook.h"

#include "base/clock.h"
#include "base/log.h"
#include "sync/logged.h"
#include "sync/moves_state.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL     "moves"
#define PROGRESS_US 1000000 /* how often a cursor is written */
#define ROUND_US    3000000 /* how often others are looked at, and shown that this process lives */

struct logbook {
    struct moves *moves;
    char by[LOGGED_BY];
    bool shared;
    pthread_mutex_t loading;
    _Atomic bool loaded;
    int64_t beat, written_us, round_us; /* mono */
    bool any;                           /* the document has moves of this process */
    struct logged_off off;              /* as this process has written it */
    struct logged_off missing;          /* as the ones before have left it */
    bool owed;                          /* backfills may have to go on */
    struct heard {
        char by[LOGGED_BY];
        int64_t beat, since_us;
    } heard[LOGGED_MOST]; /* the beats of others */
    size_t nheard;
};

/* One reading of the document, and what shall become of it. */
struct look {
    struct arena arena;
    int64_t version;
    struct logged *all; /* the document's moves */
    size_t n;
    struct logged *next; /* what it shall have */
    size_t nnext;
    struct move_saved *taken; /* of processes that have ended */
    size_t ntaken;
    struct logged_off off;
};

struct logbook *logbook_new(struct moves *m, const char *by, bool shared)
{
    struct logbook *l = calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    l->moves = m;
    l->shared = shared;
    snprintf(l->by, sizeof l->by, "%s", by);
    pthread_mutex_init(&l->loading, NULL);
    moves_await(m);
    return l;
}

void logbook_free(struct logbook *own_l)
{
    if (own_l == NULL)
        return;
    pthread_mutex_destroy(&own_l->loading);
    free(own_l);
}

/* ---- reading ---- */

static enum err look_at(struct archive_handle *h, struct look *k)
{
    struct archive_found found = {0};

    *k = (struct look){.n = 0};
    arena_init(&k->arena);
    enum err e = archive_control_get(h, CONTROL, &k->arena, &found);
    k->version = found.version;
    k->all = arena_get(&k->arena, LOGGED_MOST * sizeof *k->all);
    k->next = arena_get(&k->arena, (LOGGED_MOST + MOVES_KEPT) * sizeof *k->next);
    k->taken = arena_get(&k->arena, LOGGED_MOST * sizeof *k->taken);
    if (e == ERR_NONE && found.version != 0)
        k->n = logged_read(found.doc, k->all, &k->off);
    return e;
}

static bool is_own(const struct logbook *l, const struct logged *one)
{
    return strcmp(one->by, l->by) == 0;
}

/* Since when this beat is the same, by this process' clock. */
static int64_t silent_since(struct logbook *l, const struct logged *one, int64_t now_us)
{
    size_t i = 0;

    while (i < l->nheard && strcmp(l->heard[i].by, one->by) != 0)
        i++;
    if (i == LOGGED_MOST)
        return now_us;
    if (i == l->nheard || l->heard[i].beat != one->beat) {
        l->heard[i] = (struct heard){.beat = one->beat, .since_us = now_us};
        snprintf(l->heard[i].by, sizeof l->heard[i].by, "%s", one->by);
        l->nheard += i == l->nheard;
    }
    return l->heard[i].since_us;
}

static bool has_ended(struct logbook *l, const struct logged *one, int64_t now_us)
{
    return !l->shared || now_us - silent_since(l, one, now_us) >= LOGBOOK_SILENT_US;
}

/* The moves of others stay, but for those of processes that have ended: these are taken. */
static void divide(struct logbook *l, struct look *k, const struct settings *settings)
{
    int64_t now_us = clock_mono_us();
    char unfilled[LOGGED_MOST][64];
    size_t n = 0;

    for (size_t i = 0; i < k->n; i++) {
        struct logged *one = &k->all[i];
        if (is_own(l, one))
            continue;
        if (has_ended(l, one, now_us)) {
            const struct policy_conf *p = settings_policy(settings, one->saved.report.order.policy);
            if (one->saved.report.order.kind == MOVE_BACKFILL && (p == NULL || !p->dual_write))
                one->saved.place = (struct move_place){0}; /* what is written meanwhile leaves no mark */
            k->taken[k->ntaken++] = one->saved;
            continue;
        }
        if (one->saved.report.order.kind == MOVE_BACKFILL)
            memcpy(unfilled[n++], one->saved.report.order.policy, sizeof unfilled[0]);
        k->next[k->nnext++] = *one;
    }
    moves_elsewhere(l->moves, unfilled, n);
}

/* ---- going on ---- */

/* What was written without dual writes has left no marks. */
static bool is_missing(const struct logbook *l, const char *policy)
{
    for (size_t i = 0; i < l->missing.n; i++)
        if (strcmp(l->missing.policies[i], policy) == 0)
            return moves_filled(l->moves, policy);
    return false;
}

static void order_missing(struct logbook *l, const char *policy)
{
    struct move_order order = {.kind = MOVE_BACKFILL};
    char why[160];

    snprintf(order.policy, sizeof order.policy, "%s", policy);
    uint64_t id = moves_order(l->moves, &order, why, sizeof why);
    for (size_t i = 0; i < l->missing.n; i++)
        if (strcmp(l->missing.policies[i], policy) == 0)
            l->missing.policies[i][0] = '\0';
    if (id != 0)
        log_event(LOG_INFO, "move_ordered", LOG_INT("id", (int64_t)id), LOG_STR("kind", move_kind_name(order.kind)),
                  LOG_STR("policy", policy), LOG_STR("by", "itself"));
}

static void resume(struct logbook *l, uint64_t id)
{
    char why[160];

    if (moves_resume(l->moves, id, why, sizeof why))
        log_event(LOG_INFO, "move_resumed", LOG_INT("id", (int64_t)id), LOG_STR("by", "itself"));
}

void logbook_go_on(struct logbook *l, const struct settings *settings, bool (*is_redis)(void *ctx, const struct policy_conf *policy), void *ctx)
{
    bool owed = false;

    if (!l->owed)
        return;
    for (size_t i = 0; i < settings->policy_count; i++) {
        const struct policy_conf *p = &settings->policies[i];
        uint64_t id = moves_interrupted(l->moves, MOVE_BACKFILL, p->name);
        bool missing = id == 0 && is_missing(l, p->name);
        if (!p->dual_write || (id == 0 && !missing))
            continue;
        owed |= !is_redis(ctx, p);
        if (is_redis(ctx, p) && missing)
            order_missing(l, p->name);
        else if (is_redis(ctx, p))
            resume(l, id);
    }
    l->owed = owed;
}

void logbook_listen(struct logbook *l)
{
    l->nheard = 0;
}

static void tell_taken(const struct look *k)
{
    for (size_t i = 0; i < k->ntaken; i++) {
        const struct move_report *r = &k->taken[i].report;
        log_event(LOG_INFO, "move_found", LOG_INT("id", (int64_t)r->id), LOG_STR("kind", move_kind_name(r->order.kind)),
                  LOG_STR("policy", r->order.policy), LOG_STR("state", move_state_name(r->state)), LOG_INT("keys", r->done));
    }
}

/* ---- writing ---- */

static void add_own(struct logbook *l, struct look *k, const struct settings *settings)
{
    struct move_saved *own = arena_get(&k->arena, MOVES_KEPT * sizeof *own);
    size_t n = moves_save(l->moves, own);

    l->beat++;
    for (size_t i = 0; i < n && k->nnext < LOGGED_MOST; i++)
        logged_make(&k->next[k->nnext++], l->by, l->beat, &own[i]);
    for (size_t i = 0; i < k->ntaken && k->nnext < LOGGED_MOST; i++) /* until they are in the list of this process */
        logged_make(&k->next[k->nnext++], l->by, l->beat, &k->taken[i]);
    l->any = n + k->ntaken > 0;
    l->off.n = 0;
    for (size_t i = 0; i < settings->policy_count && l->off.n < LOGGED_MOST; i++)
        if (!settings->policies[i].dual_write)
            snprintf(l->off.policies[l->off.n++], sizeof l->off.policies[0], "%s", settings->policies[i].name);
}

static enum err put(struct archive_handle *h, const struct look *k, const struct logged_off *off)
{
    bson_t *doc = logged_write(CONTROL, k->next, k->nnext, off);
    enum err e = archive_control_set(h, CONTROL, k->version, k->version + 1, doc);

    bson_destroy(doc);
    return e;
}

static enum err write_all(struct logbook *l, struct archive_handle *h, const struct settings *settings, struct look *k)
{
    add_own(l, k, settings);
    enum err e = put(h, k, &l->off);
    if (e != ERR_NONE) {
        moves_resave(l->moves);
        return e;
    }
    l->written_us = clock_mono_us();
    return ERR_NONE;
}

/* Reads it, takes what is nobody's any more, and writes what has changed. ERR_RACE: another was faster. */
static enum err go_round(struct logbook *l, struct archive_handle *h, const struct settings *settings, bool must_write)
{
    struct look k;
    enum err e = look_at(h, &k);

    l->round_us = clock_mono_us();
    if (e == ERR_NONE)
        divide(l, &k, settings);
    if (e == ERR_NONE && (must_write || k.ntaken > 0))
        e = write_all(l, h, settings, &k);
    if (e == ERR_NONE && (k.ntaken > 0 || !atomic_load(&l->loaded))) {
        moves_bring(l->moves, k.taken, k.ntaken);
        tell_taken(&k);
    }
    if (e == ERR_NONE && !atomic_load(&l->loaded))
        l->missing = k.off;
    l->owed |= k.ntaken > 0 || !atomic_load(&l->loaded);
    arena_done(&k.arena);
    return e;
}

static bool off_has_changed(const struct logbook *l, const struct settings *settings)
{
    size_t n = 0;

    for (size_t i = 0; i < settings->policy_count; i++) {
        if (settings->policies[i].dual_write)
            continue;
        if (n == l->off.n || strcmp(l->off.policies[n], settings->policies[i].name) != 0)
            return n < LOGGED_MOST;
        n++;
    }
    return n != l->off.n;
}

static enum err settle(enum err e)
{
    return e == ERR_RACE ? ERR_NONE : e; /* next time */
}

enum err logbook_load(struct logbook *l, struct archive_handle *h, const struct settings *settings)
{
    enum err e = ERR_NONE;

    if (atomic_load(&l->loaded))
        return ERR_NONE;
    pthread_mutex_lock(&l->loading);
    if (!atomic_load(&l->loaded)) {
        e = go_round(l, h, settings, off_has_changed(l, settings));
        atomic_store(&l->loaded, e == ERR_NONE);
    }
    pthread_mutex_unlock(&l->loading);
    return e == ERR_RACE ? ERR_ARCHIVEDOWN : e; /* it is asked for again soon */
}

enum err logbook_keep(struct logbook *l, struct archive_handle *h, const struct settings *settings)
{
    bool urgent, unsaved = moves_unsaved(l->moves, &urgent);
    int64_t now_us = clock_mono_us();

    if (!atomic_load(&l->loaded))
        return logbook_load(l, h, settings);
    bool due = (unsaved && (urgent || now_us - l->written_us >= PROGRESS_US)) || off_has_changed(l, settings);
    if (due)
        return settle(go_round(l, h, settings, true));
    if (l->shared && now_us - l->round_us >= ROUND_US)
        return settle(go_round(l, h, settings, l->any));
    return ERR_NONE;
}

enum err logbook_end(struct logbook *l, struct archive_handle *h, const struct settings *settings)
{
    bool urgent;

    if (!atomic_load(&l->loaded) || !moves_unsaved(l->moves, &urgent))
        return ERR_NONE;
    return settle(go_round(l, h, settings, true));
}
