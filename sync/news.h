/* sync/news — whether a trouble with a key is new, so that it is logged once in an epoch and not with every attempt.
 * Owns:       the hashes of some keys; when others take their places, a trouble is told again.
 * Threads:    one per object. */
#ifndef SYNC_NEWS_H
#define SYNC_NEWS_H

#include "backends/archive/archive.h"

#define NEWS_KEYS 64

/* Zero to begin with. */
struct news {
    int64_t epoch;
    int64_t told[NEWS_KEYS]; /* hash + 1 */
};

static inline bool news_is(struct news *n, int64_t epoch, struct slice key)
{
    int64_t hash = archive_hash(key) + 1;
    int64_t *place = &n->told[hash % NEWS_KEYS];

    if (n->epoch != epoch)
        *n = (struct news){.epoch = epoch};
    if (*place == hash)
        return false;
    *place = hash;
    return true;
}

#endif
