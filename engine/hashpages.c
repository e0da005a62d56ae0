#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/sample.h"
#include "engine/scan.h"

/* Hashes: HRANDFIELD and HSCAN, which answer a part of the fields. */

static void answer_field(struct call *c, const struct dict_entry *e, bool value)
{
    if (value && c->resp == RESP3)
        build_array(c->out, 2);
    call_bulk(c, e->name);
    if (value)
        call_bulk(c, e->value);
}

/* RESP3 has a pair for each field, RESP2 everything in one row. */
static void random_many(struct call *c, const struct dict *d, const struct sample *q)
{
    size_t n;
    uint64_t bytes = 0;
    size_t *picked = sample_pick(c, q->count, d->count, &n);

    if (picked == NULL)
        return;
    for (size_t i = 0; q->count < 0 && i < n; i++)
        bytes += d->entries[picked[i]].name.len + (q->pairs ? d->entries[picked[i]].value.len : 0);
    if (!sample_fits(c, bytes))
        return;
    build_array(c->out, q->pairs && c->resp == RESP2 ? 2 * n : n);
    for (size_t i = 0; i < n; i++)
        answer_field(c, &d->entries[picked[i]], q->pairs);
}

void hashes_hrandfield(struct call *c)
{
    bool wrong, many = c->argc > 2;
    struct sample q = {0};

    if (many && !sample_args(c, "withvalues", &q))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_HASH, &wrong);
    if (wrong)
        return;
    if (o == NULL && !many)
        call_null(c);
    else if (o == NULL)
        build_array(c->out, 0);
    else if (!many)
        call_bulk(c, o->v.hash->entries[sample_below(c, o->v.hash->count)].name);
    else
        random_many(c, o->v.hash, &q);
}

void hashes_hscan(struct call *c)
{
    struct scan s;
    struct object *o = scan_begin(c, OBJECT_HASH, &s);
    size_t n;

    if (o == NULL)
        return;
    const struct dict *d = o->v.hash;
    struct scan_names names = {&d->entries->name, sizeof *d->entries, d->count};
    size_t *found = scan_find(c, &s, names, o->encoding == ENC_LISTPACK, &n);
    scan_reply(c, &s, 2 * n);
    for (size_t i = 0; i < n; i++) {
        call_bulk(c, d->entries[found[i]].name);
        call_bulk(c, d->entries[found[i]].value);
    }
}
