/* tools/memory — convctl memory-report: what the keys take of Redis's memory, by policy and by prefix, and of the archive.
 *
 *   SCAN ─▶ a page of keys ─▶ TYPE, OBJECT ENCODING, MEMORY USAGE, PTTL in one pipeline ─▶ tally of the policy, or of the prefix
 *
 * Owns:       the tallies of one report.
 * Invariants: nothing is changed. Interrupted, it reports what it has seen so far, and says so.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_MEMORY_H
#define TOOLS_MEMORY_H

#include "tools/ctl.h"

int run_memory_report(struct options *o, const struct args *args);

#endif
