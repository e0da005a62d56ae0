/* tools/backup — convctl backup: an export of all managed keys and Redis's own file in a folder of their own, checked; the newest ones kept.
 * Owns:       DIR/.lock while it works: one at a time.
 * Invariants: a folder has its name only when everything in it is written, read back and found right; older ones go only after that.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_BACKUP_H
#define TOOLS_BACKUP_H

#include "tools/ctl.h"

int run_backup(struct options *o, const struct args *args);

#endif
