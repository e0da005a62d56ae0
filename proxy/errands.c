#include "proxy/errands.h"

#include "base/clock.h"
#include "router/marks.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { READ, SAVE, ROUND };

struct archive_errand {
    uv_work_t work;
    bool busy;
    enum kind kind;
    char self[LEDGER_ID];
    struct round round;
    char control[32];
    enum err error;
    bson_t *doc;
    int64_t version;
    struct arena arena;
    struct archive_found found;
};

struct redis_errand {
    uv_work_t work;
    bool busy;
    int64_t epoch, fence;
    char proxies[LEDGER_MEMBERS + 1][LEDGER_ID]; /* of errands */
    size_t nproxies;
    bool tidy;
    const struct settings *settings;
    struct look look;
};

struct sync_errand {
    uv_work_t work;
    bool busy;
    enum sync_mode mode;
    int64_t epoch;
};

struct errands {
    struct errands_ops ops;
    uv_loop_t *loop;
    struct archive_handle *handle;
    struct link *link;
    struct sync *sync;
    char proxies[LEDGER_MEMBERS + 1][LEDGER_ID]; /* the own first */
    size_t nproxies;
    bool tidy, stopping;
    struct archive_errand archive;
    struct redis_errand redis;
    struct sync_errand mode;
};

/* ---- the archive ---- */

static void word_name(const char *id, char *buf, size_t cap)
{
    snprintf(buf, cap, "member:%s", id);
}

/* Only this process writes it; a version that is not the expected one comes from a reply that was lost. */
static enum err write_word(struct errands *e, struct archive_errand *a)
{
    struct archive_found found;
    char name[32];

    word_name(a->self, name, sizeof name);
    enum err error = archive_control_set(e->handle, name, a->version, a->version + 1, a->doc);
    if (error == ERR_RACE) {
        error = archive_control_get(e->handle, name, &a->arena, &found);
        a->version = found.version;
        if (error == ERR_NONE)
            error = archive_control_set(e->handle, name, a->version, a->version + 1, a->doc);
    }
    a->round.version = a->version + 1;
    return error;
}

static enum err go_round(struct errands *e, struct archive_errand *a)
{
    struct round *r = &a->round;
    char name[32];

    enum err error = write_word(e, a);
    r->asked_us = clock_boot_us();
    if (error == ERR_NONE)
        error = archive_control_get(e->handle, a->control, &a->arena, &r->ledger);
    for (size_t i = 0; error == ERR_NONE && i < r->n; i++) {
        word_name(r->ids[i], name, sizeof name);
        error = archive_control_get(e->handle, name, &a->arena, &r->words[i]);
    }
    return error;
}

static void on_archive(uv_work_t *work)
{
    struct errands *e = work->data;
    struct archive_errand *a = &e->archive;

    switch (a->kind) {
    case SAVE:
        a->error = archive_control_set(e->handle, a->control, a->version, a->version + 1, a->doc);
        break;
    case READ:
        a->error = archive_control_get(e->handle, a->control, &a->arena, &a->found);
        break;
    case ROUND:
        a->error = go_round(e, a);
        break;
    }
}

static void tell_archive(struct errands *e, struct archive_errand *a)
{
    if (a->kind == SAVE)
        e->ops.saved(e->ops.ctx, a->error);
    else if (a->kind == READ)
        e->ops.read(e->ops.ctx, a->error, &a->found);
    else
        e->ops.rounded(e->ops.ctx, a->error, &a->round);
}

static void after_archive(uv_work_t *work, int status)
{
    struct errands *e = work->data;
    struct archive_errand *a = &e->archive;

    a->busy = false;
    if (a->doc != NULL)
        bson_destroy(a->doc);
    a->doc = NULL;
    if (status == 0 && !e->stopping)
        tell_archive(e, a);
}

static void visit(struct errands *e, enum kind kind, const char *control, bson_t *doc, int64_t version)
{
    struct archive_errand *a = &e->archive;

    arena_reset(&a->arena); /* what the errand before has brought was taken */
    a->kind = kind;
    a->doc = doc;
    a->version = version;
    snprintf(a->control, sizeof a->control, "%s", control);
    a->busy = uv_queue_work(e->loop, &a->work, on_archive, after_archive) == 0;
}

void errands_read(struct errands *e, const char *control)
{
    if (!e->archive.busy)
        visit(e, READ, control, NULL, 0);
}

void errands_round(struct errands *e, const char *control, const struct members *members, int64_t version,
                   bson_t *own_word)
{
    struct archive_errand *a = &e->archive;

    if (a->busy) {
        bson_destroy(own_word);
        return;
    }
    snprintf(a->self, sizeof a->self, "%s", members->self);
    a->round.n = 0;
    for (size_t i = 0; i < members->n; i++)
        if (strcmp(members->list[i].id, members->self) != 0)
            snprintf(a->round.ids[a->round.n++], LEDGER_ID, "%s", members->list[i].id);
    visit(e, ROUND, control, own_word, version);
}

void errands_save(struct errands *e, const char *control, int64_t version, bson_t *own_doc)
{
    if (e->archive.busy)
        bson_destroy(own_doc);
    else
        visit(e, SAVE, control, own_doc, version);
}

/* ---- Redis ---- */

static int64_t count_marks(struct errands *e, const struct redis_errand *r)
{
    char busy[64];
    int64_t sum = 0;

    link_say(e->link, "SCARD", MARKS_DIRTY, NULL);
    for (size_t i = 0; i < r->nproxies; i++) {
        snprintf(busy, sizeof busy, MARKS_BUSY "%s", r->proxies[i]);
        link_say(e->link, "SCARD", busy, NULL);
        snprintf(busy, sizeof busy, MARKS_BUSY "%s" SYNC_URGENT, r->proxies[i]);
        link_say(e->link, "SCARD", busy, NULL);
    }
    for (size_t i = 0; i <= 2 * r->nproxies; i++) {
        const struct redisReply *n = link_get(e->link);
        sum = n == NULL || n->type != REDIS_REPLY_INTEGER || sum < 0 ? -1 : sum + n->integer;
    }
    link_done(e->link);
    return sum;
}

static bool is_alive(const struct redis_errand *r, const char *session)
{
    for (size_t i = 0; i < r->nproxies; i++) {
        size_t n = strlen(r->proxies[i]);
        if (strncmp(session, r->proxies[i], n) == 0 && session[n] == '-')
            return true;
    }
    return false;
}

static void tidy(struct errands *e, const struct redis_errand *r)
{
    size_t gone = 0;

    link_say(e->link, "HKEYS", MARKS_SESSION, NULL);
    const struct redisReply *all = link_get(e->link);
    for (size_t i = 0; all != NULL && all->type == REDIS_REPLY_ARRAY && i < all->elements; i++) {
        if (is_alive(r, all->element[i]->str))
            continue;
        link_say(e->link, "HDEL", MARKS_SESSION, all->element[i]->str, NULL);
        gone++;
    }
    while (gone > 0 && link_get(e->link) != NULL)
        gone--;
    link_done(e->link);
}

static void on_redis(uv_work_t *work)
{
    struct errands *e = work->data;
    struct redis_errand *r = &e->redis;
    struct look *look = &r->look;

    look->marks = -1;
    enum err error = link_open(e->link, r->settings) ? claim_look(e->link, &look->who) : ERR_REDISDOWN;
    if (error == ERR_NONE && look->claimed && look->who.writable)
        error = claim_redis(e->link, r->epoch, r->fence);
    if (error == ERR_NONE && look->claimed)
        error = claim_look(e->link, &look->who);
    if (error == ERR_NONE)
        look->marks = count_marks(e, r);
    if (error == ERR_NONE && r->tidy)
        tidy(e, r);
    look->well = error == ERR_NONE && look->who.writable;
    snprintf(look->why, sizeof look->why, "%s",
             error != ERR_NONE ? link_why(e->link)
             : look->well      ? ""
                               : "it takes no writes");
}

static void after_redis(uv_work_t *work, int status)
{
    struct errands *e = work->data;

    e->redis.busy = false;
    e->tidy &= !(e->redis.tidy && e->redis.look.well);
    settings_unref(e->redis.settings);
    if (status == 0 && !e->stopping)
        e->ops.looked(e->ops.ctx, &e->redis.look);
}

void errands_look(struct errands *e, const struct settings *settings, bool claim, int64_t epoch,
                  int64_t fence, bool after_quiet)
{
    struct redis_errand *r = &e->redis;

    if (r->busy)
        return;
    r->look = (struct look){.claimed = claim, .after_quiet = after_quiet};
    r->epoch = epoch;
    r->fence = fence;
    memcpy(r->proxies, e->proxies, sizeof r->proxies);
    r->nproxies = e->nproxies;
    r->tidy = e->tidy;
    r->settings = settings_ref(settings);
    r->busy = uv_queue_work(e->loop, &r->work, on_redis, after_redis) == 0;
}

void errands_tidy(struct errands *e)
{
    e->tidy = true;
}

void errands_members(struct errands *e, const struct ledger *ledger)
{
    e->nproxies = 1;
    for (size_t i = 0; i < ledger->nmembers; i++)
        if (strcmp(ledger->members[i], e->proxies[0]) != 0)
            snprintf(e->proxies[e->nproxies++], LEDGER_ID, "%s", ledger->members[i]);
}

/* ---- sync ---- */

static void on_mode(uv_work_t *work)
{
    struct errands *e = work->data;
    sync_enter(e->sync, e->mode.mode, e->mode.epoch);
}

static void after_mode(uv_work_t *work, int status)
{
    struct errands *e = work->data;

    e->mode.busy = false;
    if (status == 0 && !e->stopping)
        e->ops.entered(e->ops.ctx);
}

void errands_enter(struct errands *e, enum sync_mode mode, int64_t epoch)
{
    if (e->mode.busy)
        return;
    e->mode.mode = mode;
    e->mode.epoch = epoch;
    e->mode.busy = uv_queue_work(e->loop, &e->mode.work, on_mode, after_mode) == 0;
}

/* ---- the whole ---- */

struct errands *errands_new(uv_loop_t *main_loop, struct archive *a, struct sync *sync, const char *proxy,
                            const struct errands_ops *ops)
{
    struct errands *e = calloc(1, sizeof *e);

    if (e == NULL)
        abort();
    e->ops = *ops;
    e->loop = main_loop;
    e->handle = archive_attach(a);
    e->link = link_new();
    e->sync = sync;
    snprintf(e->proxies[0], LEDGER_ID, "%s", proxy);
    e->nproxies = 1;
    e->archive.work.data = e->redis.work.data = e->mode.work.data = e;
    arena_init(&e->archive.arena);
    return e;
}

void errands_stop(struct errands *own_e)
{
    struct errands *e = own_e;

    e->stopping = true;
    link_interrupt(e->link);
    if (e->archive.busy)
        uv_cancel((uv_req_t *)&e->archive.work);
    if (e->redis.busy)
        uv_cancel((uv_req_t *)&e->redis.work);
    if (e->mode.busy)
        uv_cancel((uv_req_t *)&e->mode.work);
    while (e->archive.busy || e->redis.busy || e->mode.busy)
        uv_run(e->loop, UV_RUN_ONCE);
    archive_detach(e->handle);
    link_free(e->link);
    arena_done(&e->archive.arena);
    free(e);
}

const char *errands_why(const struct errands *e)
{
    return archive_why(e->handle);
}

bool errands_archive_busy(const struct errands *e)
{
    return e->archive.busy;
}

bool errands_redis_busy(const struct errands *e)
{
    return e->redis.busy;
}

bool errands_sync_busy(const struct errands *e)
{
    return e->mode.busy;
}
