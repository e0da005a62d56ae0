#include "proxy/tracking.h"

#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/hide.h"
#include "proxy/internal.h"
#include "proxy/loan.h"
#include "proxy/push.h"
#include "proxy/reader.h"
#include "proxy/divert.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <stdlib.h>
#include <string.h>

struct tracking {
    struct words {
        char *bytes; /* as RESP, without REDIRECT, which is put anew each time; NULL: there are none */
        size_t len, argc;
    } request, asked; /* what holds, and what Redis was asked for and has not answered */
    uint64_t generation; /* of the connection that tracks; 0: none does */
    bool asking;         /* the request is on its way again, on a new connection */
    bool broadcasts;
};

static const char invalidate[] = ">2\r\n$10\r\ninvalidate\r\n";

/* ---- pushes ---- */

/* what: an array of keys, or null. */
static void tell(struct session *s, struct slice what)
{
    if (divert_target(s) != 0)
        divert_send(s, what);
    else if (s->resp == RESP3)
        push_send_two(s, (struct slice){invalidate, sizeof invalidate - 1}, what);
}

/* The client shall forget what it has cached. */
static void tell_forget(struct session *s)
{
    tell(s, s->resp == RESP3 ? (struct slice){"_\r\n", 3} : (struct slice){"$-1\r\n", 5});
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
    struct chain keys, what;

    chain_init(&keys, &s->loop->turn.chunks);
    chain_init(&what, &s->loop->turn.chunks);
    size_t n = put_keys(r, &keys);
    if (n > 0) {
        build_array(&what, n);
        chain_move(&what, &keys);
        tell(s, chain_flat(&what));
    }
    chain_clear(&keys);
    chain_clear(&what);
}

void tracking_push(struct upstream *u, struct slice push)
{
    struct session *s = upstream_user(u);
    struct reader r = {push};

    if (s == NULL || s->tracking == NULL)
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

/* What was read meanwhile is not tracked, where the request did not go in front of it. */
static bool again_over(struct slot *slot)
{
    struct upstream *u = slot->ctx;
    struct session *s = upstream_user(u);

    if (s == NULL || s->tracking == NULL)
        return false;
    s->tracking->asking = false;
    if (!slice_is(chain_flat(&slot->reply), "+OK\r\n+OK\r\n"))
        return false;
    s->tracking->generation = upstream_generation(u);
    if (divert_words(s) > 0)
        tell_forget(s);
    return false;
}

static void put_words(struct session *s, const struct words *w)
{
    struct chain *out = upstream_out(s->pinned);

    build_array(out, w->argc + divert_words(s));
    chain_put(out, w->bytes, w->len);
    divert_put(s, out);
    divert_was_put(s);
}

static bool is_tracked(const struct session *s)
{
    return upstream_state(s->pinned) == UP_READY && upstream_generation(s->pinned) == s->tracking->generation && divert_holds(s);
}

/* OFF first: the connection may track, for an ear that is lost, and prefixes must not be given twice. */
void tracking_ensure(struct session *s)
{
    struct tracking *t = s->tracking;
    const char *detail;

    if (t->request.bytes == NULL || t->asking || is_tracked(s) || upstream_state(s->pinned) == UP_DRAINING ||
        upstream_ready(s->pinned, &detail) != ERR_NONE || !divert_is_ready(s))
        return;
    t->asking = true;
    t->generation = 0;
    build_command(upstream_out(s->pinned), "CLIENT", "TRACKING", "OFF", NULL);
    put_words(s, &t->request);
    slot_send_own(s->loop, s->pinned, 2, false, again_over, s->pinned);
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
    free(t->request.bytes);
    free(t->asked.bytes);
    free(t);
}

void tracking_drop(struct session *s)
{
    bool tracks = s->tracking != NULL;

    if (tracks)
        forget(s);
    divert_drop(s);
    if (!tracks)
        return;
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

/* Redis has answered CLIENT TRACKING ON or OFF. */
static bool tracking_over(struct slot *slot)
{
    struct session *s = slot->session;
    struct tracking *t = s != NULL ? s->tracking : NULL;

    if (t == NULL)
        return false;
    bool ok = !slot->failed, off = t->asked.bytes == NULL;
    if (ok && !off) {
        free(t->request.bytes);
        t->request = t->asked;
        t->asked.bytes = NULL;
        t->generation = upstream_generation(s->pinned);
        t->broadcasts = memmem(t->request.bytes, t->request.len, "bcast", 5) != NULL;
    }
    free(t->asked.bytes);
    t->asked.bytes = NULL;
    if ((ok && off) || t->request.bytes == NULL) {
        forget(s);
        divert_drop(s);
        loan_end(s, LOAN_TRACKING);
    }
    return false;
}

/* Where REDIRECT stands; argc: nowhere, or behind what Redis does not know. */
static size_t find_redirect(const struct job *job)
{
    static const char *const plain[] = {"bcast", "optin", "optout", "noloop"};
    size_t i = 3, k;

    while (i < job->argc && !(slice_is(job->argv[i], "redirect") && i + 1 < job->argc)) {
        for (k = 0; k < sizeof plain / sizeof plain[0] && !slice_is(job->argv[i], plain[k]); k++)
            ;
        if (k == sizeof plain / sizeof plain[0] && !slice_is(job->argv[i++], "prefix"))
            return job->argc;
        i++;
    }
    return i < job->argc ? i : job->argc;
}

/* What is asked for, in lower case: it is looked at later, and Redis does not mind. Prefixes are the client's. */
static struct words keep_words(struct session *s, const struct job *job)
{
    struct words w = {.argc = 0};
    struct chain built;
    size_t redirect = find_redirect(job);

    chain_init(&built, &s->loop->turn.chunks);
    for (size_t i = 0; i < job->argc; i++) {
        if (i == redirect || i == redirect + 1)
            continue;
        if (slice_is(job->argv[i], "bcast") && !slice_is(job->argv[i - 1], "prefix"))
            build_text(&built, "bcast");
        else
            build_bulk(&built, job->argv[i].p, job->argv[i].len);
        w.argc++;
    }
    struct slice bytes = chain_flat(&built);
    w.bytes = malloc(bytes.len);
    if (w.bytes == NULL)
        abort();
    memcpy(w.bytes, bytes.p, bytes.len);
    w.len = bytes.len;
    chain_clear(&built);
    return w;
}

static bool forward(struct session *s, const struct job *job, bool (*then)(struct slot *slot), void (*finish)(struct slot *slot))
{
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);

    slot->then = then;
    slot->finish = finish;
    if (s->tracking->asked.bytes != NULL)
        put_words(s, &s->tracking->asked);
    else
        managed_put_raw(upstream_out(s->pinned), job);
    slot_send(slot, s->pinned, 1, false);
    return true;
}

/* True: job is answered, or must wait (*ret_taken false). False: the other client is there, or none is named. */
static bool named_settles(struct session *s, const struct job *job, bool *ret_taken)
{
    size_t at = find_redirect(job);
    int64_t id;

    *ret_taken = true;
    if (at == job->argc)
        return false;
    if (!frame_count(job->argv[at + 1].p, job->argv[at + 1].len, &id))
        return local_error(s, "ERR value is not an integer or out of range");
    enum found found = divert_find(s, id);
    *ret_taken = found != FOUND_LATER;
    if (found != FOUND_NOBODY)
        return found == FOUND_LATER;
    if (s->tracking == NULL)
        divert_drop(s);
    return local_error(s, "ERR The client ID you want redirect to does not exist");
}

/* The ear that the other client's invalidations need. The same. */
static bool ear_settles(struct session *s, bool *ret_taken)
{
    const char *detail;

    *ret_taken = true;
    if (!divert_use(s))
        return local_error(s, "ERR too many clients wait, watch or track at once (setting redis.pinned_max)");
    if (divert_is_ready(s))
        return false;
    if (divert_is_down(s, &detail)) {
        build_err(slot_answer(s), ERR_REDISDOWN, detail);
        slot_answered(s);
        return true;
    }
    *ret_taken = false;
    session_pause(s, PAUSE_ORDER);
    return true;
}

/* What was lent, or named, for a CLIENT TRACKING that has failed. */
static void undo(struct session *s)
{
    if (s->tracking != NULL)
        return;
    divert_drop(s);
    loan_end(s, LOAN_TRACKING);
}

static bool send_on(struct session *s, const struct job *job)
{
    if (s->tracking == NULL)
        s->tracking = calloc(1, sizeof *s->tracking);
    if (s->tracking == NULL)
        abort();
    upstream_set_user(s->pinned, s);
    free(s->tracking->asked.bytes);
    s->tracking->asked = keep_words(s, job);
    return forward(s, job, tracking_over, NULL);
}

static bool turn_on(struct session *s, const struct job *job)
{
    bool asked = s->tracking != NULL && s->tracking->asked.bytes != NULL, taken;

    if (s->in_flight > 0 && (s->current != s->pinned || asked)) {
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    if (named_settles(s, job, &taken))
        return taken;
    if (!loan_take(s, LOAN_TRACKING)) {
        undo(s);
        return true;
    }
    enum admission a = dispatch_admit(s, s->pinned, job);
    bool redirects = find_redirect(job) < job->argc;
    if (a == ADMIT_NOW && redirects && ear_settles(s, &taken)) {
        if (taken)
            undo(s);
        return taken;
    }
    if (a == ADMIT_NOW) {
        if (!redirects)
            divert_drop(s);
        return send_on(s, job);
    }
    undo(s);
    return a == ADMIT_NEVER;
}

/* A request that is about the tracking connection. */
static bool ask(struct session *s, const struct job *job, bool (*then)(struct slot *slot), void (*finish)(struct slot *slot))
{
    enum admission a = dispatch_admit(s, s->pinned, job);
    return a == ADMIT_NOW ? forward(s, job, then, finish) : a == ADMIT_NEVER;
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
    return ask(s, job, tracking_over, NULL);
}

static bool do_caching(struct session *s, const struct job *job)
{
    if (s->tracking == NULL)
        return local_error(s, "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
    return ask(s, job, NULL, NULL);
}

static bool do_getredir(struct session *s, const struct job *job)
{
    build_int(slot_answer(s), tracking_redirection(s));
    slot_answered(s);
    return true;
}

/* Redis's flags, with what the proxy knows of the client that is told. */
static void put_flags(const struct session *s, struct reader *r, struct chain *out)
{
    int64_t n = reader_enter(r);

    build_set(out, s->resp, (size_t)n + divert_is_broken(s));
    for (int64_t i = 0; i < n; i++) {
        struct slice flag = reader_next(r);
        chain_put(out, flag.p, flag.len);
    }
    if (divert_is_broken(s))
        build_text(out, "broken_redirect");
}

/* The number of Redis's CLIENT TRACKINGINFO is the ear's. */
static void tell_target(struct slot *slot)
{
    struct session *s = slot->session;
    struct reader r = {chain_flat(&slot->reply)};
    struct chain out;

    if (s == NULL || divert_target(s) == 0 || slot->failed)
        return;
    chain_init(&out, slot->reply.pool);
    reader_enter(&r);
    build_map(&out, s->resp, 3);
    reader_next(&r);
    build_text(&out, "flags");
    put_flags(s, &r, &out);
    reader_next(&r);
    reader_next(&r);
    build_text(&out, "redirect");
    build_int(&out, divert_target(s));
    chain_put(&out, r.rest.p, r.rest.len);
    chain_clear(&slot->reply);
    slot->reply = out;
}

static bool do_info(struct session *s, const struct job *job)
{
    if (s->tracking != NULL)
        return ask(s, job, NULL, tell_target);
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

/* A client that tracks has a connection of its own, so that CACHING is about what follows in the transaction. */
bool tracking_in_multi(struct session *s, const struct job *job)
{
    if (strcmp(job->cmd->name, "client|tracking") == 0)
        return false;
    if (s->tracking != NULL && strcmp(job->cmd->name, "client|caching") == 0)
        transaction_queue(s, job);
    else
        aside_takes(s, job);
    return true;
}

int64_t tracking_redirection(const struct session *s)
{
    return s->tracking != NULL ? divert_target(s) : -1;
}
