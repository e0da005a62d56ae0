/* proxy/usage — what convproxy says about its command line: --help, and the man page convproxy(1).
 * Owns:       nothing.
 * Threads:    one.          Used by: main. */
#ifndef PROXY_USAGE_H
#define PROXY_USAGE_H

#include <stdio.h>

void usage_help(FILE *out);
void usage_man(FILE *out); /* mdoc, see mdoc(7) */

#endif
