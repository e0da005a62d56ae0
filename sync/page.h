/* sync/page — the keys of a store, a page at a time.
 * Owns:       the memory of the page's keys, until the next page or page_done.
 * Invariants: a key that is there during the whole of a scan is on a page; of Redis it may be on several. The proxy's own keys
 *             (MARKS_PREFIX) are on none.
 * Threads:    one per object, never a loop. */
#ifndef SYNC_PAGE_H
#define SYNC_PAGE_H

#include "backends/archive/archive.h"
#include "engine/arena.h"
#include "sync/link.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page {
    struct arena arena; /* also for what belongs to the page */
    struct archive_entry *entries;
    size_t n, cap;
    size_t looked; /* entries that the store has shown, those that are not wanted counted */
};

/* Which keys are wanted. */
typedef bool (*page_want)(void *ctx, struct slice key);

void page_init(struct page *p);
void page_done(struct page *p);

/* The archive's entries from *hash on, and *hash is where the next page begins; -1: there are no more. */
MUST_USE enum err page_of_archive(struct page *p, struct archive_handle *h, enum archive_filter filter,
                                  int64_t *hash, size_t limit, page_want want, void *ctx);
/* Redis' keys; *cursor 0 at first, and again when there are no more. match: a glob, or NULL. Only the entries' keys are set. */
MUST_USE enum err page_of_redis(struct page *p, struct link *l, const char *match, uint64_t *cursor,
                                size_t limit, page_want want, void *ctx);
/* How much of Redis' keyspace lies behind this cursor, 0 to 1: its bits count backwards (SCAN's guarantee while tables are resized). */
double page_progress(uint64_t cursor);
/* The same of the archive's keys; hash as page_of_archive leaves it. */
double page_hash_progress(int64_t hash);

#endif
