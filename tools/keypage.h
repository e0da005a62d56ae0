/* tools/keypage — the keys of a page of SCAN, copied, so that they outlive its reply.
 * Owns:       the copies, until keypage_clear or keypage_done.
 * Threads:    one per object.          Used by: tools/export, tools/memory, tools/cleanup. */
#ifndef TOOLS_KEYPAGE_H
#define TOOLS_KEYPAGE_H

#include "engine/arena.h"

#include <stddef.h>

struct keypage {
    struct slice *keys;
    size_t n, cap;
    struct arena arena;
};

void keypage_init(struct keypage *p);
void keypage_done(struct keypage *p);
void keypage_add(struct keypage *p, struct slice key);
void keypage_clear(struct keypage *p);

#endif
