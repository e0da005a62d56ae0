/* tools/dumpfile — the file of an export, being written.
 * Owns:       FILE.part, which becomes FILE when it is whole and on the disk.
 * Invariants: FILE is never half a file. What stands in FILE.part up to its last whole line (compressed: frame) is good, so that an
 *             interrupted export goes on there. The first error (disk full) ends it; later calls do nothing.
 * Threads:    one per object.          Used by: tools/export, tools/import (what can be undone). */
#ifndef TOOLS_DUMPFILE_H
#define TOOLS_DUMPFILE_H

#include "engine/object.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

struct dumpfile;

/* header: what stands in the first line beside format and version. NULL: why (DUMP_WHY bytes). path "-": standard output. */
struct dumpfile *dumpfile_new(const char *path, const cJSON *header, char *why);
/* Goes on with FILE.part, whose header must have the same members `same` as this one; each(ctx, key) is told what is there. NULL: why. */
struct dumpfile *dumpfile_resume(const char *path, const cJSON *header, const char *const *same, void (*each)(void *ctx, struct slice key), void *ctx, char *why);
void dumpfile_put(struct dumpfile *f, const struct object *o);
/* What was put is with the kernel, so that it outlives this process. */
void dumpfile_flush(struct dumpfile *f);
bool dumpfile_is_well(const struct dumpfile *f);
const char *dumpfile_why(const struct dumpfile *f);
uint64_t dumpfile_keys(const struct dumpfile *f);
uint64_t dumpfile_bytes(const struct dumpfile *f); /* of the lines, uncompressed */
/* Writes the end, and makes FILE of FILE.part. False: dumpfile_why. */
bool dumpfile_finish(struct dumpfile *f);
/* What is not finished stays as FILE.part. */
void dumpfile_free(struct dumpfile *own_f);

#endif
