/* backends/redis/dial — one attempt to open a connection: resolve the name, connect, all without blocking.
 * Owns:       itself until done was called or the attempt was cancelled.
 * Invariants: done is called exactly once, never before dial_start returns, and not after dial_cancel.
 * Threads:    [loop] only.          Used by: upstream, probe. Names are resolved anew each time (pitfall 10). */
#ifndef BACKENDS_REDIS_DIAL_H
#define BACKENDS_REDIS_DIAL_H

#include "config/url.h"

#include <stdint.h>
#include <uv.h>

struct dial;

/* result: a connected, non-blocking descriptor that the callee now owns, or a negative errno (UV_E…). */
typedef void (*dial_fn)(void *ctx, int result);

/* attempt: picks among a name's addresses, so that a dead one is not tried for ever. */
struct dial *dial_start(uv_loop_t *loop, const struct redis_url *url, unsigned attempt, int64_t timeout_ms, dial_fn done,
                        void *ctx);
void dial_cancel(struct dial *own_d);

#endif
