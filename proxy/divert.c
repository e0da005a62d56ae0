#include "proxy/divert.h"

#include "proxy/loan.h"
#include "proxy/push.h"
#include "proxy/round.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/tracking.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct divert {
    int64_t asked; /* the client that is looked for */
    bool asked_for, answered, there;
    unsigned asked_loop;
    int64_t target; /* 0: nobody else is told */
    unsigned loop;  /* the target's */
    bool broken;
    struct upstream *ear;
    int64_t ear_id;                     /* at Redis; 0: not known */
    uint64_t known_on, put_on;          /* generations of the ear: that it was asked on, and that Redis was told of */
    bool asking;
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static struct divert *of(struct session *s)
{
    if (s->divert == NULL)
        s->divert = must(calloc(1, sizeof *s->divert));
    return s->divert;
}

static struct session *find_session(struct loop *l, uint64_t id)
{
    struct session *s = l->sessions;

    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

/* ---- who can be told, on each loop ---- */

struct heard {
    size_t n, cap;
    struct session **sessions;
};

static void remember(struct loop *l, struct session *s)
{
    if (s->is_heard)
        return;
    if (l->heard == NULL)
        l->heard = must(calloc(1, sizeof *l->heard));
    struct heard *h = l->heard;
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 8 : 2 * h->cap;
        h->sessions = must(realloc(h->sessions, h->cap * sizeof *h->sessions));
    }
    h->sessions[h->n++] = s;
    s->is_heard = true;
}

void divert_gone(struct session *s)
{
    struct heard *h = s->loop->heard;
    size_t i = 0;

    while (h->sessions[i] != s)
        i++;
    h->sessions[i] = h->sessions[--h->n];
    s->is_heard = false;
}

void divert_free(struct loop *l)
{
    if (l->heard != NULL)
        free(l->heard->sessions);
    free(l->heard);
    l->heard = NULL;
}

/* ---- looking for a client ---- */

struct search {
    struct round round; /* first: visits get it */
    uint64_t asker;
    int64_t id;
    bool there;
    unsigned loop;
};

static void search_over(struct loop *l, struct search *own_f)
{
    struct session *s = find_session(l, own_f->asker);

    if (s != NULL && s->divert != NULL && s->divert->asked == own_f->id) {
        s->divert->answered = true;
        s->divert->there = own_f->there;
        s->divert->asked_loop = own_f->loop;
        session_resume(s, PAUSE_ORDER);
    }
    free(own_f);
}

static void visit(struct loop *l, struct round *r)
{
    struct search *f = (struct search *)r;
    struct session *s = find_session(l, (uint64_t)f->id);

    if (s != NULL) {
        f->there = true;
        f->loop = l->index;
        remember(l, s);
    }
    if (l == r->asker)
        search_over(l, f);
}

static void drop_search(struct round *own_r)
{
    free(own_r);
}

enum found divert_find(struct session *s, int64_t id)
{
    struct divert *r = of(s);

    if (r->asked == id && r->answered) {
        r->asked_for = r->answered = false;
        if (!r->there)
            return FOUND_NOBODY;
        r->target = id;
        r->loop = r->asked_loop;
        r->broken = false;
        return FOUND_HERE;
    }
    session_pause(s, PAUSE_ORDER);
    if (r->asked_for && r->asked == id)
        return FOUND_LATER;
    struct search *f = must(calloc(1, sizeof *f));
    f->round = (struct round){.asker = s->loop, .visit = visit, .drop = drop_search};
    f->asker = s->id;
    f->id = r->asked = id;
    r->asked_for = true;
    r->answered = false;
    round_start(&f->round);
    return FOUND_LATER;
}

/* ---- the ear ---- */

bool divert_use(struct session *s)
{
    struct divert *r = s->divert;

    if (s->resp == RESP3 || r->ear != NULL)
        return true;
    if (s->loop->topology != NULL)
        pool_aim_as(&s->loop->pool, s->pinned);
    r->ear = pool_borrow(&s->loop->pool, 0, RESP3);
    if (r->ear == NULL)
        return false;
    r->ear_id = 0;
    r->known_on = r->put_on = 0;
    upstream_set_user(r->ear, s);
    loan_count(s->loop);
    return true;
}

/* slot->ctx is the ear, which may have been given back since. */
static bool id_over(struct slot *slot)
{
    struct upstream *ear = slot->ctx;
    struct session *s = upstream_user(ear);
    struct slice reply = chain_flat(&slot->reply);

    if (s == NULL || !divert_is_ear(s, ear))
        return false;
    s->divert->asking = false;
    s->divert->ear_id = 0;
    if (!slot->failed && reply.len > 3 && reply.p[0] == ':') {
        frame_number(reply.p + 1, reply.len - 3, &s->divert->ear_id);
        s->divert->known_on = upstream_generation(ear);
    }
    if (s->tracking != NULL)
        tracking_ensure(s);
    session_resume(s, PAUSE_ORDER);
    return false;
}

static bool is_known(const struct divert *r)
{
    return r->ear_id != 0 && upstream_state(r->ear) == UP_READY && r->known_on == upstream_generation(r->ear);
}

bool divert_is_down(struct session *s, const char **ret_detail)
{
    struct divert *r = s->divert;
    return r != NULL && r->ear != NULL && upstream_ready(r->ear, ret_detail) != ERR_NONE;
}

bool divert_is_ready(struct session *s)
{
    struct divert *r = s->divert;
    const char *detail;

    if (r == NULL || r->ear == NULL || is_known(r))
        return true;
    if (r->asking || divert_is_down(s, &detail))
        return false;
    r->asking = true;
    build_command(upstream_out(r->ear), "CLIENT", "ID", NULL);
    slot_send_own(s->loop, r->ear, 1, false, id_over, r->ear);
    return false;
}

size_t divert_words(const struct session *s)
{
    return s->divert != NULL && s->divert->ear != NULL ? 2 : 0;
}

void divert_put(const struct session *s, struct chain *out)
{
    char id[24];

    if (divert_words(s) == 0)
        return;
    snprintf(id, sizeof id, "%" PRId64, s->divert->ear_id);
    build_text(out, "REDIRECT");
    build_text(out, id);
}

void divert_was_put(struct session *s)
{
    if (s->divert != NULL && s->divert->ear != NULL)
        s->divert->put_on = s->divert->known_on;
}

bool divert_holds(const struct session *s)
{
    const struct divert *r = s->divert;
    return r == NULL || r->ear == NULL || (is_known(r) && r->put_on == r->known_on);
}

bool divert_is_ear(const struct session *s, const struct upstream *u)
{
    return s->divert != NULL && s->divert->ear == u;
}

void divert_drop(struct session *s)
{
    struct divert *r = s->divert;

    if (r == NULL)
        return;
    s->divert = NULL;
    if (r->ear != NULL) {
        upstream_set_user(r->ear, NULL);
        pool_return(&s->loop->pool, r->ear);
        loan_count(s->loop);
    }
    free(r);
}

/* ---- telling ---- */

static const char of_pushes[] = ">2\r\n$10\r\ninvalidate\r\n";
static const char of_messages[] = "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n";

/* False: it is not there. One that speaks RESP2 and has not subscribed to anything hears nothing, as with Redis. */
static bool hear(struct loop *l, int64_t id, struct slice what)
{
    size_t i = 0, n = l->heard != NULL ? l->heard->n : 0;

    while (i < n && l->heard->sessions[i]->id != (uint64_t)id)
        i++;
    if (i == n)
        return false;
    struct session *s = l->heard->sessions[i];
    if (s->resp == RESP3)
        push_send_two(s, (struct slice){of_pushes, sizeof of_pushes - 1}, what);
    else if (s->subs != NULL)
        push_send_two(s, (struct slice){of_messages, sizeof of_messages - 1}, what);
    return true;
}

struct telling {
    uint64_t from;
    struct loop *from_loop;
    int64_t to;
    size_t len;
    char what[];
};

static void break_off(struct session *s)
{
    char push[80];
    int n;

    s->divert->broken = true;
    if (s->resp != RESP3)
        return;
    n = snprintf(push, sizeof push, ">2\r\n$21\r\ntracking-redir-broken\r\n:%" PRId64 "\r\n", s->divert->target);
    push_send(s, (struct slice){push, (size_t)n});
}

static void not_heard(struct loop *l, void *own_telling)
{
    struct telling *t = own_telling;
    struct session *s = find_session(l, t->from);

    if (s != NULL && divert_target(s) == t->to)
        break_off(s);
    free(t);
}

static void arrive(struct loop *l, void *own_telling)
{
    struct telling *t = own_telling;

    if (hear(l, t->to, (struct slice){t->what, t->len}) || !loop_try_post(t->from_loop, not_heard, t))
        free(t);
}

/* By a message also to the same loop: who reads too slowly is closed, and the caller may be walking a list of clients. */
void divert_send(struct session *s, struct slice what)
{
    struct divert *r = s->divert;
    struct loop *l = server_loop(s->loop->server, r->loop);

    struct telling *t = must(malloc(sizeof *t + what.len));
    *t = (struct telling){.from = s->id, .from_loop = s->loop, .to = r->target, .len = what.len};
    memcpy(t->what, what.p, what.len);
    if (!loop_try_post(l, arrive, t))
        free(t);
}

int64_t divert_target(const struct session *s)
{
    return s->divert != NULL ? s->divert->target : 0;
}

bool divert_is_broken(const struct session *s)
{
    return s->divert != NULL && s->divert->broken;
}
