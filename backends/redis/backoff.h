/* backends/redis/backoff — when to try again, and how many attempts the whole process may make.
 * Source:  pitfall 5: 50 → 500 ms with jitter, 50 connects a second for each store.
 * Threads: a struct backoff belongs to one loop; connect_budget_take is for all. */
#ifndef BACKENDS_REDIS_BACKOFF_H
#define BACKENDS_REDIS_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

struct backoff {
    unsigned failures; /* in a row */
};

/* The pause before the next attempt, in µs: 0 after a success, then min, 2 min, … max, each ± 25 %. */
int64_t backoff_pause_us(const struct backoff *b, int64_t min_ms, int64_t max_ms);
/* Takes one attempt from the process's token bucket; false: try again in some ms. rate: attempts a second. */
bool connect_budget_take(int64_t now_us, int64_t rate);

#endif
