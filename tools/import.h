/* tools/import — brings the keys of an export into the stores, or only compares them.
 * Owns:       nothing between calls; FILE.import, which tells how far an interrupted import was.
 * Invariants: nothing is written before the whole file has been checked. A key gets its value in one step, and only if it still is what it was
 *             when that was decided. What is overwritten or made is in the undo file first. Doing it twice changes nothing.
 * Threads:    one.          Used by: tools/import_run, tools/restore. */
#ifndef TOOLS_IMPORT_H
#define TOOLS_IMPORT_H

#include "tools/ctl.h"
#include "tools/dump.h"

#include <stdint.h>

enum import_mode {
    IMPORT_REFUSE,  /* a key that is there with another value is left, and counted as a fault */
    IMPORT_MISSING, /* it is left */
    IMPORT_REPLACE, /* it is replaced */
    IMPORT_COMPARE, /* nothing is written at all */
    IMPORT_MODES
};

struct import_wish {
    const char *path, *proxy;
    enum import_mode mode;
    const char *match; /* only keys of this pattern; NULL: all */
    const char *undo; /* where what is overwritten goes; NULL: nowhere */
    bool partial, resume;
    bool show;        /* the first keys that differ are printed */
    const char *what; /* for the progress: "import", "verify" */
    double rate;
};

/* Lines of keys that match, by what became of them. */
struct import_result {
    uint64_t written, same, differ, absent; /* differ: left as they are; absent: only when comparing */
    uint64_t expired;                       /* their time was over already */
    uint64_t trimmed;                       /* of those written: which the policy has shortened */
    uint64_t failed;                        /* refused by the store, or there with a type that can't be read; each was told */
    uint64_t lines;                         /* of the file: how far it went */
    uint64_t undo_keys;                     /* in the undo file; 0: there is none */
};

/* facts: of dump_check. Exit code: EXIT_OK when all was looked at, whatever was found; otherwise after a message. */
int import_file(const struct options *o, const struct import_wish *w, const struct dump_facts *facts,
                struct import_result *ret);

#endif
