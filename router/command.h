/* router/command — the command table: one row of router/commands.def for each command and subcommand.
 * Owns:       the rows and a hash from the name to its row, completed by a constructor; immutable afterwards.
 * Invariants: facts about a command live in its row and nowhere else (lookup, arity, keys, permission,
 *             routing, trim and TTL class, documentation).
 * Threads:    any.          Used by: router/keys, router/plan, proxy/dispatch, docs and tests. */
#ifndef ROUTER_COMMAND_H
#define ROUTER_COMMAND_H

#include "base/slice.h"
#include "router/keyspec.h"

#include <stdbool.h>
#include <stdint.h>

/* Flags of the COMMAND reply; command_flag_name gives its words. */
enum cmd_flag {
    CMD_NONE = 0,
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,
    CMD_ADMIN = 1 << 3,
    CMD_PUBSUB = 1 << 4,
    CMD_NOSCRIPT = 1 << 5,
    CMD_BLOCKING = 1 << 6,
    CMD_LOADING = 1 << 7,
    CMD_STALE = 1 << 8,
    CMD_SKIP_MONITOR = 1 << 9,
    CMD_SKIP_SLOWLOG = 1 << 10,
    CMD_ASKING = 1 << 11,
    CMD_FAST = 1 << 12,
    CMD_NO_AUTH = 1 << 13,
    CMD_MAY_REPLICATE = 1 << 14,
    CMD_MOVABLEKEYS = 1 << 15,
    CMD_NO_MULTI = 1 << 16,
    CMD_NO_ASYNC_LOADING = 1 << 17,
    CMD_NO_MANDATORY_KEYS = 1 << 18,
    CMD_ALLOW_BUSY = 1 << 19,
};

/* Permission class: the ACL categories of the COMMAND reply; command_cat_name gives its words. */
enum cmd_cat {
    CAT_NONE = 0,
    CAT_KEYSPACE = 1 << 0,
    CAT_READ = 1 << 1,
    CAT_WRITE = 1 << 2,
    CAT_SET = 1 << 3,
    CAT_SORTEDSET = 1 << 4,
    CAT_LIST = 1 << 5,
    CAT_HASH = 1 << 6,
    CAT_STRING = 1 << 7,
    CAT_BITMAP = 1 << 8,
    CAT_HYPERLOGLOG = 1 << 9,
    CAT_GEO = 1 << 10,
    CAT_STREAM = 1 << 11,
    CAT_PUBSUB = 1 << 12,
    CAT_ADMIN = 1 << 13,
    CAT_FAST = 1 << 14,
    CAT_SLOW = 1 << 15,
    CAT_BLOCKING = 1 << 16,
    CAT_DANGEROUS = 1 << 17,
    CAT_CONNECTION = 1 << 18,
    CAT_TRANSACTION = 1 << 19,
    CAT_SCRIPTING = 1 << 20,
};

/* Who answers. */
enum cmd_route {
    ROUTE_FORWARD,     /* Redis, on the shared fast connection (managed keys: by router/plan) */
    ROUTE_SLOW,        /* Redis, on the second lane: may hold the server or the line for long */
    ROUTE_URGENT,      /* Redis, on a connection that no other request holds up: works while a script runs */
    ROUTE_LOCAL,       /* the proxy itself; proxy/local.c has a handler of this name */
    ROUTE_MULTI,       /* MULTI EXEC DISCARD WATCH UNWATCH: the session's transaction */
    ROUTE_BLOCKING,    /* may wait: proxy/waiting */
    ROUTE_PUBSUB,      /* about messages: proxy/pubsub.c has a handler of this name */
    ROUTE_UNSUPPORTED, /* refused with an error that names it */
    ROUTE_REFUSED,     /* never: would change or hijack a connection that others share (PSYNC, ASKING …) */
};

/* What a write to a managed key adds for the TTL, for each key that keys_each reports as written (so SORT
 * without STORE adds nothing). The policy's TTL is meant wherever "the TTL" stands. */
enum cmd_ttl {
    TTL_NONE, /* reads, no keys, writes that leave no key (DEL, GETDEL, MOVE, MIGRATE …), and writes
                 to a consumer group only (XACK, XCLAIM, XREADGROUP …) */
    TTL_SLIDE, /* an unconditional write: the TTL starts again (RPUSH, HSET, INCR …) */
    TTL_COND, /* like SLIDE, but a reply of 0, -1 or nil means nothing was written (HSETNX, RPUSHX, COPY …) */
    TTL_SHRINK,  /* like SLIDE, but takes elements away, and so is allowed when Redis is out of memory (LPOP,
                    SREM, LTRIM …) */
    TTL_OWN,     /* the client's TTL is kept (EXPIRE*, PEXPIRE*, SETEX, PSETEX) */
    TTL_SET,     /* SET, SETNX, GETSET: the options decide */
    TTL_GETEX,   /* GETEX: the options decide */
    TTL_PERSIST, /* PERSIST: gives the policy's TTL instead */
    TTL_RESTORE, /* RESTORE: 0 means the policy's TTL */
    TTL_SCRIPT,  /* may write any of its keys, or none: one that is left without a TTL gets the policy's */
};

/* Which end is trimmed when the policy has max_messages = N. */
enum cmd_trim {
    TRIM_NONE,
    TRIM_HEAD,   /* pushed at the tail: keep the last N (RPUSH, RPUSHX) */
    TRIM_TAIL,   /* pushed at the head: keep the first N (LPUSH, LPUSHX) */
    TRIM_STREAM, /* XADD: keep the newest N entries */
    TRIM_ZSET,   /* ZADD: keep the N highest scores */
    TRIM_JSON,   /* SET GETSET MSET SETEX …: a JSON array value keeps its last N elements */
};

#define CMD_MAX_KEYSPECS 4

struct command {
    const char *name; /* lower case; subcommands as "xgroup|create" */
    int16_t arity;    /* as in Redis: negative means "at least"; counts the container's verb too */
    uint32_t flags;   /* enum cmd_flag */
    int16_t first, last, step;
    uint32_t cats; /* enum cmd_cat */
    uint8_t route; /* enum cmd_route */
    uint8_t ttl;   /* enum cmd_ttl */
    uint8_t trim;  /* enum cmd_trim */
    uint8_t nspecs;
    struct keyspec specs[CMD_MAX_KEYSPECS];
    bool container; /* has subcommand rows */
    bool sub;       /* is one */
    uint16_t id;    /* position in the table: index for per-command statistics */
};

/* The row of a verb (any case), or NULL when the table has none. Does not look at subcommands. */
const struct command *command_find(struct slice verb);
/* The row of "verb|sub" when parent is a container and has it, else NULL. */
const struct command *command_find_sub(const struct command *parent, struct slice sub);
/* The row of a request: its subcommand's when the table has one, else its verb's; NULL: neither. argc > 0. */
const struct command *command_of(const struct slice *argv, size_t argc);
/* All rows, subcommands included, in the order of the .def file; a container's subcommands follow it. */
const struct command *command_at(uint16_t id);
uint16_t command_count(void);
/* It may read or change keys that its arguments do not name: commands about all keys, and SORT with patterns. */
bool command_sees_others(const struct command *cmd);
/* Redis's own rule: argc includes the verb. */
bool command_arity_ok(const struct command *cmd, size_t argc);

/* The word of COMMAND's reply for 1 << bit ("no_auth", "@sortedset"), or NULL past the last one. */
const char *command_flag_name(unsigned bit);
const char *command_cat_name(unsigned bit);
/* "forward", "slide", "head" …: for documentation and dumps. */
const char *command_route_name(enum cmd_route route);
const char *command_ttl_name(enum cmd_ttl ttl);
const char *command_trim_name(enum cmd_trim trim);

#endif
