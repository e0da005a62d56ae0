#include "sync/logged.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum form { NUMBER, CURSOR, INT, FLAG, TEXT, BYTES };

struct field {
    const char *name;
    size_t at, size; /* in struct logged */
    enum form form;
};

#define AT(name, member, form) {name, offsetof(struct logged, member), sizeof ((struct logged *)0)->member, form}

static const struct field fields[] = {
    AT("by", by, TEXT),
    AT("beat", beat, NUMBER),
    AT("id", saved.report.id, CURSOR),
    AT("policy", saved.report.order.policy, TEXT),
    AT("repair", saved.report.order.repair, FLAG),
    AT("deep", saved.report.order.deep, FLAG),
    AT("rate", saved.report.order.rate, NUMBER),
    AT("done", saved.report.done, NUMBER),
    AT("total", saved.report.total, NUMBER),
    AT("found", saved.report.found, NUMBER),
    AT("repaired", saved.report.repaired, NUMBER),
    AT("started", saved.report.started_us, NUMBER),
    AT("ended", saved.report.ended_us, NUMBER),
    AT("why", saved.report.why, TEXT),
    AT("examples", saved.report.examples, TEXT),
    AT("stage", saved.place.stage, INT),
    AT("cursor", saved.place.cursor, CURSOR),
    AT("run", saved.place.run_id, TEXT),
    AT("hash", saved.place.hash, NUMBER),
    AT("owed", saved.place.owed, NUMBER),
    AT("before", saved.place.before, NUMBER),
    AT("ranges", saved.place.ranges, BYTES),
    AT("seen", saved.place.seen.keys, NUMBER),
    AT("left", saved.place.seen.left, NUMBER),
    AT("due", saved.place.seen.due, NUMBER),
    AT("since", saved.place.seen.due_since_us, NUMBER),
};

#define FIELDS (sizeof fields / sizeof fields[0])

void logged_make(struct logged *ret, const char *by, int64_t beat, const struct move_saved *saved)
{
    *ret = (struct logged){.beat = beat, .saved = *saved};
    snprintf(ret->by, sizeof ret->by, "%s", by);
}

/* ---- writing ---- */

/* What is no text, perhaps because it was cut, is left out. */
static void write_text(bson_t *doc, const char *name, const char *text, size_t n)
{
    if (n > 0 && bson_utf8_validate(text, n, false))
        bson_append_utf8(doc, name, -1, text, (int)n);
}

static void write_field(bson_t *doc, const struct field *f, const struct logged *one)
{
    const char *at = (const char *)one + f->at;

    switch (f->form) {
    case NUMBER:
        BSON_APPEND_INT64(doc, f->name, *(const int64_t *)(const void *)at);
        return;
    case CURSOR:
        BSON_APPEND_INT64(doc, f->name, (int64_t) * (const uint64_t *)(const void *)at);
        return;
    case INT:
        BSON_APPEND_INT32(doc, f->name, *(const int *)(const void *)at);
        return;
    case FLAG:
        BSON_APPEND_BOOL(doc, f->name, *(const bool *)at);
        return;
    case TEXT:
        write_text(doc, f->name, at, strnlen(at, f->size));
        return;
    case BYTES:
        BSON_APPEND_BINARY(doc, f->name, BSON_SUBTYPE_BINARY, (const uint8_t *)at, (uint32_t)f->size);
        return;
    }
}

static void write_one(bson_t *list, size_t i, const struct logged *one)
{
    char number[24];
    bson_t doc;

    snprintf(number, sizeof number, "%zu", i);
    BSON_APPEND_DOCUMENT_BEGIN(list, number, &doc);
    BSON_APPEND_UTF8(&doc, "kind", move_kind_name(one->saved.report.order.kind));
    BSON_APPEND_UTF8(&doc, "state", move_state_name(one->saved.report.state));
    for (size_t k = 0; k < FIELDS; k++)
        write_field(&doc, &fields[k], one);
    bson_append_document_end(list, &doc);
}

bson_t *logged_write(const char *name, const struct logged *list, size_t n, const struct logged_off *off)
{
    bson_t *doc = bson_new(), part;
    char number[24];

    BSON_APPEND_UTF8(doc, "_id", name);
    BSON_APPEND_ARRAY_BEGIN(doc, "off", &part);
    for (size_t i = 0; i < off->n; i++) {
        snprintf(number, sizeof number, "%zu", i);
        BSON_APPEND_UTF8(&part, number, off->policies[i]);
    }
    bson_append_array_end(doc, &part);
    BSON_APPEND_ARRAY_BEGIN(doc, "moves", &part);
    for (size_t i = 0; i < n; i++)
        write_one(&part, i, &list[i]);
    bson_append_array_end(doc, &part);
    return doc;
}

/* ---- reading ---- */

static void read_bytes(const bson_iter_t *it, const struct field *f, char *to)
{
    const uint8_t *bytes = NULL;
    bson_subtype_t kind;
    uint32_t n = 0;

    if (!BSON_ITER_HOLDS_BINARY(it))
        return;
    bson_iter_binary(it, &kind, &n, &bytes);
    if (n == f->size)
        memcpy(to, bytes, n);
}

static void read_field(const bson_iter_t *it, const struct field *f, struct logged *one)
{
    char *at = (char *)one + f->at;

    switch (f->form) {
    case NUMBER:
        if (BSON_ITER_HOLDS_INT64(it))
            *(int64_t *)(void *)at = bson_iter_int64(it);
        return;
    case CURSOR:
        if (BSON_ITER_HOLDS_INT64(it))
            *(uint64_t *)(void *)at = (uint64_t)bson_iter_int64(it);
        return;
    case INT:
        if (BSON_ITER_HOLDS_INT32(it))
            *(int *)(void *)at = bson_iter_int32(it);
        return;
    case FLAG:
        if (BSON_ITER_HOLDS_BOOL(it))
            *(bool *)at = bson_iter_bool(it);
        return;
    case TEXT:
        if (BSON_ITER_HOLDS_UTF8(it))
            snprintf(at, f->size, "%s", bson_iter_utf8(it, NULL));
        return;
    case BYTES:
        read_bytes(it, f, at);
        return;
    }
}

static bool read_word(const bson_iter_t *it, const char *name, struct move_report *r, bool *ret_well)
{
    if (!BSON_ITER_HOLDS_UTF8(it))
        return false;
    const char *word = bson_iter_utf8(it, NULL);
    if (strcmp(name, "kind") == 0)
        *ret_well = move_kind_parse(word, &r->order.kind);
    else if (strcmp(name, "state") == 0)
        *ret_well = move_state_parse(word, &r->state);
    else
        return false;
    return true;
}

/* False: it makes no sense. */
static bool read_one(bson_iter_t *doc, struct logged *ret)
{
    bool kind = false, state = false;

    *ret = (struct logged){.saved.report.total = -1};
    while (bson_iter_next(doc)) {
        const char *name = bson_iter_key(doc);
        if (read_word(doc, name, &ret->saved.report, name[0] == 'k' ? &kind : &state))
            continue;
        for (size_t i = 0; i < FIELDS; i++)
            if (strcmp(fields[i].name, name) == 0)
                read_field(doc, &fields[i], ret);
    }
    return kind && state && ret->by[0] != '\0' && ret->saved.report.order.policy[0] != '\0';
}

static size_t read_moves(bson_iter_t *list, struct logged *ret)
{
    bson_iter_t doc;
    size_t n = 0;

    while (n < LOGGED_MOST && bson_iter_next(list))
        if (BSON_ITER_HOLDS_DOCUMENT(list) && bson_iter_recurse(list, &doc) && read_one(&doc, &ret[n]))
            n++;
    return n;
}

static void read_off(bson_iter_t *list, struct logged_off *ret)
{
    while (ret->n < LOGGED_MOST && bson_iter_next(list))
        if (BSON_ITER_HOLDS_UTF8(list))
            snprintf(ret->policies[ret->n++], sizeof ret->policies[0], "%s", bson_iter_utf8(list, NULL));
}

size_t logged_read(struct slice doc, struct logged *ret, struct logged_off *ret_off)
{
    bson_iter_t it, list;
    size_t n = 0;
    bson_t b;

    ret_off->n = 0;
    if (!bson_init_static(&b, (const uint8_t *)doc.p, doc.len) || !bson_iter_init(&it, &b))
        return 0;
    while (bson_iter_next(&it)) {
        if (!BSON_ITER_HOLDS_ARRAY(&it) || !bson_iter_recurse(&it, &list))
            continue;
        if (strcmp(bson_iter_key(&it), "moves") == 0)
            n = read_moves(&list, ret);
        else if (strcmp(bson_iter_key(&it), "off") == 0)
            read_off(&list, ret_off);
    }
    return n;
}
