/* base/valve — a fault that all connections to one peer meet, for game days: cut, paused, or answers late. It ends by itself.
 * Owns:       nothing.
 * Invariants: no fault outlasts its deadline, whatever becomes of who has ordered it. A valve that is open costs whoever passes it one
 *             relaxed load.
 * Threads:    any.          Used by: base/stream, base/late, backends/redis. */
#ifndef BASE_VALVE_H
#define BASE_VALVE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum valve_kind { VALVE_OPEN, VALVE_CUT, VALVE_PAUSE, VALVE_DELAY };

struct valve {
    _Atomic int kind; /* as it was ordered: the deadline may have passed */
    _Atomic int64_t until_us; /* clock_mono_us */
    _Atomic int64_t delay_us, jitter_us; /* VALVE_DELAY: answers come so much later, give or take the jitter */
};

/* "cut", "pause", "delay"; "none" for VALVE_OPEN. */
const char *valve_kind_name(enum valve_kind kind);
bool valve_kind_find(const char *name, enum valve_kind *ret);

void valve_set(struct valve *g, enum valve_kind kind, int64_t delay_us, int64_t jitter_us, int64_t until_us);
/* The fault in force now. */
enum valve_kind valve_now(const struct valve *g);
/* How late the next answer is to come, in µs. */
int64_t valve_draw_us(const struct valve *g);

/* False: there is nothing to look at. */
static inline bool valve_is_set(const struct valve *g)
{
    return atomic_load_explicit(&g->kind, memory_order_relaxed) != VALVE_OPEN;
}

#endif
