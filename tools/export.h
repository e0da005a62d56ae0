/* tools/export — convctl export: all keys of the policies, or of a pattern, in one portable file.
 * Owns:       nothing between calls.
 * Invariants: each key is of one moment, and in the file once. When the stores change places meanwhile the scan begins anew, so that
 *             no key is missing that was there all the time. An export that is interrupted leaves FILE.part, where --resume goes on.
 * Threads:    one.          Used by: tools/convctl, tools/backup. */
#ifndef TOOLS_EXPORT_H
#define TOOLS_EXPORT_H

#include "tools/ctl.h"

#include <stdint.h>

struct export_wish {
    const char *path;    /* "-": standard output */
    const char *proxy;   /* its RESP address; NULL: as it says itself */
    const char *policy;  /* NULL: all */
    const char *pattern; /* NULL: those of the policies */
    bool all, resume;
    double rate;
};

struct export_result {
    uint64_t keys, bytes; /* bytes: of the lines, uncompressed */
    uint64_t skipped;     /* keys that can't be carried; each was told */
    double seconds;
};

/* Exit code, after a message where it is not EXIT_OK. */
int export_to(const struct options *o, const struct export_wish *w, struct export_result *ret);
int run_export(struct options *o, const struct args *args);

#endif
