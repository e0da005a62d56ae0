/* proxy/digest — once a minute, one log line for each policy that had traffic: the operator's grep for msg_count_before and
 * retrieval misses works at the default log level, without a line for each command.
 * Owns:    what was counted up to the last line.
 * Threads: main. */
#ifndef PROXY_DIGEST_H
#define PROXY_DIGEST_H

#include <stdint.h>

/* Call it as often as you like; it writes at most once a minute. now_us: any steady clock. */
void digest_tick(int64_t now_us);

#endif
