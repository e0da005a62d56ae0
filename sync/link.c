#include "sync/link.h"

#include "backends/redis/secure.h"
#include "backends/redis/blocking.h"
#include "base/decimal.h"
#include "base/few.h"
#include "config/seeds.h"
#include "router/marks.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FEW  16 /* replies that need no memory of their own, and words of link_say */
#define HEADER (DECIMAL_MAX + 3) /* of an array or a bulk, at most */
#define NAME MARKS_CLIENT_NAME "sync"
#define KEEP (64 * 1024) /* most that an empty output keeps */

struct link {
    pthread_mutex_t
        lock; /* for w being set, so that link_interrupt never hits a socket that is another's by now */
    struct blocking *w;       /* NULL: closed */
    redisReader *reader;  /* while it is open */
    char *out, *in;       /* commands that were put and not sent; room for a read */
    size_t out_len, out_cap;
    char *url, *password; /* what it was opened with, */
    const struct settings *settings; /* and by whom: counted */
    int64_t patience_ms;  /* for an answer */
    char why[192];
    redisReply **replies, *few_replies[FEW]; /* lent out */
    size_t nreplies, replies_cap, owed;
};

struct link *link_new(void)
{
    struct link *l = calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    l->replies = l->few_replies;
    l->replies_cap = FEW;
    snprintf(l->why, sizeof l->why, "not opened yet");
    return l;
}

static void set_blocking(struct link *l, struct blocking *own_w)
{
    pthread_mutex_lock(&l->lock);
    blocking_close(l->w);
    l->w = own_w;
    pthread_mutex_unlock(&l->lock);
}

void link_interrupt(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->w != NULL)
        blocking_interrupt(l->w);
    pthread_mutex_unlock(&l->lock);
}

void link_close(struct link *l)
{
    set_blocking(l, NULL);
    if (l->reader != NULL)
        redisReaderFree(l->reader);
    l->reader = NULL;
    free(l->url);
    free(l->password);
    settings_unref(l->settings);
    l->url = l->password = NULL;
    l->settings = NULL;
    l->owed = l->out_len = 0;
}

void link_free(struct link *own_l)
{
    if (own_l == NULL)
        return;
    link_done(own_l);
    link_close(own_l);
    if (own_l->replies != own_l->few_replies)
        free(own_l->replies);
    free(own_l->out);
    free(own_l->in);
    pthread_mutex_destroy(&own_l->lock);
    free(own_l);
}

bool link_is_open(const struct link *l)
{
    return l->w != NULL;
}

const char *link_why(const struct link *l)
{
    return l->why;
}

void link_fail(struct link *l, const char *why)
{
    snprintf(l->why, sizeof l->why, "%s", why);
    link_close(l);
}

void link_refuse(struct link *l, const struct redisReply *r)
{
    if (r->type == REDIS_REPLY_ERROR)
        link_fail(l, r->str);
    else
        link_fail(l, "an answer of an unexpected kind");
}

/* ---- opening ---- */

static char *copy_of(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        abort();
    return copy;
}

/* What a read or a write has come to. */
static void lost(struct link *l, ssize_t result)
{
    if (result == -ETIMEDOUT)
        snprintf(l->why, sizeof l->why, "no answer within %lld ms", (long long)l->patience_ms);
    else
        snprintf(l->why, sizeof l->why, "%s", result == 0 ? "Redis closed the connection" : blocking_why(l->w, (int)result));
    link_close(l);
}

/* The answers to the greeting. The one at `name` may be an error: a Redis that forbids CLIENT is fine. */
static bool greeted(struct link *l, size_t n, size_t name)
{
    bool ok = true;

    for (size_t i = 0; ok && i < n; i++) {
        const redisReply *r = link_get(l);
        ok = r != NULL;
        if (ok && r->type == REDIS_REPLY_ERROR && (i != name || strncmp(r->str, "NOAUTH", 6) == 0)) {
            link_refuse(l, r);
            ok = false;
        }
    }
    link_done(l);
    return ok;
}

static bool greet(struct link *l, const struct redis_url *url, const char *common_password)
{
    const char *password = url->password != NULL ? url->password : common_password;
    char db[16];
    size_t n = 0;

    if (password[0] != '\0' && url->user != NULL)
        link_say(l, "AUTH", url->user, password, NULL);
    else if (password[0] != '\0')
        link_say(l, "AUTH", password, NULL);
    n += password[0] != '\0';
    if (url->db != 0) {
        snprintf(db, sizeof db, "%d", url->db);
        link_say(l, "SELECT", db, NULL);
        n++;
    }
    link_say(l, "CLIENT", "SETNAME", NAME, NULL);
    return greeted(l, n + 1, n);
}

static bool connect_to(struct link *l, const struct redis_url *url, const struct settings *s)
{
    l->patience_ms = s->redis_connect_timeout;
    struct blocking *w = blocking_open(s, url, l->patience_ms, l->why, sizeof l->why);
    if (w == NULL)
        return false;
    set_blocking(l, w);
    l->reader = redisReaderCreate();
    if (l->reader == NULL)
        abort();
    if (!greet(l, url, s->redis_password))
        return false;
    l->patience_ms = s->redis_slow_timeout;
    blocking_patience(w, l->patience_ms);
    return true;
}

void link_take(struct link *l, int own_fd, int64_t patience_ms)
{
    link_done(l);
    link_close(l);
    l->patience_ms = patience_ms;
    set_blocking(l, blocking_take(own_fd, patience_ms));
    l->reader = redisReaderCreate();
    if (l->reader == NULL)
        abort();
}

bool link_open(struct link *l, const struct settings *settings)
{
    struct redis_url url;
    struct reason why;

    link_done(l);
    if (l->w != NULL && strcmp(l->url, redis_at(settings)) == 0 &&
        strcmp(l->password, settings->redis_password) == 0 &&
        !redis_secure_differs(l->settings, settings))
        return true;
    link_close(l);
    if (!redis_at_parse(redis_at(settings), &url, &why)) {
        link_fail(l, why.text);
        return false;
    }
    bool ok = connect_to(l, &url, settings);
    redis_url_done(&url);
    if (!ok)
        return false;
    l->url = copy_of(redis_at(settings));
    l->password = copy_of(settings->redis_password);
    l->settings = settings_ref(settings);
    l->why[0] = '\0';
    return true;
}

/* ---- talking ---- */

/* Room for n more bytes. */
static char *out_room(struct link *l, size_t n)
{
    if (l->out_cap - l->out_len < n) {
        while (l->out_cap - l->out_len < n)
            l->out_cap = l->out_cap == 0 ? KEEP : 2 * l->out_cap;
        l->out = realloc(l->out, l->out_cap);
        if (l->out == NULL)
            abort();
    }
    return l->out + l->out_len;
}

/* "<type><number>\r\n" */
static char *put_header(char *p, char type, size_t n)
{
    *p++ = type;
    p += decimal_print(p, (int64_t)n);
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

/* One of many megabytes is rare: its memory goes back. */
static void clear_out(struct link *l)
{
    l->out_len = 0;
    if (l->out_cap <= KEEP)
        return;
    free(l->out);
    l->out = NULL;
    l->out_cap = 0;
}

void link_put(struct link *l, const struct slice *argv, size_t n)
{
    size_t most = HEADER;

    if (l->w == NULL)
        return;
    for (size_t i = 0; i < n; i++)
        most += HEADER + argv[i].len + 2;
    char *p = put_header(out_room(l, most), '*', n);
    for (size_t i = 0; i < n; i++) {
        p = put_header(p, '$', argv[i].len);
        if (argv[i].len > 0)
            memcpy(p, argv[i].p, argv[i].len);
        p += argv[i].len;
        memcpy(p, "\r\n", 2);
        p += 2;
    }
    l->out_len = (size_t)(p - l->out);
    l->owed++;
}

size_t link_owed(const struct link *l)
{
    return l->owed;
}

void link_say(struct link *l, const char *verb, ...)
{
    struct slice argv[FEW] = {{verb, strlen(verb)}};
    size_t n = 1;
    const char *word;
    va_list words;

    va_start(words, verb);
    while ((word = va_arg(words, const char *)) != NULL && n < FEW)
        argv[n++] = (struct slice){word, strlen(word)};
    va_end(words);
    link_put(l, argv, n);
}

/* False: the link is closed now. */
static bool fetch(struct link *l)
{
    if (l->in == NULL && (l->in = malloc(BLOCKING_READ_LEAST)) == NULL)
        abort();
    ssize_t n = blocking_read(l->w, l->in, BLOCKING_READ_LEAST);
    if (n > 0)
        redisReaderFeed(l->reader, l->in, (size_t)n);
    else
        lost(l, n);
    return n > 0;
}

/* What is there already is taken before anything is sent. */
static bool await(struct link *l, void **reply)
{
    while (true) {
        if (redisReaderGetReply(l->reader, reply) != REDIS_OK) {
            link_fail(l, l->reader->errstr);
            return false;
        }
        if (*reply != NULL)
            return true;
        if (l->out_len > 0) {
            int rc = blocking_send(l->w, l->out, l->out_len);
            clear_out(l);
            if (rc != 0) {
                lost(l, rc);
                return false;
            }
        }
        if (!fetch(l))
            return false;
    }
}

struct redisReply *link_get(struct link *l)
{
    void *reply = NULL;

    if (l->w == NULL || !await(l, &reply))
        return NULL;
    l->replies = few_grow(l->replies, &l->replies_cap, l->nreplies + 1, sizeof *l->replies, l->few_replies);
    l->replies[l->nreplies++] = reply;
    l->owed--;
    return reply;
}

void link_done(struct link *l)
{
    for (size_t i = 0; i < l->nreplies; i++)
        freeReplyObject(l->replies[i]);
    l->nreplies = 0;
}
