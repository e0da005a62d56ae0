/* proxy/info — the proxy's part of INFO.
 * Owns:       nothing.
 * Threads:    any.          Used by: proxy/dispatch. */
#ifndef PROXY_INFO_H
#define PROXY_INFO_H

#include "base/slice.h"
#include "proxy/server.h"

#include <stddef.h>

/* The section "# Convproxy", lines ending with CR LF: to be put behind what Redis answers, or alone for INFO
 * convproxy. The caller frees the text; *ret_len is its length. */
char *info_convproxy(const struct server *server, size_t *ret_len);

/* INFO while Redis is down: Server, Clients, Memory, Stats, Keyspace with the proxy's own numbers, and
 * Convproxy. names: the sections asked for, in any case; none, or one of "default", "all", "everything",
 * means all of them. Unknown names are passed over, as Redis does. redis_version is that of the server last
 * seen, or 7.0.0. */
char *info_standalone(const struct server *server, const struct slice *names, size_t count, size_t *ret_len);

/* The first port of the setting listen; 0: it listens on unix sockets only. */
unsigned info_port(const struct settings *settings);

/* True when a name among them asks for the section "convproxy", or for everything. */
bool info_wants_convproxy(const struct slice *names, size_t count);

#endif
