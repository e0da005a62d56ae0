/* executor/record — the protocol's part of a document: whose state it is, which writes it contains, and, while the archive acts on
 * its own, the journal of what it has done since (docs/protocol.md).
 * Owns:       nothing: decoded parts borrow the document's bytes; lists lie in the arena.
 * Invariants: at most RECORD_SESSIONS ids, the newest; a journal of at most RECORD_JOURNAL writes and RECORD_JOURNAL_BYTES, or it has
 *             overflowed and is empty. Fields that say nothing (own archive, no ids, no journal) are not written, so that
 *             documents of an archive without Redis have none of them.
 * Threads:    any.          Used by: executor/run, sync. */
#ifndef EXECUTOR_RECORD_H
#define EXECUTOR_RECORD_H

#include "base/err.h"
#include "base/slice.h"
#include "base/write_id.h"
#include "engine/arena.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RECORD_SESSIONS      64 /* as many connections to Redis as may have writes without a reply, or more */
#define RECORD_JOURNAL       256
#define RECORD_JOURNAL_BYTES (1024 * 1024)

/* One write of the journal. */
struct record_write {
    struct write_id id;
    int64_t now_ms;        /* the clock that it ran by */
    struct slice requests; /* RESP: the commands, trim and expiry included, all on this one key */
};

/* Where a key is kept (docs/tiers.md). */
enum record_level { RECORD_WORKING, RECORD_WARM, RECORD_COLD };
#define RECORD_LEVELS 3

struct record_tier {
    uint8_t level;      /* enum record_level; WORKING: the rest counts for nothing */
    int32_t importance; /* in hundredths, when it left Redis */
    int64_t seen_ms;    /* when it was last used, since 1970 */
    int64_t accesses;   /* that were counted until then */
};

struct record {
    bool redis;      /* "own": a copy of a state that Redis has had */
    bool journalled; /* base and the journal count */
    bool overflowed; /* "jx": the journal is not whole */
    int64_t base;    /* the version before the journal's first write; 0: there was nothing */
    struct write_id sessions[RECORD_SESSIONS]; /* oldest first */
    size_t nsessions;
    struct record_write *writes;
    size_t nwrites;
    struct record_tier tier; /* not WORKING: Redis does not have it, on purpose; whoever writes the document clears it */
};

/* What doc (a whole document) says; fields of other kinds are skipped. A document without any of it gives a zero record. */
void record_decode(const bson_t *doc, struct arena *a, struct record *ret);
/* Appends the fields. False: the document would be too large. */
bool record_encode(const struct record *r, bson_t *doc);

/* Whether the state contains this write. */
bool record_has(const struct record *r, const struct write_id *id);
/* The state now contains it. seq 0: nothing happens. */
void record_add_id(struct record *r, const struct write_id *id);
/* All ids of another state, too. */
void record_add_ids(struct record *r, const struct write_id *ids, size_t n);
/* "working", "warm", "cold". */
const char *record_level_name(enum record_level level);
/* The archive writes on its own; version: before the write. The journal begins if it has not; it begins anew, with this version as
 * base, when the record is `redis`: a hand-over that was begun has put the old journal into the state. redis is false afterwards.
 * write NULL: one that cannot be replayed on one key. */
void record_journal(struct record *r, struct arena *a, int64_t version, const struct record_write *write);

#endif
