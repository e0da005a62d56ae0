/* backends/redis/sentinel_reply — what sentinels and masters answer, as values. Pure.
 * Threads: any.          Used by: backends/redis/sentinel.
 * Source:  redis.io, "High availability with Redis Sentinel" (API, Pub/Sub messages); redis.io/commands/role. */
#ifndef BACKENDS_REDIS_SENTINEL_REPLY_H
#define BACKENDS_REDIS_SENTINEL_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#define SENTINEL_HOST 256

struct redisReply;

struct sentinel_address {
    char host[SENTINEL_HOST];
    int port;
};

/* SENTINEL GET-MASTER-ADDR-BY-NAME. False: it knows no such master. */
bool sentinel_take_address(const struct redisReply *r, struct sentinel_address *ret);
/* SENTINEL MASTER: config-epoch, which grows with every failover; -1 when it is not told. */
int64_t sentinel_take_epoch(const struct redisReply *r);
/* ROLE says master. */
bool sentinel_is_master(const struct redisReply *r);
/* A message on +switch-master that is about this master. */
bool sentinel_is_switch(const struct redisReply *r, const char *master);

#endif
