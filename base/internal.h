/* base/internal — what stream and late share: a stream's socket, past the valve.
 * Threads: [loop] only. */
#ifndef BASE_INTERNAL_H
#define BASE_INTERNAL_H

#include "base/stream.h"

/* As stream_read and stream_flush, whatever the valve says. */
ssize_t stream_read_now(struct stream *s, void *buf, size_t cap);
void stream_flush_now(struct stream *s);
/* Watches the socket for what is wanted. */
void stream_watch(struct stream *s);
/* Does not watch it until stream_watch. */
void stream_unwatch(struct stream *s);

#endif
