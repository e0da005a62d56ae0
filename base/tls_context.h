/* base/tls_context — what many TLS connections share: certificate and key, whom to trust, which versions and ciphers.
 * Owns:       OpenSSL's context; of a client's also the sessions to resume, one a peer.
 * Invariants: a context never changes: new certificates make a new one, and running connections keep theirs.
 *             Renegotiation and compression are off; a session is resumed only with the peer it was made with.
 * Threads:    any; references are counted atomically.          Used by: base/tls, proxy/secure, backends/redis/secure. */
#ifndef BASE_TLS_CONTEXT_H
#define BASE_TLS_CONTEXT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ssl_st;
struct ssl_session_st;
struct tls_context;

#define TLS_WHY 256 /* room for a reason in words */

enum tls_role { TLS_SERVER, TLS_CLIENT };
enum tls_version { TLS_1_2, TLS_1_3 };
/* Whether the other side must have a certificate that ca vouches for. */
enum tls_demand { TLS_DEMAND_NO, TLS_DEMAND_OPTIONAL, TLS_DEMAND_YES };

/* Paths of PEM files, "" where there is none. Borrowed for the call. */
struct tls_options {
    enum tls_role role;
    const char *cert; /* with its chain */
    const char *key;
    const char *password; /* of the key; "": it has none */
    const char *ca;       /* a file, or a folder with hashed names; "": a client trusts what the system trusts */
    const char *crl;      /* the revocation lists of all who vouch for the other side, in one file; "": none is looked at */
    enum tls_demand demand;
    enum tls_version least;
    const char *ciphers; /* OpenSSL's list; names that begin with TLS_ are those of TLS 1.3. "": OpenSSL's choice */
};

/* NULL: why has it in words (TLS_WHY bytes). */
struct tls_context *tls_context_new(const struct tls_options *options, char *why);
struct tls_context *tls_context_ref(struct tls_context *c);
void tls_context_unref(struct tls_context *own_c);
/* Tickets that clients got from old are good for c. Not to be called where what the clients must prove may have changed. */
void tls_context_inherit(struct tls_context *c, struct tls_context *old);

/* Seconds since 1970 at which the own certificate expires; 0: it has none. */
int64_t tls_context_expires(const struct tls_context *c);

/* For base/tls. The peer's certificate must be made out to host, a name or an address. */
struct ssl_st *tls_context_accept(struct tls_context *c);
struct ssl_st *tls_context_connect(struct tls_context *c, const char *host, int port);
/* The session with this peer was of no use: the next connection makes a new one. */
void tls_context_forget(struct tls_context *c, const char *host, int port);
/* OpenSSL's last error in words, and an empty queue of errors. */
void tls_reason(char *why, const char *what);

#endif
