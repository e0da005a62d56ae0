/* base/tls — one TLS connection on a descriptor that somebody else owns, blocking or not.
 * Owns:       OpenSSL's state; between calls no bytes but those of a record that has not come or left whole.
 * Invariants: what tls_write has taken is with the kernel. All bytes of one read(2) are deciphered before tls_read returns, so
 *             that nothing is left which the kernel would not tell of again; where it is (the end, an error), tls_again is true.
 * Threads:    one at a time.          Used by: base/stream, backends/redis/blocking. */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include "base/tls_context.h"

#include <stdint.h>
#include <sys/types.h>

#define TLS_RAW        65536              /* most that is read at once */
#define TLS_READ_LEAST (TLS_RAW + 32768) /* room that tls_read needs: what was read, and a record begun before */

struct tls;

/* What the connections of one thread share. */
struct tls_line {
    char *raw;             /* TLS_RAW bytes for the read of the moment, made when first wanted */
    int64_t handshakes_us; /* spent on clients' handshakes since tls_line_turn: more wait for the next turn */
    uint64_t accepted, resumed, failed; /* handshakes of clients; resumed are among the accepted */
};

void tls_line_init(struct tls_line *line);
void tls_line_done(struct tls_line *line);
/* A new turn of the loop begins. */
static inline void tls_line_turn(struct tls_line *line)
{
    line->handshakes_us = 0;
}

/* The server's side, and the client's, which names the peer and demands a certificate made out to it (unless the context's
 * demand is TLS_DEMAND_NO). line outlives it. */
struct tls *tls_accept(struct tls_context *c, struct tls_line *line);
struct tls *tls_connect(struct tls_context *c, struct tls_line *line, const char *host, int port);
/* The connected descriptor: before the first tls_read or tls_write. */
void tls_set_fd(struct tls *t, int fd);
void tls_free(struct tls *own_t);

/* Both shake hands first where that is not done. > 0 bytes; -EAGAIN: not now; -EPROTO: tls_why; other negative errno: the
 * socket's. tls_read: 0 end of file; cap is at least TLS_READ_LEAST. */
ssize_t tls_read(struct tls *t, void *buf, size_t cap);
ssize_t tls_write(struct tls *t, const void *p, size_t n);
/* Begins the handshake, or goes on with it, without bytes of ours. As tls_write, but 0: it is over. */
ssize_t tls_shake(struct tls *t);
/* Tells the other side that nothing more comes, if that can be done at once. */
void tls_close_notify(struct tls *t);

bool tls_is_open(const struct tls *t);         /* hands are shaken */
bool tls_write_waits_to_read(const struct tls *t); /* the last tls_write could not go on for want of the other side's bytes */
bool tls_again(const struct tls *t);           /* call tls_read as soon as the socket can be written, whether bytes come or not */
bool tls_starved(const struct tls *t);         /* the last tls_read has found nothing on the descriptor */
bool tls_must_wait(const struct tls *t);       /* its handshake's next step is for another turn: others have used this one's time */
const char *tls_why(const struct tls *t);      /* behind -EPROTO */
bool tls_met_plain(const struct tls *t);       /* the same, when what came was not TLS at all */

#endif
