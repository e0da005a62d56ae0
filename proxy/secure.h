/* proxy/secure — TLS with clients: the certificate that the loops show, its renewal, and a word on who does not get in.
 * Owns:       the context of tls.listen; each loop has a reference of its own.
 * Invariants: a certificate that cannot be used changes nothing: the one before stays, and the log says why. Connections keep the
 *             context that they began with.
 * Threads:    secure_open [main]; secure_loop, secure_begin, secure_count and secure_meets_tls [loop]; the rest any. */
#ifndef PROXY_SECURE_H
#define PROXY_SECURE_H

#include "base/err.h"
#include "base/tls.h"
#include "config/settings.h"

#include <stdbool.h>

struct loop;
struct secure;
struct server;
struct session;

/* Reads certificate and key. NULL: why; they are only read where tls.listen is set. */
struct secure *secure_open(const struct settings *now, char *why, size_t why_cap);
void secure_free(struct secure *own_s);
/* Reads them again and tells the loops; without force only when a setting of theirs has changed. */
void secure_reload(struct secure *s, struct server *server, const struct settings *now, bool force);
/* A counted context to be posted with secure_loop; NULL: there is no TLS with clients. */
struct tls_context *secure_context(struct secure *s);
/* Seconds since 1970 at which the certificate expires; 0: there is none, or no s. */
int64_t secure_expires(struct secure *s);

/* New clients of l get own_context (post it; arg is a counted context, which the loop takes). */
void secure_loop(struct loop *l, void *own_context);
/* A client that came to tls.listen shakes hands first. False: there is no context, which is our own mistake. */
MUST_USE bool secure_begin(struct session *s);
/* Its connection ended with neg_errno: logged when that was its handshake. */
void secure_lost(const struct session *s, int neg_errno);
/* Its handshake takes too long. */
bool secure_is_late(const struct session *s, int64_t now_us);
/* p[0, n), the first that a plain client says, is a TLS handshake. Logged when it is. */
bool secure_meets_tls(const struct session *s, const char *p, size_t n);
/* Once a second: the line's counts become the loop's statistics. */
void secure_count(struct loop *l);

#endif
