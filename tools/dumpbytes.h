/* tools/dumpbytes — the bytes of a file as lines, whether it is compressed (zstd, any number of frames) or not.
 * Owns:       the file, the buffers.
 * Invariants: a line is whole, or it is the last one and told as cut.
 * Threads:    one per object.          Used by: tools/dump, tools/dumpfile. */
#ifndef TOOLS_DUMPBYTES_H
#define TOOLS_DUMPBYTES_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct dumpbytes;

enum bytes_step { BYTES_LINE, BYTES_END, BYTES_CUT, BYTES_BAD };

/* NULL: errno says why. */
struct dumpbytes *dumpbytes_open(const char *path);
void dumpbytes_close(struct dumpbytes *own_b);
/* The next line without its line feed, valid until the next call. BYTES_CUT: what is left is no whole line, or no whole frame.
 * BYTES_BAD: dumpbytes_why. */
enum bytes_step dumpbytes_line(struct dumpbytes *b, struct slice *ret);
const char *dumpbytes_why(const struct dumpbytes *b);
/* Where the last whole frame that was read ends in the file. Not compressed: where the last whole line ends. */
int64_t dumpbytes_settled(const struct dumpbytes *b);

#endif
