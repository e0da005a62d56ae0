/* proxy/guarantee — what is promised for acknowledged writes of a policy now, and what keeps it from being more.
 *
 *   both      they are in both stores, and survive the loss of either one
 *   archive   they are in the archive, and survive the loss of Redis
 *   archived  they survive the loss of Redis as far as they are archived
 *   redis     they survive what Redis alone survives
 *   none      writes are not taken, or may go without any fault
 *
 * Owns:       what was said last, for the log.
 * Invariants: the promise follows from the facts alone (guarantee_of is pure), and is the least of what the reasons allow.
 *             A change of it is logged, once.
 * Threads:    any; a guarantee_log: one.          Used by: proxy/overview. */
#ifndef PROXY_GUARANTEE_H
#define PROXY_GUARANTEE_H

#include "proxy/stats.h"
#include "router/place.h"

#include <stdbool.h>
#include <stdint.h>

enum guarantee_level {
    GUARANTEE_NONE,
    GUARANTEE_REDIS,
    GUARANTEE_ARCHIVED,
    GUARANTEE_ARCHIVE,
    GUARANTEE_BOTH,
    GUARANTEE_LEVELS
};

#define GUARANTEE_CLOCK_MS 500 /* clocks that differ by more lower the promise */
#define GUARANTEE_ALARM_MS 400 /* and by this are told of */
#define GUARANTEE_MARKS_S  10  /* a mark that is older does not come from the present writes */

/* Of one policy, and of the stores. */
struct guarantee_facts {
    enum phase phase;
    bool dual_write, ack_both;
    bool redis_up;
    char evicts
        [24]; /* Redis has a memory limit and this maxmemory-policy, which is another than noeviction; "": it does not evict */
    bool replica;   /* role is not master */
    bool read_only; /* a replica that refuses writes */
    bool no_aof;
    int64_t clock_offset_ms; /* Redis's minus ours */
    bool archive_present, archive_up;
    bool archive_racy; /* several proxies share one that is not made for it */
    int64_t marks;       /* keys owed to the archive; -1: not known */
    int64_t marks_age_s; /* since when there were always some */
    int64_t mismatches;  /* that the last verify has found and not repaired: somebody writes past the proxy */
};

struct guarantee {
    enum guarantee_level level;
    unsigned reasons; /* bits: rows of the table of reasons that hold */
    struct guarantee_facts facts;
};

void guarantee_of(const struct guarantee_facts *facts, struct guarantee *ret);
/* One word, as above, and one sentence. */
const char *guarantee_name(enum guarantee_level level);
const char *guarantee_promise(enum guarantee_level level);
/* Each reason in one sentence. lowers: it is one for which the promise is not more; otherwise a warning. */
void guarantee_each(const struct guarantee *g, void (*say)(void *ctx, const char *sentence, bool lowers),
                    void *ctx);

struct guarantee_log;
struct guarantee_log *guarantee_log_new(void);
void guarantee_log_free(struct guarantee_log *own_log);
/* Logs it if it is not what was said before. */
void guarantee_log_tell(struct guarantee_log *log, const char *policy, const struct guarantee *g);

#endif
