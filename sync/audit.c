/* The move that looks for keys without an expiry where the policy has one. */
#include "sync/move.h"

#include "base/clock.h"
#include "base/version.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

/* Which keys of the page have none; they come to its front. */
static enum err without_expiry(struct move_at *at, size_t *ret_n)
{
    struct page *p = &at->page;
    struct link *l = at->stores->link;
    enum err e = ERR_NONE;
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        link_put(l, (struct slice[]){{"PTTL", 4}, p->entries[i].key}, 2);
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++) {
        const redisReply *r = link_get(l);
        if (r != NULL && r->type != REDIS_REPLY_INTEGER)
            link_refuse(l, r);
        if (r == NULL || r->type != REDIS_REPLY_INTEGER)
            e = ERR_REDISDOWN;
        else if (r->integer == -1)
            p->entries[n++] = p->entries[i];
    }
    link_done(l);
    *ret_n = n;
    return e;
}

static enum err repair(struct move_at *at, size_t n)
{
    struct marking *m = arena_get(&at->page.arena, n * sizeof *m);
    int64_t fresh = version_make(at->stores->epoch, clock_wall_us() / 1000);

    for (size_t i = 0; i < n; i++)
        m[i] = (struct marking){
            .key = at->page.entries[i].key, .fresh = fresh, .raise = 1, .expire_in = at->policy->ttl};
    enum err e = marking_do(at->stores->link, m, n);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        at->tally.repaired += m[i].expires;
    return e;
}

enum err audit_step(struct move_at *at, enum move_step *ret)
{
    uint64_t next;
    size_t n;

    if (at->policy->ttl == 0) {
        snprintf(at->tally.why, sizeof at->tally.why, "the policy has no ttl");
        *ret = STEP_BAD;
        return ERR_NONE;
    }
    enum err e = move_page(at, &next);
    if (e == ERR_NONE)
        e = without_expiry(at, &n);
    if (e == ERR_NONE && at->order->repair)
        e = repair(at, n);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++)
        move_found(at, at->page.entries[i].key);
    if (!move_paged(at, next))
        *ret = STEP_OVER;
    return ERR_NONE;
}
