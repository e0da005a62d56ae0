/* sync/tenancy — how many keys each tenant of a policy has, found by a pass over a store.
 *
 *   tenancy_new ─▶ tenancy_of_redis | tenancy_of_archive, page by page ─▶ tenancy_seal ─▶ read by many
 *
 * Owns:       a row for each tenant, TENANCY_MOST at most; the keys of all others are in one row more.
 * Invariants: sealed, it never changes. What is written meanwhile may be counted or not; a key that Redis shows twice is counted
 *             twice (SCAN while its table is resized).
 * Threads:    counting: one, never a loop. Sealed: any; references are counted atomically.
 * Used by:    proxy/tenants. */
#ifndef SYNC_TENANCY_H
#define SYNC_TENANCY_H

#include "backends/archive/archive.h"
#include "router/policy.h"
#include "sync/link.h"

#define TENANCY_MOST     10000
#define TENANCY_NAME     64 /* bytes of a tenant's name that are kept */
#define TENANCY_PAGE     100
#define TENANCY_EXAMPLES 16
#define TENANCY_KEY      128

struct tenancy_row {
    char name[TENANCY_NAME];
    size_t name_len;
    int64_t keys, without_ttl, malformed;
    int64_t bytes;    /* -1: not known */
    int64_t oldest_s; /* since the last write of the key that was left alone for longest, as its TTL tells; -1: not known */
};

struct tenancy;

/* own_settings is a counted snapshot, policy one of it. */
struct tenancy *tenancy_new(const struct settings *own_settings, const struct policy_conf *policy);
struct tenancy *tenancy_ref(struct tenancy *t);
void tenancy_unref(struct tenancy *t);

/* The next page; *ret_looked: keys that the store has shown, *ret_more: there are others behind it. */
MUST_USE enum err tenancy_of_redis(struct tenancy *t, struct link *l, size_t *ret_looked, bool *ret_more);
MUST_USE enum err tenancy_of_archive(struct tenancy *t, struct archive_handle *h, int64_t now_ms, size_t *ret_looked,
                                     bool *ret_more);
/* No more pages: sorts the rows, those with most keys first. took_us: the whole pass; ended_us: clock_wall_us. */
void tenancy_seal(struct tenancy *t, int64_t took_us, int64_t ended_us);

const char *tenancy_policy(const struct tenancy *t);
bool tenancy_was_archive(const struct tenancy *t);
int64_t tenancy_took_us(const struct tenancy *t);
int64_t tenancy_ended_us(const struct tenancy *t);
/* Keys that name no tenant are of the row with an empty name. */
size_t tenancy_count(const struct tenancy *t);
const struct tenancy_row *tenancy_row(const struct tenancy *t, size_t i);
/* All those beyond TENANCY_MOST; its name is empty. */
const struct tenancy_row *tenancy_others(const struct tenancy *t);
/* The sum of all rows. */
const struct tenancy_row *tenancy_all(const struct tenancy *t);
/* Some of the keys whose values should be JSON and are not; NULL behind the last. */
const char *tenancy_example(const struct tenancy *t, size_t i);

#endif
