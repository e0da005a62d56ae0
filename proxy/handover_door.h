/* proxy/handover_door — the name of the hand-over socket in the file system.
 * Invariants: only this user (and root) may connect: mode 0600. A name is taken over in one step, so that
 * there is no moment at which a successor's successor finds nobody. Threads:    [main].          Used by:
 * proxy/handover. */
#ifndef PROXY_HANDOVER_DOOR_H
#define PROXY_HANDOVER_DOOR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What stands under a name, to tell ours from a successor's. */
struct door_mark {
    dev_t device;
    ino_t inode;
};

/* A listening SOCK_SEQPACKET socket; -1 when that is not possible, with the reason. replace: whoever listens
 * there is leaving. Otherwise only what a killed process has left behind is removed. */
MUST_USE int door_open(const char *path, bool replace, struct door_mark *ret_mark, char *why, size_t why_cap);
bool door_is(const char *path, const struct door_mark *mark);
/* Unless it is somebody else's by now. */
void door_remove(const char *path, const struct door_mark *mark);

#endif
