/* proxy/web — the console's files: the folder web/, embedded at build time by scripts/embed-web.
 *
 *   GET /            web/index.html
 *   GET /web/NAME    web/NAME, and /web/vendor/NAME web/vendor/NAME
 *
 * Owns:       nothing; the table is constant.
 * Invariants: a file is gzipped once, at build time; browsers keep it and ask by its ETag whether it is still the same.
 * Threads:    any.          Used by: proxy/admin. */
#ifndef PROXY_WEB_H
#define PROXY_WEB_H

#include "proxy/http.h"

struct web_file {
    const char *name; /* in web/, like "vendor/uPlot.js" */
    const char *type, *tag, *packed_tag; /* Content-Type and ETags */
    const unsigned char *plain;
    size_t plain_len;
    const unsigned char *packed; /* gzip */
    size_t packed_len;
};

extern const struct web_file web_files[];
extern const size_t web_file_count;

/* Whether the request comes from somebody who looks at pages. */
bool web_wants_page(const struct http_request *r);
/* Replies with the file, or 304, or 404. */
void web_reply(const struct http_request *r, const char *name, struct http_reply *reply);

#endif
