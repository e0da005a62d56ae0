#include "sync/merge.h"

#include "base/version.h"
#include "executor/replay.h"

#include <string.h>

/* ---- facts: what the rules ask about ---- */

enum fact {
    F_DOCUMENT = 1 << 0, /* the archive has one */
    F_PAST = 1 << 1,     /* of an epoch before the hand-over's, which keys made anew in Redis are above */
    F_NOW = 1 << 2,      /* of the hand-over's own */
    F_LATER = 1 << 3,    /* of a later one */
    F_COPY = 1 << 4,     /* it is a copy of a state of Redis, or was committed to become Redis' */
    F_DEAD = 1 << 5,     /* it says that the key is gone */
    F_OPEN = 1 << 6,     /* it is dirty, or has a journal */
    F_JOURNAL = 1 << 7,
    F_HOLES = 1 << 8,    /* the journal is not whole */
    F_COUNTED = 1 << 9,  /* versions count */
    F_EMPTY = 1 << 10,   /* Redis knows nothing of the key, not even that it was deleted */
    F_UNKNOWN = 1 << 11, /* Redis has a value whose version does not tell what it is */
    F_BARE = 1 << 12,    /* for it has none */
    F_REACHED = 1 << 13, /* Redis' version is the document's or a higher one */
    F_EQUAL = 1 << 14,
    F_BASE = 1 << 15,    /* Redis has exactly the state that the journal began with */
    F_TAIL = 1 << 16,    /* Redis has more than that */
    F_IN_BOTH = 1 << 17, /* and all of it is in the journal, too */
    F_AWAY = 1 << 18,    /* it was taken out of Redis on purpose, which keeps its version */
};

static bool has_tail(const struct merge_case *c)
{
    const struct record *r = c->record;

    if (!r->journalled)
        return false;
    if (r->redis) /* a hand-over was begun: base is what it found in Redis */
        return c->redis > r->base;
    /* A value from before dual writes. Where all had versions Redis was emptied, and this is what old connections had sent, which
     * the archive has done, too. */
    if (c->redis == 0 && r->base == 0)
        return c->in_redis && !c->versions_count;
    return c->versions_count ? c->redis > r->base : c->redis >= r->base;
}

/* One write, one version: so many of the journal's as Redis is ahead of its base are all that Redis did since. */
static bool tail_is_in_journal(const struct merge_case *c)
{
    const struct record *r = c->record;
    int64_t count = 0;

    if (!c->versions_count || r->redis || r->base == 0)
        return false;
    for (size_t i = 0; i < r->nwrites; i++)
        count += merge_executed(&c->executed, &r->writes[i].id);
    return count == c->redis - r->base;
}

static unsigned facts_of(const struct merge_case *c)
{
    const struct record *r = c->record;
    int64_t epoch = version_epoch(c->document);
    bool tail = has_tail(c);
    unsigned f = 0;

    f |= c->document != 0 ? F_DOCUMENT : 0;
    f |= epoch > c->epoch ? F_LATER : 0;
    f |= epoch == c->epoch ? F_NOW : 0;
    f |= epoch < c->epoch ? F_PAST : 0;
    f |= r->redis ? F_COPY : 0;
    f |= c->dead ? F_DEAD : 0;
    f |= r->journalled ? F_JOURNAL : 0;
    f |= r->overflowed ? F_HOLES : 0;
    f |= c->dirty || r->journalled ? F_OPEN : 0;
    f |= c->redis == 0 && !c->in_redis ? F_EMPTY : 0;
    f |= c->redis >= c->document ? F_REACHED : 0;
    f |= c->redis == c->document ? F_EQUAL : 0;
    f |= r->journalled && c->redis == r->base ? F_BASE : 0;
    f |= tail ? F_TAIL : 0;
    f |= tail && tail_is_in_journal(c) ? F_IN_BOTH : 0;
    f |= c->in_redis && (c->redis == 0 || !c->versions_count) ? F_UNKNOWN : 0;
    f |= c->in_redis && c->redis == 0 ? F_BARE : 0;
    f |= c->versions_count ? F_COUNTED : 0;
    f |= r->tier.level != RECORD_WORKING ? F_AWAY : 0;
    return f;
}

/* ---- rules ---- */

/* The first row of which all `must` are true and no `not` is. The last one fits always. */
static const struct rule {
    unsigned must, not ;
    enum merge_action action;
    enum merge_loss loss;
    const char *why;
} rules[] = {
    {0, F_DOCUMENT, MERGE_NOTHING, MERGE_LOSES_NONE, "the archive has nothing"},
    {F_LATER, 0, MERGE_STALE, MERGE_LOSES_NONE, "the document is of a later epoch"},
    {F_COPY | F_REACHED | F_OPEN, 0, MERGE_CONFIRM, MERGE_LOSES_NONE, "restored, not confirmed"},
    {F_AWAY | F_COPY | F_EQUAL, F_OPEN | F_DEAD, MERGE_ARCHIVE, MERGE_LOSES_NONE, "demoted"},
    {F_COPY | F_REACHED, 0, MERGE_NOTHING, MERGE_LOSES_NONE, "Redis has it"},
    {F_DEAD | F_EMPTY | F_PAST, F_OPEN, MERGE_NOTHING, MERGE_LOSES_NONE, "gone in both"},
    {F_NOW | F_COPY | F_JOURNAL | F_BASE, 0, MERGE_RESTORE, MERGE_LOSES_NONE, "merged, not restored"},
    {F_EMPTY, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "Redis has nothing"},

    {F_JOURNAL | F_TAIL | F_HOLES, 0, MERGE_ARCHIVE, MERGE_LOSES_REDIS,
     "writes of Redis that the archive lacks, and a journal that is not whole"},
    {F_JOURNAL | F_TAIL | F_IN_BOTH, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "Redis' tail is in the journal"},
    {F_JOURNAL | F_TAIL, 0, MERGE_REPLAY, MERGE_LOSES_NONE, "Redis has a tail of its own"},
    {F_JOURNAL | F_COPY | F_BASE, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "merged in another epoch"},
    {F_JOURNAL | F_BARE, 0, MERGE_ARCHIVE, MERGE_LOSES_REDIS, "a value in Redis without a version"},
    {F_JOURNAL | F_COPY, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "merged, and Redis has lost of it"},
    {F_JOURNAL | F_UNKNOWN, 0, MERGE_ARCHIVE, MERGE_LOSES_REDIS, "a value in Redis older than the archive's"},
    {F_JOURNAL, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "Redis is not newer than the journal's base"},

    {F_COUNTED | F_EQUAL, 0, MERGE_CONFIRM, MERGE_LOSES_NONE, "equal"},
    {F_COUNTED | F_REACHED, 0, MERGE_REPLAY, MERGE_LOSES_ARCHIVE,
     "Redis is newer, and the archive has written without a journal"},
    {F_BARE, 0, MERGE_ARCHIVE, MERGE_LOSES_REDIS, "a value in Redis without a version"},
    {F_COPY | F_UNKNOWN, 0, MERGE_ARCHIVE, MERGE_LOSES_REDIS,
     "a value in Redis that is older than what it was given"},
    {0, 0, MERGE_ARCHIVE, MERGE_LOSES_NONE, "the archive is newer"},
};

struct merge_verdict merge_decide(const struct merge_case *c)
{
    unsigned facts = facts_of(c);
    const struct rule *rule = rules;

    while ((facts & rule->must) != rule->must || (facts & rule->not ) != 0)
        rule++;
    struct merge_verdict v = {rule->action, rule->loss, rule->why};
    if ((v.loss == MERGE_LOSES_REDIS && !c->in_redis) || (v.loss == MERGE_LOSES_ARCHIVE && c->dead))
        v.loss = MERGE_LOSES_NONE; /* a deletion */
    return v;
}

/* ---- the journal ---- */

bool merge_executed(const struct merge_ids *executed, const struct write_id *id)
{
    for (size_t i = 0; id->seq > 0 && i < executed->n; i++)
        if (strcmp(executed->ids[i].session, id->session) == 0)
            return id->seq <= executed->ids[i].seq;
    return false;
}

bool merge_replay(const struct record *r, const struct merge_ids *executed, struct object *o, struct arena *a)
{
    for (size_t i = 0; i < r->nwrites; i++)
        if (!merge_executed(executed, &r->writes[i].id) && !replay_write(o, a, &r->writes[i]))
            return false;
    return true;
}
