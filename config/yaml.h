/* config/yaml — the configuration file as a flat list of names and texts, with the place of each.
 * Owns:       the entries and blocks of a document.
 * Invariants: every name has a row, no name stands twice, every policy has a name of its own. Values are
 * texts as they stand; whether they fit their row is config/sources's question. Threads:    any. Used by:
 * config/sources, config/rewrite. */
#ifndef CONFIG_YAML_H
#define CONFIG_YAML_H

#include "base/err.h"
#include "config/error.h"

#include <stdbool.h>
#include <stddef.h>

#define YAML_POLICIES_MOST 256

struct yaml_entry {
    char *name;  /* "redis.url", "conv.ttl", "listen" */
    char *value; /* the items of a list are joined by a space */
    size_t line; /* of the value; both count from 1 */
    size_t column;
    size_t begin, end; /* the value's bytes in the text, quotes included */
};

/* A section ("redis") or a policy ("conv"): where another line can be added to it. */
struct yaml_block {
    char *name;
    bool policy;
    bool flow;     /* { … } */
    size_t line;   /* counts from 1 */
    size_t begin;  /* byte of the '{', of the first key, or where an empty block's value would stand */
    size_t last;   /* byte behind the last value; equal to begin while count is 0 */
    size_t column; /* of the first key, counts from 0 */
    size_t count;  /* of keys */
};

struct yaml_doc {
    size_t entry_count, block_count;
    struct yaml_entry *entries; /* in the order of the file; policies keep theirs */
    struct yaml_block *blocks;  /* a block for "policies" itself, too */
};

/* Reads len bytes; path is only for errors ("PATH:LINE: …"). On failure *ret_doc is untouched. */
MUST_USE enum err yaml_parse(const char *path, const char *text, size_t len, struct yaml_doc *ret_doc,
                             struct config_error *err);
void yaml_doc_done(struct yaml_doc *doc);
const struct yaml_entry *yaml_find(const struct yaml_doc *doc, const char *name);
const struct yaml_block *yaml_block_find(const struct yaml_doc *doc, const char *name, bool policy);

#endif
