/* router/slots — where a Redis Cluster puts a key: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16384. Pure.
 * Threads: any.          Used by: proxy/cluster.
 * Source:  redis.io, "Redis cluster specification", key distribution model and hash tags. */
#ifndef ROUTER_SLOTS_H
#define ROUTER_SLOTS_H

#include "base/slice.h"

#include <stdint.h>

#define SLOTS 16384

uint16_t slots_of(struct slice key);

#endif
