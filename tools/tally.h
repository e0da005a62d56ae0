/* tools/tally — what memory the keys of one group take: sizes, types, expiries, and the largest ones.
 * Owns:       its name, and those of the largest keys.
 * Invariants: quantiles are within 4 %; the largest keys are exact.
 * Threads:    one per object.          Used by: tools/memory. */
#ifndef TOOLS_TALLY_H
#define TOOLS_TALLY_H

#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stdint.h>

#define TALLY_KINDS   24 /* type and encoding; more are "other" */
#define TALLY_BUCKETS 512
#define TALLY_TOP_MAX 1000

struct tally_key {
    char *name;
    int64_t bytes;
};

struct tally_kind {
    char name[40];
    uint64_t keys, bytes;
};

enum tally_ttl { TTL_NONE, TTL_HOUR, TTL_DAY, TTL_WEEK, TTL_MONTH, TTL_MORE, TTLS };

struct tally {
    char *name;
    uint64_t keys, bytes;
    uint64_t unsized; /* keys whose size is not known: they are not among keys */
    uint32_t buckets[TALLY_BUCKETS];
    uint64_t ttls[TTLS];
    struct tally_kind kinds[TALLY_KINDS];
    size_t nkinds;
    struct tally_key *top; /* the largest first */
    size_t ntop, most;
};

/* What is known of a key; bytes -1: its size is not. */
struct tally_fact {
    struct slice key;
    int64_t bytes, ttl_ms; /* -1: none */
    const char *type, *encoding;
};

/* name: may be any bytes; what a terminal or JSON can't show is shown as '?'. */
void tally_init(struct tally *t, struct slice name, size_t top);
void tally_done(struct tally *t);
void tally_add(struct tally *t, const struct tally_fact *f);
double tally_mean(const struct tally *t);
double tally_quantile(const struct tally *t, double q);
const char *tally_ttl_name(enum tally_ttl ttl);
/* The whole of it. */
cJSON *tally_json(const struct tally *t);

#endif
