/* config/rewrite — puts values into the text of a configuration file and leaves everything else of it as it
 * was. Owns:       nothing. Invariants: an edit is read back before it is believed: the new text holds the
 * old values and the new one, or the edit fails. A file is replaced by rename, so a reader sees the old text
 * or the new one. Threads:    any; the caller sees to it that one writer at a time changes a file. Used by:
 * config/config. */
#ifndef CONFIG_REWRITE_H
#define CONFIG_REWRITE_H

#include "base/err.h"
#include "config/error.h"

#include <stddef.h>

/* The text (NUL-terminated) with name ("redis.url", "conv.ttl") set to value. path is only for errors. */
MUST_USE enum err rewrite_value(const char *path, const char *text, const char *name, const char *value,
                                char **ret_text, struct config_error *err);

#endif
