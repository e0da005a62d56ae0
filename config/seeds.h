/* config/seeds — redis.url where it does not name one server: sentinels that know the master, or nodes of a cluster.
 *
 *      redis+sentinel://[user:password@]host[:port],host[:port],…/mastername[/db]
 *      redis+cluster://[user:password@]host[:port],host[:port],…
 *      rediss+… for TLS, to all of them
 *
 * User and password are Redis's own; those of the sentinels are the settings redis.sentinel_user and redis.sentinel_password.
 * Owns:    the strings of struct redis_seeds, until _done.
 * Threads: any.          Used by: config/value, backends/redis. */
#ifndef CONFIG_SEEDS_H
#define CONFIG_SEEDS_H

#include "config/settings.h"
#include "config/url.h"

#define SEEDS_MOST 32

enum redis_kind { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

struct redis_seeds {
    enum redis_kind kind;
    size_t count;
    struct net_address
        hosts[SEEDS_MOST]; /* ports: 26379 for sentinels, 6379 for nodes, when the URL names none */
    char *master;          /* the name that the sentinels know; NULL for a cluster */
    char *user, *password; /* NULL when the URL has none */
    int db;
    bool tls;
};

enum redis_kind redis_kind(const char *url);
/* As redis_url_parse; a URL of kind REDIS_SINGLE is refused. */
MUST_USE bool redis_seeds_parse(const char *text, struct redis_seeds *ret_seeds, struct reason *why);
void redis_seeds_done(struct redis_seeds *seeds);
/* redis[s]://user:password@host:port/db with all that needs it percent-encoded; the caller frees it. */
char *redis_seeds_url(const struct redis_seeds *seeds, const char *host, int port);

/* The URL that connections are made to: redis.url, or what was found by it; "": nothing was found yet. */
const char *redis_at(const struct settings *s);
/* The same, as redis_url_parse. */
MUST_USE bool redis_at_parse(const char *at, struct redis_url *ret_url, struct reason *why);

#endif
