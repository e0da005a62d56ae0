/* proxy/viewer — looks at managed keys in both stores, for operators.
 * Owns:       nothing.
 * Invariants: it only reads, past the proxy's own paths: what it sees is what the stores hold. Redis is read first, so that what the archive has is
 *             not older, unless a copy is owed; two states that differ are read again before they are called different. A store
 *             that does not answer is told in words, beside what the other one has.
 * Threads:    the clerk's.          Used by: proxy/admin_viewer, proxy/quarantined. */
#ifndef PROXY_VIEWER_H
#define PROXY_VIEWER_H

#include "proxy/clerk.h"
#include "proxy/http.h"
#include "proxy/viewed.h"

#include <stdint.h>

#define VIEWER_KEYS_MOST 500

enum viewer_phase { VIEWER_REDIS, VIEWER_ARCHIVE, VIEWER_DONE };

struct viewer_cursor {
    enum viewer_phase phase;
    uint64_t at; /* Redis' cursor, or the hash in the archive from which it goes on */
};

/* "0" at the beginning, then what the answer before has told. False: it makes no sense. */
bool viewer_cursor_read(const char *text, struct viewer_cursor *ret);

/* Some managed keys that match a glob: first those of Redis, then those that only the archive has. Replies {cursor, keys: [{key, policy,
 * type, redis, archive}], redis: {answers, why?}, archive: {…}}. */
void viewer_keys(const struct clerk_tools *t, struct slice match, struct viewer_cursor cursor, size_t count, struct http_reply *reply);

/* What both stores have of a key, and whether it is the same: {key, policy, acting, redis: {answers, present, version, …},
 * archive: {…}, state, equal, differences, note?}. */
void viewer_conversation(const struct clerk_tools *t, struct slice key, const struct viewed_page *page, struct http_reply *reply);

/* One key in both stores, not compared: adds members redis and archive to doc, as above. */
void viewer_add_sides(cJSON *doc, const struct clerk_tools *t, struct slice key, const struct viewed_page *page);

#endif
