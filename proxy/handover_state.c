#include "proxy/handover_state.h"

/* A pair that is not in the table leaves the state as it is: that is 0, so states are stored plus one. */
#define TO(state) (1 + (HANDOVER_##state))

static const unsigned char table[HANDOVER_STATES][HANDOVER_EVENTS] = {
    [HANDOVER_LISTENING] = {[HEV_PEER] = TO(GREETING), [HEV_STOP] = TO(OFF)},
    [HANDOVER_GREETING] = {[HEV_HELLO] = TO(OFFERING),
                           [HEV_LOST] = TO(LISTENING),
                           [HEV_LATE] = TO(LISTENING),
                           [HEV_STOP] = TO(OFF)},
    [HANDOVER_OFFERING] = {[HEV_READY] = TO(GIVING),
                           [HEV_LOST] = TO(LISTENING),
                           [HEV_LATE] = TO(LISTENING),
                           [HEV_STOP] = TO(OFF)},
    [HANDOVER_GIVING] = {[HEV_EMPTY] = TO(ENDING),
                         [HEV_LOST] = TO(LISTENING),
                         [HEV_LATE] = TO(LISTENING),
                         [HEV_STOP] = TO(OFF)},
    [HANDOVER_ENDING] =
        {[HEV_BYE] = TO(GONE), [HEV_LOST] = TO(LISTENING), [HEV_LATE] = TO(GONE), [HEV_STOP] = TO(OFF)},
};

enum handover_state handover_next(enum handover_state state, enum handover_event event)
{
    unsigned char to = table[state][event];
    return to == 0 ? state : (enum handover_state)(to - 1);
}

const char *handover_state_name(enum handover_state state)
{
    static const char *const names[HANDOVER_STATES] = {"off",    "listening", "greeting", "offering",
                                                       "giving", "ending",    "gone"};
    return names[state];
}
