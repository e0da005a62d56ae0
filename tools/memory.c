#include "tools/memory.h"

#include "sync/reply.h"
#include "tools/keypage.h"
#include "tools/paint.h"
#include "tools/progress.h"
#include "tools/screen.h"
#include "tools/store.h"
#include "tools/tally.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define GROUPS_STEP  16
#define PREFIXES_MAX 64
#define PIECE        200 /* keys in one pipeline */
#define ASKS         4
#define BUDGET_10K   (100.0 * 1048576) /* of the runbook: ~100 MB for 10,000 active conversations */
#define RATE         20000.0
#define WORD(w)      ((struct slice){w, sizeof(w) - 1})

struct group {
    const cJSON *policy; /* in the state; NULL: a prefix, */
    struct slice prefix; /* which is a copy; its p is NULL for all the others */
    struct tally tally;
};

struct report {
    struct options *options;
    struct store store;
    struct group *groups; /* those of policies first */
    size_t ngroups, npolicies;
    const char *policy; /* NULL: all */
    size_t top;
    double rate, sample; /* keys; 0: all */
    struct progress progress;
    struct keypage page;
    uint64_t seen;
    bool partial;
};

/* ---- groups ---- */

static struct group *add_group(struct report *r, const cJSON *policy, struct slice name)
{
    if (r->ngroups % GROUPS_STEP == 0)
        r->groups = realloc(r->groups, (r->ngroups + GROUPS_STEP) * sizeof *r->groups);
    if (r->groups == NULL)
        abort();
    struct group *g = &r->groups[r->ngroups++];
    *g = (struct group){.policy = policy};
    tally_init(&g->tally, name, r->top);
    return g;
}

/* False: there is no such policy. */
static bool add_policies(struct report *r)
{
    const cJSON *policy;

    cJSON_ArrayForEach(policy, store_policies(&r->store))
    {
        const char *name = screen_text(policy, "name");
        if (r->policy == NULL || strcmp(r->policy, name) == 0)
            add_group(r, policy, (struct slice){name, strlen(name)});
    }
    r->npolicies = r->ngroups;
    return r->ngroups > 0 || r->policy == NULL || (ctl_usage_error("the proxy has no policy ", r->policy), false);
}

/* "conv:" of "conv:1"; empty: it has no such part. */
static struct slice prefix_of(struct slice key)
{
    const char *colon = memchr(key.p, ':', key.len);
    return (struct slice){key.p, colon != NULL ? (size_t)(colon + 1 - key.p) : 0};
}

static struct group *new_prefix(struct report *r, struct slice prefix)
{
    char *name = malloc(prefix.len + 2), *own_bytes = malloc(prefix.len + 1);

    if (name == NULL || own_bytes == NULL)
        abort();
    memcpy(own_bytes, prefix.p, prefix.len);
    memcpy(name, prefix.p, prefix.len);
    name[prefix.len] = '*';
    struct group *g = prefix.len > 0 ? add_group(r, NULL, (struct slice){name, prefix.len + 1}) : add_group(r, NULL, WORD("no prefix"));
    g->prefix = (struct slice){own_bytes, prefix.len};
    free(name);
    return g;
}

/* The last of PREFIXES_MAX is for all that have none of their own. */
static struct group *prefix_group(struct report *r, struct slice key)
{
    struct slice prefix = prefix_of(key);
    size_t most = r->npolicies + PREFIXES_MAX;

    for (size_t i = r->npolicies; i < r->ngroups; i++) {
        const struct slice *its = &r->groups[i].prefix;
        if (its->p != NULL && its->len == prefix.len && memcmp(its->p, prefix.p, prefix.len) == 0)
            return &r->groups[i];
    }
    if (r->ngroups + 1 < most)
        return new_prefix(r, prefix);
    return r->ngroups < most ? add_group(r, NULL, WORD("other prefixes")) : &r->groups[most - 1];
}

/* NULL: it was not asked for. */
static struct group *group_of(struct report *r, struct slice key)
{
    const cJSON *policy = store_policy_of(&r->store, key);

    for (size_t i = 0; i < r->npolicies && policy != NULL; i++)
        if (r->groups[i].policy == policy)
            return &r->groups[i];
    return policy == NULL && r->policy == NULL ? prefix_group(r, key) : NULL;
}

/* ---- looking ---- */

static void keep(void *ctx, struct slice key)
{
    keypage_add(&((struct report *)ctx)->page, key);
}

static const char *word_of(const redisReply *reply)
{
    bool text = reply != NULL && (reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_STRING);
    return text ? reply->str : "-";
}

static int64_t number_of(const redisReply *reply)
{
    return reply != NULL && reply->type == REDIS_REPLY_INTEGER ? reply->integer : -1;
}

/* A key that has gone meanwhile is left out. */
static void add_key(struct report *r, struct slice key, const redisReply *const *answers)
{
    struct tally_fact f = {.key = key, .type = word_of(answers[0]), .encoding = word_of(answers[1]),
                           .bytes = number_of(answers[2]), .ttl_ms = number_of(answers[3])};
    struct group *g = strcmp(f.type, "none") != 0 ? group_of(r, key) : NULL;

    if (g != NULL)
        tally_add(&g->tally, &f);
}

static bool ask_piece(struct report *r, const struct slice *keys, size_t n)
{
    struct link *l = r->store.link;
    const redisReply *answers[ASKS];

    for (size_t i = 0; i < n; i++) {
        link_put(l, (struct slice[]){WORD("TYPE"), keys[i]}, 2);
        link_put(l, (struct slice[]){WORD("OBJECT"), WORD("ENCODING"), keys[i]}, 3);
        link_put(l, (struct slice[]){WORD("MEMORY"), WORD("USAGE"), keys[i]}, 3);
        link_put(l, (struct slice[]){WORD("PTTL"), keys[i]}, 2);
    }
    for (size_t i = 0; i < n; i++) {
        for (int k = 0; k < ASKS; k++)
            if ((answers[k] = link_get(l)) == NULL)
                return store_failed(&r->store, NULL);
        add_key(r, keys[i], answers);
    }
    link_done(l);
    return true;
}

static bool ask_page(struct report *r)
{
    for (size_t at = 0; at < r->page.n && !r->partial; at += PIECE) {
        size_t n = r->page.n - at < PIECE ? r->page.n - at : PIECE;
        if (!ask_piece(r, r->page.keys + at, n))
            return false;
        r->seen += n;
        r->partial = !progress_step(&r->progress, r->seen, 0);
        if (r->sample > 0 && (double)r->seen >= r->sample)
            break;
    }
    return true;
}

static bool scan_page(struct report *r, uint64_t *cursor)
{
    return r->policy != NULL ? store_scan_policy(&r->store, cursor, r->groups[0].policy, keep, r)
                             : store_scan(&r->store, cursor, "*", keep, r);
}

static bool look(struct report *r)
{
    uint64_t cursor = 0;

    do {
        if (!scan_page(r, &cursor))
            return false;
        bool ok = ask_page(r);
        keypage_clear(&r->page);
        if (!ok)
            return false;
    } while (cursor != 0 && !r->partial && (r->sample == 0 || (double)r->seen < r->sample));
    return true;
}

/* ---- the report ---- */

static double maxmemory(const struct report *r)
{
    return screen_number(r->store.state, "redis.maxMemory");
}

static void say_kinds(const struct tally *t)
{
    for (size_t i = 0; i < t->nkinds; i++)
        printf("  %-24s %12s keys  %12s\n", t->kinds[i].name, paint_count((double)t->kinds[i].keys),
               paint_bytes((double)t->kinds[i].bytes));
}

static void say_ttls(const struct tally *t)
{
    printf("  expiry   ");
    for (int i = 0; i < TTLS; i++)
        if (t->ttls[i] > 0)
            printf(" %s: %s  ", tally_ttl_name((enum tally_ttl)i), paint_count((double)t->ttls[i]));
    putchar('\n');
}

static void say_group(const struct report *r, const struct group *g)
{
    const struct tally *t = &g->tally;
    double per_10k = tally_mean(t) * 10000;

    printf("%s %s   %s keys   %s   mean %s   p95 %s\n", g->policy != NULL ? "policy" : "prefix", t->name,
           paint_count((double)t->keys), paint_bytes((double)t->bytes), paint_bytes(tally_mean(t)),
           paint_bytes(tally_quantile(t, 0.95)));
    if (t->unsized > 0)
        printf("  %s keys whose size is not known (the archive answers for them)\n", paint_count((double)t->unsized));
    if (t->keys == 0)
        return;
    if (g->policy != NULL)
        printf("  per 10K    %s, %.0f%% of the 100 MiB that the runbook expects%s\n", paint_bytes(per_10k), 100 * per_10k / BUDGET_10K,
               per_10k > BUDGET_10K ? ": OVER" : "");
    if (g->policy != NULL && maxmemory(r) > 0)
        printf("  room       for %s such keys in maxmemory %s\n", paint_count(maxmemory(r) / tally_mean(t)), paint_bytes(maxmemory(r)));
    say_kinds(t);
    say_ttls(t);
    for (size_t i = 0; i < t->ntop; i++)
        printf("  %-12s %s\n", paint_bytes((double)t->top[i].bytes), t->top[i].name);
}

static void say_text(const struct report *r, int64_t total)
{
    for (size_t i = 0; i < r->ngroups; i++)
        say_group(r, &r->groups[i]);
    printf("redis      %s used", paint_bytes(screen_number(r->store.state, "redis.usedMemory")));
    if (maxmemory(r) > 0)
        printf(" of %s", paint_bytes(maxmemory(r)));
    printf("\narchive    %s documents   %s\n", paint_count(screen_number(r->store.state, "archive.documents")),
           paint_bytes(screen_number(r->store.state, "archive.bytes")));
    if (r->partial || (r->sample > 0 && (int64_t)r->seen < total))
        printf("looked at  %s of %s keys%s\n", paint_count((double)r->seen), total >= 0 ? paint_count((double)total) : "?",
               r->partial ? ": interrupted" : ", a sample");
}

static void say_json(const struct report *r, int64_t total)
{
    cJSON *doc = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(doc, "groups");

    for (size_t i = 0; i < r->ngroups; i++) {
        cJSON *row = tally_json(&r->groups[i].tally);
        cJSON_AddStringToObject(row, "of", r->groups[i].policy != NULL ? "policy" : "prefix");
        cJSON_AddItemToArray(list, row);
    }
    cJSON_AddNumberToObject(doc, "lookedAt", (double)r->seen);
    cJSON_AddNumberToObject(doc, "keys", (double)total);
    cJSON_AddBoolToObject(doc, "partial", r->partial);
    cJSON_AddNumberToObject(doc, "redisBytes", screen_number(r->store.state, "redis.usedMemory"));
    cJSON_AddNumberToObject(doc, "maxMemory", maxmemory(r));
    cJSON_AddNumberToObject(doc, "archiveBytes", screen_number(r->store.state, "archive.bytes"));
    cJSON_AddNumberToObject(doc, "archiveDocuments", screen_number(r->store.state, "archive.documents"));
    ctl_print(doc);
    cJSON_Delete(doc);
}

static int report(struct report *r)
{
    int64_t total = store_count(&r->store);
    int code = EXIT_OK;

    progress_begin(&r->progress, r->options, "memory-report", r->sample > 0 && r->sample < (double)total ? (int64_t)r->sample : total,
                   r->rate);
    if (!look(r)) {
        fprintf(stderr, "convctl: memory-report: %s\n", r->store.why);
        r->partial = true;
        code = EXIT_UNHEALTHY;
    }
    progress_end(&r->progress);
    if (r->options->json)
        say_json(r, total);
    else
        say_text(r, total);
    return code == EXIT_OK && r->partial ? EXIT_INTERRUPTED : code;
}

int run_memory_report(struct options *o, const struct args *args)
{
    struct report *r = calloc(1, sizeof *r);
    double top = 5;

    if (r == NULL)
        abort();
    *r = (struct report){.options = o, .policy = args_value(args, "policy"), .rate = RATE};
    keypage_init(&r->page);
    int code = EXIT_WRONG_USAGE;
    if (args_number(args, "top", 0, TALLY_TOP_MAX, &top) && args_number(args, "sample", 1, 1e12, &r->sample) &&
        args_number(args, "rate", 0, 1e7, &r->rate)) {
        r->top = (size_t)top;
        code = store_open(&r->store, o, args_value(args, "proxy"));
        if (code == EXIT_OK)
            code = add_policies(r) ? report(r) : EXIT_WRONG_USAGE;
        store_done(&r->store);
    }
    for (size_t i = 0; i < r->ngroups; i++) {
        tally_done(&r->groups[i].tally);
        free((char *)(uintptr_t)r->groups[i].prefix.p);
    }
    free(r->groups);
    keypage_done(&r->page);
    free(r);
    return code;
}
