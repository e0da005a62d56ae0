#include "proxy/tracking.h"

#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/hide.h"
#include "proxy/internal.h"
#include "proxy/loan.h"
#include "proxy/push.h"
#include "proxy/reader.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"

#include <stdlib.h>
#include <string.h>

struct tracking {
    char *request, *asked; /* what holds, and what Redis was asked for and has not answered; as RESP */
    size_t len, asked_len;
    uint64_t generation; /* of the connection that tracks; 0: none does */
    bool asking;         /* the request is on its way again, on a new connection */
    bool broadcasts;
};

#define INVALIDATE ">2\r\n$10\r\ninvalidate\r\n"
static const char forget_all[] = INVALIDATE "_\r\n";

/* ---- pushes ---- */

/* The client shall forget what it has cached. */
static void tell_forget(struct session *s)
{
    if (s->resp == RESP3)
        push_send(s, (struct slice){forget_all, sizeof forget_all - 1});
}

/* The keys of an invalidation, without the proxy's own; how many. */
static size_t put_keys(struct reader *r, struct chain *out)
{
    size_t told = 0;

    for (int64_t n = reader_enter(r); n > 0; n--) {
        struct slice key = reader_next(r);
        if (hide_is_internal(reader_bulk(key)))
            continue;
        chain_put(out, key.p, key.len);
        told++;
    }
    return told;
}

static void send_keys(struct session *s, struct reader *r)
{
    struct chain keys, push;

    chain_init(&keys, &s->loop->turn.chunks);
    chain_init(&push, &s->loop->turn.chunks);
    size_t n = put_keys(r, &keys);
    if (n > 0) {
        chain_put(&push, INVALIDATE, sizeof INVALIDATE - 1);
        build_array(&push, n);
        chain_move(&push, &keys);
        push_send(s, chain_flat(&push));
    }
    chain_clear(&keys);
    chain_clear(&push);
}

void tracking_push(struct upstream *u, struct slice push)
{
    struct session *s = upstream_user(u);
    struct reader r = {push};

    if (s == NULL || s->tracking == NULL || s->resp != RESP3)
        return;
    reader_enter(&r);
    if (!slice_is(reader_bulk(reader_next(&r)), "invalidate"))
        return;
    if (r.rest.len > 0 && r.rest.p[0] == '*')
        send_keys(s, &r);
    else
        tell_forget(s);
}

/* ---- the connection ---- */

static bool again_over(struct slot *slot)
{
    struct upstream *u = slot->ctx;
    struct session *s = upstream_user(u);

    if (s == NULL || s->tracking == NULL)
        return false;
    s->tracking->asking = false;
    if (!slot->failed)
        s->tracking->generation = upstream_generation(u);
    return false;
}

static bool is_tracked(const struct session *s)
{
    return upstream_state(s->pinned) == UP_READY && upstream_generation(s->pinned) == s->tracking->generation;
}

void tracking_ensure(struct session *s)
{
    struct tracking *t = s->tracking;
    const char *detail;

    if (t->request == NULL || t->asking || is_tracked(s) || upstream_state(s->pinned) == UP_DRAINING ||
        upstream_ready(s->pinned, &detail) != ERR_NONE)
        return;
    t->asking = true;
    t->generation = 0;
    chain_put(upstream_out(s->pinned), t->request, t->len);
    slot_send_own(s->loop, s->pinned, 1, false, again_over, s->pinned);
}

void tracking_changed(struct upstream *u)
{
    struct session *s = upstream_user(u);

    if (s == NULL || s->tracking == NULL || s->tracking->generation == 0 || is_tracked(s))
        return;
    s->tracking->generation = 0;
    tell_forget(s);
}

/* What the archive tells is not tracked. */
static bool archive_tells(const struct acting *a)
{
    for (size_t i = 0; a->any && i < STATS_POLICIES; i++)
        if (a->phase[i] == PHASE_ARCHIVE)
            return true;
    return false;
}

void tracking_second(struct session *s)
{
    tracking_ensure(s);
    if (archive_tells(&s->loop->acting))
        tell_forget(s);
}

static bool differs(const struct acting *a, const struct acting *b)
{
    for (size_t i = 0; i < STATS_POLICIES; i++)
        if ((a->phase[i] == PHASE_ARCHIVE) != (b->phase[i] == PHASE_ARCHIVE))
            return true;
    return false;
}

void tracking_acting(struct loop *l, const struct acting *before)
{
    if (!differs(before, &l->acting))
        return;
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (s->tracking != NULL)
            tell_forget(s);
    }
}

static void forget(struct session *s)
{
    struct tracking *t = s->tracking;

    s->tracking = NULL;
    if (s->pinned != NULL)
        upstream_set_user(s->pinned, NULL);
    free(t->request);
    free(t->asked);
    free(t);
}

void tracking_drop(struct session *s)
{
    if (s->tracking == NULL)
        return;
    forget(s);
    if (upstream_state(s->pinned) == UP_READY || upstream_in_flight(s->pinned) > 0) {
        build_command(upstream_out(s->pinned), "CLIENT", "TRACKING", "OFF", NULL);
        slot_send_unheard(s->loop, s->pinned);
    }
    loan_end(s, LOAN_TRACKING);
}

bool tracking_broadcasts(const struct session *s)
{
    return s->tracking != NULL && s->tracking->broadcasts;
}

/* ---- the commands ---- */

static bool has_word(const struct job *job, const char *word)
{
    for (size_t i = 3; i < job->argc; i++)
        if (slice_is(job->argv[i], word))
            return true;
    return false;
}

/* Redis has answered CLIENT TRACKING ON or OFF. */
static bool tracking_over(struct slot *slot)
{
    struct session *s = slot->session;
    struct tracking *t = s != NULL ? s->tracking : NULL;

    if (t == NULL)
        return false;
    bool ok = !slot->failed, off = t->asked == NULL;
    if (ok && !off) {
        free(t->request);
        t->request = t->asked;
        t->len = t->asked_len;
        t->asked = NULL;
        t->generation = upstream_generation(s->pinned);
        t->broadcasts = memmem(t->request, t->len, "bcast", 5) != NULL;
    }
    free(t->asked);
    t->asked = NULL;
    if ((ok && off) || t->request == NULL) {
        forget(s);
        loan_end(s, LOAN_TRACKING);
    }
    return false;
}

/* What is asked for, in lower case: it is looked at later, and Redis does not mind. Prefixes are the client's. */
static void keep_request(struct tracking *t, struct session *s, const struct job *job)
{
    struct chain built;

    chain_init(&built, &s->loop->turn.chunks);
    build_array(&built, job->argc);
    for (size_t i = 0; i < job->argc; i++) {
        if (slice_is(job->argv[i], "bcast") && !slice_is(job->argv[i - 1], "prefix"))
            build_text(&built, "bcast");
        else
            build_bulk(&built, job->argv[i].p, job->argv[i].len);
    }
    struct slice bytes = chain_flat(&built);
    t->asked = malloc(bytes.len);
    if (t->asked == NULL)
        abort();
    memcpy(t->asked, bytes.p, bytes.len);
    t->asked_len = bytes.len;
    chain_clear(&built);
}

static bool forward(struct session *s, const struct job *job, bool (*then)(struct slot *slot))
{
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);

    slot->then = then;
    managed_put_raw(upstream_out(s->pinned), job);
    slot_send(slot, s->pinned, 1, false);
    return true;
}

static bool turn_on(struct session *s, const struct job *job)
{
    bool fresh = s->tracking == NULL;

    if (has_word(job, "redirect"))
        return local_error(s, "ERR CLIENT TRACKING with REDIRECT is not supported by convproxy: use RESP3, where no second connection is needed");
    bool asked = !fresh && s->tracking->asked != NULL;
    if (s->in_flight > 0 && (s->current != s->pinned || asked)) {
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    if (!loan_take(s, LOAN_TRACKING))
        return true;
    enum admission a = dispatch_admit(s, s->pinned, job);
    if (a != ADMIT_NOW) {
        if (fresh)
            loan_end(s, LOAN_TRACKING);
        return a == ADMIT_NEVER;
    }
    if (fresh)
        s->tracking = calloc(1, sizeof *s->tracking);
    if (s->tracking == NULL)
        abort();
    upstream_set_user(s->pinned, s);
    free(s->tracking->asked);
    keep_request(s->tracking, s, job);
    return forward(s, job, tracking_over);
}

/* A request that is about the tracking connection. */
static bool ask(struct session *s, const struct job *job, bool (*then)(struct slot *slot))
{
    enum admission a = dispatch_admit(s, s->pinned, job);
    return a == ADMIT_NOW ? forward(s, job, then) : a == ADMIT_NEVER;
}

static bool do_tracking(struct session *s, const struct job *job)
{
    if (slice_is(job->argv[2], "on"))
        return turn_on(s, job);
    if (!slice_is(job->argv[2], "off"))
        return local_error(s, "ERR syntax error");
    if (s->tracking == NULL)
        return local_ok(s);
    if (s->in_flight > 0) { /* so that what was asked before is answered, and tracked as it was */
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    return ask(s, job, tracking_over);
}

static bool do_caching(struct session *s, const struct job *job)
{
    if (s->tracking == NULL)
        return local_error(s, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
    return ask(s, job, NULL);
}

static bool do_getredir(struct session *s, const struct job *job)
{
    if (s->tracking != NULL)
        return ask(s, job, NULL);
    build_int(slot_answer(s), -1);
    slot_answered(s);
    return true;
}

static bool do_info(struct session *s, const struct job *job)
{
    if (s->tracking != NULL)
        return ask(s, job, NULL);
    struct chain *out = slot_answer(s);
    build_map(out, s->resp, 3);
    build_text(out, "flags");
    build_set(out, s->resp, 1);
    build_text(out, "off");
    build_text(out, "redirect");
    build_int(out, -1);
    build_text(out, "prefixes");
    build_array(out, 0);
    slot_answered(s);
    return true;
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} handlers[] = {{"tracking", do_tracking}, {"caching", do_caching}, {"getredir", do_getredir}, {"trackinginfo", do_info}};

bool tracking_command(struct session *s, const struct job *job)
{
    size_t i = 0;
    while (!slice_is(job->argv[1], handlers[i].name))
        i++;
    return handlers[i].fn(s, job);
}

bool tracking_is_about(const struct command *cmd)
{
    static const char *const names[] = {"client|tracking", "client|caching", "client|getredir", "client|trackinginfo"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], cmd->name) == 0)
            return true;
    return false;
}

/* A client that tracks has a connection of its own, so Redis answers there; CACHING is about what follows in the transaction. */
bool tracking_in_multi(struct session *s, const struct job *job)
{
    if (strcmp(job->cmd->name, "client|tracking") == 0)
        return false;
    if (s->tracking != NULL)
        transaction_queue(s, job);
    else
        aside_takes(s, job);
    return true;
}
