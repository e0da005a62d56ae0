/* resp/build — appends RESP values to a chain, in the form that the client's protocol version asks for.
 * Threads: the chain's. */
#ifndef RESP_BUILD_H
#define RESP_BUILD_H

#include "base/chain.h"
#include "base/err.h"

#include <stdint.h>

/* Client's protocol version. */
enum resp { RESP2 = 2, RESP3 = 3 };

/* In both, a CR or LF becomes a space. */
void build_status(struct chain *c, const char *text); /* +text */
void build_error(struct chain *c, const char *line);  /* -line; line starts with its prefix ("ERR …") */
/* The row of base/err.def; detail may be NULL. */
void build_err(struct chain *c, enum err e, const char *detail);
void build_int(struct chain *c, int64_t value);
void build_bulk(struct chain *c, const void *p, size_t n);
void build_number(struct chain *c, int64_t value);                 /* a bulk of its decimal */
void build_double(struct chain *c, enum resp resp, const char *digits, size_t n); /* ,digits or a bulk */
void build_text(struct chain *c, const char *text);            /* a bulk of a C string */
void build_null(struct chain *c, enum resp resp);              /* $-1 or _ */
void build_null_array(struct chain *c, enum resp resp);        /* *-1 or _ */
void build_array(struct chain *c, size_t items);               /* header; items values follow */
void build_map(struct chain *c, enum resp resp, size_t pairs); /* %pairs, or an array of 2 * pairs */
void build_set(struct chain *c, enum resp resp, size_t items); /* ~items, or an array */
void build_push(struct chain *c, enum resp resp, size_t items); /* >items, or an array: what nobody asked for */
void build_verbatim(struct chain *c, enum resp resp, const void *p, size_t n); /* =txt: or a bulk */
/* A request as clients send it. */
void build_request(struct chain *c, const struct slice *argv, size_t argc);
/* The same from C strings, NULL-terminated. */
void build_command(struct chain *c, const char *verb, ...) __attribute__((sentinel));

#endif
