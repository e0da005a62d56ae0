#include "backends/redis/asker.h"

#include "backends/redis/blocking.h"
#include "backends/redis/secure.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

void asker_close(struct asker *a)
{
    blocking_close(a->w);
    if (a->reader != NULL)
        redisReaderFree(a->reader);
    settings_unref(a->settings);
    a->w = NULL;
    a->reader = NULL;
    a->settings = NULL;
}

static void fail(struct asker *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    asker_close(a);
}

/* What a read or a write has come to. */
static void lost(struct asker *a, ssize_t result)
{
    fail(a, result == -ETIMEDOUT ? "no answer in time" : result == 0 ? "it closed the connection" : blocking_why(a->w, (int)result));
}

static ssize_t fetch(struct asker *a)
{
    char *buf = malloc(BLOCKING_READ_LEAST);

    if (buf == NULL)
        abort();
    ssize_t n = blocking_read(a->w, buf, BLOCKING_READ_LEAST);
    if (n > 0)
        redisReaderFeed(a->reader, buf, (size_t)n);
    free(buf);
    return n;
}

redisReply *asker_next(struct asker *a)
{
    void *r = NULL;

    if (a->w != NULL && redisReaderGetReply(a->reader, &r) != REDIS_OK)
        fail(a, a->reader->errstr);
    return r;
}

static redisReply *await(struct asker *a)
{
    redisReply *r;

    while ((r = asker_next(a)) == NULL && a->w != NULL) {
        ssize_t n = fetch(a);
        if (n <= 0)
            lost(a, n);
    }
    return r;
}

redisReply *asker_ask(struct asker *a, int n, const char *const *words)
{
    char *text;

    if (a->w == NULL)
        return NULL;
    int len = redisFormatCommandArgv(&text, n, (const char **)(uintptr_t)words, NULL);
    if (len < 0)
        abort(); /* out of memory is the only reason */
    int rc = blocking_send(a->w, text, (size_t)len);
    redisFreeCommand(text);
    if (rc != 0) {
        lost(a, rc);
        return NULL;
    }
    redisReply *r = await(a);
    if (r != NULL && r->type == REDIS_REPLY_ERROR) {
        fail(a, r->str);
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

/* ---- opening ---- */

static bool authenticate(struct asker *a, const struct asker_login *login)
{
    const char *password = login->password != NULL ? login->password : "";
    const char *user = login->user != NULL ? login->user : "";

    if (password[0] == '\0')
        return true;
    redisReply *r = user[0] != '\0' ? ASKER_ASK(a, "AUTH", user, password) : ASKER_ASK(a, "AUTH", password);
    freeReplyObject(r);
    return a->w != NULL;
}

static bool is_as_wanted(const struct asker *a, const struct asker_login *login)
{
    return a->w != NULL && a->tls == login->tls && !(a->tls && redis_secure_differs(a->settings, login->settings));
}

bool asker_open(struct asker *a, const char *host, int port, const struct asker_login *login)
{
    struct redis_url url = {.host = (char *)(uintptr_t)host, .port = port, .tls = login->tls};

    if (is_as_wanted(a, login))
        return true;
    asker_close(a);
    a->w = blocking_open_apart(login->settings, &url, login->settings->redis_connect_timeout, a->why, sizeof a->why);
    if (a->w == NULL)
        return false;
    a->tls = login->tls;
    a->settings = settings_ref(login->settings);
    a->reader = redisReaderCreate();
    if (a->reader == NULL)
        abort();
    return authenticate(a, login);
}

/* ---- what comes unasked ---- */

int asker_fd(const struct asker *a)
{
    return a->w != NULL ? blocking_fd(a->w) : -1;
}

/* TLS may have had something to say that is no message. */
bool asker_fetch(struct asker *a)
{
    ssize_t n = fetch(a);

    if (n <= 0 && n != -ETIMEDOUT)
        lost(a, n);
    return a->w != NULL;
}
