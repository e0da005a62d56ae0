/* proxy/http — a small HTTP server: a table of routes, whole requests in, whole replies out.
 * Owns:       libmicrohttpd's daemon with one thread of its own, and the listening socket.
 * Invariants: handlers run one at a time on that thread; a body is at most HTTP_BODY_MAX bytes; at most
 * HTTP_CONNECTIONS connections are open, idle ones end after HTTP_IDLE_S seconds; every error is JSON
 * {"error": "…"}. An answer that takes time is deferred, so that metrics and health are always told at once.
 * Threads:    http_start and http_stop from one; handlers on its own; http_deferred from any.          Used by:
 * proxy/admin. */
#ifndef PROXY_HTTP_H
#define PROXY_HTTP_H

#include "base/err.h"
#include "base/slice.h"
#include "config/url.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define HTTP_BODY_MAX    65536
#define HTTP_CONNECTIONS 64
#define HTTP_IDLE_S      10
#define HTTP_PEER        64 /* room for an address in text */

struct http;
struct http_request;
struct http_later;

struct http_reply {
    unsigned status;
    const char *type; /* Content-Type */
    char *own_body;   /* malloc; the server frees it */
    const void *body; /* instead of own_body: constant */
    size_t len;
    const char *cache, *encoding, *tag, *vary; /* constants; NULL: Cache-Control is no-store, the others are missing */
};

/* Of a route. */
enum http_trait {
    HTTP_OPEN = 1,     /* there is nothing in it that needs a token: the console's files, liveness */
    HTTP_CONTENTS = 2, /* it tells what keys are called and hold */
};

typedef void (*http_handler)(void *ctx, const struct http_request *r, struct http_reply *reply);

struct http_route {
    const char *method; /* GET answers HEAD as well */
    const char *path;   /* "…/+", "…/+/…": any segment stands there, which http_rest tells */
    bool changes; /* it changes state: the guard asks for a token, and a body must be application/json */
    http_handler handler;
    const char *help;
    unsigned traits; /* of enum http_trait; mostly 0 */
};

struct http_setup {
    const struct http_route *routes;
    size_t route_count;
    /* Looks at every request that has a route; false: refused, and reply says why. */
    bool (*guard)(void *ctx, const struct http_route *route, const struct http_request *r,
                  struct http_reply *reply);
    void *ctx; /* for guard and handlers */
};

/* Listens and serves; setup and its routes outlive the server. On failure *ret_http is untouched and why is
 * filled. */
MUST_USE enum err http_start(const struct net_address *address, const struct http_setup *setup,
                             struct http **ret_http, struct reason *why);
/* The port that is listened on; 0 for a unix socket. */
int http_port(const struct http *h);
/* Ends the requests that run, and frees. */
void http_stop(struct http *own_h);

/* NULL when the request has none. */
const char *http_header(const struct http_request *r, const char *name);
const char *http_query(const struct http_request *r, const char *name);
/* The same for one that may hold any bytes. */
const char *http_query_bytes(const struct http_request *r, const char *name, size_t *ret_len);
/* The address that the request comes from, without its port; "unix" on a unix socket. */
void http_peer(const struct http_request *r, char address[HTTP_PEER]);
/* What stands for the "+" of the route. */
const char *http_rest(const struct http_request *r);
/* The whole body, with a NUL behind it. */
const char *http_body(const struct http_request *r, size_t *ret_len);

/* In a handler, which then leaves the reply alone: the request is answered by http_deferred, exactly once, also when the server has
 * stopped meanwhile: then whoever asked was told that it ends. The request is gone when the handler returns. */
struct http_later *http_defer(const struct http_request *r);
/* Takes what the reply owns. Any thread. */
void http_deferred(struct http_later *own_l, const struct http_reply *reply);

/* Whether a path is that of a route; *ret_rest: what stands for its "+", "" where it has none. */
bool http_path_fits(const char *pattern, const char *path, struct slice *ret_rest);
/* The body as JSON; NULL: it is none, and the reply says so. */
cJSON *http_body_json(const struct http_request *r, struct http_reply *reply);
/* The text of a member; "" when there is none. */
const char *http_member(const cJSON *doc, const char *name);

void http_reply_json(struct http_reply *reply, unsigned status, cJSON *own_doc);
void http_reply_text(struct http_reply *reply, unsigned status, const char *type, char *own_body, size_t len);
__attribute__((format(printf, 3, 4))) void http_reply_error(struct http_reply *reply, unsigned status,
                                                            const char *format, ...);

#endif
