/* proxy/coded — the proxy's own errors with the stable codes MEM-00x, for policies whose error_codes say so.
 * Owns:       the table of errors and codes; docs/rate-limits.md is held against it by a test.
 * Invariants: an error keeps its sentence; only its first words change. Errors of Redis pass as they came.
 * Threads:    [loop] only.          Used by: proxy/dispatch, slot, archived, login, policing. */
#ifndef PROXY_CODED_H
#define PROXY_CODED_H

#include "proxy/managed.h"

/* "MEM-001" and so on; NULL: this error has none. detail may be NULL. */
const char *coded_of(enum err e, const char *detail);
/* Appends the error as a client of this policy gets it. policy: NULL for none. */
void coded_error(struct chain *out, const struct policy_conf *policy, enum err e, const char *detail);
/* The same by the policy of the first key of job that has one. */
void coded_job_error(struct chain *out, struct loop *l, const struct job *job, enum err e, const char *detail);
/* The same by the policy of this number in the statistics. */
void coded_slot_error(struct chain *out, const struct loop *l, uint8_t policy, enum err e, const char *detail);
/* A line that starts with NOAUTH or NOPERM as the client of job gets it: the line itself, or written to buf. */
const char *coded_denial(struct loop *l, const struct job *job, const char *line, char *buf, size_t cap);

#endif
