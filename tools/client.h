/* tools/client — calls the admin server: one HTTP request, one answer, one connection.
 * Owns:       nothing between calls.
 * Invariants: a call ends within CLIENT_TIMEOUT_S seconds of silence; an answer is at most CLIENT_ANSWER_MAX
 * bytes. Threads:    any.          Used by: tools/convctl. Source:     HTTP/1.0 (RFC 1945): no chunks, the
 * answer ends where the connection ends. */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define CLIENT_TIMEOUT_S  5
#define CLIENT_ANSWER_MAX (64u << 20)

struct client {
    const char *url;   /* http://host:port or unix:/path */
    const char *token; /* NULL: none */
};

struct answer {
    int status;
    char *text;       /* all that came, ends with a NUL */
    const char *body; /* inside text */
};

/* True when url has one of the two forms. */
bool client_url_ok(const char *url);
/* json: the body, or NULL. False: nothing sensible came back; why says it in a few words. */
MUST_USE bool client_call(const struct client *c, const char *method, const char *path, const char *json,
                          struct answer *ret_answer, char *why, size_t why_cap);
void answer_done(struct answer *a);

#endif
