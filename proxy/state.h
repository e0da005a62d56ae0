/* proxy/state — the JSON documents of the admin server.
 * Owns:       nothing; the caller frees what comes back (cJSON_Delete).
 * Invariants: secrets never appear; numbers are finite.
 * Threads:    any.          Used by: proxy/admin. */
#ifndef PROXY_STATE_H
#define PROXY_STATE_H

#include "proxy/overview.h"

#include <cjson/cJSON.h>

/* {healthy, status, reasons, warnings, stores, placement} */
cJSON *state_health(const struct overview *o);
/* {ready, reasons}: ready means that clients are taken. That Redis is down does not make the proxy unready:
 * clients get a clear error from it, and taking all proxies out of service at once would turn that into a
 * refused connection. */
cJSON *state_ready(const struct overview *o);
/* {healthy, connectionState, reconnectAttempts, latencyMs} of the connection that managed keys depend on: connecting, connected,
 * reconnecting, error (after redis.reconnect_attempts; connecting goes on) */
cJSON *state_memory(const struct overview *o);
/* {placement: [{policy, primary, acting, dualWrite, dualWriteWanted, phase, place, since, why, failovers, lastPauseMs,
 * longestPauseMs, guarantee: {level, promise, loweredBy, warnings}}]}; without an archive some of them are missing */
cJSON *state_placement(const struct overview *o);
/* {id, kind, policy, state, repair, deep, rate, done, total, found, repaired, keysPerSecond, etaSeconds, startedAt, endedAt, why,
 * examples}; what is not known is missing. And {moves: [...]} */
cJSON *state_move(const struct move_report *m);
cJSON *state_moves(const struct move_report *list, size_t n);
/* Everything an operator wants to know. */
cJSON *state_full(const struct overview *o);
/* {settings: [{name, value, default, source, type, unit, least, most, words, when, env, policy, help}]} of
 * the settings whose name matches the glob pattern. */
cJSON *state_settings(struct config *config, const char *pattern);

#endif
