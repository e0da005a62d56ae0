/* base/late — what a fault makes of a stream while it lasts (base/valve), and until what was held back has been handed out.
 *
 *      socket ─▶ read at once ─▶ pieces, each with its time ─▶ on_readable, stream_read        delay
 *      socket, output            untouched until the pause ends                                pause
 *      on_broken                                                                               cut
 *
 * Owns:       a timer, and what was read too early.
 * Invariants: bytes keep their order, and the end of the stream comes behind them. While more than LATE_MAX bytes wait nothing more is
 *             read. It goes when the fault is over and nothing waits any more: a stream has none as long as there is no fault.
 * Threads:    [loop] only.          Used by: base/stream. */
#ifndef BASE_LATE_H
#define BASE_LATE_H

#include "base/stream.h"

#define LATE_MAX (8u << 20)

/* The socket has something for s, or takes something: does with it what the valve says. events as libuv's. */
void late_poll(struct stream *s, int events);
/* Writes what is to be written unless the valve is shut. */
void late_flush(struct stream *s);
/* As stream_read, of what is due. */
ssize_t late_read(struct stream *s, void *buf, size_t cap);
/* The stream closes. */
void late_end(struct stream *s);

#endif
