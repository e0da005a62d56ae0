/* tools/progress — how far long work of convctl itself is: a bar at a terminal, otherwise a line every two seconds, or JSON; and its pace.
 * Owns:       nothing.
 * Invariants: progress goes to standard error, so that standard output has results only; with --quiet there is none.
 * Threads:    one.          Used by: tools/export, tools/import, tools/backup. */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include "tools/ctl.h"

#include <stdint.h>

struct progress {
    const struct options *options;
    const char *what;  /* "export" */
    double rate;       /* keys a second; 0: as fast as can be */
    int64_t total;     /* keys; -1: not known */
    int64_t began_us, drawn_us;
    uint64_t keys, bytes, keys_before; /* keys_before: of an earlier run that goes on */
};

void progress_begin(struct progress *p, const struct options *o, const char *what, int64_t total, double rate);
/* So far; waits where the rate asks for that. False: somebody wants it to end. */
bool progress_step(struct progress *p, uint64_t keys, uint64_t bytes);
void progress_end(struct progress *p);

#endif
