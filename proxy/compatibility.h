/* proxy/compatibility — docs/compatibility.md: every command of Redis 7.0, who answers it while Redis acts and while the archive
 * acts, and what differs or is refused, and why. Made from the command table, the engine's and the executor's, and a table of notes.
 * Threads: any. */
#ifndef PROXY_COMPATIBILITY_H
#define PROXY_COMPATIBILITY_H

#include "router/command.h"

#include <stdio.h>

void compatibility_markdown(FILE *out);
/* What differs from Redis, or why it is refused; NULL: nothing. A test asks for every row that is refused. */
const char *compatibility_note(const struct command *cmd);

#endif
