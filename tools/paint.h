/* tools/paint — pieces of text for documents: numbers with units, lists, bars.
 * Owns:       the texts, which are valid until 16 calls later.
 * Threads:    any.          Used by: tools/screen, tools/screen_moves. */
#ifndef TOOLS_PAINT_H
#define TOOLS_PAINT_H

#include "tools/screen.h"

#define BAR_WIDTH 30

/* The member at a path like "redis.latencyMs.p95"; NULL: there is none. */
const cJSON *paint_find(const cJSON *doc, const char *path);
/* The row of a list whose member is exactly this text; NULL: there is none. */
const cJSON *paint_row(const cJSON *list, const char *member, const char *text);
const char *paint_bytes(double n);
const char *paint_count(double n); /* 1234567 as 1,234,567 */
const char *paint_duration(double s);
/* Each text of a list, in a line with the title. */
void paint_list(FILE *out, const cJSON *doc, const char *name, const char *title);
/* A key or an item as one line, of at most so many bytes: text as it is, all else as JSON. How many it has put. */
int paint_value(FILE *out, const cJSON *value, int most);
/* part: 0 to 1, of BAR_WIDTH. */
void paint_bar(FILE *out, double part);

#endif
