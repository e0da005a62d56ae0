#include "proxy/ledger.h"

#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"none", "redis", "archive", "journal"};

void ledger_init(struct ledger *l)
{
    *l = (struct ledger){.epoch = VERSION_FIRST_EPOCH, .lost_epoch = VERSION_FIRST_EPOCH};
}

void ledger_done(struct ledger *l)
{
    for (size_t i = 0; i < l->npolicies; i++)
        free(l->policies[i].name);
    free(l->policies);
    *l = (struct ledger){0};
}

static struct ledger_policy *find(const struct ledger *l, const char *policy)
{
    for (size_t i = 0; i < l->npolicies; i++)
        if (strcmp(l->policies[i].name, policy) == 0)
            return &l->policies[i];
    return NULL;
}

enum acted ledger_acted(const struct ledger *l, const char *policy)
{
    const struct ledger_policy *p = find(l, policy);
    return p != NULL ? p->acted : ACTED_NONE;
}

void ledger_set(struct ledger *l, const char *policy, enum acted acted)
{
    struct ledger_policy *p = find(l, policy);

    if (p == NULL) {
        char *name = strdup(policy);
        l->policies = realloc(l->policies, (l->npolicies + 1) * sizeof *l->policies);
        if (l->policies == NULL || name == NULL)
            abort();
        p = &l->policies[l->npolicies++];
        p->name = name;
    }
    p->acted = acted;
}

static void read_policies(struct ledger *l, bson_iter_t *it)
{
    bson_iter_t at;

    if (!BSON_ITER_HOLDS_DOCUMENT(it) || !bson_iter_recurse(it, &at))
        return;
    while (bson_iter_next(&at)) {
        const char *word = BSON_ITER_HOLDS_UTF8(&at) ? bson_iter_utf8(&at, NULL) : "";
        for (int a = ACTED_REDIS; a <= ACTED_JOURNAL; a++)
            if (strcmp(word, words[a]) == 0)
                ledger_set(l, bson_iter_key(&at), (enum acted)a);
    }
}

void ledger_read(struct ledger *l, struct slice doc)
{
    bson_t b;
    bson_iter_t it;

    if (!bson_init_static(&b, (const uint8_t *)doc.p, doc.len) || !bson_iter_init(&it, &b))
        return;
    while (bson_iter_next(&it)) {
        const char *name = bson_iter_key(&it);
        if (strcmp(name, "ep") == 0 && BSON_ITER_HOLDS_INT64(&it) && bson_iter_int64(&it) > l->epoch)
            l->epoch = bson_iter_int64(&it);
        else if (strcmp(name, "lost") == 0 && BSON_ITER_HOLDS_INT64(&it))
            l->lost_epoch = bson_iter_int64(&it);
        else if (strcmp(name, "run") == 0 && BSON_ITER_HOLDS_UTF8(&it))
            snprintf(l->run_id, sizeof l->run_id, "%s", bson_iter_utf8(&it, NULL));
        else if (strcmp(name, "policies") == 0)
            read_policies(l, &it);
    }
}

bson_t *ledger_write(const struct ledger *l)
{
    bson_t *doc = bson_new(), policies;

    BSON_APPEND_INT64(doc, "ep", l->epoch);
    BSON_APPEND_INT64(doc, "lost", l->lost_epoch);
    BSON_APPEND_UTF8(doc, "run", l->run_id);
    BSON_APPEND_DOCUMENT_BEGIN(doc, "policies", &policies);
    for (size_t i = 0; i < l->npolicies; i++)
        if (l->policies[i].acted != ACTED_NONE)
            BSON_APPEND_UTF8(&policies, l->policies[i].name, words[l->policies[i].acted]);
    bson_append_document_end(doc, &policies);
    return doc;
}
