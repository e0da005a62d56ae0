#include "base/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two ends in one thread, and a certificate for "localhost" that vouches for itself. */
struct world {
    char folder[64], cert[96], key[96];
    struct tls_context *server, *client;
    struct tls_line line[2];
    struct tls *end[2]; /* the server's, the client's */
    int fd[2];
    char *buf;
};

static void write_pem(const char *path, EVP_PKEY *key, X509 *cert)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    if (cert != NULL)
        assert_int_equal(PEM_write_X509(f, cert), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(f);
}

static void make_certificate(const char *cert_path, const char *key_path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");

    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(cert, name);
    X509_set_pubkey(cert, key);
    X509_add_ext(cert, san, -1);
    assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
    write_pem(cert_path, key, cert);
    write_pem(key_path, key, NULL);
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static struct tls_options options(const struct world *w, enum tls_role role)
{
    bool server = role == TLS_SERVER;
    return (struct tls_options){.role = role,
                                .cert = server ? w->cert : "",
                                .key = server ? w->key : "",
                                .password = "",
                                .ca = server ? "" : w->cert,
                                .crl = "",
                                .demand = server ? TLS_DEMAND_NO : TLS_DEMAND_YES,
                                .ciphers = ""};
}

static struct tls_context *context(const struct tls_options *o)
{
    char why[TLS_WHY] = "";
    struct tls_context *c = tls_context_new(o, why);

    if (c == NULL)
        fail_msg("%s", why);
    return c;
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof *w);

    strcpy(w->folder, "/tmp/convproxy-tls-XXXXXX");
    if (mkdtemp(w->folder) == NULL)
        return -1;
    snprintf(w->cert, sizeof w->cert, "%s/c.pem", w->folder);
    snprintf(w->key, sizeof w->key, "%s/c.key", w->folder);
    make_certificate(w->cert, w->key);
    struct tls_options server = options(w, TLS_SERVER), client = options(w, TLS_CLIENT);
    w->server = context(&server);
    w->client = context(&client);
    w->buf = malloc(TLS_READ_LEAST);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    tls_context_unref(w->server);
    tls_context_unref(w->client);
    unlink(w->cert);
    unlink(w->key);
    int rc = rmdir(w->folder);
    free(w->buf);
    free(w);
    return rc;
}

static void open_ends(struct world *w, const char *host)
{
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, w->fd), 0);
    for (int i = 0; i < 2; i++)
        tls_line_init(&w->line[i]);
    w->end[0] = tls_accept(w->server, &w->line[0]);
    w->end[1] = tls_connect(w->client, &w->line[1], host, 6379);
    for (int i = 0; i < 2; i++)
        tls_set_fd(w->end[i], w->fd[i]);
}

static void close_ends(struct world *w)
{
    for (int i = 0; i < 2; i++) {
        tls_close_notify(w->end[i]); /* a session that was broken off is not resumed */
        tls_free(w->end[i]);
        tls_line_done(&w->line[i]);
        close(w->fd[i]);
    }
}

/* Until both have what they need, or one has failed; returns what the last step of the client said. */
static ssize_t shake(struct world *w)
{
    ssize_t rc = tls_shake(w->end[1]);

    for (int i = 0; i < 8 && rc == -EAGAIN && !tls_is_open(w->end[1]); i++) {
        tls_read(w->end[0], w->buf, TLS_READ_LEAST);
        rc = tls_read(w->end[1], w->buf, TLS_READ_LEAST);
    }
    tls_read(w->end[0], w->buf, TLS_READ_LEAST);
    tls_read(w->end[1], w->buf, TLS_READ_LEAST); /* a ticket */
    return rc;
}

static void must_shake(struct world *w)
{
    if (shake(w) != -EAGAIN || !tls_is_open(w->end[0]) || !tls_is_open(w->end[1]))
        fail_msg("server: %s; client: %s", tls_why(w->end[0]), tls_why(w->end[1]));
}

static void expect(struct world *w, int end, const char *text)
{
    ssize_t n = tls_read(w->end[end], w->buf, TLS_READ_LEAST);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(w->buf, text, strlen(text));
}

static void test_both_ways(void **state)
{
    struct world *w = *state;

    open_ends(w, "localhost");
    must_shake(w);
    assert_int_equal(tls_write(w->end[1], "ping", 4), 4);
    assert_int_equal(tls_write(w->end[1], "PONG", 4), 4);
    expect(w, 0, "pingPONG"); /* records that came together are read together */
    assert_int_equal(tls_read(w->end[0], w->buf, TLS_READ_LEAST), -EAGAIN);
    assert_true(tls_starved(w->end[0]));
    assert_int_equal(tls_write(w->end[0], "pong", 4), 4);
    expect(w, 1, "pong");
    assert_int_equal(w->line[0].accepted, 1);
    assert_int_equal(w->line[0].failed, 0);
    close_ends(w);
}

static void test_what_the_socket_takes(void **state)
{
    struct world *w = *state;
    char text[4096];
    size_t sent = 0, got = 0;
    ssize_t n;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7);
    open_ends(w, "127.0.0.1");
    must_shake(w);
    for (int round = 0; round < 3; round++) {
        while ((n = tls_write(w->end[0], text, sizeof text)) > 0)
            sent += (size_t)n;
        assert_int_equal(n, -EAGAIN);
        assert_false(tls_write_waits_to_read(w->end[0]));
        while ((n = tls_read(w->end[1], w->buf, TLS_READ_LEAST)) > 0 || (n == -EAGAIN && !tls_starved(w->end[1])))
            for (ssize_t i = 0; i < n; i++, got++)
                assert_int_equal(w->buf[i], text[got % sizeof text]);
        assert_int_equal(n, -EAGAIN);
        assert_true(got <= sent + sizeof text); /* what was refused may be gone in part: the same bytes follow */
        n = tls_write(w->end[0], text, sizeof text);
        assert_int_equal(n, sizeof text);
        sent += (size_t)n;
    }
    while ((n = tls_read(w->end[1], w->buf, TLS_READ_LEAST)) > 0)
        got += (size_t)n;
    assert_int_equal(got, sent);
    close_ends(w);
}

/* The last bytes and the end are in one read: the end is told by the next call, which must be made. */
static void test_the_end(void **state)
{
    struct world *w = *state;

    open_ends(w, "localhost");
    must_shake(w);
    assert_int_equal(tls_write(w->end[1], "bye", 3), 3);
    tls_close_notify(w->end[1]);
    assert_false(tls_again(w->end[0]));
    expect(w, 0, "bye");
    assert_true(tls_again(w->end[0]));
    assert_int_equal(tls_read(w->end[0], w->buf, TLS_READ_LEAST), 0);
    assert_false(tls_again(w->end[0]));
    assert_int_equal(tls_write(w->end[0], "still", 5), 5); /* half-closed */
    close_ends(w);
}

static void test_cut_off(void **state)
{
    struct world *w = *state;

    open_ends(w, "localhost");
    must_shake(w);
    shutdown(w->fd[1], SHUT_WR);
    assert_int_equal(tls_read(w->end[0], w->buf, TLS_READ_LEAST), 0);
    close_ends(w);
    open_ends(w, "localhost");
    assert_int_equal(tls_shake(w->end[1]), -EAGAIN);
    shutdown(w->fd[0], SHUT_WR);
    assert_int_equal(tls_read(w->end[1], w->buf, TLS_READ_LEAST), 0);
    assert_true(tls_write(w->end[1], "x", 1) < 0);
    close_ends(w);
}

static void test_another_name(void **state)
{
    static const char *const hosts[] = {"example.com", "127.0.0.2", "::1", "localhost.example.com"};
    struct world *w = *state;

    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        open_ends(w, hosts[i]);
        assert_int_equal(shake(w), -EPROTO);
        assert_non_null(strstr(tls_why(w->end[1]), "mismatch"));
        assert_false(tls_is_open(w->end[1]));
        assert_true(tls_write(w->end[1], "secret", 6) < 0);
        close_ends(w);
    }
}

static void test_not_tls(void **state)
{
    struct world *w = *state;

    open_ends(w, "localhost");
    assert_int_equal(write(w->fd[1], "PING\r\n", 6), 6);
    assert_int_equal(tls_read(w->end[0], w->buf, TLS_READ_LEAST), -EPROTO);
    assert_true(tls_met_plain(w->end[0]));
    assert_int_equal(read(w->fd[1], w->buf, 16), -1); /* nothing is said to it */
    assert_int_equal(w->line[0].failed, 1);
    assert_int_equal(write(w->fd[0], "-ERR\r\n", 6), 6);
    assert_int_equal(tls_shake(w->end[1]), -EAGAIN);
    assert_int_equal(tls_read(w->end[1], w->buf, TLS_READ_LEAST), -EPROTO);
    assert_string_equal(tls_why(w->end[1]), "the other side does not speak TLS");
    close_ends(w);
}

static void test_turns(void **state)
{
    struct world *w = *state;

    open_ends(w, "localhost");
    assert_false(tls_must_wait(w->end[0]));
    w->line[0].handshakes_us = 1000000;
    assert_true(tls_must_wait(w->end[0]));
    tls_line_turn(&w->line[0]);
    assert_false(tls_must_wait(w->end[0]));
    must_shake(w);
    assert_true(w->line[0].handshakes_us > 0);
    assert_int_equal(w->line[1].handshakes_us, 0); /* those that we begin are counted elsewhere */
    w->line[0].handshakes_us = 1000000;
    assert_false(tls_must_wait(w->end[0])); /* who is in waits for nobody */
    close_ends(w);
}

static uint64_t resumed(struct world *w, const char *host)
{
    open_ends(w, host);
    must_shake(w);
    uint64_t n = w->line[0].resumed;
    close_ends(w);
    return n;
}

static void test_resumption(void **state)
{
    struct world *w = *state;
    struct tls_options o = options(w, TLS_SERVER);

    assert_int_equal(resumed(w, "localhost"), 0);
    assert_int_equal(resumed(w, "localhost"), 1);
    assert_int_equal(resumed(w, "127.0.0.1"), 0); /* another peer, for all we know */
    assert_int_equal(resumed(w, "localhost"), 1);
    struct tls_context *heir = context(&o), *stranger = context(&o);
    tls_context_inherit(heir, w->server);
    tls_context_unref(w->server);
    w->server = heir;
    assert_int_equal(resumed(w, "localhost"), 1);
    tls_context_unref(w->server);
    w->server = stranger;
    assert_int_equal(resumed(w, "localhost"), 0);
    assert_int_equal(resumed(w, "localhost"), 1);
}

static void test_refused_options(void **state)
{
    struct world *w = *state;
    char why[TLS_WHY], want[160];
    struct tls_options o = options(w, TLS_SERVER);

    o.cert = w->key;
    assert_null(tls_context_new(&o, why));
    snprintf(want, sizeof want, "the certificate %s: ", w->key);
    assert_memory_equal(why, want, strlen(want));
    o = options(w, TLS_SERVER);
    o.ca = w->key;
    assert_null(tls_context_new(&o, why));
    o = options(w, TLS_CLIENT);
    o.ciphers = "TLS_NONE_SUCH";
    assert_null(tls_context_new(&o, why));
    assert_string_equal(why, "the ciphers TLS_NONE_SUCH: no cipher match");
    assert_true(tls_context_expires(w->server) > 1700000000);
    assert_int_equal(tls_context_expires(w->client), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_both_ways, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_socket_takes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_off, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_resumption, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused_options, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
