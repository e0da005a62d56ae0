/* base/err — the one table of errors.
 * Owns:    nothing.
 * Threads: any.          Used by: every layer. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

enum err {
    ERR_NONE = 0,
#define ERR(name, retryable, prefix, text) ERR_##name,
#include "base/err.def"
#undef ERR
    ERR_COUNT
};

#define MUST_USE __attribute__((warn_unused_result))

/* The row's name in lower case: "redisdown". Used as a metric label and a log value. */
const char *err_name(enum err e);
/* 1 when the same request may succeed later without being changed. */
int err_retryable(enum err e);
/* Writes the RESP error line without CR LF ("-ERR syntax error"); detail fills the row's %s and may be NULL.
 * CR and LF in detail become spaces. Returns the length written, at most cap - 1. */
size_t err_line(char *buf, size_t cap, enum err e, const char *detail);

#endif
