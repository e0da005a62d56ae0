/* resp/request — parses what clients send: multi-bulk requests and inline commands.
 * Owns:       the argument vector (struct request); a session keeps only a struct request_progress.
 * Invariants: argv points into the bytes that were given, or (inline) into the request's own scratch;
 *             it holds until the next parse. A request that arrives in pieces is scanned once, whatever the
 *             number of pieces, and once more when it is whole.
 * Source:     redis.io/docs/reference/protocol-spec; error texts are those of redis-server 7.0. Stricter than
 *             Redis where bytes that other servers read differently would reach a shared connection: each
 *             header and body ends with CR LF. At most LIMIT_ARGS arguments.
 * Threads:    any; one thread per object. */
#ifndef RESP_REQUEST_H
#define RESP_REQUEST_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum request_status {
    REQUEST_MORE, /* not whole yet */
    REQUEST_DONE, /* argv and used are set; argc may be 0 (an empty line): nothing to answer */
    REQUEST_BAD,  /* error holds Redis's text ("Protocol error: …"): answer it and close */
};

struct request {
    struct slice *argv;
    size_t argc;
    size_t used;     /* bytes of the input that the request took */
    bool stranger;   /* set by the caller: has not logged in, and so gets at most LIMIT_STRANGER_ARGS short arguments */
    bool was_inline; /* the bytes that came are not RESP: forward argv, not the bytes */
    char error[64];
    size_t argv_cap;
    char *scratch;
    size_t scratch_cap;
};

/* Where a request that is not whole yet stands; all zero between requests. */
struct request_progress {
    size_t at;     /* bytes already scanned */
    uint32_t left; /* arguments still to come */
};

void request_init(struct request *r);
void request_done(struct request *r);

/* p[0, n) starts at a request. max_bytes bounds an argument and the request as a whole. */
enum request_status request_parse(struct request *r, struct request_progress *progress, const char *p,
                                  size_t n, size_t max_bytes);
/* The next of a row of requests each of which was parsed whole before: *ret_raw is its bytes, and *rest what follows. False: there is none. */
bool request_next(struct request *r, struct slice *rest, struct slice *ret_raw);

#endif
