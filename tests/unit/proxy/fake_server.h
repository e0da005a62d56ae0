/* tests/unit/proxy/fake_server — answers the queries of proxy/server and proxy/depot without a process, loops, Redis or an archive.
 * Linked before proxy's library, so that its server.c and depot.c stay out. Threads: one. */
#ifndef TESTS_UNIT_PROXY_FAKE_SERVER_H
#define TESTS_UNIT_PROXY_FAKE_SERVER_H

#include "proxy/depot.h"
#include "proxy/placement.h"
#include "proxy/server.h"
#include "proxy/stats.h"
#include "sync/sync.h"

struct server {
    struct config *config;
    struct probe_report redis;
    int64_t started_us;
    bool draining;
    unsigned threads;
    struct depot_report archive;
    bool archive_acts;       /* for all policies */
    struct trace_stat calls; /* of every operation of the archive */
    bool placed;             /* the next three are there */
    struct placement_report places;
    struct sync_report sync;
    struct moves *moves;
    struct warm *warm;
    struct tiers *tiers;
    struct uses *uses;
};

/* Settings from "name=value" texts, Redis up, started an hour ago. The texts must be good. */
struct server *fake_server_new(const char *const *sets, size_t count);
void fake_server_free(struct server *own_s);
/* From now on a SQLite archive answers for all policies; why NULL: it is up. */
void fake_server_archive(struct server *s, const char *why);
/* There is an archive, a placement and a sync; the policy is in that place since the start. */
void fake_server_place(struct server *s, const char *policy, enum place place);
/* The one loop's statistics, registered at the first call. */
struct stats *fake_stats(void);

#endif
