#include "proxy/state_tenants.h"

#include "base/clock.h"
#include "base/hashed.h"
#include "proxy/admin_api.h"
#include "proxy/limiter.h"
#include "proxy/state_parts.h"

#include <inttypes.h>
#include <stdlib.h>

#define LIMIT_GIVEN 1000 /* tenants of each policy when the caller does not say */
#define LIMIT_MOST  (TENANCY_MOST + LIMITER_TENANTS)

const char *tenant_shown(const char *name, size_t len, char *buf)
{
    char *p = buf;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c > ' ' && c < 0x7F && c != '\\')
            *p++ = (char)c;
        else
            p += sprintf(p, "\\x%02x", c);
    }
    *p = '\0';
    return buf;
}

/* ---- both sources as one list ---- */

/* A tenant: counted, or seen by the limiter, or both. */
struct entry {
    struct hashed_node node; /* first: see base/hashed */
    struct tenancy_row row;  /* keys is 0 for one that was not counted */
    struct limiter_use use;
    bool used;
};

struct list {
    struct hashed by_name;
    struct entry *entries; /* room for all, so that none moves */
    size_t n, cap;
};

static uint64_t hash_of(const char *name, size_t len)
{
    return hashed_name((struct slice){name, len}, 0);
}

static struct entry *entry_of(struct list *l, const char *name, size_t len)
{
    uint64_t hash = hash_of(name, len);
    struct hashed_node *found = hashed_find(&l->by_name, hash);

    if (found != NULL)
        return (struct entry *)found;
    if (l->n == l->cap)
        return NULL;
    struct entry *e = &l->entries[l->n++];
    e->row = (struct tenancy_row){.name_len = len, .oldest_s = -1};
    memcpy(e->row.name, name, len);
    hashed_add(&l->by_name, &e->node, hash);
    return e;
}

static void add_use(void *ctx, const struct limiter_use *use)
{
    struct entry *e = entry_of(ctx, use->name, use->name_len);

    if (e == NULL)
        return;
    e->use = *use;
    e->used = true;
}

static bool has_limits(const struct policy_conf *p)
{
    return p->limit_default[0] != '\0' || p->limit_search[0] != '\0' || p->limit_bulk[0] != '\0';
}

static void list_fill(struct list *l, const struct server *s, const struct policy_conf *p, const struct tenancy *c)
{
    size_t counted = c != NULL ? tenancy_count(c) : 0;

    *l = (struct list){.cap = counted + (has_limits(p) ? LIMITER_TENANTS : 0)};
    l->entries = calloc(l->cap + 1, sizeof *l->entries);
    if (l->entries == NULL)
        abort();
    for (size_t i = 0; i < counted; i++) {
        const struct tenancy_row *row = tenancy_row(c, i);
        struct entry *e = entry_of(l, row->name, row->name_len);
        if (e != NULL)
            e->row = *row;
    }
    if (has_limits(p))
        limiter_each(server_limiter(s), stats_policy_id(p->name), add_use, l);
}

static void list_done(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        hashed_remove(&l->by_name, &l->entries[i].node);
    free(l->entries);
}

/* ---- HTTP ---- */

struct query {
    const char *policy, *tenant; /* NULL: all */
    size_t limit;
};

static void add_known(cJSON *in, const char *name, int64_t value)
{
    if (value >= 0)
        number(in, name, (double)value);
}

static void add_row(cJSON *item, const struct tenancy_row *row, bool json)
{
    number(item, "keys", (double)row->keys);
    if (row->keys == 0)
        return;
    add_known(item, "bytes", row->bytes);
    add_known(item, "oldestSeconds", row->oldest_s);
    number(item, "withoutTtl", (double)row->without_ttl);
    if (json)
        number(item, "malformed", (double)row->malformed);
}

static void add_use_of(cJSON *item, const struct limiter_use *use)
{
    cJSON *taken = object_in(item, "taken"), *limited = object_in(item, "limited");

    for (int c = 0; c < RATE_CLASSES; c++) {
        number(taken, rate_class_name((enum rate_class)c), (double)use->taken[c]);
        number(limited, rate_class_name((enum rate_class)c), (double)use->refused[c]);
    }
    number(item, "silentSeconds", (double)((clock_mono_us() - use->last_us) / 1000000));
}

static void add_tenants(cJSON *doc, const struct list *l, const struct query *q, bool json)
{
    cJSON *tenants = cJSON_AddArrayToObject(doc, "tenants");
    char name[TENANT_SHOWN];
    size_t shown = 0;

    for (size_t i = 0; i < l->n && shown < q->limit; i++) {
        const struct entry *e = &l->entries[i];
        tenant_shown(e->row.name, e->row.name_len, name);
        if (q->tenant != NULL && strcmp(q->tenant, name) != 0)
            continue;
        cJSON *item = object_at_end(tenants);
        cJSON_AddStringToObject(item, "tenant", name);
        add_row(item, &e->row, json);
        if (e->used)
            add_use_of(item, &e->use);
        shown++;
    }
}

static void add_examples(cJSON *doc, const struct tenancy *c)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "malformedKeys");
    char shown[4 * TENANCY_KEY + 1];
    const char *key;

    for (size_t i = 0; (key = tenancy_example(c, i)) != NULL; i++)
        say(list, tenant_shown(key, strlen(key), shown));
}

static void add_count(cJSON *doc, const struct tenancy *c, bool json)
{
    moment(doc, "countedAt", tenancy_ended_us(c));
    number(doc, "tookMs", (double)(tenancy_took_us(c) / 1000));
    text(doc, "store", tenancy_was_archive(c) ? "archive" : "redis");
    number(doc, "tenantCount", (double)tenancy_count(c));
    add_row(doc, tenancy_all(c), json);
    if (tenancy_others(c)->keys > 0)
        add_row(object_in(doc, "others"), tenancy_others(c), json);
    if (json)
        add_examples(doc, c);
}

static void add_policy(cJSON *list, const struct server *s, const struct policy_conf *p, const struct query *q)
{
    struct tenancy *c = tenants_last(depot_tenants(server_depot(s)), p->name);
    bool json = p->format != FORMAT_ANY;
    cJSON *doc = object_at_end(list);
    struct list l;

    text(doc, "policy", p->name);
    text(doc, "match", p->match);
    number(doc, "segment", (double)p->tenant_segment);
    if (c != NULL)
        add_count(doc, c, json);
    list_fill(&l, s, p, c);
    add_tenants(doc, &l, q, json);
    list_done(&l);
    tenancy_unref(c);
}

static bool tells(const struct policy_conf *p, const struct query *q)
{
    return (tenants_wanted(p) || has_limits(p)) && (q->policy == NULL || strcmp(q->policy, p->name) == 0);
}

/* False: the reply says what is wrong. */
static bool read_query(const struct http_request *r, const struct settings *now, struct query *q, struct http_reply *reply)
{
    const char *limit = http_query(r, "limit");
    char *end;

    *q = (struct query){.policy = http_query(r, "policy"), .tenant = http_query(r, "tenant"), .limit = LIMIT_GIVEN};
    if (limit != NULL) {
        unsigned long n = strtoul(limit, &end, 10);
        if (limit[0] < '0' || limit[0] > '9' || *end != '\0' || n > LIMIT_MOST) {
            http_reply_error(reply, 400, "limit: expected a number up to %d", LIMIT_MOST);
            return false;
        }
        q->limit = n;
    }
    const struct policy_conf *p = q->policy != NULL ? settings_policy(now, q->policy) : NULL;
    if (q->policy != NULL && p == NULL)
        http_reply_error(reply, 404, "there is no policy of this name");
    else if (p != NULL && !tells(p, q))
        http_reply_error(reply, 404, "this policy has neither tenant_segment nor limits nor a format");
    else
        return true;
    return false;
}

void state_tenants(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct server *s = admin_server(ctx);
    const struct settings *now = config_current(server_config(s));
    struct query q;
    char why[160];

    if (read_query(r, now, &q, reply)) {
        cJSON *doc = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(doc, "policies");
        for (size_t i = 0; i < now->policy_count; i++)
            if (tells(&now->policies[i], &q))
                add_policy(list, s, &now->policies[i], &q);
        tenants_why(depot_tenants(server_depot(s)), why, sizeof why);
        text(doc, "error", why);
        http_reply_json(reply, 200, doc);
    }
    settings_unref(now);
}
