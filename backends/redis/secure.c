#include "backends/redis/secure.h"

#include "base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What a file was when it was read: a certificate that is replaced is noticed by the next connection. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

struct stamps {
    struct stamp ca, crl, cert, key;
};

static struct {
    pthread_mutex_t lock;
    struct tls_context *context;
    const struct settings *settings; /* counted: context was made by these */
    struct stamps stamps;
} own = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct stamp stamp_of(const char *path)
{
    struct stamp s;
    struct stat st;

    memset(&s, 0, sizeof s);
    if (path[0] == '\0' || stat(path, &st) != 0)
        return s;
    s.device = st.st_dev;
    s.inode = st.st_ino;
    s.size = st.st_size;
    s.changed = st.st_mtim;
    return s;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

static struct stamps stamps_of(const struct settings *s)
{
    return (struct stamps){stamp_of(s->redis_tls_ca), stamp_of(s->redis_tls_crl), stamp_of(s->redis_tls_cert), stamp_of(s->redis_tls_key)};
}

static bool same_stamps(const struct stamps *a, const struct stamps *b)
{
    return same_stamp(&a->ca, &b->ca) && same_stamp(&a->crl, &b->crl) && same_stamp(&a->cert, &b->cert) && same_stamp(&a->key, &b->key);
}

bool redis_secure_differs(const struct settings *a, const struct settings *b)
{
    return strcmp(a->redis_tls_ca, b->redis_tls_ca) != 0 || strcmp(a->redis_tls_crl, b->redis_tls_crl) != 0 ||
           strcmp(a->redis_tls_cert, b->redis_tls_cert) != 0 ||
           strcmp(a->redis_tls_key, b->redis_tls_key) != 0 ||
           strcmp(a->redis_tls_key_password, b->redis_tls_key_password) != 0 ||
           strcmp(a->tls_ciphers, b->tls_ciphers) != 0 || a->tls_min_version != b->tls_min_version ||
           a->redis_tls_verify != b->redis_tls_verify;
}

static struct tls_context *make(const struct settings *s, char *why)
{
    struct tls_options o = {.role = TLS_CLIENT,
                            .cert = s->redis_tls_cert,
                            .key = s->redis_tls_key,
                            .password = s->redis_tls_key_password,
                            .ca = s->redis_tls_ca,
                            .crl = s->redis_tls_verify ? s->redis_tls_crl : "",
                            .demand = s->redis_tls_verify ? TLS_DEMAND_YES : TLS_DEMAND_NO,
                            .least = (enum tls_version)s->tls_min_version,
                            .ciphers = s->tls_ciphers};
    return tls_context_new(&o, why);
}

static void keep(const struct settings *s, struct tls_context *own_c, const struct stamps *stamps)
{
    tls_context_unref(own.context);
    settings_unref(own.settings);
    own.context = own_c;
    own.settings = settings_ref(s);
    own.stamps = *stamps;
    if (!s->redis_tls_verify)
        log_event(LOG_WARN, "redis_tls_unverified",
                  LOG_STR("reason", "redis.tls_verify is no: whoever answers at redis.url is taken for Redis"));
}

/* The lock is held. A reference, or NULL. */
static struct tls_context *current(const struct settings *s, char *why)
{
    bool known = own.settings != NULL && (own.settings == s || !redis_secure_differs(own.settings, s));
    struct stamps now = stamps_of(s);

    if (known && same_stamps(&own.stamps, &now))
        return tls_context_ref(own.context);
    struct tls_context *c = make(s, why);
    if (c != NULL) {
        keep(s, c, &now);
    } else if (known) {
        own.stamps = now; /* told once */
        log_event(LOG_ERROR, "redis_tls_reload_failed", LOG_STR("reason", why));
        c = own.context;
    }
    return c == NULL ? NULL : tls_context_ref(c);
}

bool redis_secure(const struct settings *s, const struct redis_url *url, struct tls_line *line, struct tls **ret_tls, char *why)
{
    *ret_tls = NULL;
    if (!url->tls)
        return true;
    pthread_mutex_lock(&own.lock);
    struct tls_context *c = current(s, why);
    pthread_mutex_unlock(&own.lock);
    if (c == NULL)
        return false;
    *ret_tls = tls_connect(c, line, url->host, url->port);
    tls_context_unref(c);
    return true;
}
