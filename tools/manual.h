/* tools/manual — what convctl says about itself: --help, help COMMAND, docs/convctl.md and the man page, all from tools/commands.def.
 * Owns:       nothing.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_MANUAL_H
#define TOOLS_MANUAL_H

#include <stdio.h>

/* Each returns an exit code of tools/ctl.h. */
int manual_list(FILE *out);
int manual_command(FILE *out, const char *name);
int manual_markdown(FILE *out);
int manual_man(FILE *out); /* mdoc, see mdoc(7) */

#endif
