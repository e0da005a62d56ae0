/* proxy/bequest — what a process leaves to its successor besides listeners and clients: users as ACL has changed them, and CLIENT PAUSE.
 *
 *     "pause UNTIL all" or "pause UNTIL write"   µs of the monotonic clock, which both processes have
 *     "user NAME RULE …"                         a user who is not what the settings or acl.file say
 *     "-NAME"                                    one whom they name, and ACL DELUSER has removed
 *
 * Owns:       a text on its way.
 * Invariants: what the successor's settings say of other users holds. A line that has not changed since the last text is not applied again:
 *             what clients have ordered there meanwhile stays. What is no longer in the text is as the successor's settings say.
 * Threads:    [main].          Used by: proxy/handover, takeover. */
#ifndef PROXY_BEQUEST_H
#define PROXY_BEQUEST_H

#include "base/err.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;

/* ---- the process that runs ---- */

/* All zero: nothing has been sent. */
struct bequest_out {
    char *text; /* on its way; NULL: none */
    size_t len, at;
    bool any;     /* the successor has got a text */
    uint64_t users, pauses; /* serials of what it tells */
};

void bequest_reset(struct bequest_out *b);
/* Sends what has changed since it was sent last; nothing when there is nothing to tell. 0: the successor has it all, or a negative errno as
 * wire_send's. */
MUST_USE int bequest_send(struct bequest_out *b, struct server *s, int sock);

/* ---- its successor ---- */

/* All zero: nothing has come. */
struct bequest_in {
    char *text, *applied; /* as far as it has come; what is in force. NULL: none */
    size_t len;
    bool whole; /* text is */
};

void bequest_done(struct bequest_in *b);
/* A piece; left: how many bytes come behind it. */
void bequest_piece(struct bequest_in *b, struct slice piece, uint64_t left);
/* Puts into force what has come, if it is whole. The loops run. */
void bequest_apply(struct bequest_in *b, struct server *s);

#endif
