/* proxy/trial — what a blocking command becomes when it is tried without waiting, and how its reply is told.
 *
 *   BLPOP a b 5                         LMPOP 2 a b LEFT              [b, [v]]  ─▶ [b, v]
 *   BZPOPMIN z 0                        ZMPOP 1 z MIN                 [z, [[m, 1]]]  ─▶ [z, m, 1]
 *   XREAD BLOCK 0 STREAMS s t 1-1 2-2   XREAD STREAMS t 2-2           as it is
 *
 * Owns:       the arguments of the request that it makes; the words in them are the client's.
 * Source:     redis.io/commands/blpop and its kin; redis-server 7.0.15.
 * Threads:    any.          Used by: proxy/parked. */
#ifndef PROXY_TRIAL_H
#define PROXY_TRIAL_H

#include "resp/build.h"
#include "router/command.h"

struct trial {
    const struct command *cmd;
    struct slice *argv;
    size_t argc;
    char number[24];
};

/* The request for those of its keys whose numbers are in which. */
void trial_init(struct trial *t, const struct command *cmd, const struct slice *argv, size_t argc, const size_t *which, size_t n);
void trial_done(struct trial *t);

/* What it finds is gone for others: all but XREAD. */
bool trial_takes(const struct command *cmd);
/* Different for commands that are served by different things: lists, sorted sets, streams, groups of streams. */
uint64_t trial_kind(const struct command *cmd, const struct slice *argv, size_t argc);
/* As TYPE tells it: of keys that it can be served from. */
const char *trial_type(const struct command *cmd);
/* XREADGROUP waits for new entries only: with any other id it is answered at once. */
bool trial_may_wait(const struct command *cmd, const struct slice *argv, size_t argc);
/* The error that Redis has for its time; NULL: it is fine, or another error comes first. */
const char *trial_time_error(const struct command *cmd, const struct slice *argv, size_t argc);

enum trial_end {
    TRIAL_FOUND,
    TRIAL_NOTHING,
    TRIAL_OTHER_TYPE,
    TRIAL_NO_GROUP,
    TRIAL_ERROR,
};
enum trial_end trial_end(struct slice reply);
/* Appends the reply, which has found something, in the words of the blocking command. */
void trial_tell(const struct command *cmd, struct slice reply, struct chain *out);

#endif
