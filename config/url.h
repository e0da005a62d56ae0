/* config/url — where Redis is (a URL) and where a server listens (an address).
 * Owns:    the strings of the parsed structs, until _done.
 * Threads: any.          Used by: config/settings, backends/redis, proxy/listener. */
#ifndef CONFIG_URL_H
#define CONFIG_URL_H

#include "base/err.h"
#include "config/error.h"

#include <stdbool.h>
#include <stddef.h>

/* redis://[user:password@]host[:port][/db], rediss:// for TLS, or   unix://[user:password@]/path[?db=N] */
struct redis_url {
    char *host; /* NULL for a unix socket; an IPv6 address has lost its brackets */
    int port;   /* 6379 when the URL names none; 0 for a unix socket */
    char *path; /* NULL unless a unix socket */
    char *user; /* NULL when the URL has none or an empty one */
    char *password;
    int db;
    bool tls;
};

/* host:port, [v6]:port, or unix:/path */
struct net_address {
    char *host; /* NULL for a unix socket */
    int port;   /* 0 lets the kernel choose */
    char *path;
};

/* User, password and path are percent-decoded. On failure returns false and fills why, without
 * quoting anything that might be a password. */
MUST_USE bool redis_url_parse(const char *text, struct redis_url *ret_url, struct reason *why);
void redis_url_done(struct redis_url *url);
/* A copy of text (parsable or not) with the password, if any, replaced by "***"; the caller frees it. */
char *redis_url_hide(const char *text);

/* A path or host:port as a listener takes it; a host name is not looked up. */
MUST_USE bool net_address_parse(const char *text, struct net_address *ret_address, struct reason *why);
void net_address_done(struct net_address *address);
/* Only this machine can connect: 127.0.0.0/8, ::1, localhost, or a unix socket. */
bool net_address_is_local(const struct net_address *address);

#endif
