/* engine/bytes — the bytes of a string key: which encoding Redis would give them, how long they may be, how to write into them.
 * Invariants: bytes that a string has are never overwritten in place: other slices may share them.
 * Threads:    one.          Used by: strings, lcs, bits, bitfield, hyperloglog. */
#ifndef ENGINE_BYTES_H
#define ENGINE_BYTES_H

#include "engine/call.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BYTES_MAX ((uint64_t)512 << 20) /* Redis's default of proto-max-bulk-len */

/* The encoding of a value that arrives whole, as by SET: int, embstr or raw. */
enum object_encoding bytes_encoding(struct slice s);
/* o becomes the string s, whatever it was; its expiry stays. Kept as it is: copy s first when it doesn't outlive the command. */
void bytes_store(struct call *c, struct object *o, struct slice s);
/* The same as bytes_store, and the expiry goes. */
void bytes_replace(struct call *c, struct object *o, struct slice s);
/* o, a string or nothing yet, becomes a raw string of at least n bytes, zeros behind what it had; returns the bytes, which
 * may be written. Marks it changed. */
char *bytes_edit(struct call *c, struct object *o, size_t n);
/* Whether a string of a + b bytes is allowed; if not, the error was answered. */
bool bytes_fit(struct call *c, uint64_t a, uint64_t b);
/* An argument that counts bits from the start; with field > 0, "#n" is the n-th field of that many bits. On failure the error
 * was answered. */
bool bytes_bit_offset(struct call *c, size_t arg, unsigned field, uint64_t *ret);

#endif
