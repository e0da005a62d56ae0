#include "base/limits.h"
#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/scan.h"

/* Hashes: HRANDFIELD and HSCAN, which answer a part of the fields. */

#define BULK_BYTES 8 /* about what a bulk adds to its bytes */

struct sample {
    int64_t count; /* negative: that many, the same field more than once if it happens */
    bool values;
};

static bool sample_args(struct call *c, struct sample *q)
{
    if (!call_int_arg(c, 2, &q->count))
        return false;
    if (q->count < -INT64_MAX) {
        call_error(
            c, "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807");
        return false;
    }
    q->values = c->argc == 4 && call_is(c, 3, "withvalues");
    if (c->argc > 3 && !q->values) {
        call_syntax_error(c);
        return false;
    }
    if (q->values && (q->count < -INT64_MAX / 2 || q->count > INT64_MAX / 2)) {
        call_error(c, "ERR value is out of range");
        return false;
    }
    return true;
}

/* RESP3 has a pair for each field, RESP2 everything in one row. */
static void sample_head(struct call *c, const struct sample *q, size_t n)
{
    build_array(c->out, q->values && c->resp == RESP2 ? 2 * n : n);
}

static void sample_entry(struct call *c, const struct sample *q, const struct dict_entry *e)
{
    if (q->values && c->resp == RESP3)
        build_array(c->out, 2);
    call_bulk(c, e->name);
    if (q->values)
        call_bulk(c, e->value);
}

static size_t below(struct call *c, size_t n)
{
    return (size_t)(c->random(c->random_ctx) % n);
}

/* With repetitions. Redis sends as many as are asked for, however long that takes; here the reply is built in
 * memory, so it has a limit. */
static void sample_repeated(struct call *c, const struct sample *q, const struct dict *d)
{
    uint64_t n = 0 - (uint64_t)q->count, bytes = 0;

    if (n > LIMIT_COLLECT / BULK_BYTES) {
        call_error(c, "ERR value is out of range");
        return;
    }
    const struct dict_entry **picked = arena_get(c->arena, n * sizeof *picked);
    for (size_t i = 0; i < n; i++) {
        picked[i] = &d->entries[below(c, d->count)];
        bytes += BULK_BYTES + picked[i]->name.len + (q->values ? picked[i]->value.len : 0);
        if (bytes > LIMIT_COLLECT) {
            call_error(c, "ERR value is out of range");
            return;
        }
    }
    sample_head(c, q, n);
    for (size_t i = 0; i < n; i++)
        sample_entry(c, q, picked[i]);
}

/* Different ones: the first steps of a shuffle. All of them when as many are asked for, in their order. */
static void sample_unique(struct call *c, const struct sample *q, const struct dict *d)
{
    size_t n = (uint64_t)q->count < d->count ? (size_t)q->count : d->count;
    size_t *order = arena_get(c->arena, d->count * sizeof *order);

    for (size_t i = 0; i < d->count; i++)
        order[i] = i;
    sample_head(c, q, n);
    for (size_t i = 0; i < n; i++) {
        size_t other = n < d->count ? i + below(c, d->count - i) : i, swap = order[i];
        order[i] = order[other];
        order[other] = swap;
        sample_entry(c, q, &d->entries[order[i]]);
    }
}

void hashes_hrandfield(struct call *c)
{
    bool wrong, many = c->argc > 2;
    struct sample q = {0};

    if (many && !sample_args(c, &q))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_HASH, &wrong);
    if (wrong)
        return;
    if (o == NULL && !many)
        call_null(c);
    else if (o == NULL)
        build_array(c->out, 0);
    else if (!many)
        call_bulk(c, o->v.hash->entries[below(c, o->v.hash->count)].name);
    else if (q.count < 0)
        sample_repeated(c, &q, o->v.hash);
    else
        sample_unique(c, &q, o->v.hash);
}

void hashes_hscan(struct call *c)
{
    struct scan s;
    struct object *o = scan_begin(c, OBJECT_HASH, &s);
    size_t n = 0;

    if (o == NULL)
        return;
    const struct dict *d = o->v.hash;
    size_t *found = arena_get(c->arena, d->count * sizeof *found);
    scan_page(&s, d->count, o->encoding == ENC_LISTPACK);
    for (size_t i = 0; i < d->count; i++)
        if (scan_takes(&s, d->entries[i].name))
            found[n++] = i;
    scan_reply(c, &s, 2 * n);
    for (size_t i = 0; i < n; i++) {
        call_bulk(c, d->entries[found[i]].name);
        call_bulk(c, d->entries[found[i]].value);
    }
}
