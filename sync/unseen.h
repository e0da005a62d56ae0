/* sync/unseen — what nobody has seen of scripts that name no keys (sync/doubts has them): a verify by content with repair looks at the keys
 * of one dual-write policy after the other; then they are forgotten.
 * Owns:       the list of those that are being seen to.
 * Threads:    one at a time.          Used by: sync/tracer. */
#ifndef SYNC_UNSEEN_H
#define SYNC_UNSEEN_H

#include "engine/arena.h"
#include "sync/link.h"

struct sync;

struct unseen {
    bool owed; /* set it: something was left */
    const char *proxy;
    bool (*is_running)(void *ctx, struct slice field);
    void *ctx;
    int64_t epoch;  /* that was looked at */
    unsigned looks; /* since then */
    struct arena arena;
    struct slice *fields;
    size_t nfields, policy;
    uint64_t move; /* of that policy; 0: none yet */
};

/* proxy: borrowed for good. is_running: whether the script of this field is under way. */
void unseen_init(struct unseen *u, const char *proxy, bool (*is_running)(void *ctx, struct slice field),
                 void *ctx);
void unseen_done(struct unseen *u);
/* The policies are others: from the first one on. */
void unseen_anew(struct unseen *u);
/* About once a second, while Redis acts or not: looks for what was left, orders a verify, or sees whether it has ended. */
void unseen_step(struct unseen *u, struct sync *s, struct link *l, const struct settings *settings);

#endif
