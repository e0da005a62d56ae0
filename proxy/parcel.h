/* proxy/parcel — a client between two processes: its descriptor, and what was known about it.
 * Owns:    the descriptor and the parts.
 * Threads: one at a time; a parcel is handed on as a whole.    Used by: proxy/session, travel, handover,
 * takeover. */
#ifndef PROXY_PARCEL_H
#define PROXY_PARCEL_H

#include "base/slice.h"
#include "resp/build.h"

#include <stdbool.h>
#include <stdint.h>

enum parcel_part { PARCEL_NAME, PARCEL_LIB_NAME, PARCEL_LIB_VER, PARCEL_USER, PARCEL_INPUT, PARCEL_PARTS };

struct parcel {
    struct parcel *next;
    int fd; /* -1: taken out */
    uint64_t id;
    int64_t age_us, idle_us;
    int32_t db;
    enum resp resp;
    bool no_evict, no_touch, known;
    uint8_t mute; /* enum mute */
    char *parts[PARCEL_PARTS]; /* NULL where there is none. Texts end with NUL, which lens does not count */
    size_t lens[PARCEL_PARTS];
};

/* Oldest first; all zero but for tail, which parcel_queue_init sets. */
struct parcel_queue {
    struct parcel *head, **tail;
};

struct parcel *parcel_new(void);
void parcel_free(struct parcel *own_p); /* NULL is fine */
/* The part, which is the caller's from now on; NULL when there is none. */
char *parcel_take(struct parcel *p, enum parcel_part part);

/* The parts one behind the other, as they travel: their length, and what stands at a place, to the end of its
 * part. */
size_t parcel_size(const struct parcel *p);
struct slice parcel_at(const struct parcel *p, size_t at);
/* Makes room for parts of these lengths. False: there is no such room. */
bool parcel_reserve(struct parcel *p, const uint64_t lens[PARCEL_PARTS]);
/* Puts bytes at a place; they may not go beyond the end of the part. */
bool parcel_put(struct parcel *p, size_t at, struct slice bytes);

void parcel_queue_init(struct parcel_queue *q);
void parcel_push(struct parcel_queue *q, struct parcel *own_p);
struct parcel *parcel_pop(struct parcel_queue *q); /* NULL when it is empty */
/* Moves all of src to the end of dst. */
void parcel_append(struct parcel_queue *dst, struct parcel_queue *src);

#endif
