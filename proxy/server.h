/* proxy/server — the process: settings, loops, probe, admin HTTP, signals, and the order of their set-up and end.
 * Owns:    all of them.
 * Threads: the main thread runs server_run; the queries below are for any thread. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "backends/redis/probe.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

struct loop;

/* NULL when it could not start; why says it in one line. */
struct server *server_new(struct config *own_config, bool has_config_file, bool takeover, char *why, size_t why_cap);
/* Runs until SIGTERM or SIGINT and the drain; the process's exit code. */
int server_run(struct server *s);

/* For the admin server, INFO and convctl. */
struct config *server_config(const struct server *s);
void server_redis(const struct server *s, struct probe_report *report);
int64_t server_started_us(const struct server *s); /* clock_wall_us */
bool server_draining(const struct server *s);
unsigned server_threads(const struct server *s);
bool server_has_config_file(const struct server *s);

/* For the loops. */
struct loop *server_loop(const struct server *s, unsigned i); /* NULL behind the last */
struct loop *server_least_loop(const struct server *s, struct loop *accepting); /* who has the fewest clients */
unsigned server_clients(const struct server *s);
void server_loop_ended(struct server *s); /* [loop]: its last act */
int64_t server_redis_offset_us(const struct server *s); /* Redis's clock minus ours */

#endif
