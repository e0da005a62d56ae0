/* tools/backup_list — the backups in a folder: which there are, whether one is right, and which may go.
 * Owns:       nothing.
 * Invariants: only folders that convctl backup has made, by their names and manifests, are ever removed.
 * Threads:    one.          Used by: tools/backup. */
#ifndef TOOLS_BACKUP_LIST_H
#define TOOLS_BACKUP_LIST_H

#include "tools/ctl.h"

#define BACKUP_PREFIX     "convproxy-"
#define BACKUP_INCOMPLETE ".incomplete"

/* Exit codes. */
int backup_list(const struct options *o, const char *dir);
int backup_check(const struct options *o, const char *folder);
/* Keeps the newest `keep` that are whole, and removes those that are not: nobody works on them, since the caller holds the lock.
 * Returns how many whole ones went. */
int backup_prune(const char *dir, size_t keep);

#endif
