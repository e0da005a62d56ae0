/* router/rate_class — what a command counts under where tenants have limits.
 * Owns:       the table of search and bulk commands; docs/rate-limits.md is held against it by a test.
 * Invariants: each command has one class. A write of more than RATE_BULK_ARGS arguments is bulk whatever its name, and so is
 *             the command that makes a MULTI block longer than a multiple of RATE_BULK_COMMANDS.
 * Threads:    any.          Used by: proxy/policing, proxy/metrics. */
#ifndef ROUTER_RATE_CLASS_H
#define ROUTER_RATE_CLASS_H

#include "router/command.h"

enum rate_class { RATE_DEFAULT, RATE_SEARCH, RATE_BULK, RATE_CLASSES };

#define RATE_BULK_ARGS     100 /* arguments behind the verb */
#define RATE_BULK_COMMANDS 100 /* commands of one MULTI */

/* cmd: NULL for one that the table does not have. queued: commands that wait for EXEC already. */
enum rate_class rate_class_of(const struct command *cmd, const struct slice *argv, size_t argc, size_t queued);
/* "default", "search", "bulk" */
const char *rate_class_name(enum rate_class c);

#endif
