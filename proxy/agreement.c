#include "proxy/agreement.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

#define CONTROL       "placement"
#define ROUND_US      300000 /* between two rounds among proxies */
#define BUSY_ROUND_US 20000
#define REST_US       100000 /* after an error of the archive's, before it is asked again */

/* ---- changing the ledger ---- */

/* What is to be saved is made of what is; true once for all changes that go together. */
void agreement_begin(struct placement *p)
{
    if (p->saving)
        return;
    ledger_copy(&p->next, &p->ledger);
    p->saving = true;
}

/* Shared, one proxy decides: the first that is heard. The others see the ledger change. */
bool agreement_decides(const struct placement *p, int64_t now_us)
{
    return !p->shared || (p->known && facts_leased(p) && members_leads(&p->members, now_us));
}

bool agreement_rests(const struct placement *p)
{
    return clock_mono_us() < p->rest_until_us;
}

/* A race is no error: the ledger is read again at once. */
static void note_error(struct placement *p, enum err e)
{
    bool failed = e != ERR_NONE && e != ERR_RACE;
    const char *why = failed ? errands_why(p->errands) : "";

    if (failed)
        p->rest_until_us = clock_mono_us() + REST_US;
    if (failed && strcmp(p->trouble, why) != 0)
        log_event(LOG_ERROR, "ledger_error", LOG_STR("reason", why));
    pthread_mutex_lock(&p->lock);
    snprintf(p->trouble, sizeof p->trouble, "%s", why);
    pthread_mutex_unlock(&p->lock);
}

void agreement_amend(struct placement *p)
{
    const char *gone =
        agreement_decides(p, clock_mono_us()) ? members_gone(&p->members, clock_mono_us()) : NULL;

    if (!p->shared || !p->known || p->stale || agreement_rests(p))
        return;
    if (gone != NULL) {
        agreement_begin(p);
        ledger_remove_member(&p->next, gone);
        sync_reclaim(p->sync);
        log_event(LOG_WARN, "proxy_gone", LOG_STR("proxy", gone));
    }
    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        if (spot->order == WANTED_NOTHING || spot->order == ledger_wanted(&p->ledger, spot->name))
            continue;
        agreement_begin(p);
        ledger_policy(&p->next, spot->name)->wanted = spot->order;
    }
}

static void begin_round(struct placement *p)
{
    p->rounded_us = clock_mono_us();
    p->word.beat++;
    p->word.quiet = facts_quiet_here(p) ? p->ledger.serial : p->word.quiet;
    p->word.copied = facts_copied_here(p);
    p->word.lost = facts_lost_here(p, p->rounded_us);
    errands_round(p->errands, CONTROL, &p->members, p->word_version, members_write(&p->word));
}

/* What was staged does not happen: it is decided anew. */
static void drop_staged(struct placement *p)
{
    p->saving = false;
    for (size_t i = 0; i < p->nspots; i++)
        p->spots[i].staged = p->spots[i].place;
}

void agreement_keep(struct placement *p)
{
    int64_t pause = placement_is_busy(p) || !p->known ? BUSY_ROUND_US : ROUND_US;

    if (p->saving && !errands_archive_busy(p->errands) && !executor_up(p->executor))
        drop_staged(p);
    if (errands_archive_busy(p->errands) || !executor_up(p->executor) || agreement_rests(p))
        return;
    if (p->saving)
        errands_save(p->errands, CONTROL, p->ledger.version, ledger_write(&p->next));
    else if (p->shared && (p->stale || clock_mono_us() - p->rounded_us >= pause))
        begin_round(p);
    else if (!p->shared && (p->stale || !p->known))
        errands_read(p->errands, CONTROL);
}

/* ---- what errands bring ---- */

/* What the archive holds now. */
static void set_ledger(struct placement *p, struct ledger *own_fresh)
{
    if (own_fresh->serial != p->ledger.serial)
        p->serial_since_us = clock_mono_us();
    pthread_mutex_lock(&p->lock);
    ledger_done(&p->ledger);
    p->ledger = *own_fresh;
    atomic_store(&p->epoch, p->ledger.epoch);
    pthread_mutex_unlock(&p->lock);
    members_follow(&p->members, &p->ledger, clock_mono_us());
    errands_members(p->errands, &p->ledger);
}

static void take_ledger(struct placement *p, const struct archive_found *found)
{
    struct ledger fresh;

    ledger_init(&fresh);
    fresh.version = found->version;
    if (found->version != 0)
        ledger_read(&fresh, found->doc);
    if (fresh.epoch < p->ledger.epoch)
        fresh.epoch = p->ledger.epoch;
    set_ledger(p, &fresh);
}

static void set_known(struct placement *p, bool known)
{
    pthread_mutex_lock(&p->lock);
    p->known = known;
    pthread_mutex_unlock(&p->lock);
}

/* Where the ledger says that all proxies are. True: somewhere else than before. */
static bool follow_ledger(struct placement *p)
{
    bool moved = false;

    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        const struct ledger_policy *row = ledger_policy(&p->ledger, spot->name);
        spot->staged = spot->place;
        if (row->wanted == spot->order)
            spot->order = WANTED_NOTHING;
        if (!p->shared || !row->placed || row->place == spot->place)
            continue;
        placement_go_where(p, spot, row->place);
        moved = true;
    }
    return moved;
}

void agreement_read(void *ctx, enum err e, const struct archive_found *found)
{
    struct placement *p = ctx;

    note_error(p, e);
    if (e == ERR_NONE) {
        take_ledger(p, found);
        set_known(p, true);
        p->stale = false;
        for (size_t i = 0; i < p->nspots; i++)
            if (p->spots[i].place == PLACE_REDIS) /* it acted because nobody could be asked */
                p->spots[i].place = p->spots[i].staged = PLACE_START;
    }
    placement_step(p);
}

void agreement_saved(void *ctx, enum err e)
{
    struct placement *p = ctx;

    p->saving = false;
    note_error(p, e);
    if (e == ERR_NONE) {
        struct ledger saved = {0};
        ledger_copy(&saved, &p->next);
        saved.version++;
        set_ledger(p, &saved);
        for (size_t i = 0; i < p->nspots; i++)
            if (p->spots[i].staged != p->spots[i].place)
                placement_go_where(p, &p->spots[i], p->spots[i].staged);
        placement_publish(p);
    } else {
        drop_staged(p);
        p->stale = e != ERR_ARCHIVEDOWN; /* another was faster, or it may have been done: read it first */
    }
    placement_step(p);
}

static void join(struct placement *p)
{
    agreement_begin(p);
    if (ledger_add_member(&p->next, p->proxy))
        return;
    p->saving = false;
    log_event(LOG_ERROR, "too_many_proxies", LOG_INT("most", LEDGER_MEMBERS));
}

void agreement_rounded(void *ctx, enum err e, const struct round *r)
{
    struct placement *p = ctx;
    int64_t now_us = clock_mono_us();
    bool was_known = p->known;

    note_error(p, e);
    if (e != ERR_NONE) {
        placement_step(p);
        return;
    }
    p->word_version = r->version;
    p->stale = false;
    if (r->ledger.version != p->ledger.version || !p->known)
        take_ledger(p, &r->ledger);
    for (size_t i = 0; i < r->n; i++)
        members_hear(&p->members, r->ids[i], r->words[i].version, r->words[i].doc, now_us);
    set_known(p, ledger_has_member(&p->ledger, p->proxy));
    if (p->known)
        atomic_store(&p->lease_us, r->asked_us + MEMBERS_LEASE_US);
    else if (!p->saving)
        join(p);
    if (p->known && (follow_ledger(p) || !was_known))
        placement_publish(p);
    placement_step(p);
}
