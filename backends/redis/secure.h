/* backends/redis/secure — TLS to Redis: what the settings ask for, as connections that are ready to be dialed.
 * Owns:       the process's one context for Redis, made anew when the settings or the files they name have changed; where that
 *             fails, the one before stays as long as only files have changed.
 * Threads:    any.          Used by: upstream, probe, blocking. */
#ifndef BACKENDS_REDIS_SECURE_H
#define BACKENDS_REDIS_SECURE_H

#include "base/tls.h"
#include "config/settings.h"
#include "config/url.h"

/* *ret_tls: NULL when url wants none, otherwise a connection for tls_set_fd or stream_secure; line outlives it. False: why (TLS_WHY
 * bytes) tells what is wrong with certificates or settings. */
MUST_USE bool redis_secure(const struct settings *s, const struct redis_url *url, struct tls_line *line, struct tls **ret_tls,
                           char *why);
/* The settings that count for a connection in use differ: it is to be made anew. */
bool redis_secure_differs(const struct settings *a, const struct settings *b);

#endif
