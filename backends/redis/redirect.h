/* backends/redis/redirect — a request to a node of a Redis Cluster that may have to be sent again, to another node.
 *
 *     request ─▶ node A ─▶ -MOVED 42 B ─▶ the same bytes ─▶ node B ─▶ reply        its owner never notices
 *                         -ASK 42 B   ─▶ ASKING, the same bytes ─▶ node B
 *     request ─▶ a replica ─▶ lost, -LOADING, -MASTERDOWN ─▶ the same bytes ─▶ its master
 *                         -TRYAGAIN, -CLUSTERDOWN ─▶ a while later, the same bytes ─▶ node A
 *
 * Owns:       the request's bytes until its reply has begun; of a MULTI block the replies before EXEC's, which are passed
 *             on only when it is certain that none of them says that the block is at the wrong node.
 * Invariants: a request that was redirected has done nothing: an EXEC behind a redirected command is refused by Redis. One is sent
 *             later only when nothing of its client's that came behind it can have overtaken it, and within its deadline.
 * Threads:    [loop] only.          Used by: backends/redis/upstream.
 * Source:     redis.io, "Redis cluster specification", MOVED and ASK redirection. */
#ifndef BACKENDS_REDIS_REDIRECT_H
#define BACKENDS_REDIS_REDIRECT_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REDIRECT_HOPS 5 /* so often a request is sent again; then its client is told to try again */
#define REDIRECT_HOST 256

enum redirect_kind { REDIRECT_NONE, REDIRECT_MOVED, REDIRECT_ASK, REDIRECT_LATER, REDIRECT_MASTER };

struct upstream;

struct redirect {
    enum redirect_kind kind;
    int slot;
    char host[REDIRECT_HOST]; /* "": the host that says so */
    int port;
};

/* The error line at p is a redirection: to another node, or to a later time, which leaves the rest of ret empty. */
bool redirect_parse(const char *p, size_t n, struct redirect *ret);

/* The error line at p is a replica's that can't answer reads now: loading, without its master, or in a cluster that is down. */
bool redirect_is_unfit(const char *p, size_t n);

struct resend {
    char *bytes;
    size_t len;
    uint32_t replies; /* that are owed in all */
    uint32_t seen;    /* of a block: replies in early */
    unsigned hops;
    bool block; /* MULTI … EXEC */
    bool asks;  /* the next reply is ASKING's */
    bool patient;         /* the owner's word before resend_take: it may be sent later */
    unsigned waits;       /* how often it has been */
    int64_t due_us;       /* when it will be: the owner's */
    struct upstream *home; /* where it was sent first, or that one's master: the owner's */
    bool begun; /* the reply that counts has begun */
    struct redirect to;
    char *early;
    size_t early_len;
};

struct resend *resend_new(struct slice request, uint32_t replies);
void resend_free(struct resend *own_r);

enum resend_verdict {
    RESEND_PASS,   /* the owner gets these bytes */
    RESEND_KEEP,   /* nobody gets them, or not yet */
    RESEND_REPLAY, /* the owner gets what is early, then these bytes */
    RESEND_AGAIN,  /* the request goes to where resend->to says */
};
/* n bytes of the next reply; end: it ends here. */
enum resend_verdict resend_take(struct resend *r, const char *p, size_t n, bool end);
/* Before it is sent again. False: it was sent often enough. */
bool resend_again(struct resend *r);
/* How long it waits the next time that it is sent later. */
int64_t resend_pause_us(const struct resend *r);
/* Before it is sent later: from the beginning. */
void resend_later(struct resend *r);

#endif
