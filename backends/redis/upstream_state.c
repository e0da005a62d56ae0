#include "backends/redis/upstream_state.h"

/* A pair that is not in the table leaves the state as it is: KEEP is 0, so states are stored plus one. */
#define TO(state) (1 + (state))

static const unsigned char table[UP_STATES][UPSTREAM_EVENTS] = {
    [UP_IDLE] = {[UEV_WANTED] = TO(UP_WAITING)},
    [UP_DIALING] =
        {[UEV_DIALED] = TO(UP_GREETING), [UEV_BROKEN] = TO(UP_WAITING), [UEV_RETIRED] = TO(UP_WAITING)},
    [UP_GREETING] =
        {[UEV_GREETED] = TO(UP_READY), [UEV_BROKEN] = TO(UP_CLOSING), [UEV_RETIRED] = TO(UP_CLOSING)},
    [UP_READY] = {[UEV_RETIRED] = TO(UP_DRAINING), [UEV_BROKEN] = TO(UP_CLOSING)},
    [UP_DRAINING] = {[UEV_BROKEN] = TO(UP_CLOSING)},
    [UP_CLOSING] = {[UEV_CLOSED] = TO(UP_WAITING)},
    [UP_WAITING] = {[UEV_RETRY] = TO(UP_DIALING), [UEV_UNUSED] = TO(UP_IDLE)},
};

enum upstream_state upstream_next(enum upstream_state state, enum upstream_event event)
{
    unsigned char to = table[state][event];
    return to == 0 ? state : (enum upstream_state)(to - 1);
}
