/* proxy/viewed — a value of any type as JSON for people, and in what two of them differ.
 *
 *   string  items: [the value]                     length: bytes
 *   list    items: [element …]                     hash    items: [{field, value} …]      set  items: [member …]
 *   zset    items: [{member, score} …]             stream  items: [{id, fields: [f, v …]} …], and groups
 *
 * Owns:       nothing.
 * Invariants: bytes are told as proxy/told does. Hashes and sets are in the order of their names, so that two can be laid side by side.
 * Threads:    any.          Used by: proxy/viewer, proxy/quarantined. */
#ifndef PROXY_VIEWED_H
#define PROXY_VIEWED_H

#include "engine/arena.h"
#include "engine/object.h"

#include <cjson/cJSON.h>

#define VIEWED_DIFFERENCES 20 /* that are told; then how many more there are */

/* Which items: count of them from position `from` on (negative: counted from the end), each cut after cut bytes. */
struct viewed_page {
    int64_t from, count, cut;
};

/* Puts hashes and sets in the order of their names. Type NONE is fine. */
void viewed_sort(struct object *o, struct arena *a);
/* Adds {type, ttl_ms (null: never), length, from, items, groups?} of a sorted object that is there. */
void viewed_tell(cJSON *doc, const struct object *o, const struct viewed_page *page, int64_t now_ms);
/* Sentences about what differs in two sorted objects, whose names are a and b; either may be NONE. */
cJSON *viewed_differences(const struct object *a, const char *a_name, const struct object *b, const char *b_name);

#endif
