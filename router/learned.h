/* router/learned — commands that the server has and router/commands.def has not: those of modules, and those
 * of newer servers. Owns:       an immutable, counted set of rows, read from the reply of COMMAND.
 * Invariants: a row is what the server says of the command, with our columns derived from its flags: a write
 * makes the TTL slide, in a MULTI block (what Lua would make of its reply is unknown, hence CMD_NOSCRIPT);
 * what may wait, subscribes, or changes the connection is unsupported; what isn't "fast" goes on the second
 * lane. Names and keywords of a row live as long as its set. Limits:     a renamed command (rename-command)
 * is listed by its old name; keys that a module finds by code of its own (movablekeys without a
 * specification) are not seen, and such a key is treated as raw. Source:     redis.io/commands/command
 * Threads:    any.          Used by: proxy/server, which has it made, and proxy/dispatch, which looks
 * commands up. */
#ifndef ROUTER_LEARNED_H
#define ROUTER_LEARNED_H

#include "router/command.h"

struct learned;
struct redisReply;

/* commands: the reply of COMMAND without arguments, in RESP2. id: what every row has as its id. NULL when
 * there is no memory, or when the reply is no whole list of a server's commands: one that lacks EXEC proves
 * nothing about others. */
struct learned *learned_new(const struct redisReply *commands, uint16_t id);
struct learned *learned_ref(struct learned *l);
void learned_unref(struct learned *own_l); /* NULL is fine */

/* The row of a verb (any case) that the table does not have, or NULL. l may be NULL: nothing is known. */
const struct command *learned_find(const struct learned *l, struct slice verb);
/* The row of "verb|sub", of a container of either kind, or NULL. */
const struct command *learned_find_sub(const struct learned *l, const struct command *parent,
                                       struct slice sub);
/* True when the server tells subcommands too, so that one without a row does not exist. */
bool learned_knows_subs(const struct learned *l);
/* True when name is a row's own, and so goes away with the set. */
bool learned_owns(const struct learned *l, const char *name);
/* Subcommands count. */
size_t learned_count(const struct learned *l);

#endif
