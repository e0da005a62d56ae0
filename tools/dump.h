/* tools/dump — the file of an export (docs/backup-format.md), being read: a header, a line a key, an end with the hash of all.
 *
 *   {"format":"convproxy-export","version":1,…}
 *   {"key":"conv:1","type":"list",…}
 *   {"end":true,"keys":1,"bytes":…,"sha256":"…"}
 *
 * Owns:       the file, the last line.
 * Invariants: what is damaged is told with the number of its line; a file is whole only when dump_next has returned DUMP_END and
 *             `whole` is true. Compressed or not is seen by its first bytes.
 * Threads:    one per object.          Used by: tools/import, tools/export, tools/restore, tools/backup. */
#ifndef TOOLS_DUMP_H
#define TOOLS_DUMP_H

#include "engine/arena.h"
#include "engine/object.h"
#include "tools/sha.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdint.h>

#define DUMP_FORMAT   "convproxy-export"
#define DUMP_VERSION  1
#define DUMP_LINE_MAX (1u << 30)
#define DUMP_WHY      256

struct dump;

enum dump_step { DUMP_KEY, DUMP_END, DUMP_BAD };

/* What is known of a file, all of it after DUMP_END. */
struct dump_facts {
    uint64_t keys;  /* lines of keys so far */
    uint64_t bytes; /* of all lines so far, uncompressed */
    uint64_t lines; /* the number of the last line that was read */
    bool whole;     /* the end was there, and true */
    bool cut;       /* it ends without an end, which `partial` allows */
    char sha256[SHA_HEX + 1]; /* of all lines but the end; after DUMP_END */
};

/* Reads the header. partial: a file that ends too early is read as far as it goes. NULL: why (DUMP_WHY bytes). */
struct dump *dump_open(const char *path, bool partial, char *why);
void dump_close(struct dump *own_d);
/* The next key, in the arena. DUMP_BAD: dump_why. */
enum dump_step dump_next(struct dump *d, struct arena *a, struct object *ret);
const struct dump_facts *dump_facts(const struct dump *d);
const cJSON *dump_header(const struct dump *d);
const char *dump_why(const struct dump *d);
/* Reads all of it. False: why has what is wrong, with the line. */
bool dump_check(const char *path, bool partial, struct dump_facts *ret, char *why);

/* Whether its name says that it is to be compressed. */
bool dump_is_compressed(const char *path);

#endif
