/* proxy/server — the process: settings, loops, probe, admin HTTP, signals, and the order of their set-up and end.
 * Owns:    all of them.
 * Threads: the main thread runs server_run; the queries below are for any thread. */
#ifndef PROXY_SERVER_H
#define PROXY_SERVER_H

#include "backends/redis/probe.h"
#include "backends/redis/scout.h"
#include "config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct server;

struct clerk;
struct depot;
struct scripts;
struct executor;
struct handover;
struct limiter;
struct loop;
struct parking;
struct placement;
struct sync;
struct users;

/* A socket that clients connect to; a loop accepts on it. */
struct listen_socket {
    char *address; /* as in the setting */
    int fd;
    unsigned loop;
    bool secure; /* of tls.listen */
};

/* NULL when it could not start; why says it in one line. */
struct server *server_new(struct config *own_config, bool has_config_file, bool takeover, char *why, size_t why_cap);
/* Runs until SIGTERM or SIGINT and the drain; the process's exit code. */
int server_run(struct server *s);

/* For the admin server, INFO and convctl. */
struct config *server_config(const struct server *s);
void server_redis(const struct server *s, struct probe_report *report);
void server_scout(const struct server *s, struct scout_report *report);
void server_redis_moved(const struct server *s); /* what is known of where Redis is seems outdated */
int64_t server_started_us(const struct server *s); /* clock_wall_us */
bool server_draining(const struct server *s);
unsigned server_threads(const struct server *s);
bool server_has_config_file(const struct server *s);

/* For the loops, proxy/handover and proxy/takeover. */
struct loop *server_loop(const struct server *s, unsigned i); /* NULL behind the last */
struct loop *server_least_loop(const struct server *s, struct loop *accepting); /* who has the fewest clients */
unsigned server_clients(const struct server *s);
void server_loop_ended(struct server *s); /* [loop]: its last act */
int64_t server_redis_offset_us(const struct server *s); /* Redis's clock minus ours */
int64_t server_tls_expires(const struct server *s);         /* secure_expires */
struct handover *server_handover(const struct server *s);
struct parking *server_parking(const struct server *s);
struct depot *server_depot(const struct server *s);
struct clerk *server_clerk(const struct server *s);         /* NULL: the process ends */
struct executor *server_executor(const struct server *s);   /* NULL: there is no archive */
struct placement *server_placement(const struct server *s); /* NULL: the same */
struct scripts *server_scripts(const struct server *s);
struct limiter *server_limiter(const struct server *s);
struct users *server_users(const struct server *s);
struct sync *server_sync(const struct server *s);           /* NULL: the same */
struct tracer *server_tracer(const struct server *s);       /* NULL: as placement */
struct owed *server_owed(const struct server *s);           /* NULL: there is no archive */

/* For proxy/handover and proxy/takeover [main]. Descriptors are good until server_draining. */
const struct listen_socket *server_sockets(const struct server *s, size_t *ret_count);
void server_accept(struct server *s);       /* from now on clients are taken */
void server_close_admin(struct server *s);  /* the successor needs the address */
void server_reopen_admin(struct server *s); /* now or as soon as it is free */
void server_open_handover(struct server *s); /* the predecessor is gone, or about to */
void server_leave(struct server *s);        /* the successor has everything: end with 0 */
void server_give_up(struct server *s);      /* the predecessor goes on: end with 1 */

#endif
