/* proxy/backups — when a backup of each kind has last succeeded, as whoever makes them (convctl backup) has told.
 *
 *   control document "backups"  {keys: ms since 1970, rdb: ms since 1970}
 *
 * Owns:       the times; from backups_start on a handle on the archive.
 * Invariants: a time never goes back. What was told is written to the archive as soon as that takes it, and what other proxies
 *             were told is read from there, on libuv's pool; without an archive it is kept for the life of the process.
 * Threads:    new, start, tick, stop, free: [main]; told, last: any.          Used by: proxy/depot. */
#ifndef PROXY_BACKUPS_H
#define PROXY_BACKUPS_H

#include "backends/archive/archive.h"

#include <uv.h>

enum backup_kind { BACKUP_KEYS, BACKUP_RDB, BACKUP_KINDS };

struct backups;

struct backups *backups_new(void);
void backups_start(struct backups *b, uv_loop_t *main_loop, struct archive *a);
void backups_tick(struct backups *b, int64_t now_us);
/* Before the archive is closed; work that runs is waited for, and what was told is written first. */
void backups_stop(struct backups *b);
void backups_free(struct backups *own_b);

/* A backup of this kind was complete and verified at that time. */
void backups_told(struct backups *b, enum backup_kind kind, int64_t at_ms);
/* ms since 1970; 0: none is known. */
int64_t backups_last(const struct backups *b, enum backup_kind kind);
const char *backup_kind_name(enum backup_kind kind);
/* False: it is not the name of one. */
bool backup_kind_parse(const char *name, enum backup_kind *ret);

#endif
