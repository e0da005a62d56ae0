/* sync/logged — a move as it stands in the control document of sync/logbook.
 * Owns:       nothing.
 * Invariants: what is read fits its place, whatever the document has: an entry that makes no sense is left out.
 * Threads:    any.          Used by: sync/logbook. */
#ifndef SYNC_LOGGED_H
#define SYNC_LOGGED_H

#include "sync/move.h"

#include <bson/bson.h>

#define LOGGED_BY   16
#define LOGGED_MOST 256 /* of all processes */

struct logged {
    char by[LOGGED_BY]; /* the process */
    int64_t beat;       /* grows with each of its writes */
    struct move_saved saved;
};

/* Policies without dual writes. */
struct logged_off {
    char policies[LOGGED_MOST][64];
    size_t n;
};

void logged_make(struct logged *ret, const char *by, int64_t beat, const struct move_saved *saved);
bson_t *logged_write(const char *name, const struct logged *list, size_t n, const struct logged_off *off);
/* How many; ret has room for LOGGED_MOST. */
size_t logged_read(struct slice doc, struct logged *ret, struct logged_off *ret_off);

#endif
