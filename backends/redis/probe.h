/* backends/redis/probe — asks Redis, on a connection of its own, whether it is well.
 * Owns:       one hiredis connection on the main thread's loop, reconnected with back-off.
 * Invariants: a probe that is not answered within redis.timeout counts as failed and closes its connection.
 * Threads:    start/stop [main loop]; probe_report from any thread.
 * Source:     protocol.md §3: every 500 ms; LOADING, MISCONF, CLUSTERDOWN and a replica's READONLY are not health. */
#ifndef BACKENDS_REDIS_PROBE_H
#define BACKENDS_REDIS_PROBE_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct probe;

/* A copy of what is known; strings are cut to fit. */
struct probe_report {
    bool up;                   /* the last probe was answered well */
    bool known;                /* at least one probe has ended */
    unsigned reconnects;       /* failed attempts in a row */
    int64_t since_us;          /* clock_wall_us of the last change of up */
    int64_t latency_us;        /* of the last PING */
    int64_t clock_offset_us;   /* Redis's TIME minus ours, half a round trip taken off */
    int databases;             /* 16 until known */
    char state[24];            /* "connected", "connecting", "reconnecting", "failed" (after redis.reconnect_attempts) */
    char error[128];           /* why it is not up */
    char version[24];          /* redis_version */
    char mode[16];             /* standalone, sentinel, cluster */
    char role[16];             /* master, slave */
    char run_id[48];
    char maxmemory_policy[24];
    int64_t used_memory, maxmemory;
    int64_t evicted_keys, keyspace_hits, keyspace_misses;
    int64_t connected_clients, uptime_s;
};

struct probe *probe_start(uv_loop_t *main_loop, struct config *config);
void probe_report(struct probe *p, struct probe_report *report);
/* Called on the main loop whenever up changes. */
void probe_on_change(struct probe *p, void (*fn)(void *ctx, bool up), void *ctx);
void probe_stop(struct probe *own_p); /* frees once its handles are closed */

#endif
