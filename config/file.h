/* config/file — a small text file as a whole: read it, replace it.
 * Owns:       nothing.
 * Invariants: a file is replaced by rename, so a reader sees the old text or the new one.
 * Threads:    any; the caller sees to it that one writer at a time replaces a file.
 * Used by:    config/sources, config/config. */
#ifndef CONFIG_FILE_H
#define CONFIG_FILE_H

#include "base/err.h"
#include "config/error.h"

#include <stdbool.h>
#include <stddef.h>

#define FILE_MOST ((size_t)1 << 20) /* bytes */

/* The whole file, at most FILE_MOST bytes, with a NUL behind; the caller frees it. *ret_missing (may be NULL)
 * tells whether the failure is that there is no such file. */
MUST_USE enum err file_read(const char *path, char **ret_text, size_t *ret_len, bool *ret_missing,
                            struct config_error *err);
/* Replaces the file, or makes one that only its owner can read; owner and mode of an old file are kept. */
MUST_USE enum err file_replace(const char *path, const char *text, struct config_error *err);

#endif
