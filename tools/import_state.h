/* tools/import_state — how far an import was: FILE.import, so that one that was interrupted, or killed, goes on there.
 * Owns:       that file; it is gone when the import is over.
 * Invariants: it never tells more than what is done. It counts only for the very same file (its hash), mode, pattern and proxy. Where it
 *             can't be written nothing is lost: an import that begins anew finds the keys equal.
 * Threads:    one.          Used by: tools/import. */
#ifndef TOOLS_IMPORT_STATE_H
#define TOOLS_IMPORT_STATE_H

#include "tools/import.h"

struct import_state {
    char path[4096]; /* "": none is kept */
    cJSON *what;     /* of which file, mode, pattern and proxy it tells */
    uint64_t lines; /* of the file that are done */
    int64_t written_us;
    struct import_result result; /* when it was last written */
};

/* With wish->resume: from where it was, and *result with what had been done. */
void import_state_open(struct import_state *s, const struct import_wish *wish, const char *admin_url, const struct dump_facts *facts,
                       struct import_result *result);
/* Written now and then. */
void import_state_reached(struct import_state *s, uint64_t lines, const struct import_result *result);
void import_state_close(struct import_state *s, bool over);

#endif
