/* tests/unit/sync/sync_redis — a redis-server of a test's own, on a unix socket in a directory of its own.
 * Owns:    the server, from start to stop (it also ends with the test), the directory, settings whose redis.url names the socket,
 *          and a client.
 * Threads: one. */
#ifndef TESTS_UNIT_SYNC_SYNC_REDIS_H
#define TESTS_UNIT_SYNC_SYNC_REDIS_H

#include "config/settings.h"
#include "engine/arena.h"

#include <stdbool.h>
#include <sys/types.h>

struct link;
struct redisContext;
struct redisReply;

#define SYNC_REDIS_SKIPPED 77 /* what a skipped test program returns */

struct sync_redis {
    pid_t pid;
    char dir[48], path[64];
    const struct settings *settings;
    struct redisContext *client;
    struct redisReply *last;
};

/* The one of the test program, and a link to it: for cmocka. The program's is up from sync_redis_up to sync_redis_down; each
 * test between sync_redis_set_up and sync_redis_tear_down finds it empty, a link that is open, and an empty arena. */
extern struct sync_redis sync_redis;
extern struct link *sync_link;
extern struct arena sync_arena;
int sync_redis_up(void **state);
int sync_redis_down(void **state);
int sync_redis_set_up(void **state);
int sync_redis_tear_down(void **state);
/* A link more; link_free it. */
struct link *sync_redis_link(void);

/* No redis-server is installed; it says so. For main, which then returns SYNC_REDIS_SKIPPED. */
bool sync_redis_missing(void);
/* Up and answering. SIGPIPE is ignored from now on. */
void sync_redis_start(struct sync_redis *r);
void sync_redis_stop(struct sync_redis *r);
/* It is killed once its data is on the disk; and started on that disk. */
void sync_redis_kill(struct sync_redis *r);
void sync_redis_again(struct sync_redis *r);
/* A connection more; redisFree it. */
struct redisContext *sync_redis_connect(const struct sync_redis *r);
/* hiredis' format. An error reply, or none, fails the test. The reply is valid until the next call. */
const struct redisReply *sync_redis_ask(struct sync_redis *r, const char *format, ...);
/* A reply as one line, for comparing: "[a, 1, nil]"; malloc'ed. */
char *sync_redis_line(const struct redisReply *reply);
/* Fails the test unless the line is this one. */
void sync_redis_expect(struct sync_redis *r, const char *line, const char *format, ...);

#endif
