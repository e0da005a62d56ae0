/* proxy/monitor — MONITOR: a line for each command that any client of this process sends, whatever store answers it.
 *
 *      dispatch ─▶ monitor_watch ─▶ lines of this turn ─┬─▶ monitors of this loop
 *                                                       └─▶ (loop_try_post) ─▶ monitors of other loops
 *
 * Invariants: nothing is done for a command while nobody monitors, but for one look at loop.monitors. A line is told when its command was
 *             taken, once; those of a transaction come with its EXEC. As in Redis, administrative commands are not shown, and passwords
 *             are replaced by (redacted). A monitor that reads too slowly is closed: proxy.output_pubsub_hard.
 * Source:     redis.io/commands/monitor; redis-server 7.0.15.
 * Threads:    [loop], but the number of monitors: any. */
#ifndef PROXY_MONITOR_H
#define PROXY_MONITOR_H

#include "proxy/managed.h"

struct monitors;

/* How many clients of this process monitor. */
const _Atomic unsigned *monitor_count(void);

/* MONITOR. False: it must wait; the session is paused. */
bool monitor_command(struct session *s, const struct job *job);
/* RESET, or the client is gone. */
void monitor_stop(struct session *s);
/* A client that monitors may not use keys. True: it was told. */
bool monitor_refuses(struct session *s, const struct job *job);
/* Calls take, and tells what it has taken. Only while somebody monitors. */
bool monitor_watch(struct session *s, struct job *job, bool (*take)(struct session *s, struct job *job));
/* The turn's lines leave. l->monitors may be NULL. */
void monitor_flush(struct loop *l);
void monitor_free(struct loop *l);

#endif
