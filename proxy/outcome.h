/* proxy/outcome — what came of a request, told to the statistics, the slow log and the log.
 * Invariants: each request is counted once, when it is over.
 * Threads:    [loop] only. */
#ifndef PROXY_OUTCOME_H
#define PROXY_OUTCOME_H

#include "proxy/slot.h"

/* The first bytes of Redis's reply: an error? a hit or a miss? */
void outcome_first_bytes(struct slot *slot, const char *p, size_t n);
/* A managed write was refused by Redis with this error line ("-OOM …"); client errors (WRONGTYPE …) do not count. */
void outcome_write_error(struct loop *l, uint8_t policy, const char *line, size_t n);
/* The request failed before or without its reply. */
void outcome_failed(struct slot *slot, enum err e);
/* The request is over: latency, calls, errors, slow log. */
/* Redis has answered, but the slot is not over: its latency ends here. */
void outcome_answered(struct slot *slot);
void outcome_record(struct slot *slot);
/* A push to a managed list told its length: messages that were there before it. */
void outcome_msg_count(struct loop *l, uint8_t policy, int64_t before);

#endif
