/* config/mdoc — text as a man page wants it (mdoc(7)): for convctl(1) and convproxy(1), which are made of tables.
 * Owns:    nothing.
 * Threads: any.          Used by: tools/manual, proxy/usage. */
#ifndef CONFIG_MDOC_H
#define CONFIG_MDOC_H

#include <stdio.h>

/* len bytes inside a line, with what roff would take for something else escaped. */
void mdoc_word(FILE *out, const char *word, int len);
/* Whole lines: a sentence begins one, none is long, and none begins with what roff takes for a request. */
void mdoc_text(FILE *out, const char *text);

#endif
