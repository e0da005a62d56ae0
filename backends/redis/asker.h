/* backends/redis/asker — a blocking connection that a few questions are asked on: sentinels, nodes, a master's ROLE.
 * Owns:       a hiredis context while it is open.
 * Invariants: any failure closes it; why then has the words for people.
 * Threads:    [scout] only: it blocks, for at most the patience of each question. */
#ifndef BACKENDS_REDIS_ASKER_H
#define BACKENDS_REDIS_ASKER_H

#include <stdbool.h>
#include <stdint.h>

struct redisContext;
struct redisReply;

struct asker {
    struct redisContext *c; /* NULL: closed */
    char why[160];
};

struct asker_login {
    const char *user, *password; /* "" or NULL: none */
    int64_t patience_ms;         /* for connecting and for each answer */
};

/* Connects and authenticates, unless it is open already. */
bool asker_open(struct asker *a, const char *host, int port, const struct asker_login *login);
void asker_close(struct asker *a);
/* Asks n words; the caller frees the reply. NULL: closed now, also by an error reply. */
struct redisReply *asker_ask(struct asker *a, int n, const char *const *words);
#define ASKER_ASK(a, ...)                                                                                    \
    asker_ask((a), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                      \
              (const char *[]){__VA_ARGS__})

#endif
