/* backends/redis/asker — a blocking connection that a few questions are asked on: sentinels, nodes, a master's ROLE. Plain or TLS.
 * Owns:       the connection and hiredis' reader of it, while it is open.
 * Invariants: any failure closes it; why then has the words for people. Faults that are made on purpose do not concern it.
 * Threads:    [scout] only: it blocks, for at most the patience of each question. */
#ifndef BACKENDS_REDIS_ASKER_H
#define BACKENDS_REDIS_ASKER_H

#include "config/settings.h"

#include <stdbool.h>
#include <stdint.h>

struct blocking;
struct redisReader;
struct redisReply;

struct asker {
    struct blocking *w; /* NULL: closed */
    struct redisReader *reader;
    const struct settings *settings; /* that it was opened with: counted */
    bool tls;
    char why[160];
};

struct asker_login {
    const char *user, *password;     /* "" or NULL: none */
    const struct settings *settings; /* redis.connect_timeout, for connecting and for each answer; and what TLS needs */
    bool tls;
};

/* Connects and authenticates, unless it is open already, and what TLS needs has not changed since. */
bool asker_open(struct asker *a, const char *host, int port, const struct asker_login *login);
void asker_close(struct asker *a);
/* Asks n words; the caller frees the reply. NULL: closed now, also by an error reply. */
struct redisReply *asker_ask(struct asker *a, int n, const char *const *words);
#define ASKER_ASK(a, ...)                                                                                    \
    asker_ask((a), (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                      \
              (const char *[]){__VA_ARGS__})

/* For what comes unasked. The descriptor to poll; -1: it is closed. */
int asker_fd(const struct asker *a);
/* Takes what is there, when poll says so. False: closed now. */
bool asker_fetch(struct asker *a);
/* The next reply of what was taken, which the caller frees; NULL: none is whole. */
struct redisReply *asker_next(struct asker *a);

#endif
