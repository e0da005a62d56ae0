#include "sync/link.h"

#include "base/few.h"
#include "config/seeds.h"
#include "router/marks.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>

#define FEW  16 /* arguments, and replies, that need no memory of their own */
#define NAME MARKS_CLIENT_NAME "sync"

struct link {
    pthread_mutex_t
        lock; /* for c being set, so that link_interrupt never hits a socket that is another's by now */
    redisContext *c;      /* NULL: closed */
    char *url, *password; /* what it was opened with */
    int64_t patience_ms;  /* for an answer */
    char why[192];
    const char **argv, *few_argv[FEW]; /* of the command being put */
    size_t *lens, few_lens[FEW], argv_cap, lens_cap;
    redisReply **replies, *few_replies[FEW]; /* lent out */
    size_t nreplies, replies_cap, owed;
};

struct link *link_new(void)
{
    struct link *l = calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    pthread_mutex_init(&l->lock, NULL);
    l->argv = l->few_argv;
    l->lens = l->few_lens;
    l->replies = l->few_replies;
    l->argv_cap = l->lens_cap = l->replies_cap = FEW;
    snprintf(l->why, sizeof l->why, "not opened yet");
    return l;
}

static void set_context(struct link *l, redisContext *c)
{
    pthread_mutex_lock(&l->lock);
    if (l->c != NULL)
        redisFree(l->c);
    l->c = c;
    pthread_mutex_unlock(&l->lock);
}

void link_interrupt(struct link *l)
{
    pthread_mutex_lock(&l->lock);
    if (l->c != NULL)
        shutdown(l->c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&l->lock);
}

void link_close(struct link *l)
{
    set_context(l, NULL);
    free(l->url);
    free(l->password);
    l->url = l->password = NULL;
    l->owed = 0;
}

void link_free(struct link *own_l)
{
    if (own_l == NULL)
        return;
    link_done(own_l);
    link_close(own_l);
    if (own_l->argv != own_l->few_argv)
        free(own_l->argv);
    if (own_l->lens != own_l->few_lens)
        free(own_l->lens);
    if (own_l->replies != own_l->few_replies)
        free(own_l->replies);
    pthread_mutex_destroy(&own_l->lock);
    free(own_l);
}

bool link_is_open(const struct link *l)
{
    return l->c != NULL;
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

static struct timeval time_of(int64_t ms)
{
    return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static char *copy_of(const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        abort();
    return copy;
}

static void lost(struct link *l)
{
    /* A passed SO_RCVTIMEO is told as EAGAIN. */
    if (l->c->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        snprintf(l->why, sizeof l->why, "no answer within %lld ms", (long long)l->patience_ms);
        link_close(l);
        return;
    }
    link_fail(l, l->c->errstr);
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
    struct timeval patience = time_of(s->redis_connect_timeout);

    l->patience_ms = s->redis_connect_timeout;
    set_context(l, url->path != NULL ? redisConnectUnixWithTimeout(url->path, patience)
                                     : redisConnectWithTimeout(url->host, url->port, patience));
    if (l->c == NULL)
        abort();
    if (l->c->err != 0 || redisSetTimeout(l->c, patience) != REDIS_OK) {
        lost(l);
        return false;
    }
    if (!greet(l, url, s->redis_password))
        return false;
    l->patience_ms = s->redis_slow_timeout;
    if (redisSetTimeout(l->c, time_of(l->patience_ms)) != REDIS_OK) {
        lost(l);
        return false;
    }
    return true;
}

bool link_open(struct link *l, const struct settings *settings)
{
    struct redis_url url;
    struct reason why;

    link_done(l);
    if (l->c != NULL && strcmp(l->url, redis_at(settings)) == 0 &&
        strcmp(l->password, settings->redis_password) == 0)
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
    l->why[0] = '\0';
    return true;
}

/* ---- talking ---- */

void link_put(struct link *l, const struct slice *argv, size_t n)
{
    if (l->c == NULL)
        return;
    l->argv = few_grow(l->argv, &l->argv_cap, n, sizeof *l->argv, l->few_argv);
    l->lens = few_grow(l->lens, &l->lens_cap, n, sizeof *l->lens, l->few_lens);
    for (size_t i = 0; i < n; i++) {
        l->argv[i] = argv[i].p != NULL ? argv[i].p : "";
        l->lens[i] = argv[i].len;
    }
    if (redisAppendCommandArgv(l->c, (int)n, l->argv, l->lens) != REDIS_OK)
        abort(); /* out of memory is the only reason */
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

struct redisReply *link_get(struct link *l)
{
    void *reply = NULL;

    if (l->c == NULL)
        return NULL;
    errno = 0;
    if (redisGetReply(l->c, &reply) != REDIS_OK) {
        lost(l);
        return NULL;
    }
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
