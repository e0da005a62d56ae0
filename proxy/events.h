/* proxy/events — the last events that are worth an operator's attention, as the log has them: for the console.
 *
 *     log_event(…) ─▶ base/log ─┬─▶ the log
 *                               └─▶ events (proxy/events.def says which) ─▶ GET /api/v1/events
 *
 * Owns:       the last EVENTS_KEPT events of the process.
 * Invariants: ids grow, also from one process to the next (they begin at its start in ms since 1970). A TROUBLE that comes
 *             again within EVENTS_ALIKE_S, with the same first field and nothing but TROUBLE in between, counts as a repeat: a store
 *             that is down does not drive everything else out. What is no secret in the log is none here. At most some 2 KB an event.
 * Threads:    any (a lock, which only such events take). */
#ifndef PROXY_EVENTS_H
#define PROXY_EVENTS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define EVENTS_KEPT    512
#define EVENTS_ALIKE_S 60

/* From now on. Once, before there are threads. */
void events_start(void);
/* {last, events: [{id, time, level, event, fields, repeats?, until?}]}, the oldest first, of those with an id above since. */
cJSON *events_since(int64_t since);
/* Whether events of this name are kept. */
bool events_knows(const char *name);
/* docs/events.md */
void events_markdown(FILE *out);

#endif
