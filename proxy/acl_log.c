#include "proxy/acl_log.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/clients.h"
#include "proxy/transaction.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIKE_US  (60 * 1000000) /* Redis: one entry within this time */
#define OBJECT    512            /* bytes of a key, or of what claims to be a user's name, that are kept */
#define TELL_US   1000000

struct text {
    size_t len;
    char bytes[OBJECT];
};

struct entry {
    struct entry *next; /* newest first */
    enum acl_reason reason;
    bool in_multi;
    uint64_t count;
    int64_t at_us; /* mono */
    struct text object, user;
    char client[CLIENT_LINE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *newest;
static size_t entries;
static uint64_t wrong, told; /* passwords: all, and those that the log has told */
static int64_t told_us;
static char last_client[sizeof((struct session *)0)->addr];

static void keep(struct text *to, struct slice from)
{
    to->len = from.len < sizeof to->bytes ? from.len : sizeof to->bytes;
    memcpy(to->bytes, from.p, to->len);
}

static bool same(const struct text *a, const struct text *b)
{
    return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* Takes the entry that is like e out of the list. */
static struct entry *take_alike(const struct entry *e)
{
    for (struct entry **at = &newest; *at != NULL; at = &(*at)->next) {
        struct entry *old = *at;
        if (old->reason == e->reason && old->in_multi == e->in_multi && same(&old->object, &e->object) &&
            same(&old->user, &e->user) && e->at_us - old->at_us <= ALIKE_US) {
            *at = old->next;
            entries--;
            return old;
        }
    }
    return NULL;
}

static void cut_to(size_t most)
{
    struct entry **at = &newest;
    for (size_t i = 0; i < most && *at != NULL; i++)
        at = &(*at)->next;
    while (*at != NULL) {
        struct entry *old = *at;
        *at = old->next;
        entries--;
        free(old);
    }
}

static void put_first(struct entry *own_e, size_t most)
{
    struct entry *old = take_alike(own_e);
    if (old != NULL) {
        own_e->count += old->count;
        free(old);
    }
    own_e->next = newest;
    newest = own_e;
    entries++;
    cut_to(most);
}

/* [locked] */
static void tell(int64_t now_us)
{
    if (wrong == told || now_us - told_us < TELL_US)
        return;
    log_event(LOG_WARN, "auth_failed", LOG_INT("count", (int64_t)(wrong - told)), LOG_STR("last_client", last_client));
    told = wrong;
    told_us = now_us;
}

void acl_log_add(const struct session *s, enum acl_reason reason, struct slice object, struct slice user)
{
    struct entry *e = calloc(1, sizeof *e);

    if (e == NULL)
        abort();
    e->reason = reason;
    e->in_multi = transaction_is_open(s);
    e->count = 1;
    e->at_us = clock_mono_us();
    keep(&e->object, object);
    keep(&e->user, user);
    size_t n = client_line(s, e->client, sizeof e->client);
    e->client[n > 0 ? n - 1 : 0] = '\0'; /* without the line's end */
    counter_add(&s->loop->stats->acl_denied[reason], 1);
    pthread_mutex_lock(&lock);
    int64_t now_us = e->at_us;
    put_first(e, (size_t)s->loop->settings->acl_log_len);
    if (reason == ACL_REASON_AUTH) {
        wrong++;
        memcpy(last_client, s->addr, sizeof last_client);
        tell(now_us);
    }
    pthread_mutex_unlock(&lock);
}

void acl_log_second(int64_t now_us)
{
    pthread_mutex_lock(&lock);
    tell(now_us);
    pthread_mutex_unlock(&lock);
}

static void put_pair(struct chain *out, const char *name, const char *value)
{
    build_text(out, name);
    build_text(out, value);
}

static void put_entry(struct chain *out, enum resp resp, const struct entry *e, int64_t now_us)
{
    char age[40];

    build_map(out, resp, 7);
    build_text(out, "count");
    build_int(out, (int64_t)e->count);
    put_pair(out, "reason", acl_reason_name(e->reason));
    put_pair(out, "context", e->in_multi ? "multi" : "toplevel");
    build_text(out, "object");
    build_bulk(out, e->object.bytes, e->object.len);
    build_text(out, "username");
    build_bulk(out, e->user.bytes, e->user.len);
    build_text(out, "age-seconds");
    int n = snprintf(age, sizeof age, "%.17g", (double)((now_us - e->at_us) / 1000) / 1000);
    build_double(out, resp, age, (size_t)n);
    put_pair(out, "client-info", e->client);
}

void acl_log_get(struct chain *out, enum resp resp, int64_t count)
{
    int64_t now_us = clock_mono_us();

    pthread_mutex_lock(&lock);
    size_t n = count >= 0 && (size_t)count < entries ? (size_t)count : entries;
    build_array(out, n);
    for (const struct entry *e = newest; e != NULL && n > 0; e = e->next, n--)
        put_entry(out, resp, e, now_us);
    pthread_mutex_unlock(&lock);
}

void acl_log_reset(void)
{
    pthread_mutex_lock(&lock);
    cut_to(0);
    pthread_mutex_unlock(&lock);
}
