#include "base/tls_context.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PEERS       64 /* whose sessions are kept; more take turns */
#define PEER_NAME   264
#define TICKET_KEYS 80 /* bytes; SSL_CTX_set_tlsext_ticket_keys(3) */
#define LIST_BYTES  2048

struct peer {
    char name[PEER_NAME]; /* host:port */
    SSL_SESSION *session; /* NULL: none */
};

struct tls_context {
    _Atomic unsigned refs;
    SSL_CTX *ssl;
    bool by_name; /* the peer's certificate must be made out to whom we connect to */
    pthread_mutex_t lock; /* for what follows */
    struct peer peers[PEERS];
    unsigned next_peer;
};

/* ---- errors ---- */

void tls_reason(char *why, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *text = code == 0 ? NULL : ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    snprintf(why, TLS_WHY, "%s%s%s", what, *what != '\0' ? ": " : "", text != NULL ? text : "no reason given");
    ERR_clear_error();
}

/* The first error tells of the file, those behind it of what that meant. */
static bool file_trouble(char *why, const char *what, const char *path)
{
    unsigned long code = ERR_peek_error();
    const char *text = code == 0 ? NULL : ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code)) : ERR_reason_error_string(code);

    snprintf(why, TLS_WHY, "%s %s: %s", what, path, text != NULL ? text : "cannot be used");
    ERR_clear_error();
    return false;
}

/* ---- sessions to resume ---- */

static struct peer *find_peer(struct tls_context *c, const char *name)
{
    for (unsigned i = 0; i < PEERS; i++)
        if (strcmp(c->peers[i].name, name) == 0)
            return &c->peers[i];
    return NULL;
}

static void keep_session(struct tls_context *c, const char *name, SSL_SESSION *own_session)
{
    pthread_mutex_lock(&c->lock);
    struct peer *p = find_peer(c, name);
    if (p == NULL) {
        p = &c->peers[c->next_peer++ % PEERS];
        snprintf(p->name, sizeof p->name, "%s", name);
    }
    SSL_SESSION_free(p->session);
    p->session = own_session;
    pthread_mutex_unlock(&c->lock);
}

static void name_peer(char *name, const char *host, int port)
{
    snprintf(name, PEER_NAME, "%.255s:%d", host, port);
}

static void on_ssl_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    free(ptr);
}

/* Where the name of the peer hangs on the SSL object: OpenSSL's own place 0 has no destructor. */
static int name_index;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void start_library(void)
{
    name_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, on_ssl_free);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls_context *c = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *name = SSL_get_ex_data(ssl, name_index);

    if (name == NULL)
        return 0;
    keep_session(c, name, session);
    return 1; /* it is ours now */
}

/* ---- making one ---- */

static int give_password(char *buf, int size, int writing, void *password)
{
    size_t n = strlen(password);

    if (n > (size_t)size)
        return -1;
    memcpy(buf, password, n);
    return (int)n;
}

static bool load_own(SSL_CTX *ssl, const struct tls_options *o, char *why)
{
    if (o->cert[0] == '\0' && o->key[0] == '\0')
        return true;
    SSL_CTX_set_default_passwd_cb(ssl, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(ssl, (void *)(uintptr_t)o->password);
    bool ok = SSL_CTX_use_certificate_chain_file(ssl, o->cert) == 1 || file_trouble(why, "the certificate", o->cert);
    ok = ok && (SSL_CTX_use_PrivateKey_file(ssl, o->key, SSL_FILETYPE_PEM) == 1 || file_trouble(why, "the key", o->key));
    ok = ok && (SSL_CTX_check_private_key(ssl) == 1 || file_trouble(why, "the key does not belong to the certificate:", o->key));
    SSL_CTX_set_default_passwd_cb_userdata(ssl, NULL); /* the options are the caller's */
    SSL_CTX_set_default_passwd_cb(ssl, NULL);
    return ok;
}

static bool load_trusted(SSL_CTX *ssl, const struct tls_options *o, char *why)
{
    struct stat st;

    if (o->ca[0] == '\0') {
        if (o->role == TLS_CLIENT && SSL_CTX_set_default_verify_paths(ssl) != 1)
            return file_trouble(why, "the system's certificates", "");
        return true;
    }
    bool folder = stat(o->ca, &st) == 0 && S_ISDIR(st.st_mode);
    int ok = folder ? SSL_CTX_load_verify_dir(ssl, o->ca) : SSL_CTX_load_verify_file(ssl, o->ca);
    if (ok != 1)
        return file_trouble(why, "the trusted certificates", o->ca);
    if (o->role == TLS_SERVER && !folder) /* tells clients which certificate is wanted */
        SSL_CTX_set_client_CA_list(ssl, SSL_load_client_CA_file(o->ca));
    ERR_clear_error();
    return true;
}

/* The whole chain is looked up: who has revoked an intermediate authority has revoked all that it vouched for. A list that is not there,
 * or has expired, lets nobody in. */
static bool load_revoked(SSL_CTX *ssl, const struct tls_options *o, char *why)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ssl);

    if (o->crl[0] == '\0')
        return true;
    X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
    if (lookup == NULL || X509_load_crl_file(lookup, o->crl, X509_FILETYPE_PEM) < 1)
        return file_trouble(why, "the revocation list", o->crl);
    X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    ERR_clear_error();
    return true;
}

/* Parts the names of TLS 1.3, which OpenSSL takes apart from the others. */
static void part_ciphers(const char *list, char *older, char *newer)
{
    older[0] = newer[0] = '\0';
    for (const char *p = list; *p != '\0';) {
        size_t n = strcspn(p, ":, ");
        char *to = strncmp(p, "TLS_", 4) == 0 ? newer : older;
        if (n > 0)
            snprintf(to + strlen(to), LIST_BYTES - strlen(to), "%s%.*s", to[0] != '\0' ? ":" : "", (int)n, p);
        p += n + strspn(p + n, ":, ");
    }
}

static bool set_ciphers(SSL_CTX *ssl, const struct tls_options *o, char *why)
{
    char older[LIST_BYTES], newer[LIST_BYTES];

    part_ciphers(o->ciphers, older, newer);
    if ((older[0] == '\0' || SSL_CTX_set_cipher_list(ssl, older) == 1) &&
        (newer[0] == '\0' || SSL_CTX_set_ciphersuites(ssl, newer) == 1))
        return true;
    return file_trouble(why, "the ciphers", o->ciphers);
}

static void set_server(SSL_CTX *ssl, const struct tls_options *o)
{
    static const unsigned char place[] = "convproxy";

    SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF); /* tickets keep the sessions with the clients */
    SSL_CTX_set_session_id_context(ssl, place, sizeof place - 1);
    SSL_CTX_set_num_tickets(ssl, 1);
    SSL_CTX_set_dh_auto(ssl, 1);
    SSL_CTX_set_options(ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (o->demand != TLS_DEMAND_NO)
        SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER | (o->demand == TLS_DEMAND_YES ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), NULL);
}

static void set_client(struct tls_context *c, const struct tls_options *o)
{
    SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(c->ssl, on_session);
    c->by_name = o->demand != TLS_DEMAND_NO;
    SSL_CTX_set_verify(c->ssl, c->by_name ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
}

static bool fill(struct tls_context *c, const struct tls_options *o, char *why)
{
    SSL_CTX_set_app_data(c->ssl, c);
    SSL_CTX_set_min_proto_version(c->ssl, o->least == TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_options(c->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    if (o->role == TLS_SERVER)
        set_server(c->ssl, o);
    else
        set_client(c, o);
    return set_ciphers(c->ssl, o, why) && load_own(c->ssl, o, why) && load_trusted(c->ssl, o, why) &&
           load_revoked(c->ssl, o, why);
}

struct tls_context *tls_context_new(const struct tls_options *o, char *why)
{
    struct tls_context *c = calloc(1, sizeof *c);

    pthread_once(&once, start_library);
    ERR_clear_error();
    if (c == NULL || (c->ssl = SSL_CTX_new(o->role == TLS_SERVER ? TLS_server_method() : TLS_client_method())) == NULL)
        abort();
    atomic_init(&c->refs, 1);
    pthread_mutex_init(&c->lock, NULL);
    if (fill(c, o, why))
        return c;
    tls_context_unref(c);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void tls_context_unref(struct tls_context *own_c)
{
    if (own_c == NULL || atomic_fetch_sub(&own_c->refs, 1) != 1)
        return;
    for (unsigned i = 0; i < PEERS; i++)
        SSL_SESSION_free(own_c->peers[i].session);
    SSL_CTX_free(own_c->ssl);
    pthread_mutex_destroy(&own_c->lock);
    free(own_c);
}

void tls_context_inherit(struct tls_context *c, struct tls_context *old)
{
    unsigned char keys[TICKET_KEYS];

    if (SSL_CTX_get_tlsext_ticket_keys(old->ssl, keys, sizeof keys) == 1)
        SSL_CTX_set_tlsext_ticket_keys(c->ssl, keys, sizeof keys);
    OPENSSL_cleanse(keys, sizeof keys);
}

int64_t tls_context_expires(const struct tls_context *c)
{
    const X509 *cert = SSL_CTX_get0_certificate(c->ssl);
    struct tm tm;

    return cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

/* ---- connections ---- */

static SSL *new_ssl(struct tls_context *c)
{
    SSL *ssl = SSL_new(c->ssl);

    if (ssl == NULL)
        abort();
    return ssl;
}

SSL *tls_context_accept(struct tls_context *c)
{
    SSL *ssl = new_ssl(c);

    SSL_set_accept_state(ssl);
    return ssl;
}

/* Where an earlier session with the same peer is known, it is offered. */
static void offer_session(struct tls_context *c, SSL *ssl, const char *name)
{
    pthread_mutex_lock(&c->lock);
    const struct peer *p = find_peer(c, name);
    if (p != NULL && p->session != NULL)
        SSL_set_session(ssl, p->session);
    pthread_mutex_unlock(&c->lock);
}

SSL *tls_context_connect(struct tls_context *c, const char *host, int port)
{
    SSL *ssl = new_ssl(c);
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char *name = malloc(PEER_NAME);

    if (name == NULL)
        abort();
    name_peer(name, host, port);
    SSL_set_ex_data(ssl, name_index, name);
    SSL_set_connect_state(ssl);
    /* An address is not to be sent as a name: RFC 6066, 3. */
    bool address = X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    if (!address) {
        ERR_clear_error();
        SSL_set_tlsext_host_name(ssl, host);
        X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        if (c->by_name)
            X509_VERIFY_PARAM_set1_host(param, host, 0);
    }
    offer_session(c, ssl, name);
    return ssl;
}

void tls_context_forget(struct tls_context *c, const char *host, int port)
{
    char name[PEER_NAME];

    name_peer(name, host, port);
    pthread_mutex_lock(&c->lock);
    struct peer *p = find_peer(c, name);
    if (p != NULL) {
        SSL_SESSION_free(p->session);
        p->session = NULL;
    }
    pthread_mutex_unlock(&c->lock);
}
