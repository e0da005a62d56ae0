#include "proxy/policing.h"

#include "base/log.h"
#include "config/units.h"
#include "engine/json.h"
#include "proxy/coded.h"
#include "proxy/limiter.h"
#include "proxy/server.h"
#include "proxy/transaction.h"
#include "router/acl.h"
#include "router/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOG_PAUSE_US 1000000 /* malformed values are told once a second, with how many there were */
#define KEY_SHOWN    128     /* bytes of a key in the log */

/* What one policy demands. */
struct demand {
    bool limits;
    struct limit of[RATE_CLASSES];
    const char *rate[RATE_CLASSES];     /* as it stands in the settings */
    enum rate_class as[RATE_CLASSES];   /* the class whose limit counts: its own, or default */
    enum value_format format;
};

struct policing {
    const struct settings *settings;
    bool limits, formats; /* of some policy */
    int64_t told_us, untold;
    size_t count;
    struct demand demands[];
};

/* ---- the settings ---- */

static void read_limits(struct demand *d, const struct policy_conf *p)
{
    const char *const texts[] = {[RATE_DEFAULT] = p->limit_default, [RATE_SEARCH] = p->limit_search, [RATE_BULK] = p->limit_bulk};

    for (int c = 0; c < RATE_CLASSES; c++) {
        struct limit *l = &d->of[c];
        if (units_parse_rate(texts[c], &l->count, &l->per_ms) != UNITS_OK)
            l->count = 0; /* the settings take no such text */
        l->burst = p->limit_burst > 0 ? p->limit_burst : l->count;
        d->rate[c] = texts[c];
        d->as[c] = l->count > 0 ? (enum rate_class)c : RATE_DEFAULT;
        d->limits |= l->count > 0;
    }
}

struct policing *policing_new(const struct settings *settings)
{
    struct policing *p = calloc(1, sizeof *p + settings->policy_count * sizeof p->demands[0]);
    bool codes = false;

    if (p == NULL)
        abort();
    p->settings = settings;
    p->count = settings->policy_count;
    for (size_t i = 0; i < p->count; i++) {
        read_limits(&p->demands[i], &settings->policies[i]);
        p->demands[i].format = (enum value_format)settings->policies[i].format;
        p->limits |= p->demands[i].limits;
        p->formats |= p->demands[i].format != FORMAT_ANY;
        codes |= settings->policies[i].error_codes == CODES_MEM;
    }
    if (p->limits || p->formats || codes)
        return p;
    free(p);
    return NULL;
}

void policing_free(struct policing *own_p)
{
    free(own_p);
}

/* ---- whose command is it? ---- */

struct finding {
    const struct loop *loop;
    const struct job *job;
    bool limits; /* only a policy with limits is looked for */
    const struct policy_conf *policy;
    struct slice key;
};

static bool counts(const struct finding *f, const struct policy_conf *p)
{
    return p != NULL && (!f->limits || f->loop->policing->demands[p->index].limits);
}

static bool on_key(void *ctx, struct key_ref ref)
{
    struct finding *f = ctx;
    const struct policy_conf *p = policy_find(f->loop->policies, f->job->argv[ref.arg]);

    if (counts(f, p)) {
        f->policy = p;
        f->key = f->job->argv[ref.arg];
    }
    return f->policy == NULL;
}

const struct policy_conf *policing_policy(struct loop *l, const struct job *job)
{
    struct finding f = {.loop = l, .job = job};

    if (job->cmd != NULL)
        keys_each(job->cmd, job->argv, job->argc, on_key, &f);
    return f.policy;
}

/* The pattern of SCAN … MATCH and of KEYS. */
static bool find_pattern(const struct job *job, struct slice *ret)
{
    if (strcmp(job->cmd->name, "keys") == 0) {
        *ret = job->argv[1];
        return true;
    }
    for (size_t i = 2; i + 1 < job->argc; i += 2)
        if (slice_is(job->argv[i], "match")) {
            *ret = job->argv[i + 1];
            return true;
        }
    return false;
}

/* The literal beginnings of two patterns leave room for a key that both have. */
static bool may_meet(struct slice pattern, const char *match)
{
    size_t a = 0, b = strcspn(match, "*");

    while (a < pattern.len && strchr("*?[\\", pattern.p[a]) == NULL)
        a++;
    return memcmp(pattern.p, match, a < b ? a : b) == 0;
}

/* A policy with limits whose keys the command may find: that of the pattern itself, else the first that it may meet. */
static void find_by_pattern(struct finding *f)
{
    const struct settings *s = f->loop->settings;
    bool given = find_pattern(f->job, &f->key);
    const struct policy_conf *p = given ? policy_find(f->loop->policies, f->key) : NULL;

    if (counts(f, p))
        f->policy = p;
    for (size_t i = 0; f->policy == NULL && i < s->policy_count; i++)
        if (counts(f, &s->policies[i]) && (!given || may_meet(f->key, s->policies[i].match)))
            f->policy = &s->policies[i];
}

static bool searches_keys(const struct command *cmd)
{
    return strcmp(cmd->name, "scan") == 0 || strcmp(cmd->name, "keys") == 0;
}

static struct finding find_limited(struct loop *l, const struct job *job)
{
    struct finding f = {.loop = l, .job = job, .limits = true};

    if (job->cmd != NULL && searches_keys(job->cmd))
        find_by_pattern(&f);
    else if (job->cmd != NULL)
        keys_each(job->cmd, job->argv, job->argc, on_key, &f);
    return f;
}

/* Where the key names none, or a pattern many, it is the user's own. */
static struct slice tenant_of(const struct session *s, const struct finding *f)
{
    struct slice tenant;

    if (f->key.p != NULL && policy_tenant(f->key, f->policy->tenant_segment, &tenant) &&
        !(searches_keys(f->job->cmd) && memchr(tenant.p, '*', tenant.len) != NULL))
        return tenant;
    return acl_user_name(s->user);
}

/* ---- limits ---- */

static void tell_limited(struct session *s, const struct finding *f, struct slice tenant, enum rate_class class, int64_t wait_us)
{
    char name[LIMITER_NAME + 1], detail[256];
    size_t n = tenant.len < LIMITER_NAME ? tenant.len : LIMITER_NAME;

    for (size_t i = 0; i < n; i++)
        name[i] = tenant.p[i] > ' ' && tenant.p[i] < 0x7F && strchr(",()", tenant.p[i]) == NULL ? tenant.p[i] : '?';
    name[n] = '\0';
    snprintf(detail, sizeof detail, "retry after %" PRId64 " ms (tenant %s, class %s, %s)", (wait_us + 999) / 1000, name,
             rate_class_name(class), s->loop->policing->demands[f->policy->index].rate[class]);
    build_err(slot_answer(s), ERR_LIMITED, detail);
    slot_answered(s);
}

static bool over_limit(struct session *s, const struct job *job)
{
    struct loop *l = s->loop;
    struct finding f = find_limited(l, job);

    if (f.policy == NULL)
        return false;
    const struct demand *d = &l->policing->demands[f.policy->index];
    enum rate_class class = d->as[rate_class_of(job->cmd, job->argv, job->argc, transaction_length(s))];
    if (d->of[class].count == 0)
        return false;
    struct slice tenant = tenant_of(s, &f);
    uint8_t id = loop_policy_id(l, f.policy);
    int64_t wait_us = limiter_take(server_limiter(l->server), id, tenant, class, &d->of[class], l->turn.now_us);
    if (wait_us == 0)
        return false;
    counter_add(&l->stats->policies[id].limited[class], 1);
    tell_limited(s, &f, tenant, class, wait_us);
    return true;
}

/* ---- formats ---- */

/* Commands that bring values: the first one's argument, how far it is to the next (0: there is one), and where its key stands. */
static const struct bringer {
    const char *name;
    uint8_t first, step;
    bool own_key; /* each value's key stands before it; else all have the key of argument 1 */
} bringers[] = {
    {"getset", 2, 0, false}, {"hmset", 3, 2, false}, {"hset", 3, 2, false},   {"hsetnx", 3, 0, false}, {"linsert", 4, 0, false},
    {"lpush", 2, 1, false},  {"lpushx", 2, 1, false}, {"lset", 3, 0, false},  {"mset", 2, 2, true},    {"msetnx", 2, 2, true},
    {"psetex", 3, 0, false}, {"rpush", 2, 1, false}, {"rpushx", 2, 1, false}, {"set", 2, 0, false},    {"setex", 3, 0, false},
    {"setnx", 2, 0, false},
};

static const struct bringer *bringer_of(const struct command *cmd)
{
    for (size_t i = 0; cmd != NULL && i < sizeof bringers / sizeof bringers[0]; i++)
        if (strcmp(bringers[i].name, cmd->name) == 0)
            return &bringers[i];
    return NULL;
}

/* The value is not told: it may be anything. */
static void log_malformed(struct session *s, const struct policy_conf *p, struct slice key)
{
    struct policing *own = s->loop->policing;
    int64_t now = s->loop->turn.now_us;

    own->untold++;
    if (own->told_us != 0 && now - own->told_us < LOG_PAUSE_US)
        return;
    log_event(LOG_WARN, "malformed_json", LOG_STR("message", "Malformed JSON"), LOG_STR("policy", p->name),
              LOG_BYTES("key", key.p, key.len < KEY_SHOWN ? key.len : KEY_SHOWN), LOG_STR("command", s->last_command),
              LOG_INT("count", own->untold));
    own->told_us = now;
    own->untold = 0;
}

static bool refuse_malformed(struct session *s, const struct policy_conf *p, struct slice key)
{
    char shown[KEY_SHOWN + 1];

    snprintf(shown, sizeof shown, "%.*s", (int)(key.len < KEY_SHOWN ? key.len : KEY_SHOWN), key.p);
    coded_error(slot_answer(s), p, ERR_JSON, shown);
    slot_answered(s);
    return true;
}

static bool is_malformed(struct session *s, const struct job *job)
{
    struct loop *l = s->loop;
    const struct bringer *b = bringer_of(job->cmd);

    for (size_t i = b != NULL ? b->first : job->argc; i < job->argc; i += b->step) {
        struct slice key = job->argv[b->own_key ? i - 1 : 1];
        const struct policy_conf *p = policy_find(l->policies, key);
        if (p != NULL && l->policing->demands[p->index].format != FORMAT_ANY && !json_is_valid(job->argv[i])) {
            counter_add(&l->stats->policies[loop_policy_id(l, p)].malformed, 1);
            log_malformed(s, p, key);
            if (l->policing->demands[p->index].format == FORMAT_JSON_STRICT)
                return refuse_malformed(s, p, key);
        }
        if (b->step == 0)
            break;
    }
    return false;
}

bool policing_refuses(struct session *s, const struct job *job)
{
    const struct policing *p = s->loop->policing;

    if (s->policed)
        return false;
    s->policed = true;
    if (!(p->limits && over_limit(s, job)) && !(p->formats && is_malformed(s, job)))
        return false;
    transaction_spoil(s);
    counter_add(&s->loop->stats->commands[job->cmd != NULL ? job->cmd->id : STATS_UNKNOWN].errors, 1);
    return true;
}
