#include "backends/redis/sentinel_reply.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

static const char *text_at(const redisReply *r, size_t i)
{
    if (r == NULL || r->type != REDIS_REPLY_ARRAY || i >= r->elements ||
        r->element[i]->type != REDIS_REPLY_STRING)
        return NULL;
    return r->element[i]->str;
}

bool sentinel_take_address(const redisReply *r, struct sentinel_address *ret)
{
    const char *host = text_at(r, 0), *port = text_at(r, 1);
    char *end;

    if (host == NULL || port == NULL || host[0] == '\0' || strlen(host) >= SENTINEL_HOST)
        return false;
    long n = strtol(port, &end, 10);
    if (end == port || *end != '\0' || n < 1 || n > 65535)
        return false;
    strcpy(ret->host, host);
    ret->port = (int)n;
    return true;
}

int64_t sentinel_take_epoch(const redisReply *r)
{
    for (size_t i = 0; r != NULL && i + 1 < r->elements; i += 2) {
        const char *name = text_at(r, i), *value = text_at(r, i + 1);
        if (name != NULL && value != NULL && strcmp(name, "config-epoch") == 0)
            return strtoll(value, NULL, 10);
    }
    return -1;
}

bool sentinel_is_master(const redisReply *r)
{
    const char *role = text_at(r, 0);
    return role != NULL && strcmp(role, "master") == 0;
}

bool sentinel_is_switch(const redisReply *r, const char *master)
{
    const char *kind = text_at(r, 0), *text = text_at(r, 2);
    size_t len = strlen(master);

    return kind != NULL && text != NULL && strcmp(kind, "message") == 0 && strncmp(text, master, len) == 0 &&
           text[len] == ' ';
}
