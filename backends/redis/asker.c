#include "backends/redis/asker.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>

void asker_close(struct asker *a)
{
    if (a->c != NULL)
        redisFree(a->c);
    a->c = NULL;
}

static void fail(struct asker *a, const char *why)
{
    snprintf(a->why, sizeof a->why, "%s", why);
    asker_close(a);
}

redisReply *asker_ask(struct asker *a, int n, const char *const *words)
{
    if (a->c == NULL)
        return NULL;
    redisReply *r = redisCommandArgv(a->c, n, (const char **)(uintptr_t)words, NULL);
    if (r == NULL || r->type == REDIS_REPLY_ERROR) {
        fail(a, r != NULL ? r->str : a->c->errstr[0] != '\0' ? a->c->errstr : "no answer in time");
        freeReplyObject(r);
        return NULL;
    }
    return r;
}

static bool authenticate(struct asker *a, const struct asker_login *login)
{
    const char *password = login->password != NULL ? login->password : "";
    const char *user = login->user != NULL ? login->user : "";

    if (password[0] == '\0')
        return true;
    redisReply *r = user[0] != '\0' ? ASKER_ASK(a, "AUTH", user, password) : ASKER_ASK(a, "AUTH", password);
    freeReplyObject(r);
    return a->c != NULL;
}

bool asker_open(struct asker *a, const char *host, int port, const struct asker_login *login)
{
    struct timeval patience = {.tv_sec = login->patience_ms / 1000,
                               .tv_usec = login->patience_ms % 1000 * 1000};

    if (a->c != NULL)
        return true;
    a->c = redisConnectWithTimeout(host, port, patience);
    if (a->c == NULL)
        abort();
    if (a->c->err != 0 || redisSetTimeout(a->c, patience) != REDIS_OK) {
        fail(a, a->c->errstr);
        return false;
    }
    return authenticate(a, login);
}
