/* backends/redis/blocking — a blocking connection to Redis, plain or TLS: bytes only.
 * Owns:       the socket, the TLS connection.
 * Invariants: no call waits longer than the patience for each step of it.
 * Threads:    one at a time, never a loop; blocking_interrupt: any, while nobody closes it.          Used by: sync/link, backends/redis/asker. */
#ifndef BACKENDS_REDIS_BLOCKING_H
#define BACKENDS_REDIS_BLOCKING_H

#include "base/err.h"
#include "config/settings.h"
#include "config/url.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BLOCKING_READ_LEAST (128 * 1024)

struct blocking;

/* Connects within the patience, trying each of the name's addresses; and shakes hands. NULL: why. */
struct blocking *blocking_open(const struct settings *s, const struct redis_url *url, int64_t patience_ms, char *why, size_t why_cap);
/* The same for who tells where Redis is: faults that are made on purpose do not concern it. */
struct blocking *blocking_open_apart(const struct settings *s, const struct redis_url *url, int64_t patience_ms, char *why, size_t why_cap);
/* Over a connected socket that does not lead to Redis: faults of Redis do not concern it. */
struct blocking *blocking_take(int own_fd, int64_t patience_ms);
void blocking_close(struct blocking *own_w);
void blocking_patience(struct blocking *w, int64_t ms);

/* 0, or a negative errno: -ETIMEDOUT when the patience is over. */
MUST_USE int blocking_send(struct blocking *w, const char *p, size_t n);
/* > 0 bytes, 0 end of file, or a negative errno as above. cap is at least BLOCKING_READ_LEAST. */
ssize_t blocking_read(struct blocking *w, char *buf, size_t cap);
/* What a negative errno means. */
const char *blocking_why(const struct blocking *w, int neg_errno);

int blocking_fd(const struct blocking *w);
/* Whoever waits for it is told that the connection has ended. */
void blocking_interrupt(struct blocking *w);

#endif
