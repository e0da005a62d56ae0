#include "proxy/ledger.h"

#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const acted_words[] = {"none", "redis", "archive", "journal"};
static const char *const wanted_words[] = {"nothing", "redis", "archive"};

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

void ledger_copy(struct ledger *to, const struct ledger *from)
{
    ledger_done(to);
    *to = *from;
    to->policies = NULL;
    to->npolicies = 0;
    for (size_t i = 0; i < from->npolicies; i++) {
        struct ledger_policy *p = ledger_policy(to, from->policies[i].name);
        char *name = p->name;
        *p = from->policies[i];
        p->name = name;
    }
}

/* ---- policies ---- */

static struct ledger_policy *find(const struct ledger *l, const char *policy)
{
    for (size_t i = 0; i < l->npolicies; i++)
        if (strcmp(l->policies[i].name, policy) == 0)
            return &l->policies[i];
    return NULL;
}

struct ledger_policy *ledger_policy(struct ledger *l, const char *policy)
{
    struct ledger_policy *p = find(l, policy);

    if (p != NULL)
        return p;
    char *name = strdup(policy);
    l->policies = realloc(l->policies, (l->npolicies + 1) * sizeof *l->policies);
    if (l->policies == NULL || name == NULL)
        abort();
    l->policies[l->npolicies] = (struct ledger_policy){.name = name};
    return &l->policies[l->npolicies++];
}

enum acted ledger_acted(const struct ledger *l, const char *policy)
{
    const struct ledger_policy *p = find(l, policy);
    return p != NULL ? p->acted : ACTED_NONE;
}

enum wanted ledger_wanted(const struct ledger *l, const char *policy)
{
    const struct ledger_policy *p = find(l, policy);
    return p != NULL ? p->wanted : WANTED_NOTHING;
}

/* ---- members ---- */

static size_t find_member(const struct ledger *l, const char *id)
{
    size_t i = 0;
    while (i < l->nmembers && strcmp(l->members[i], id) != 0)
        i++;
    return i;
}

bool ledger_has_member(const struct ledger *l, const char *id)
{
    return find_member(l, id) < l->nmembers;
}

bool ledger_add_member(struct ledger *l, const char *id)
{
    if (ledger_has_member(l, id))
        return true;
    if (l->nmembers == LEDGER_MEMBERS)
        return false;
    snprintf(l->members[l->nmembers++], LEDGER_ID, "%s", id);
    return true;
}

void ledger_remove_member(struct ledger *l, const char *id)
{
    size_t i = find_member(l, id);

    if (i == l->nmembers)
        return;
    l->nmembers--;
    memmove(l->members[i], l->members[i + 1], (l->nmembers - i) * LEDGER_ID);
}

/* ---- as a document ---- */

static int word_of(const bson_iter_t *it, const char *const *words, int n)
{
    const char *text = BSON_ITER_HOLDS_UTF8(it) ? bson_iter_utf8(it, NULL) : "";

    for (int i = 0; i < n; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static void read_place(struct ledger_policy *p, const bson_iter_t *it)
{
    const char *text = BSON_ITER_HOLDS_UTF8(it) ? bson_iter_utf8(it, NULL) : "";

    for (int i = 0; i < PLACES; i++) {
        if (strcmp(text, place_name((enum place)i)) != 0)
            continue;
        p->place = (enum place)i;
        p->placed = true;
    }
}

static void read_policy(struct ledger_policy *p, bson_iter_t *at)
{
    while (bson_iter_next(at)) {
        int acted = word_of(at, acted_words, 4), wanted = word_of(at, wanted_words, 3);
        if (strcmp(bson_iter_key(at), "acted") == 0 && acted >= 0)
            p->acted = (enum acted)acted;
        else if (strcmp(bson_iter_key(at), "want") == 0 && wanted >= 0)
            p->wanted = (enum wanted)wanted;
        else if (strcmp(bson_iter_key(at), "place") == 0)
            read_place(p, at);
    }
}

static void read_policies(struct ledger *l, bson_iter_t *it)
{
    bson_iter_t at, inner;

    if (!BSON_ITER_HOLDS_DOCUMENT(it) || !bson_iter_recurse(it, &at))
        return;
    while (bson_iter_next(&at))
        if (BSON_ITER_HOLDS_DOCUMENT(&at) && bson_iter_recurse(&at, &inner))
            read_policy(ledger_policy(l, bson_iter_key(&at)), &inner);
}

static void read_members(struct ledger *l, bson_iter_t *it)
{
    bson_iter_t at;

    l->nmembers = 0;
    if (!BSON_ITER_HOLDS_ARRAY(it) || !bson_iter_recurse(it, &at))
        return;
    while (bson_iter_next(&at))
        if (BSON_ITER_HOLDS_UTF8(&at) && !ledger_add_member(l, bson_iter_utf8(&at, NULL)))
            return;
}

static void read_number(struct ledger *l, const char *name, int64_t n)
{
    if (strcmp(name, "ep") == 0)
        l->epoch = n > l->epoch ? n : l->epoch;
    else if (strcmp(name, "lost") == 0)
        l->lost_epoch = n;
    else if (strcmp(name, "serial") == 0)
        l->serial = (uint64_t)n;
}

void ledger_read(struct ledger *l, struct slice doc)
{
    bson_t b;
    bson_iter_t it;

    if (!bson_init_static(&b, (const uint8_t *)doc.p, doc.len) || !bson_iter_init(&it, &b))
        return;
    while (bson_iter_next(&it)) {
        const char *name = bson_iter_key(&it);
        if (BSON_ITER_HOLDS_INT64(&it))
            read_number(l, name, bson_iter_int64(&it));
        else if (strcmp(name, "run") == 0 && BSON_ITER_HOLDS_UTF8(&it))
            snprintf(l->run_id, sizeof l->run_id, "%s", bson_iter_utf8(&it, NULL));
        else if (strcmp(name, "members") == 0)
            read_members(l, &it);
        else if (strcmp(name, "policies") == 0)
            read_policies(l, &it);
    }
}

static void write_policy(const struct ledger_policy *p, bson_t *policies)
{
    bson_t row;

    BSON_APPEND_DOCUMENT_BEGIN(policies, p->name, &row);
    BSON_APPEND_UTF8(&row, "acted", acted_words[p->acted]);
    BSON_APPEND_UTF8(&row, "want", wanted_words[p->wanted]);
    if (p->placed)
        BSON_APPEND_UTF8(&row, "place", place_name(p->place));
    bson_append_document_end(policies, &row);
}

bson_t *ledger_write(const struct ledger *l)
{
    bson_t *doc = bson_new(), part;
    char number[24];

    BSON_APPEND_INT64(doc, "ep", l->epoch);
    BSON_APPEND_INT64(doc, "lost", l->lost_epoch);
    BSON_APPEND_UTF8(doc, "run", l->run_id);
    BSON_APPEND_INT64(doc, "serial", (int64_t)l->serial);
    BSON_APPEND_ARRAY_BEGIN(doc, "members", &part);
    for (size_t i = 0; i < l->nmembers; i++) {
        snprintf(number, sizeof number, "%zu", i);
        BSON_APPEND_UTF8(&part, number, l->members[i]);
    }
    bson_append_array_end(doc, &part);
    BSON_APPEND_DOCUMENT_BEGIN(doc, "policies", &part);
    for (size_t i = 0; i < l->npolicies; i++)
        write_policy(&l->policies[i], &part);
    bson_append_document_end(doc, &part);
    return doc;
}
