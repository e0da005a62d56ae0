/* backends/redis/probe — asks Redis, on a connection of its own, whether it is well.
 * Owns:       one connection on the main thread's loop (dialed by dial, read by hiredis' reader), made anew
 * with back-off. Invariants: a probe that is not answered within redis.timeout counts as failed and closes
 * its connection. Nothing blocks: names are resolved by the loop's thread pool, on every attempt anew.
 * Threads:    start/stop [main loop]; probe_report from any thread.
 * Source:     protocol.md §3: every 500 ms; LOADING, MISCONF, CLUSTERDOWN and a replica's READONLY are not
 * health. */
#ifndef BACKENDS_REDIS_PROBE_H
#define BACKENDS_REDIS_PROBE_H

#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct probe;
struct redisReply;

#define PROBE_DATABASES 16 /* whose keys are counted */

enum probe_word { PROBE_UNKNOWN, PROBE_OK, PROBE_NOT_OK };

/* A copy of what is known; strings are cut to fit. Numbers of INFO are 0 where Redis does not tell them. */
struct probe_report {
    bool up;                                       /* the last probe was answered well */
    bool known;                                    /* at least one probe has ended */
    bool there;                                    /* some probe has reached a server, which may have refused */
    unsigned reconnects;                           /* failed attempts in a row */
    int64_t since_us;                              /* clock_wall_us of the last change of up */
    int64_t latency_us;                            /* of the last PING */
    int64_t ping_p50_us, ping_p95_us, ping_p99_us; /* of the PINGs of the last 60 s; 0 when there were none */
    int64_t clock_offset_us;                       /* Redis's TIME minus ours, half a round trip taken off */
    int databases;                                 /* 16 until known */
    char state[24]; /* "connected", "connecting", "reconnecting", "failed" (after redis.reconnect_attempts) */
    char error[128];  /* why it is not up */
    char version[24]; /* redis_version */
    char mode[16];    /* standalone, sentinel, cluster */
    char role[16];    /* master, slave */
    char run_id[48];
    char maxmemory_policy[24];
    int64_t used_memory, maxmemory;
    int64_t evicted_keys, keyspace_hits, keyspace_misses;
    int64_t connected_clients, uptime_s;
    int64_t replica_read_only; /* 1: a replica that refuses writes */
    int64_t aof_enabled;       /* 1: appendonly yes */
    int64_t blocked_clients, maxclients, rejected_connections, expired_keys, used_memory_rss;
    int64_t cpu_sys_us, cpu_user_us;
    int64_t rdb_last_save_s, rdb_changes; /* since 1970; writes since then */
    enum probe_word rdb_last_bgsave, aof_last_write;
    int64_t keys[PROBE_DATABASES], keys_expiring[PROBE_DATABASES]; /* all there are, the proxy's own too */
};

/* Starts at once; config outlives the probe. A changed redis.url or password is followed within a probe
 * interval. */
struct probe *probe_start(uv_loop_t *main_loop, struct config *config);
void probe_report(struct probe *p, struct probe_report *report);
/* Called on the main loop whenever up changes, and when the first probe has ended. */
void probe_on_change(struct probe *p, void (*fn)(void *ctx, bool up), void *ctx);
/* Called on the main loop with the reply of COMMAND, which is valid for the call: once per connection, and
 * again when COMMAND COUNT, asked with every INFO, has changed (a module was loaded). Not called where Redis
 * refuses to tell. */
void probe_on_commands(struct probe *p, void (*fn)(void *ctx, const struct redisReply *commands), void *ctx);
void probe_stop(struct probe *own_p); /* frees once its handles are closed */

#endif
