/* tests/unit/proxy/fake_server — answers proxy/server's queries without a process, loops or Redis.
 * Linked before proxy's library, so that its server.c stays out. Threads: one. */
#ifndef TESTS_UNIT_PROXY_FAKE_SERVER_H
#define TESTS_UNIT_PROXY_FAKE_SERVER_H

#include "proxy/server.h"
#include "proxy/stats.h"

struct server {
    struct config *config;
    struct probe_report redis;
    int64_t started_us;
    bool draining;
    unsigned threads;
};

/* Settings from "name=value" texts, Redis up, started an hour ago. The texts must be good. */
struct server *fake_server_new(const char *const *sets, size_t count);
void fake_server_free(struct server *own_s);
/* The one loop's statistics, registered at the first call. */
struct stats *fake_stats(void);

#endif
