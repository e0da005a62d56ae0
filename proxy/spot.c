#include "proxy/spot.h"

#include "base/clock.h"
#include "executor/op.h"

#include <stdio.h>
#include <string.h>

#define FLAP_WINDOW_US (3600 * 1000000ll)
#define REST_US        5000000

void spot_init(struct spot *s, const char *name)
{
    *s = (struct spot){
        .place = PLACE_START, .staged = PLACE_START, .since_us = clock_mono_us(), .wall_us = clock_wall_us()};
    snprintf(s->name, sizeof s->name, "%s", name);
}

int64_t spot_patience_us(const struct spot *s, enum acted acted, int64_t return_after_ms, int64_t now_us)
{
    int64_t flaps = 0;

    if (s->hurry || acted == ACTED_ARCHIVE)
        return 0;
    for (size_t i = 0; i < SPOT_FLAPS; i++)
        flaps += s->flaps_us[i] != 0 && s->flaps_us[i] > now_us - FLAP_WINDOW_US;
    return return_after_ms * 1000 * (flaps > 1 ? flaps : 1);
}

static void raise_epoch(struct ledger *ledger, bool *raised)
{
    ledger->epoch += !*raised;
    *raised = true;
}

bool spot_record(const struct spot *s, enum place to, bool marked, struct ledger *ledger, bool *raised)
{
    enum acted acted = ledger_acted(ledger, s->name);

    if (to == PLACE_SETTLE) {
        raise_epoch(ledger, raised);
        ledger->lost_epoch = ledger->epoch;
        ledger_policy(ledger, s->name)->acted = ACTED_JOURNAL;
    } else if (to == PLACE_ARCHIVE && s->place == PLACE_LEAVE) {
        ledger_policy(ledger, s->name)->acted = marked ? ACTED_ARCHIVE : ACTED_JOURNAL;
    } else if (to == PLACE_CLAIM || to == PLACE_FIRST) {
        raise_epoch(ledger, raised);
        ledger_policy(ledger, s->name)->acted = acted == ACTED_NONE ? ACTED_NONE : ACTED_JOURNAL;
    } else if (to == PLACE_REDIS && s->place == PLACE_CATCHUP) {
        ledger_policy(ledger, s->name)->acted = ACTED_REDIS;
    } else {
        return false;
    }
    return true;
}

static void note_flap(struct spot *s)
{
    memmove(s->flaps_us + 1, s->flaps_us, sizeof s->flaps_us - sizeof s->flaps_us[0]);
    s->flaps_us[0] = s->since_us;
    s->failovers++;
}

static void note_hold(struct spot *s)
{
    if (place_phase(s->place) == PHASE_HOLD) {
        s->held_since_us = s->held_since_us != 0 ? s->held_since_us : s->since_us;
        return;
    }
    if (s->held_since_us == 0)
        return;
    s->held_us = s->since_us - s->held_since_us;
    s->held_max_us = s->held_us > s->held_max_us ? s->held_us : s->held_max_us;
    s->held_since_us = 0;
}

void spot_enter(struct spot *s, enum place to, enum acted acted)
{
    enum place from = s->place;

    s->place = s->staged = to;
    s->since_us = clock_mono_us();
    if ((from == PLACE_LEAVE && to == PLACE_DRAIN) || (from == PLACE_RETURN && to == PLACE_ARCHIVE))
        s->rest_until_us = s->since_us + REST_US;
    s->wall_us = clock_wall_us();
    s->first |= (to == PLACE_FIRST || to == PLACE_CLAIM) && acted == ACTED_NONE;
    s->hurry &= to != PLACE_REDIS;
    if (to == PLACE_SETTLE)
        note_flap(s);
    note_hold(s);
}

void spot_tell(const struct spot *s, const struct policy_conf *conf, enum acted acted, struct spot_view v,
               struct acting *a)
{
    static const uint8_t roles[] = {[ACTED_NONE] = OP_PLAIN,
                                    [ACTED_REDIS] = OP_JOURNAL,
                                    [ACTED_ARCHIVE] = OP_OWED,
                                    [ACTED_JOURNAL] = OP_JOURNAL};
    enum phase phase = v.leased ? place_phase(s->place) : PHASE_HOLD;
    bool guarded = v.known && s->place != PLACE_START;
    size_t k = conf->index;

    a->phase[k] = (uint8_t)phase;
    a->lost[k] = s->place == PLACE_LOSE || s->place == PLACE_SETTLE;
    a->escapes[k] = phase != PHASE_REDIS || (guarded && v.safe);
    a->keeps_id[k] = guarded;
    a->marked[k] = guarded && conf->dual_write;
    a->op_role[k] = roles[acted];
    a->guarded |= guarded;
    a->any |= phase != PHASE_REDIS;
}
