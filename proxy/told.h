/* proxy/told — bytes of keys and values as JSON, whatever they are.
 * Threads: any.          Used by: proxy/events, proxy/viewer, proxy/quarantined. */
#ifndef PROXY_TOLD_H
#define PROXY_TOLD_H

#include "base/slice.h"

#include <cjson/cJSON.h>
#include <stddef.h>
#include <stdint.h>

/* For people: text, with \xHH for what is no UTF-8 and for NUL; at most cap bytes of it. */
cJSON *told_text(struct slice s, size_t cap);
/* Exactly: a text where it is UTF-8 without NUL, otherwise {"base64": "…"}. What is longer than cap bytes is {"cut": its beginning
 * (a text or base64), "bytes": its full size}. */
cJSON *told_bytes(struct slice s, size_t cap);
/* The bytes that told_bytes has told, malloc'ed; NULL: it is neither a text nor {"base64": "…"}. */
char *told_read(const cJSON *item, size_t *ret_len);
/* "2026-11-21T08:00:00.123Z" */
cJSON *told_time(int64_t us);

#endif
