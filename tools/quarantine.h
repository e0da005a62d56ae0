/* tools/quarantine — convctl quarantine: the states that had to give way to another, and were put aside until a person has looked at them.
 * Owns:       nothing.
 * Invariants: nothing is put back or dropped before it was asked.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_QUARANTINE_H
#define TOOLS_QUARANTINE_H

#include "tools/ctl.h"

int run_quarantine(struct options *o, const struct args *args);

#endif
