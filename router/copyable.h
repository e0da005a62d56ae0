/* router/copyable — which commands can be repeated on the other store: their effect depends on nothing but the keys' values, their
 * arguments and a clock that is given.
 * Not: random choices (SPOP), ids and expiries by the server's own clock (XADD *, EXPIRE), sums of long doubles (INCRBYFLOAT), scripts,
 * what a server serialised (RESTORE), and what is computed from keys that are only read.
 * Owns:    a table of names.          Used by: proxy/copies.
 * Threads: any. */
#ifndef ROUTER_COPYABLE_H
#define ROUTER_COPYABLE_H

#include "router/command.h"

#include <stddef.h>

/* Also true for what changes nothing. cmd NULL: a command that is not in the table. argc fits the row. */
bool copyable(const struct command *cmd, const struct slice *argv, size_t argc);

/* It gives each key that it writes a state that does not depend on the one before: then it can be repeated also where nothing is known of
 * that. */
bool copyable_overwrites(const struct command *cmd, const struct slice *argv, size_t argc);

#endif
