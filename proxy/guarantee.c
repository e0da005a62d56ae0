#include "proxy/guarantee.h"

#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef const struct guarantee_facts facts;

static bool redis_acts(facts *f)
{
    return f->phase == PHASE_REDIS || f->phase == PHASE_CATCHUP;
}

static bool copies(facts *f)
{
    return redis_acts(f) && f->dual_write && f->archive_present;
}

static int64_t offset(facts *f)
{
    return f->clock_offset_ms < 0 ? -f->clock_offset_ms : f->clock_offset_ms;
}

/* ---- the reasons ---- */

static bool changing(facts *f)
{
    return f->phase == PHASE_HOLD;
}
static bool redis_down(facts *f)
{
    return redis_acts(f) && !f->redis_up;
}
static bool archive_needed(facts *f)
{
    return f->phase == PHASE_ARCHIVE && !f->archive_up;
}
static bool evicts(facts *f)
{
    return redis_acts(f) && f->evicts[0] != '\0';
}
static bool read_only(facts *f)
{
    return redis_acts(f) && f->redis_up && f->read_only;
}
static bool replica(facts *f)
{
    return redis_acts(f) && f->redis_up && f->replica && !f->read_only;
}
static bool no_archive(facts *f)
{
    return redis_acts(f) && !f->archive_present;
}
static bool dual_off(facts *f)
{
    return redis_acts(f) && f->archive_present && !f->dual_write;
}
static bool archive_down(facts *f)
{
    return copies(f) && !f->archive_up;
}
static bool ack_primary(facts *f)
{
    return copies(f) && !f->ack_both;
}
static bool marks_old(facts *f)
{
    return copies(f) && f->marks > 0 && f->marks_age_s >= GUARANTEE_MARKS_S;
}
static bool clocks_differ(facts *f)
{
    return copies(f) && offset(f) > GUARANTEE_CLOCK_MS;
}
static bool clocks_drift(facts *f)
{
    return copies(f) && offset(f) >= GUARANTEE_ALARM_MS && offset(f) <= GUARANTEE_CLOCK_MS;
}
static bool other_writers(facts *f)
{
    return copies(f) && f->mismatches > 0;
}
static bool racy(facts *f)
{
    return f->archive_racy;
}

static bool no_aof(facts *f)
{
    return redis_acts(f) && f->redis_up && f->no_aof;
}

/* most: what can be promised at most while it holds; GUARANTEE_BOTH: it is a warning. At most 32 rows. */
static const struct {
    bool (*holds)(facts *f);
    enum guarantee_level most;
    const char *text; /* may have: the word or number of say_row */
} rows[] = {
    {changing, GUARANTEE_NONE, "the stores are changing places: writes wait"},
    {redis_down, GUARANTEE_NONE, "Redis, which acts, is down"},
    {archive_needed, GUARANTEE_NONE, "the archive, which acts, is down"},
    {read_only, GUARANTEE_NONE, "Redis is a replica that refuses writes"},
    {evicts, GUARANTEE_NONE,
     "Redis may evict conversations: its maxmemory-policy is %s, expected noeviction"},
    {replica, GUARANTEE_NONE, "Redis is a replica: its master overwrites what is written to it"},
    {racy, GUARANTEE_NONE,
     "several proxies share an archive whose compare-and-set is not atomic (FerretDB 1): writes may be lost"},
    {no_archive, GUARANTEE_REDIS, "there is no archive"},
    {dual_off, GUARANTEE_REDIS, "dual_write is off: the archive gets no copies"},
    {archive_down, GUARANTEE_REDIS,
     "the archive is down: what is written now is marked, and copied when it is back"},
    {ack_primary, GUARANTEE_ARCHIVED, "ack is primary: writes are acknowledged before the archive has them"},
    {marks_old, GUARANTEE_ARCHIVED, "%s are not archived yet"},
    {clocks_differ, GUARANTEE_ARCHIVED,
     "the clocks of Redis and of this machine differ by %s, more than 500 ms"},
    {other_writers, GUARANTEE_ARCHIVED,
     "the last verify has found %s that differ: something writes to a store past the proxy"},
    {clocks_drift, GUARANTEE_BOTH,
     "the clocks of Redis and of this machine differ by %s; at 500 ms the promise is lowered"},
    {no_aof, GUARANTEE_BOTH,
     "Redis keeps no log on disk (appendonly no): a restart loses what is not archived"},
};
#define ROWS (sizeof rows / sizeof rows[0])

static void say_row(facts *f, size_t i, char *buf, size_t cap)
{
    char detail[64] = "";

    if (rows[i].holds == evicts)
        snprintf(detail, sizeof detail, "%s", f->evicts);
    else if (rows[i].holds == marks_old)
        snprintf(detail, sizeof detail, "%" PRId64 " keys, some since %" PRId64 " s,", f->marks,
                 f->marks_age_s);
    else if (rows[i].holds == other_writers)
        snprintf(detail, sizeof detail, "%" PRId64 " keys", f->mismatches);
    else
        snprintf(detail, sizeof detail, "%" PRId64 " ms", offset(f));
    const char *gap = strstr(rows[i].text, "%s");
    size_t before = gap != NULL ? (size_t)(gap - rows[i].text) : strlen(rows[i].text);
    snprintf(buf, cap, "%.*s%s%s", (int)before, rows[i].text, gap != NULL ? detail : "",
             gap != NULL ? gap + 2 : "");
}

/* ---- public ---- */

void guarantee_of(const struct guarantee_facts *f, struct guarantee *ret)
{
    enum guarantee_level level = redis_acts(f) ? GUARANTEE_BOTH : GUARANTEE_ARCHIVE;

    ret->facts = *f;
    ret->reasons = 0;
    for (size_t i = 0; i < ROWS; i++) {
        if (!rows[i].holds(f))
            continue;
        ret->reasons |= 1u << i;
        if (rows[i].most < level)
            level = rows[i].most;
    }
    ret->level = level;
}

static const struct {
    const char *name, *promise;
} levels[GUARANTEE_LEVELS] = {
    [GUARANTEE_NONE] = {"none", "nothing is promised for writes now"},
    [GUARANTEE_REDIS] = {"redis", "acknowledged writes survive what Redis alone survives"},
    [GUARANTEE_ARCHIVED] = {"archived",
                            "acknowledged writes survive the loss of Redis as far as they are archived"},
    [GUARANTEE_ARCHIVE] = {"archive", "acknowledged writes are in the archive and survive the loss of Redis"},
    [GUARANTEE_BOTH] = {"both", "acknowledged writes are in both stores and survive the loss of either one"},
};

const char *guarantee_name(enum guarantee_level level)
{
    return levels[level].name;
}

const char *guarantee_promise(enum guarantee_level level)
{
    return levels[level].promise;
}

void guarantee_each(const struct guarantee *g, void (*say)(void *ctx, const char *sentence, bool lowers),
                    void *ctx)
{
    char sentence[200];

    for (size_t i = 0; i < ROWS; i++) {
        if ((g->reasons & 1u << i) == 0)
            continue;
        say_row(&g->facts, i, sentence, sizeof sentence);
        say(ctx, sentence, rows[i].most < GUARANTEE_BOTH);
    }
}

/* ---- the log ---- */

struct guarantee_log {
    struct said {
        bool known;
        enum guarantee_level level;
        unsigned reasons;
    } said[STATS_POLICIES];
};

struct guarantee_log *guarantee_log_new(void)
{
    struct guarantee_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        abort();
    return log;
}

void guarantee_log_free(struct guarantee_log *own_log)
{
    free(own_log);
}

struct list {
    char text[600];
};

static void add_sentence(void *ctx, const char *sentence, bool lowers)
{
    struct list *l = ctx;
    size_t at = strlen(l->text);
    snprintf(l->text + at, sizeof l->text - at, "%s%s", at > 0 ? "; " : "", sentence);
}

void guarantee_log_tell(struct guarantee_log *log, const char *policy, const struct guarantee *g)
{
    struct said *said = &log->said[stats_policy_id(policy)];
    struct list why = {""};

    if (said->known && said->level == g->level && said->reasons == g->reasons)
        return;
    guarantee_each(g, add_sentence, &why);
    log_event(said->known && g->level < said->level ? LOG_WARN : LOG_INFO, "guarantee",
              LOG_STR("policy", policy), LOG_STR("now", guarantee_name(g->level)),
              LOG_STR("before", said->known ? guarantee_name(said->level) : "-"),
              LOG_STR("promise", guarantee_promise(g->level)), LOG_STR("why", why.text));
    *said = (struct said){true, g->level, g->reasons};
}
