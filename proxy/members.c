#include "proxy/members.h"

#include <string.h>
#include <stdio.h>

static struct member *find(struct members *m, const char *id)
{
    for (size_t i = 0; i < m->n; i++)
        if (strcmp(m->list[i].id, id) == 0)
            return &m->list[i];
    return NULL;
}

void members_follow(struct members *m, const struct ledger *l, int64_t now_us)
{
    struct members old = *m;

    m->n = 0;
    for (size_t i = 0; i < l->nmembers; i++) {
        const struct member *known = find(&old, l->members[i]);
        struct member *to = &m->list[m->n++];
        if (known != NULL) {
            *to = *known;
            continue;
        }
        *to = (struct member){.heard_us = now_us};
        snprintf(to->id, sizeof to->id, "%s", l->members[i]);
    }
}

static void read_word(struct member_word *w, struct slice doc)
{
    bson_t b;
    bson_iter_t it;

    if (!bson_init_static(&b, (const uint8_t *)doc.p, doc.len) || !bson_iter_init(&it, &b))
        return;
    while (bson_iter_next(&it)) {
        const char *name = bson_iter_key(&it);
        if (strcmp(name, "beat") == 0 && BSON_ITER_HOLDS_INT64(&it))
            w->beat = bson_iter_int64(&it);
        else if (strcmp(name, "quiet") == 0 && BSON_ITER_HOLDS_INT64(&it))
            w->quiet = (uint64_t)bson_iter_int64(&it);
        else if (strcmp(name, "copied") == 0 && BSON_ITER_HOLDS_BOOL(&it))
            w->copied = bson_iter_bool(&it);
        else if (strcmp(name, "lost") == 0 && BSON_ITER_HOLDS_BOOL(&it))
            w->lost = bson_iter_bool(&it);
    }
}

void members_hear(struct members *m, const char *id, int64_t version, struct slice doc, int64_t now_us)
{
    struct member *to = find(m, id);
    struct member_word word = {0};

    if (to == NULL || version == 0)
        return;
    read_word(&word, doc);
    if (to->version != 0 && word.beat != to->word.beat)
        to->heard_us = now_us;
    to->version = version;
    to->word = word;
}

bson_t *members_write(const struct member_word *word)
{
    bson_t *doc = bson_new();

    BSON_APPEND_INT64(doc, "beat", word->beat);
    BSON_APPEND_INT64(doc, "quiet", (int64_t)word->quiet);
    BSON_APPEND_BOOL(doc, "copied", word->copied);
    BSON_APPEND_BOOL(doc, "lost", word->lost);
    return doc;
}

static bool is_self(const struct members *m, const struct member *one)
{
    return strcmp(m->self, one->id) == 0;
}

/* It has read the ledger last before it fell silent, or before the ledger was changed: that lease is over. */
static bool is_over(const struct member *one, int64_t since_us, int64_t now_us)
{
    int64_t from = one->heard_us > since_us ? one->heard_us : since_us;
    return now_us - from >= MEMBERS_LEASE_US + MEMBERS_MARGIN_US;
}

bool members_quiet(const struct members *m, uint64_t serial, int64_t since_us, int64_t now_us)
{
    for (size_t i = 0; i < m->n; i++)
        if (!is_self(m, &m->list[i]) && m->list[i].word.quiet < serial &&
            !is_over(&m->list[i], since_us, now_us))
            return false;
    return true;
}

bool members_copied(const struct members *m, uint64_t serial, int64_t since_us, int64_t now_us)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct member *one = &m->list[i];
        bool said = one->word.quiet >= serial && one->word.copied;
        if (!is_self(m, one) && !said && !is_over(one, since_us, now_us))
            return false;
    }
    return true;
}

static bool is_heard(const struct members *m, const struct member *one, int64_t now_us)
{
    return is_self(m, one) || now_us - one->heard_us < MEMBERS_LEASE_US;
}

bool members_lost(const struct members *m, bool self_lost, int64_t now_us)
{
    size_t heard = 0, lost = 0;

    for (size_t i = 0; i < m->n; i++) {
        const struct member *one = &m->list[i];
        if (!is_heard(m, one, now_us))
            continue;
        heard++;
        lost += is_self(m, one) ? self_lost : one->word.lost;
    }
    return 2 * lost > heard;
}

bool members_leads(const struct members *m, int64_t now_us)
{
    for (size_t i = 0; i < m->n; i++)
        if (is_heard(m, &m->list[i], now_us))
            return is_self(m, &m->list[i]);
    return false;
}

const char *members_gone(const struct members *m, int64_t now_us)
{
    for (size_t i = 0; i < m->n; i++)
        if (!is_self(m, &m->list[i]) && now_us - m->list[i].heard_us > MEMBERS_GONE_US)
            return m->list[i].id;
    return NULL;
}
