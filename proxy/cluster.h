/* proxy/cluster — a Redis Cluster behind the proxy, which clients see as one plain Redis.
 * Every request is looked at before it is routed: which slot are its keys in? The pool then chooses that slot's node. Keys
 * in several slots: split where that is natural, otherwise Redis's CROSSSLOT. What is about all keys goes to all masters.
 * Redirections are followed below (backends/redis/redirect).
 * Threads: [loop] only.          Used by: proxy/dispatch, local. */
#ifndef PROXY_CLUSTER_H
#define PROXY_CLUSTER_H

#include "proxy/managed.h"

/* Only when l->topology is set. Aims the pool at the node that job is for, and returns false; or deals with the request itself:
 * *ret_taken then says whether it was taken (false: it must wait). */
bool cluster_takes(struct session *s, const struct job *job, bool *ret_taken);
/* A line of INFO, with its CR LF, as a plain Redis has it. */
struct slice cluster_plain(struct slice line);

#endif
