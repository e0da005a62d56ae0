#include "base/valve.h"

#include "base/clock.h"

#include <string.h>

static const char *const names[] = {"none", "cut", "pause", "delay"};

const char *valve_kind_name(enum valve_kind kind)
{
    return names[kind];
}

bool valve_kind_find(const char *name, enum valve_kind *ret)
{
    for (int i = VALVE_OPEN; i <= VALVE_DELAY; i++) {
        if (strcmp(names[i], name) != 0)
            continue;
        *ret = (enum valve_kind)i;
        return true;
    }
    return false;
}

/* The kind is stored last: who sees it sees what belongs to it. */
void valve_set(struct valve *g, enum valve_kind kind, int64_t delay_us, int64_t jitter_us, int64_t until_us)
{
    atomic_store(&g->kind, VALVE_OPEN);
    atomic_store(&g->delay_us, delay_us);
    atomic_store(&g->jitter_us, jitter_us < delay_us ? jitter_us : delay_us);
    atomic_store(&g->until_us, until_us);
    atomic_store(&g->kind, kind);
}

enum valve_kind valve_now(const struct valve *g)
{
    enum valve_kind kind = (enum valve_kind)atomic_load(&g->kind);
    return kind != VALVE_OPEN && clock_mono_us() < atomic_load(&g->until_us) ? kind : VALVE_OPEN;
}

/* The clock's low digits are chance enough for a jitter. */
int64_t valve_draw_us(const struct valve *g)
{
    int64_t jitter = atomic_load(&g->jitter_us);
    uint64_t chance = ((uint64_t)clock_mono_us() * 0x9e3779b97f4a7c15u) >> 33;

    return atomic_load(&g->delay_us) + (jitter > 0 ? (int64_t)(chance % (uint64_t)(2 * jitter + 1)) - jitter : 0);
}
