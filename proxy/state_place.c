#include "proxy/state_parts.h"

#include "proxy/quarantined.h"
#include "proxy/state.h"

#include <string.h>

/* ---- of a policy ---- */

struct reasons {
    cJSON *lowered, *warnings;
};

static void sort_reason(void *ctx, const char *sentence, bool lowers)
{
    struct reasons *r = ctx;
    say(lowers ? r->lowered : r->warnings, sentence);
}

static void add_guarantee(cJSON *item, const struct overview *o, const struct policy_conf *p)
{
    cJSON *doc = object_in(item, "guarantee");
    struct guarantee g;

    overview_guarantee(o, p, &g);
    text(doc, "level", guarantee_name(g.level));
    text(doc, "promise", guarantee_promise(g.level));
    struct reasons r = {cJSON_AddArrayToObject(doc, "loweredBy"), cJSON_AddArrayToObject(doc, "warnings")};
    guarantee_each(&g, sort_reason, &r);
}

void state_add_place(cJSON *item, const struct overview *o, const struct policy_conf *p)
{
    const struct placement_policy *at = overview_place(o, p);

    text(item, "primary", overview_primary(p));
    text(item, "acting", overview_acting(o, p));
    flag(item, "dualWrite", overview_dual_write(o, p));
    flag(item, "dualWriteWanted", p->dual_write);
    if (at != NULL) {
        text(item, "phase", phase_name(place_phase(at->place)));
        text(item, "place", place_name(at->place));
        moment(item, "since", at->since_us);
        text(item, "why", at->why);
        number(item, "failovers", (double)at->failovers);
        number(item, "lastPauseMs", (double)at->held_us / 1000);
        number(item, "longestPauseMs", (double)at->held_max_us / 1000);
    }
    add_guarantee(item, o, p);
}

void state_add_placement(cJSON *doc, const struct overview *o)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "placement");

    for (size_t i = 0; i < o->settings->policy_count; i++) {
        cJSON *item = object_at_end(list);
        text(item, "policy", o->settings->policies[i].name);
        state_add_place(item, o, &o->settings->policies[i]);
    }
}

cJSON *state_placement(const struct overview *o)
{
    cJSON *doc = cJSON_CreateObject();

    state_add_placement(doc, o);
    return doc;
}

/* ---- between the stores ---- */

static bool in_catchup(const struct overview *o)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        if (o->places.policies[i].place == PLACE_CATCHUP)
            return true;
    return false;
}

void state_add_sync(cJSON *doc, const struct overview *o)
{
    const struct sync_report *s = &o->sync;
    cJSON *sync;

    if (!o->placed)
        return;
    sync = object_in(doc, "sync");
    number(sync, "epoch", (double)o->places.epoch);
    text(sync, "proxy", o->places.proxy);
    flag(sync, "redisIsOurs", o->places.redis_ours);
    if (s->copier.dirty >= 0)
        number(sync, "dirtyKeys", (double)s->copier.dirty);
    number(sync, "copyLagSeconds", overview_copy_lag_s(o));
    number(sync, "copied", (double)(s->copier.copied + s->copier.tombstones));
    number(sync, "copiedBytes", (double)s->copier.bytes);
    number(sync, "handedOver", (double)(s->handoff.restored + s->handoff.merged + s->handoff.kept));
    number(sync, "merged", (double)s->handoff.merged);
    number(sync, "quarantined", (double)s->handoff.quarantined);
    if (quarantined_entries() >= 0)
        number(sync, "quarantineEntries", (double)quarantined_entries());
    number(sync, "waiting", (double)s->waiting);
    number(sync, "heldRequests", (double)STATS_SUM(held));
    if (in_catchup(o)) {
        cJSON *pass = object_in(sync, "catchup");
        number(pass, "done", (double)s->pass_done);
        number(pass, "total", (double)(s->pass_total >= 0 ? s->pass_total : 0));
    }
    text(sync, "trouble", s->why);
}

/* ---- moves ---- */

/* What is not known, or does not apply, is left out. */
static void known(cJSON *in, const char *name, int64_t value)
{
    if (value >= 0)
        number(in, name, (double)value);
}

static void known_moment(cJSON *in, const char *name, int64_t wall_us)
{
    if (wall_us > 0)
        moment(in, name, wall_us);
}

static void add_examples(cJSON *doc, const char *examples)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "examples");
    char key[256];

    while (*examples != '\0') {
        size_t len = strcspn(examples, " ");
        snprintf(key, sizeof key, "%.*s", (int)len, examples);
        if (len > 0)
            say(list, key);
        examples += len + (examples[len] == ' ');
    }
}

cJSON *state_move(const struct move_report *m)
{
    cJSON *doc = cJSON_CreateObject();

    number(doc, "id", (double)m->id);
    text(doc, "kind", move_kind_name(m->order.kind));
    text(doc, "policy", m->order.policy);
    text(doc, "state", move_state_name(m->state));
    flag(doc, "repair", m->order.repair);
    flag(doc, "deep", m->order.deep);
    number(doc, "rate", (double)m->order.rate);
    number(doc, "done", (double)m->done);
    known(doc, "total", m->total);
    number(doc, "found", (double)m->found);
    number(doc, "repaired", (double)m->repaired);
    number(doc, "keysPerSecond", m->rate);
    known(doc, "etaSeconds", m->eta_s);
    known_moment(doc, "startedAt", m->started_us);
    known_moment(doc, "endedAt", m->ended_us);
    text(doc, "why", m->why);
    add_examples(doc, m->examples);
    return doc;
}

cJSON *state_moves(const struct move_report *list, size_t n)
{
    cJSON *doc = cJSON_CreateObject(), *moves = cJSON_AddArrayToObject(doc, "moves");

    for (size_t i = 0; i < n; i++)
        cJSON_AddItemToArray(moves, state_move(&list[i]));
    return doc;
}
