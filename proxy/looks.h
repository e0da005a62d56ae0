/* proxy/looks — what the loop's parked clients ask of Redis before and between their tries: whether something may have come that was written
 * behind this process, and where a stream ends whose "$" they wait behind.
 *
 *   every LOOKS_MS: TYPE key … for each client that is the first in a queue     XREAD BLOCK 0 STREAMS s $ ─▶ XINFO STREAM s ─▶ its last id
 *
 * Owns:       the list of the loop's parked clients, and the timer.
 * Threads:    [loop] only.          Used by: proxy/parked. */
#ifndef PROXY_LOOKS_H
#define PROXY_LOOKS_H

#include "proxy/managed.h"

#define LOOKS_MS 200 /* a write of another process is seen after so long, and the time that Redis takes */
#define LOOKS_NO_STREAM "UNBLOCKED the stream key no longer exists"

struct parked;

struct looks {
    uv_timer_t timer;
    struct loop *loop;
    struct parked *first; /* all parked clients of the loop */
    bool on;
};

struct looks *looks_new(struct loop *l);
/* Frees it when its timer is closed: run the loop. */
void looks_free(struct looks *own_k);
/* There is somebody to look for. */
void looks_want(struct looks *k);
/* At once. */
void looks_soon(struct looks *k);

/* XREAD with "$" for an id. */
bool looks_has_last(const struct job *job);
/* Asks for the ids that "$" stands for; they are written into the client's input, and w is new again. Returns what dispatch returns. */
bool looks_ask_last(struct parked *w, const struct job *job);

#endif
