#include "proxy/gather.h"

#include "proxy/archived.h"
#include "resp/frame.h"

#include <stdlib.h>
#include <string.h>

static const char target; /* see session.current */

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct gather *gather_new(struct session *s, const struct job *job, size_t n, gather_fn *finish)
{
    struct gather *g = must(calloc(1, sizeof *g));

    g->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    g->resp = s->resp;
    g->left = (unsigned)n;
    g->n = n;
    g->replies = must(calloc(n, sizeof *g->replies));
    g->finish = finish;
    slot_defer(g->slot, &target);
    return g;
}

void gather_send(struct gather *g, struct session *s, size_t i, const struct job *part)
{
    struct loop *l = s->loop;
    enum lane lane = part->slow ? LANE_SLOW : LANE_FAST;
    struct slot *slot = slot_new_part(l, NULL, 0);

    slot->gather = g;
    slot->gather_part = (uint32_t)i;
    managed_plan_redis(s, part, false);
    managed_send_part(slot, pool_shared(&l->pool, lane, s->db, s->resp, s->id), g->resp, part);
}

void gather_send_archive(struct gather *g, struct session *s, size_t i, struct slice request)
{
    struct slot *slot = slot_new_part(s->loop, NULL, 0);

    slot->gather = g;
    slot->gather_part = (uint32_t)i;
    archived_send(slot, op_new(OP_ONE, g->resp, request));
}

static void gather_free(struct gather *own_g)
{
    for (size_t i = 0; i < own_g->n; i++)
        free((void *)(uintptr_t)own_g->replies[i].p);
    free(own_g->replies);
    free(own_g->part_of);
    free(own_g);
}

static const struct slice *first_error(const struct gather *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->replies[i].len > 0 && g->replies[i].p[0] == '-')
            return &g->replies[i];
    return NULL;
}

static void complete(struct gather *g)
{
    struct slot *slot = g->slot;
    const struct slice *error = first_error(g);

    slot->failed = error != NULL;
    if (error != NULL)
        chain_put(&slot->reply, error->p, error->len);
    else
        g->finish(g, &slot->reply);
    gather_free(g);
    slot_complete(slot);
}

void gather_part_over(struct slot *part)
{
    struct gather *g = part->gather;
    struct slice reply = chain_flat(&part->reply);
    char *copy = must(malloc(reply.len + 1));

    memcpy(copy, reply.p, reply.len);
    g->replies[part->gather_part] = (struct slice){copy, reply.len};
    if (--g->left == 0)
        complete(g);
}

void gather_part_orphan(struct slot *part)
{
    struct gather *g = part->gather;

    if (--g->left > 0)
        return;
    slot_free_orphan(g->slot);
    gather_free(g);
}

/* ---- one of many ---- */

static void malformed(struct chain *out)
{
    chain_clear(out);
    build_err(out, ERR_UPSTREAM_PROTOCOL, NULL);
}

void gather_first(struct gather *g, struct chain *out)
{
    chain_put(out, g->replies[0].p, g->replies[0].len);
}

void gather_sum(struct gather *g, struct chain *out)
{
    int64_t sum = 0, n = 0;

    for (size_t i = 0; i < g->n; i++) {
        const struct slice *r = &g->replies[i];
        if (r->len < 4 || !frame_number(r->p + 1, r->len - 3, &n)) {
            malformed(out);
            return;
        }
        sum += n;
    }
    build_int(out, sum);
}

/* What is behind the header of an array; *items: how many elements. */
static struct slice body_of(struct slice reply, int64_t *items)
{
    size_t header = frame_aggregate(reply.p, reply.len, items);

    if (header == 0 || *items < 0) {
        *items = 0;
        return (struct slice){"", 0};
    }
    return (struct slice){reply.p + header, reply.len - header};
}

void gather_elements(struct gather *g, struct chain *out)
{
    struct slice *left = must(malloc(g->n * sizeof *left));
    bool good = true;
    int64_t items;

    for (size_t i = 0; i < g->n; i++)
        left[i] = body_of(g->replies[i], &items);
    build_array(out, g->nkeys);
    for (size_t k = 0; k < g->nkeys && good; k++) {
        struct slice *from = &left[g->part_of[k]];
        size_t n = frame_length(from->p, from->len);
        good = n > 0; /* otherwise there are fewer than were asked for */
        chain_put(out, from->p, n);
        *from = (struct slice){from->p + n, from->len - n};
    }
    free(left);
    if (!good)
        malformed(out);
}

void gather_all(struct gather *g, struct chain *out)
{
    int64_t items, sum = 0;

    for (size_t i = 0; i < g->n; i++) {
        body_of(g->replies[i], &items);
        sum += items;
    }
    build_array(out, (size_t)sum);
    for (size_t i = 0; i < g->n; i++) {
        struct slice body = body_of(g->replies[i], &items);
        chain_put(out, body.p, body.len);
    }
}

/* The integer at the front of body, which goes on behind it. */
static bool take_int(struct slice *body, int64_t *ret)
{
    size_t n = frame_length(body->p, body->len);

    if (n < 4 || body->p[0] != ':' || !frame_number(body->p + 1, n - 3, ret))
        return false;
    *body = (struct slice){body->p + n, body->len - n};
    return true;
}

void gather_least(struct gather *g, struct chain *out)
{
    struct slice *left = must(malloc(g->n * sizeof *left));
    int64_t items = 0, n;
    bool good = true;

    for (size_t i = 0; i < g->n; i++)
        left[i] = body_of(g->replies[i], &items);
    build_array(out, (size_t)items);
    for (int64_t k = 0; k < items && good; k++) {
        int64_t least = INT64_MAX;
        for (size_t i = 0; i < g->n && good; i++) {
            good = take_int(&left[i], &n);
            least = good && n < least ? n : least;
        }
        build_int(out, least);
    }
    free(left);
    if (!good)
        malformed(out);
}

static bool is_nil(struct slice r)
{
    return r.len > 0 && (r.p[0] == '_' || (r.len > 1 && r.p[1] == '-'));
}

void gather_some(struct gather *g, struct chain *out)
{
    size_t first = (size_t)random() % g->n;

    for (size_t i = 0; i < g->n; i++) {
        struct slice r = g->replies[(first + i) % g->n];
        if (!is_nil(r)) {
            chain_put(out, r.p, r.len);
            return;
        }
    }
    build_null(out, g->resp);
}
