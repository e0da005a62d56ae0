/* proxy/handed — the keys that this loop knows to be Redis' again while CATCHUP lasts, and those that it has asked for.
 * Owns:       the keys' ids, under a secret of its own.
 * Threads:    [loop] only. */
#ifndef PROXY_HANDED_H
#define PROXY_HANDED_H

#include "base/keyid.h"

enum handed_state {
    HANDED_UNKNOWN,
    HANDED_NO, /* it was asked for in vain */
    HANDED_ASKED,
    HANDED_YES,
    HANDED_BAD, /* it can't be */
};

struct handed;

struct handed *handed_new(void);
void handed_free(struct handed *own_h);
void handed_clear(struct handed *h);
struct keyid handed_id(const struct handed *h, struct slice key);
enum handed_state handed_get(const struct handed *h, struct keyid id);
void handed_set(struct handed *h, struct keyid id, enum handed_state state);

#endif
