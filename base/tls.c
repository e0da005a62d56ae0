#include "base/tls.h"

#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_US   2000 /* of a loop's turn that clients' handshakes may take; who comes later waits for the next */
#define ALERT     0x15 /* types of records: RFC 8446, 5.1 */
#define HANDSHAKE 0x16
#define LATER     (-EBUSY) /* the socket takes no more: the other way to be told -EAGAIN */

enum phase { SHAKING, OPEN, ENDED, BROKEN };

struct tls {
    SSL *ssl;
    struct tls_context *context;
    struct tls_line *line;
    int fd;
    enum phase phase;
    int error; /* BROKEN: a negative errno */
    bool client;
    bool met_plain;
    bool again, write_waits;
    bool seen;              /* something has come */
    bool at_end;            /* the descriptor has no more */
    bool starved;           /* it had nothing when last asked */
    int io_errno;           /* of the descriptor, 0: none */
    const char *raw;        /* read from the descriptor, not yet deciphered */
    size_t raw_len;
    char *host;             /* the client's: whom it connects to */
    int port;
    char why[TLS_WHY];
};

void tls_line_init(struct tls_line *line)
{
    *line = (struct tls_line){.raw = NULL};
}

void tls_line_done(struct tls_line *line)
{
    free(line->raw);
    line->raw = NULL;
}

/* ---- between OpenSSL and the descriptor ---- */

/* What tls_read has fetched; more is not to be had. */
static int on_bio_read(BIO *bio, char *buf, int n)
{
    struct tls *t = BIO_get_data(bio);
    size_t take = t->raw_len < (size_t)n ? t->raw_len : (size_t)n;

    BIO_clear_retry_flags(bio);
    if (take == 0) {
        if (!t->at_end)
            BIO_set_retry_read(bio);
        return t->at_end ? 0 : -1;
    }
    memcpy(buf, t->raw, take);
    t->raw += take;
    t->raw_len -= take;
    return (int)take;
}

static int on_bio_write(BIO *bio, const char *p, int n)
{
    struct tls *t = BIO_get_data(bio);
    ssize_t k;

    BIO_clear_retry_flags(bio);
    do
        k = send(t->fd, p, (size_t)n, MSG_NOSIGNAL);
    while (k < 0 && errno == EINTR);
    if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        BIO_set_retry_write(bio);
    else if (k < 0)
        t->io_errno = errno;
    return (int)k;
}

static long on_bio_ctrl(BIO *bio, int command, long number, void *p)
{
    struct tls *t = BIO_get_data(bio);

    if (command == BIO_CTRL_EOF)
        return t->at_end && t->raw_len == 0;
    return command == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static BIO_METHOD *method;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "convproxy descriptor");
    if (method == NULL)
        abort();
    BIO_meth_set_read(method, on_bio_read);
    BIO_meth_set_write(method, on_bio_write);
    BIO_meth_set_ctrl(method, on_bio_ctrl);
}

static struct tls *new_tls(struct tls_context *c, struct tls_line *line, SSL *own_ssl)
{
    struct tls *t = calloc(1, sizeof *t);

    pthread_once(&once, make_method);
    BIO *bio = BIO_new(method);
    if (t == NULL || bio == NULL)
        abort();
    t->ssl = own_ssl;
    t->context = tls_context_ref(c);
    t->line = line;
    t->fd = -1;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(own_ssl, bio, bio);
    return t;
}

struct tls *tls_accept(struct tls_context *c, struct tls_line *line)
{
    return new_tls(c, line, tls_context_accept(c));
}

struct tls *tls_connect(struct tls_context *c, struct tls_line *line, const char *host, int port)
{
    struct tls *t = new_tls(c, line, tls_context_connect(c, host, port));

    t->client = true;
    t->port = port;
    t->host = strdup(host);
    if (t->host == NULL)
        abort();
    return t;
}

void tls_set_fd(struct tls *t, int fd)
{
    t->fd = fd;
}

void tls_free(struct tls *own_t)
{
    if (own_t == NULL)
        return;
    SSL_free(own_t->ssl);
    tls_context_unref(own_t->context);
    free(own_t->host);
    free(own_t);
}

/* ---- what became of a step ---- */

static void explain(struct tls *t)
{
    long verified = SSL_get_verify_result(t->ssl);

    if (t->met_plain)
        snprintf(t->why, sizeof t->why, "the other side does not speak TLS");
    else if (verified != X509_V_OK && t->phase == SHAKING && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
        snprintf(t->why, sizeof t->why, "TLS: the certificate is refused: %s", X509_verify_cert_error_string(verified));
    else
        tls_reason(t->why, "TLS");
    ERR_clear_error();
}

static ssize_t fail(struct tls *t, int error)
{
    if (error == -EPROTO)
        explain(t);
    if (t->phase == SHAKING && t->client)
        tls_context_forget(t->context, t->host, t->port);
    if (t->phase == SHAKING && !t->client)
        t->line->failed++;
    t->phase = BROKEN;
    t->error = error;
    return error;
}

/* Returns -EAGAIN for want of bytes, LATER, 0 at the end, or another negative errno after which nothing more can be done. */
static ssize_t settle(struct tls *t, int ret)
{
    switch (SSL_get_error(t->ssl, ret)) {
    case SSL_ERROR_WANT_READ:
        return -EAGAIN;
    case SSL_ERROR_WANT_WRITE:
        return LATER;
    case SSL_ERROR_ZERO_RETURN:
        t->phase = ENDED;
        return 0;
    default:
        if (t->io_errno != 0)
            return fail(t, -t->io_errno);
        if (t->at_end)
            return fail(t, t->phase == SHAKING ? 0 : -ECONNRESET);
        return fail(t, -EPROTO);
    }
}

static void note_open(struct tls *t)
{
    if (t->phase != SHAKING || !SSL_is_init_finished(t->ssl))
        return;
    t->phase = OPEN;
    if (t->client)
        return;
    t->line->accepted++;
    t->line->resumed += SSL_session_reused(t->ssl) == 1;
}

/* ---- reading and writing ---- */

/* Bytes for on_bio_read. Returns as read(2). */
static ssize_t fetch(struct tls *t)
{
    struct tls_line *line = t->line;
    ssize_t n;

    if (line->raw == NULL && (line->raw = malloc(TLS_RAW)) == NULL)
        abort();
    do
        n = read(t->fd, line->raw, TLS_RAW);
    while (n < 0 && errno == EINTR);
    t->starved = n < 0;
    if (n < 0)
        return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    t->at_end = n == 0;
    t->raw = line->raw;
    t->raw_len = (size_t)n;
    if (n > 0 && !t->seen) {
        t->seen = true;
        t->met_plain = line->raw[0] != HANDSHAKE && !(t->client && line->raw[0] == ALERT);
    }
    return t->met_plain ? -EPROTO : n;
}

static ssize_t decipher(struct tls *t, char *buf, size_t cap)
{
    size_t got = 0, n;

    ERR_clear_error();
    while (got < cap && SSL_read_ex(t->ssl, buf + got, cap - got, &n) == 1)
        got += n;
    if (got == cap) /* TLS_READ_LEAST rules it out */
        return fail(t, -EPROTO);
    ssize_t rc = settle(t, 0);
    note_open(t);
    t->raw_len = 0; /* behind the end, or behind an error */
    t->again = rc == LATER || (got > 0 && rc != -EAGAIN); /* so the end, or the error, is told by the next call */
    return got > 0 ? (ssize_t)got : rc == LATER ? -EAGAIN : rc;
}

static ssize_t read_step(struct tls *t, void *buf, size_t cap)
{
    bool again = t->again;

    assert(cap >= TLS_READ_LEAST);
    t->again = false;
    if (t->phase == ENDED)
        return 0;
    if (t->phase == BROKEN)
        return t->error;
    ssize_t n = fetch(t);
    if (n < 0 && (n != -EAGAIN || (t->phase == OPEN && !again)))
        return n == -EAGAIN ? n : fail(t, (int)n);
    return decipher(t, buf, cap);
}

ssize_t tls_read(struct tls *t, void *buf, size_t cap)
{
    if (t->phase != SHAKING || t->client)
        return read_step(t, buf, cap);
    int64_t before = clock_mono_us();
    ssize_t n = read_step(t, buf, cap);
    t->line->handshakes_us += clock_mono_us() - before;
    return n;
}

ssize_t tls_shake(struct tls *t)
{
    if (t->phase != SHAKING)
        return t->phase == BROKEN ? t->error : 0;
    ERR_clear_error();
    int ret = SSL_do_handshake(t->ssl);
    note_open(t);
    if (ret == 1)
        return 0;
    ssize_t rc = settle(t, ret);
    return rc == LATER ? -EAGAIN : rc;
}

/* Who closes at once on what displeases it may have said why before: that has come, although nothing can be sent. */
static ssize_t last_words(struct tls *t, ssize_t rc)
{
    char byte;

    t->phase = OPEN;
    t->io_errno = 0;
    if (fetch(t) <= 0 || SSL_read(t->ssl, &byte, 1) > 0 || ERR_peek_error() == 0)
        return fail(t, (int)rc);
    return fail(t, -EPROTO);
}

ssize_t tls_write(struct tls *t, const void *p, size_t n)
{
    size_t done;

    bool was_open = t->phase == OPEN;
    t->write_waits = false;
    if (t->phase == BROKEN)
        return t->error != 0 ? t->error : -ECONNRESET;
    ERR_clear_error();
    if (SSL_write_ex(t->ssl, p, n, &done) == 1)
        return (ssize_t)done;
    ssize_t rc = settle(t, 0);
    t->write_waits = rc == -EAGAIN;
    if (rc < 0 && was_open && t->io_errno != 0)
        return last_words(t, rc);
    return rc == LATER ? -EAGAIN : rc == 0 ? -ECONNRESET : rc;
}

void tls_close_notify(struct tls *t)
{
    if (t->phase != OPEN && t->phase != ENDED)
        return;
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

bool tls_is_open(const struct tls *t)
{
    return t->phase == OPEN || t->phase == ENDED;
}

bool tls_write_waits_to_read(const struct tls *t)
{
    return t->write_waits;
}

bool tls_again(const struct tls *t)
{
    return t->again;
}

bool tls_must_wait(const struct tls *t)
{
    return t->phase == SHAKING && !t->client && t->line->handshakes_us >= TURN_US;
}

bool tls_starved(const struct tls *t)
{
    return t->starved;
}

const char *tls_why(const struct tls *t)
{
    return t->why;
}

bool tls_met_plain(const struct tls *t)
{
    return t->met_plain;
}
