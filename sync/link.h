/* sync/link — a blocking connection to Redis for the work between the stores: reading states, restoring them, claims.
 * Owns:       a blocking connection (plain or TLS), with hiredis' formatter and reader on it, named MARKS_CLIENT_NAME "sync" so that no fence closes it.
 * Invariants: any error closes it; the next link_open connects anew. Pipelines: put any number, then get as many.
 * Errors:     in words in link_why.
 * Threads:    one at a time, never a loop; link_interrupt: any. */
#ifndef SYNC_LINK_H
#define SYNC_LINK_H

#include "base/slice.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stddef.h>

struct link;
struct redisReply;

struct link *link_new(void);
void link_free(struct link *own_l);
/* Connects, authenticates and selects the database of redis.url, unless it is open and these have not changed since. Time-outs:
 * redis.connect_timeout, greeting included; redis.slow_timeout for each answer. Gives all replies back. SIGPIPE must be ignored. */
bool link_open(struct link *l, const struct settings *settings);
/* Speaks to whoever is at the other end of this connected socket instead of Redis, until link_close. */
void link_take(struct link *l, int own_fd, int64_t patience_ms);
bool link_is_open(const struct link *l);
void link_close(struct link *l);
const char *link_why(const struct link *l);
/* Closes it for a reason of the caller's. */
void link_fail(struct link *l, const char *why);
/* The same for a reply that is no use; an error's own words are why. */
void link_refuse(struct link *l, const struct redisReply *r);

/* Appends a command of n arguments. */
void link_put(struct link *l, const struct slice *argv, size_t n);
/* The same with at most 16 texts, ended by NULL. */
void link_say(struct link *l, const char *verb, ...) __attribute__((sentinel));
/* The next reply, valid until link_done; NULL: the link is closed now. Sends what was put. An error reply is a reply. A closed
 * link takes commands, too, and forgets them. */
struct redisReply *link_get(struct link *l);
/* How many commands are put and not yet answered. */
size_t link_owed(const struct link *l);
/* Gives all replies back. */
void link_done(struct link *l);

/* Any thread: whoever waits for an answer gets none, as if Redis had closed the connection. Nothing happens to a closed link. */
void link_interrupt(struct link *l);

#endif
