/* tools/item — one key as a line of an export (docs/backup-format.md), and back.
 * Owns:       nothing; what is read lies in the caller's arena.
 * Invariants: whatever bytes a value has come back the same: text that JSON can hold is a string, all else {"b64": …}. A line that
 *             is not exactly of this form is refused with the reason, never guessed.
 * Threads:    any.          Used by: tools/dump, tools/import. */
#ifndef TOOLS_ITEM_H
#define TOOLS_ITEM_H

#include "engine/arena.h"
#include "engine/object.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* {"key": …, "type": …, "expire_at": …, "value": …} without a line feed. Type NONE has no value: it says that there is no such key. */
void item_write(FILE *out, const struct object *o);
/* False: why says what is wrong with it. */
bool item_read(const cJSON *line, struct arena *a, struct object *ret, const char **why);
/* A JSON string, or {"b64": …}. */
void item_write_text(FILE *out, struct slice text);

#endif
