/* proxy/handed — the keys that this loop knows to be Redis' again while CATCHUP lasts, and those that it has asked for.
 * Owns:       128 bits of each key's hash, under a secret of the process: keys that a client makes up do not meet by design.
 * Threads:    [loop] only. */
#ifndef PROXY_HANDED_H
#define PROXY_HANDED_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

enum handed_state {
    HANDED_UNKNOWN,
    HANDED_NO, /* it was asked for in vain */
    HANDED_ASKED,
    HANDED_YES,
    HANDED_BAD, /* it can't be */
};

struct handed_id {
    uint64_t a, b;
};

struct handed;

struct handed *handed_new(void);
void handed_free(struct handed *own_h);
void handed_clear(struct handed *h);
struct handed_id handed_id(const struct handed *h, struct slice key);
enum handed_state handed_get(const struct handed *h, struct handed_id id);
void handed_set(struct handed *h, struct handed_id id, enum handed_state state);

#endif
