/* tools/completion — what bash, zsh and fish need to complete convctl's commands, options and words, from tools/commands.def.
 * Owns:       nothing.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_COMPLETION_H
#define TOOLS_COMPLETION_H

#include <stdio.h>

/* shell: bash, zsh or fish. An exit code of tools/ctl.h. */
int completion_print(FILE *out, const char *shell);

#endif
