/* tools/import_run — convctl import, verify-export and restore: what they ask, and what they say about what came of it.
 * Owns:       nothing between calls.
 * Invariants: whoever is about to lose something is told what, asked, and told afterwards how to undo it.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_IMPORT_RUN_H
#define TOOLS_IMPORT_RUN_H

#include "tools/ctl.h"

int run_import(struct options *o, const struct args *args);
int run_verify_export(struct options *o, const struct args *args);
int run_restore(struct options *o, const struct args *args);

#endif
