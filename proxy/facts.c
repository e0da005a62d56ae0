#include "proxy/placement_state.h"

#include "base/clock.h"
#include "base/mutant.h"
#include "proxy/server.h"

#include <string.h>

#define NEARLY_CLEAN 500     /* marks that are carried in an instant */
#define DOUBT_US     2000000 /* how long a write in doubt speaks against Redis */

bool facts_marked(const struct placement *p, const struct spot *spot)
{
    const struct policy_conf *conf = settings_policy(p->settings, spot->name);
    return conf != NULL && conf->dual_write && moves_filled(sync_moves(p->sync), spot->name);
}

bool facts_leased(const struct placement *p)
{
    return !p->shared || clock_boot_us() < atomic_load(&p->lease_us);
}

static bool is_at(const struct placement *p, enum place at)
{
    for (size_t i = 0; i < p->nspots; i++)
        if (p->spots[i].place == at)
            return true;
    return false;
}

/* Nothing is handed over that the archive has not done yet. */
bool facts_quiet_here(const struct placement *p)
{
    if (is_at(p, PLACE_RETURN) && owed_count(p->owed) > 0)
        return false;
    for (unsigned i = 0; server_loop(p->server, i) != NULL && i < PLACEMENT_LOOPS; i++)
        if (atomic_load(&p->quiet[i]) < p->serial)
            return false;
    return true;
}

bool facts_quiet(const struct placement *p, int64_t now_us)
{
    return facts_quiet_here(p) &&
           (!p->shared || members_quiet(&p->members, p->ledger.serial, p->serial_since_us, now_us));
}

bool facts_copied_here(const struct placement *p)
{
    bool loses = is_at(p, PLACE_LOSE) || is_at(p, PLACE_SETTLE);
    bool rests = !loses || (p->mode == SYNC_IDLE && !errands_sync_busy(p->errands));
    return rests && executor_copies(p->executor) == 0 && !(is_at(p, PLACE_SETTLE) && owed_count(p->owed) > 0);
}

static bool is_copied(const struct placement *p, int64_t now_us)
{
    return facts_copied_here(p) &&
           (!p->shared || members_copied(&p->members, p->ledger.serial, p->serial_since_us, now_us));
}

bool facts_is_ours(const struct placement *p)
{
    return p->well && p->who.epoch == p->ledger.epoch && strcmp(p->who.run_id, p->ledger.run_id) == 0;
}

/* A look that is overdue tells what the last one could not. */
static bool is_well(const struct placement *p, int64_t now_us)
{
    int64_t patience_us = (p->settings->redis_connect_timeout + p->settings->redis_timeout) * 1000;
    return p->well && !(errands_redis_busy(p->errands) && now_us - p->looked_us > patience_us);
}

static bool redis_acts(const struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++) {
        enum phase phase = place_phase(p->spots[i].place);
        if (phase == PHASE_REDIS || phase == PHASE_CATCHUP)
            return true;
    }
    return false;
}

/* Whether it is the right one can be told only by a look that began when the ledger was known. */
bool facts_lost_here(const struct placement *p, int64_t now_us)
{
    bool stranger =
        !facts_is_ours(p) && redis_acts(p) && (!p->shared || p->look_began_us > p->serial_since_us);
    return p->asked &&
           (!is_well(p, now_us) || stranger || (p->doubt_us != 0 && now_us - p->doubt_us < DOUBT_US));
}

static bool is_ours(const struct placement *p, const struct spot *spot, int64_t now_us)
{
    if (!p->shared)
        return facts_is_ours(p) && !facts_lost_here(p, now_us);
    return !members_lost(&p->members, facts_lost_here(p, now_us), now_us);
}

static uint32_t acted_fact(enum acted acted)
{
    static const uint32_t facts[] = {[ACTED_NONE] = FACT_NEW,
                                     [ACTED_REDIS] = FACT_LAST_REDIS,
                                     [ACTED_ARCHIVE] = FACT_LAST_ARCHIVE,
                                     [ACTED_JOURNAL] = FACT_LAST_ARCHIVE};
    return facts[acted];
}

static bool wants_archive(const struct placement *p, const struct spot *spot, const struct policy_conf *conf)
{
    enum wanted wanted = spot->order != WANTED_NOTHING ? spot->order : ledger_wanted(&p->ledger, spot->name);
    return wanted != WANTED_NOTHING ? wanted == WANTED_ARCHIVE : conf->primary != STORE_REDIS;
}

static uint32_t redis_facts(const struct placement *p, const struct spot *spot, int64_t now_us)
{
    enum acted acted = ledger_acted(&p->ledger, spot->name);
    int64_t patience = spot_patience_us(spot, acted, p->settings->failover_return_after, now_us);
    bool rested = now_us >= spot->rest_until_us;
    uint32_t f = 0;

    f |= p->asked ? FACT_ASKED : 0;
    f |= p->there ? FACT_THERE : 0;
    f |= is_well(p, now_us) ? FACT_REDIS : 0;
    f |= is_ours(p, spot, now_us) ? FACT_OURS : 0;
    f |= rested && is_well(p, now_us) && now_us - p->well_since_us >= patience ? FACT_WELL : 0;
    f |= rested && (p->clean || (p->marks >= 0 && p->marks < NEARLY_CLEAN)) ? FACT_NEARLY_CLEAN : 0;
    f |= p->clean ? FACT_CLEAN : 0;
    f |= p->claimed == p->ledger.epoch ? FACT_CLAIMED : 0;
    return f;
}

static uint32_t own_facts(const struct placement *p, const struct spot *spot, const struct policy_conf *conf,
                          int64_t now_us)
{
    uint32_t f = redis_facts(p, spot, now_us);
    int64_t limit = place_limit_ms(spot->place);

    f |= p->known ? FACT_KNOWN | acted_fact(ledger_acted(&p->ledger, spot->name)) : 0;
    f |= executor_up(p->executor) ? FACT_ARCHIVE : 0;
    f |= wants_archive(p, spot, conf) ? FACT_WANT_ARCHIVE : 0;
    f |= p->settings->failover_automatic ? FACT_AUTOMATIC : 0;
    f |= facts_quiet(p, now_us) || MUTANT(skip_barrier) ? FACT_QUIET : 0;
    f |= is_copied(p, now_us) || MUTANT(skip_copied) ? FACT_COPIED : 0;
    f |= atomic_load(&p->caught_up) == p->ledger.epoch || MUTANT(global_flip) ? FACT_CAUGHT_UP : 0;
    f |= limit > 0 && now_us - spot->since_us > limit * 1000 ? FACT_LATE : 0;
    return f;
}

/* ---- policies that go together ----
 *
 * A claim raises the epoch and ends the connections to Redis, of all policies: those for which Redis acts would have lost it, and
 * their own claim would do the same to the one that has just returned, for ever. So who wants to return waits until the archive acts
 * for the others, too, which are moved there as if that was ordered; then all return with one claim. */

enum others { NOBODY_RETURNS, SOME_RETURN, ALL_RETURN };

static bool is_redis_s(enum place p)
{
    static const bool redis[PLACES] = {[PLACE_REDIS] = true, [PLACE_DRAIN] = true,  [PLACE_LEAVE] = true,
                                       [PLACE_LOSE] = true,  [PLACE_RETURN] = true, [PLACE_CATCHUP] = true,
                                       [PLACE_SETTLE] = true};
    return redis[p];
}

static enum others who_returns(const struct placement *p, int64_t now_us)
{
    bool some = false, all = true;

    for (size_t i = 0; i < p->nspots; i++) {
        const struct spot *s = &p->spots[i];
        const struct policy_conf *conf = settings_policy(p->settings, s->name);
        all &= !is_redis_s(s->place);
        if (conf == NULL || s->place != PLACE_ARCHIVE || wants_archive(p, s, conf))
            continue;
        bool ready = (redis_facts(p, s, now_us) & FACT_WELL) != 0;
        some |= ready;
        all &= ready;
    }
    return !some ? NOBODY_RETURNS : all ? ALL_RETURN : SOME_RETURN;
}

uint32_t facts_of(const struct placement *p, const struct spot *spot, const struct policy_conf *conf,
                  int64_t now_us)
{
    uint32_t f = own_facts(p, spot, conf, now_us);
    enum others others = who_returns(p, now_us);

    if (others == SOME_RETURN && is_redis_s(spot->place))
        f |= FACT_WANT_ARCHIVE;
    if (others != ALL_RETURN && spot->place == PLACE_ARCHIVE)
        f &= ~(uint32_t)FACT_WELL;
    return f;
}
