/* router/command_doc — docs/commands.md, printed from the command table.
 * Owns:       nothing.
 * Threads:    any.          Used by: main (--docs commands). */
#ifndef ROUTER_COMMAND_DOC_H
#define ROUTER_COMMAND_DOC_H

#include <stdio.h>

/* The whole page. Errors of the stream are left to the caller (ferror). */
void commands_markdown(FILE *out);

#endif
