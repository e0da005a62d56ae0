#include "proxy/series.h"

#include "base/clock.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#define LONG_STEP 10

enum fold { FOLD_MEAN, FOLD_LEAST, FOLD_MOST, FOLD_OWN /* by the long ring's own histogram */ };

enum column { REQUESTS, ERRORS, P50, P95, P99, REDIS_UP, ARCHIVE_UP, CLIENTS, DIRTY, LAG, PERSIST, COLUMNS };

static const struct {
    const char *name;
    enum fold fold;
} columns[COLUMNS] = {
    [REQUESTS] = {"requests", FOLD_MEAN},     [ERRORS] = {"errors", FOLD_MEAN},
    [P50] = {"p50_ms", FOLD_OWN},             [P95] = {"p95_ms", FOLD_OWN},
    [P99] = {"p99_ms", FOLD_OWN},             [REDIS_UP] = {"redis_up", FOLD_LEAST},
    [ARCHIVE_UP] = {"archive_up", FOLD_LEAST}, [CLIENTS] = {"clients", FOLD_MOST},
    [DIRTY] = {"dirty_keys", FOLD_MOST},      [LAG] = {"copy_lag_s", FOLD_MOST},
    [PERSIST] = {"persist_errors", FOLD_MEAN},
};

struct sample {
    int64_t time_s;          /* 0: free */
    uint64_t known, archive; /* policies by their stats id: there is one; the archive acts for it */
    float v[COLUMNS];        /* NAN: not known */
};

struct ring {
    size_t size, count; /* count grows for ever; the newest is at count - 1 */
    struct sample *samples;
};

/* What was counted when a sample began. */
struct counted {
    uint64_t requests, errors, persist;
    int64_t mono_us; /* 0: never */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sample short_samples[SERIES_SHORT_S], long_samples[SERIES_LONG_S / LONG_STEP];
static struct ring shorts = {SERIES_SHORT_S, 0, short_samples};
static struct ring longs = {SERIES_LONG_S / LONG_STEP, 0, long_samples};

/* [main] */
static struct counted before;
static struct hist_sum redis_before[2], archive_before[2]; /* of the short ring and of the long one */

/* ---- a second's sample ---- */

static uint64_t sum_errors(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STATS_COMMANDS; i++)
        sum += STATS_SUM(commands[i].errors);
    return sum;
}

static float rate(uint64_t now, uint64_t then, double seconds)
{
    return seconds > 0 && now >= then ? (float)((double)(now - then) / seconds) : NAN;
}

static void look_at_rates(struct sample *s)
{
    struct counted now = {STATS_SUM(requests), sum_errors(), overview_persist_errors(), clock_mono_us()};
    double seconds = before.mono_us != 0 ? (double)(now.mono_us - before.mono_us) / 1e6 : 0;

    s->v[REQUESTS] = rate(now.requests, before.requests, seconds);
    s->v[ERRORS] = rate(now.errors, before.errors, seconds);
    s->v[PERSIST] = rate(now.persist, before.persist, seconds);
    before = now;
}

/* What came since *then, which becomes now. */
static void add_since(const struct hist_sum *now, struct hist_sum *then, bool counts, struct hist_sum *sum)
{
    for (size_t i = 0; counts && i < HIST_BUCKETS; i++)
        sum->buckets[i] += now->buckets[i] - then->buckets[i];
    if (counts)
        sum->count += now->count - then->count;
    *then = *now;
}

/* Of the commands that were answered by the stores that act: while Redis acts alone, the archive's are copies. */
static void look_at_latency(struct sample *s, const struct overview *o, int ring)
{
    struct hist_sum sum = {.count = 0};
    bool first = before.mono_us == 0;

    add_since(&o->latency, &redis_before[ring], !first, &sum);
    add_since(&o->archive.executor.latency, &archive_before[ring], !first && s->archive != 0, &sum);
    s->v[P50] = sum.count > 0 ? (float)(hist_quantile(&sum, 0.50) / 1000) : NAN;
    s->v[P95] = sum.count > 0 ? (float)(hist_quantile(&sum, 0.95) / 1000) : NAN;
    s->v[P99] = sum.count > 0 ? (float)(hist_quantile(&sum, 0.99) / 1000) : NAN;
}

static void look_at_stores(struct sample *s, const struct overview *o)
{
    s->v[REDIS_UP] = o->redis.known ? (float)o->redis.up : NAN;
    s->v[ARCHIVE_UP] = o->archive.present ? (float)o->archive.executor.up : NAN;
    s->v[CLIENTS] = (float)overview_clients();
    s->v[DIRTY] = o->sync.copier.dirty >= 0 ? (float)o->sync.copier.dirty : NAN;
    s->v[LAG] = o->placed ? (float)overview_copy_lag_s(o) : NAN;
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *policy = &o->settings->policies[i];
        uint64_t bit = UINT64_C(1) << stats_policy_id(policy->name);
        s->known |= bit;
        if (overview_archive_acts(o, policy))
            s->archive |= bit;
    }
}

/* ---- the rings ---- */

static struct sample *at(const struct ring *r, size_t i)
{
    return &r->samples[i % r->size];
}

static void add(struct ring *r, const struct sample *s)
{
    *at(r, r->count++) = *s;
}

static float fold(enum fold how, float sum, float v)
{
    if (isnan(sum) || isnan(v))
        return isnan(sum) ? v : sum;
    return how == FOLD_LEAST ? fminf(sum, v) : how == FOLD_MOST ? fmaxf(sum, v) : sum + v;
}

/* One column of the last ten. */
static float fold_column(enum column c)
{
    float sum = NAN;
    int known = 0;

    for (size_t i = shorts.count - LONG_STEP; i < shorts.count; i++) {
        sum = fold(columns[c].fold, sum, at(&shorts, i)->v[c]);
        known += !isnan(at(&shorts, i)->v[c]);
    }
    return columns[c].fold == FOLD_MEAN && known > 0 ? sum / (float)known : sum;
}

/* s has the latencies of all ten. */
static void add_long(struct sample *s)
{
    for (int c = 0; c < COLUMNS; c++)
        if (columns[c].fold != FOLD_OWN)
            s->v[c] = fold_column((enum column)c);
    add(&longs, s);
}

void series_second(const struct overview *o)
{
    struct sample s = {.time_s = clock_wall_us() / 1000000}, ten;

    look_at_stores(&s, o);
    ten = s;
    bool is_tenth = shorts.count % LONG_STEP == LONG_STEP - 1;
    look_at_latency(&s, o, 0);
    if (is_tenth || before.mono_us == 0)
        look_at_latency(&ten, o, 1);
    look_at_rates(&s);
    pthread_mutex_lock(&lock);
    add(&shorts, &s);
    if (is_tenth)
        add_long(&ten);
    pthread_mutex_unlock(&lock);
}

/* ---- what is told ---- */

struct span {
    const struct ring *ring;
    size_t from;
};

static cJSON *number(double v)
{
    return isnan(v) ? cJSON_CreateNull() : cJSON_CreateNumber(round(v * 1000) / 1000);
}

static void tell_times(cJSON *doc, const struct span *span)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "time");
    for (size_t i = span->from; i < span->ring->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)at(span->ring, i)->time_s));
}

static void tell_column(cJSON *doc, const struct span *span, enum column c)
{
    cJSON *list = cJSON_AddArrayToObject(doc, columns[c].name);
    for (size_t i = span->from; i < span->ring->count; i++)
        cJSON_AddItemToArray(list, number((double)at(span->ring, i)->v[c]));
}

static void tell_policy(cJSON *doc, const struct span *span, unsigned id)
{
    uint64_t bit = UINT64_C(1) << id, ever = 0;
    cJSON *list = cJSON_CreateArray();

    for (size_t i = span->from; i < span->ring->count; i++) {
        const struct sample *s = at(span->ring, i);
        ever |= s->known & bit;
        cJSON_AddItemToArray(list, (s->known & bit) == 0 ? cJSON_CreateNull()
                                                         : cJSON_CreateString((s->archive & bit) != 0 ? "archive" : "redis"));
    }
    if (ever != 0)
        cJSON_AddItemToObject(doc, stats_policy_name(id), list);
    else
        cJSON_Delete(list);
}

/* The first sample that is kept and not too old. */
static size_t begin_of(const struct ring *r, int64_t seconds, int64_t since)
{
    int64_t oldest = clock_wall_us() / 1000000 - seconds;
    size_t i = r->count > r->size ? r->count - r->size : 0;

    while (i < r->count && (at(r, i)->time_s < oldest || at(r, i)->time_s <= since))
        i++;
    return i;
}

cJSON *series_json(int64_t seconds, int64_t since)
{
    cJSON *doc = cJSON_CreateObject();
    bool is_short = seconds <= SERIES_SHORT_S;
    struct span span = {is_short ? &shorts : &longs, 0};

    pthread_mutex_lock(&lock);
    span.from = begin_of(span.ring, seconds, since);
    cJSON_AddNumberToObject(doc, "step_s", is_short ? 1 : LONG_STEP);
    tell_times(doc, &span);
    for (int c = 0; c < COLUMNS; c++)
        tell_column(doc, &span, (enum column)c);
    cJSON *acting = cJSON_AddObjectToObject(doc, "acting");
    for (unsigned id = 0; id < STATS_POLICIES && stats_policy_name(id) != NULL; id++)
        tell_policy(acting, &span, id);
    pthread_mutex_unlock(&lock);
    return doc;
}
