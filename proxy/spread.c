#include "proxy/spread.h"

#include "proxy/session.h"

/* Nothing is in flight: the next one is the first. */
static void begin(struct session *s, const struct upstream *u)
{
    s->spread = (struct spreading){.era = pool_era(&s->loop->pool),
                                .lane = (uint8_t)upstream_lane(u),
                                .alone = upstream_url(u) == NULL || upstream_lane(u) == LANE_PINNED};
}

bool spread_may_send(struct session *s, const struct upstream *u)
{
    struct spreading *sp = &s->spread;

    if (s->in_flight == 0) {
        begin(s, u);
        return true;
    }
    if (sp->era != pool_era(&s->loop->pool))
        return false;
    if (s->current == u && !sp->several)
        return true;
    if (s->current == NULL || sp->alone || upstream_url(u) == NULL || sp->lane != (uint8_t)upstream_lane(u))
        return false;
    sp->several = true;
    return true;
}
