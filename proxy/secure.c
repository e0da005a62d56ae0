#include "proxy/secure.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/server.h"
#include "proxy/session.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_EVERY_US 1000000

struct secure {
    pthread_mutex_t lock;
    struct tls_context *context;     /* NULL: tls.listen is empty */
    const struct settings *settings; /* counted: context was made by these */
};

/* ---- the certificate ---- */

static struct tls_context *make(const struct settings *s, char *why)
{
    static const enum tls_demand demands[] = {TLS_DEMAND_NO, TLS_DEMAND_OPTIONAL, TLS_DEMAND_YES};
    struct tls_options o = {.role = TLS_SERVER,
                            .cert = s->tls_cert,
                            .key = s->tls_key,
                            .password = s->tls_key_password,
                            .ca = s->tls_ca,
                            .crl = s->tls_client_certs != 0 ? s->tls_crl : "",
                            .demand = demands[s->tls_client_certs],
                            .least = (enum tls_version)s->tls_min_version,
                            .ciphers = s->tls_ciphers};
    return tls_context_new(&o, why);
}

struct secure *secure_open(const struct settings *now, char *why, size_t why_cap)
{
    struct secure *s = calloc(1, sizeof *s);
    char trouble[TLS_WHY];

    if (s == NULL)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->settings = settings_ref(now);
    if (now->tls_listen.count == 0 || (s->context = make(now, trouble)) != NULL)
        return s;
    snprintf(why, why_cap, "tls.listen: %s", trouble);
    secure_free(s);
    return NULL;
}

void secure_free(struct secure *own_s)
{
    if (own_s == NULL)
        return;
    tls_context_unref(own_s->context);
    settings_unref(own_s->settings);
    pthread_mutex_destroy(&own_s->lock);
    free(own_s);
}

static bool differ(const struct settings *a, const struct settings *b)
{
    return strcmp(a->tls_cert, b->tls_cert) != 0 || strcmp(a->tls_key, b->tls_key) != 0 ||
           strcmp(a->tls_key_password, b->tls_key_password) != 0 || strcmp(a->tls_ca, b->tls_ca) != 0 ||
           strcmp(a->tls_crl, b->tls_crl) != 0 || strcmp(a->tls_ciphers, b->tls_ciphers) != 0 ||
           a->tls_client_certs != b->tls_client_certs ||
           a->tls_min_version != b->tls_min_version;
}

/* The lock is held. Where clients prove who they are a ticket of before would save them from proving it again. */
static void replace(struct secure *s, struct tls_context *own_c, const struct settings *now)
{
    if (now->tls_client_certs == 0 && s->settings->tls_client_certs == 0)
        tls_context_inherit(own_c, s->context);
    tls_context_unref(s->context);
    settings_unref(s->settings);
    s->context = own_c;
    s->settings = settings_ref(now);
}

void secure_reload(struct secure *s, struct server *server, const struct settings *now, bool force)
{
    struct loop *l;
    char why[TLS_WHY];

    if (s == NULL)
        return; /* the start has failed, and ends */
    pthread_mutex_lock(&s->lock);
    if (s->context != NULL && (force || differ(s->settings, now))) {
        struct tls_context *c = make(now, why);
        if (c != NULL) {
            replace(s, c, now);
            for (unsigned i = 0; (l = server_loop(server, i)) != NULL; i++)
                loop_post(l, secure_loop, tls_context_ref(c));
            log_event(LOG_INFO, "tls_reloaded", LOG_STR("cert", now->tls_cert), LOG_INT("expires", tls_context_expires(c)));
        } else {
            log_event(LOG_ERROR, "tls_reload_failed", LOG_STR("reason", why),
                      LOG_STR("consequence", "new clients are shown the certificate of before"));
        }
    }
    pthread_mutex_unlock(&s->lock);
}

struct tls_context *secure_context(struct secure *s)
{
    pthread_mutex_lock(&s->lock);
    struct tls_context *c = s->context == NULL ? NULL : tls_context_ref(s->context);
    pthread_mutex_unlock(&s->lock);
    return c;
}

int64_t secure_expires(struct secure *s)
{
    struct tls_context *c = s == NULL ? NULL : secure_context(s);
    int64_t at = c == NULL ? 0 : tls_context_expires(c);

    tls_context_unref(c);
    return at;
}

/* ---- of a loop ---- */

void secure_loop(struct loop *l, void *own_context)
{
    tls_context_unref(l->tls);
    l->tls = own_context;
}

bool secure_begin(struct session *s)
{
    if (s->loop->tls == NULL)
        return false;
    stream_secure(&s->stream, tls_accept(s->loop->tls, &s->loop->turn.tls));
    return true;
}

bool secure_is_late(const struct session *s, int64_t now_us)
{
    if (tls_is_open(s->stream.tls) || now_us - s->born_us < s->loop->settings->tls_handshake_timeout * 1000)
        return false;
    s->loop->turn.tls.failed++;
    return true;
}

void secure_count(struct loop *l)
{
    const struct tls_line *line = &l->turn.tls;

    atomic_store_explicit(&l->stats->tls_accepted, line->accepted, memory_order_relaxed);
    atomic_store_explicit(&l->stats->tls_resumed, line->resumed, memory_order_relaxed);
    atomic_store_explicit(&l->stats->tls_failed, line->failed, memory_order_relaxed);
}

/* ---- who does not get in ---- */

enum refusal { MET_PLAIN, MET_TLS, HANDSHAKE_FAILED, REFUSALS };

/* One line a second of each kind, whoever knocks: the next one tells how many were left out. */
static void refused(const struct session *s, enum refusal kind, const char *reason)
{
    static struct {
        _Atomic int64_t last_us;
        _Atomic uint64_t untold;
    } kinds[REFUSALS];
    int64_t now = clock_mono_us(), last = atomic_load(&kinds[kind].last_us);

    if ((last != 0 && now - last < LOG_EVERY_US) ||
        !atomic_compare_exchange_strong(&kinds[kind].last_us, &last, now)) {
        atomic_fetch_add(&kinds[kind].untold, 1);
        return;
    }
    log_event(LOG_WARN, "tls_refused", LOG_STR("client", s->addr), LOG_STR("address", s->laddr), LOG_STR("reason", reason),
              LOG_INT("others", (int64_t)atomic_exchange(&kinds[kind].untold, 0)));
}

void secure_lost(const struct session *s, int neg_errno)
{
    if (s->stream.tls == NULL || tls_is_open(s->stream.tls) || neg_errno != -EPROTO)
        return;
    if (tls_met_plain(s->stream.tls))
        refused(s, MET_PLAIN, "a client without TLS came to an address of tls.listen");
    else
        refused(s, HANDSHAKE_FAILED, tls_why(s->stream.tls));
}

/* The record's type, and the first byte of its version: RFC 8446, 5.1. No request begins like that. */
bool secure_meets_tls(const struct session *s, const char *p, size_t n)
{
    if (n < 3 || p[0] != 0x16 || p[1] != 0x03 || s->stream.tls != NULL || strcmp(s->last_command, "NULL") != 0)
        return false;
    refused(s, MET_TLS, "a client with TLS came to an address of listen, which is plain");
    return true;
}
