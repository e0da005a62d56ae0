#include "engine/sample.h"
#include "base/limits.h"

#define BULK_BYTES 8 /* about what a bulk adds to its bytes */

static const char out_of_range[] = "ERR value is out of range";

bool sample_args(struct call *c, const char *with_pairs, struct sample *q)
{
    if (!call_int_arg(c, 2, &q->count))
        return false;
    if (q->count < -INT64_MAX) {
        call_errorf(c, "%s, value must between %lld and %lld", out_of_range, -(long long)INT64_MAX,
                    (long long)INT64_MAX);
        return false;
    }
    q->pairs = with_pairs != NULL && c->argc == 4 && call_is(c, 3, with_pairs);
    if (c->argc > 3 && !q->pairs) {
        call_syntax_error(c);
        return false;
    }
    if (q->pairs && (q->count < -INT64_MAX / 2 || q->count > INT64_MAX / 2)) {
        call_error(c, out_of_range);
        return false;
    }
    return true;
}

size_t sample_below(struct call *c, size_t n)
{
    return (size_t)(c->random(c->random_ctx) % n);
}

/* Redis sends as many as are asked for, however long that takes; here the reply is built in memory, so it has
 * a limit. */
bool sample_fits(struct call *c, uint64_t bytes)
{
    if (bytes > LIMIT_COLLECT)
        call_error(c, out_of_range);
    return bytes <= LIMIT_COLLECT;
}

static size_t *pick_repeated(struct call *c, uint64_t n, size_t elements)
{
    if (n > LIMIT_COLLECT / BULK_BYTES) {
        call_error(c, out_of_range);
        return NULL;
    }
    size_t *picked = arena_get(c->arena, n * sizeof *picked);
    for (size_t i = 0; i < n; i++)
        picked[i] = sample_below(c, elements);
    return picked;
}

/* The first steps of a shuffle. */
static size_t *pick_unique(struct call *c, size_t n, size_t elements)
{
    size_t *order = arena_get(c->arena, elements * sizeof *order);

    for (size_t i = 0; i < elements; i++)
        order[i] = i;
    for (size_t i = 0; i < n && n < elements; i++) {
        size_t other = i + sample_below(c, elements - i), swap = order[i];
        order[i] = order[other];
        order[other] = swap;
    }
    return order;
}

size_t *sample_pick(struct call *c, int64_t count, size_t elements, size_t *ret_n)
{
    if (count < 0) {
        *ret_n = (size_t)(0 - (uint64_t)count);
        return pick_repeated(c, *ret_n, elements);
    }
    *ret_n = (uint64_t)count < elements ? (size_t)count : elements;
    return pick_unique(c, *ret_n, elements);
}
