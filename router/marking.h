/* router/marking — what a write on Redis leaves beside itself: the version of each key, its mark, and the write's id (docs/protocol.md,
 * "A write while Redis acts").
 *
 *   MULTI | …the write… | HSETNX cvp:ver k fresh | HINCRBY cvp:ver k 1 | … | SADD cvp:dirty k … | HSET cvp:sess session seq | EXEC
 *
 * What a Redis that is out of memory allows goes as a script instead (H18), since in MULTI it would allow nothing.
 * Owns:    nothing.          Used by: proxy/block, proxy/copies.
 * Threads: any. */
#ifndef ROUTER_MARKING_H
#define ROUTER_MARKING_H

#include "base/chain.h"
#include "resp/build.h"

/* How the script refuses to run when its session is not registered: Redis was emptied. */
#define MARKING_STRANGER "-CVPSTRANGER"

struct marking {
    const char *session;
    int64_t seq;
    int64_t fresh;            /* the version before the first one of a key that has none: version_make */
    const struct slice *keys; /* distinct: they get versions and marks */
    size_t nkeys;             /* 0: only the id is kept */
};

/* Requests that marking_put appends. */
static inline size_t marking_requests(size_t nkeys)
{
    return nkeys > 0 ? 2 * nkeys + 2 : 1;
}

/* Appends them. Their replies: for each key 1 when the version was made anew and the version, then the mark's, and in the end 0 unless
 * the session was not there. */
void marking_put(struct chain *out, const struct marking *m);

/* The whole write as one script. Its reply: an error, the command's own or MARKING_STRANGER; or an array of what was made anew and the
 * version (a bulk) for each key, and the command's reply, which is left out when it is RESP3's null. When nothing was written, only the
 * command's reply is there. */
struct marking_script {
    enum resp resp;
    bool conditional; /* a reply of 0, -1 or nil means that nothing was written */
    const struct slice *argv;
    size_t argc;
    const struct slice *expiring; /* these keys get an expiry when it was written */
    const int64_t *expire_ms;
    size_t nexpiring;
};
void marking_put_script(struct chain *out, const struct marking *m, const struct marking_script *script);

#endif
