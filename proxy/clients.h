/* proxy/clients — CLIENT LIST and CLIENT INFO: the clients of all loops.
 * Invariants: each loop describes its own clients; the loop that was asked puts the parts together.
 * Threads:    [loop]. */
#ifndef PROXY_CLIENTS_H
#define PROXY_CLIENTS_H

#include "proxy/managed.h"

#define CLIENT_LINE 1024

/* What TYPE asks for. The proxy has no masters and no replicas: CLIENTS_NONE. */
enum client_type { CLIENTS_ALL, CLIENTS_NORMAL, CLIENTS_PUBSUB, CLIENTS_NONE, CLIENTS_UNKNOWN };
enum client_type clients_type(struct slice word);
bool clients_are(const struct session *s, enum client_type type);

/* One line as CLIENT LIST of Redis 7.0 has it, ended by LF. Returns its length. */
size_t client_line(const struct session *s, char *buf, size_t cap);
/* CLIENT LIST [TYPE normal|master|replica|pubsub] [ID id …] */
bool clients_list(struct session *s, const struct job *job);

#endif
