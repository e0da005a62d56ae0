/* sync/quarantine — states that had to give way and that nobody may lose: kept in the archive until a person has looked at them.
 *
 *   control document "quarantine"      {n: last number given, left: entries, last: [{h, v}], newest last}
 *   control document "quarantine:<n>"  {key, v: version, why, at, doc: the value as engine/document has it}
 *
 * Invariants: an entry is durable before its state is overwritten. What is put twice in a row (a hand-over that had to begin again) is
 *             one entry. Numbers are never given twice.
 * Threads:    one per handle; several handles may put at the same time. */
#ifndef SYNC_QUARANTINE_H
#define SYNC_QUARANTINE_H

#include "backends/archive/archive.h"
#include "engine/object.h"

struct quarantine_entry {
    int64_t number;       /* from 1; out: of quarantine_put as well */
    struct object object; /* with its key */
    int64_t version;      /* that it had in its store; 0: none */
    int64_t at_ms;        /* since 1970 */
    const char *why;
};

/* Errors as of archive_control_set; ERR_TOO_LARGE; ERR_RACE: others were always faster. */
MUST_USE enum err quarantine_put(struct archive_handle *h, struct quarantine_entry *q);
MUST_USE enum err quarantine_count(struct archive_handle *h, int64_t *ret);
/* The last number that was given, and how many entries are left. */
MUST_USE enum err quarantine_bounds(struct archive_handle *h, int64_t *ret_last, int64_t *ret_left);
/* Up to limit entries with numbers above `after`, oldest first; *ret_n: how many. Fewer than limit: there are no more. */
MUST_USE enum err quarantine_page(struct archive_handle *h, struct arena *a, int64_t after, size_t limit,
                                  struct quarantine_entry *ret, size_t *ret_n);
/* False in *ret_found: there is no such entry. A damaged one is an ERR_ARCHIVEBAD. */
MUST_USE enum err quarantine_get(struct archive_handle *h, struct arena *a, int64_t number,
                                 struct quarantine_entry *ret, bool *ret_found);
/* It has been put back, or is not needed. ERR_RACE: there is no such entry (any more). */
MUST_USE enum err quarantine_drop(struct archive_handle *h, int64_t number);

#endif
