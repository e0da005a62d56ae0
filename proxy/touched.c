#include "proxy/touched.h"

#include "base/few.h"
#include "engine/call.h"

#include <stdlib.h>
#include <string.h>

#define SEARCHED 16 /* fewer keys are compared one by one */

void touched_init(struct touched *t)
{
    t->count = 0;
    t->ends = t->few_ends;
    t->cap = TOUCHED_FEW;
    t->bytes = t->few_bytes;
    t->bytes_cap = TOUCHED_BYTES;
    t->index = NULL;
    t->index_size = 0;
}

void touched_done(struct touched *t)
{
    if (t->ends != t->few_ends)
        free(t->ends);
    if (t->bytes != t->few_bytes)
        free(t->bytes);
    free(t->index);
}

struct slice touched_key(const struct touched *t, size_t i)
{
    size_t start = i > 0 ? t->ends[i - 1] : 0;
    return (struct slice){t->bytes + start, t->ends[i] - start};
}

static size_t hash(struct slice key)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < key.len; i++)
        h = (h ^ (unsigned char)key.p[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

/* The key's place in the index, or the free one where it would be. */
static uint32_t *index_at(const struct touched *t, struct slice key)
{
    size_t mask = t->index_size - 1, at = hash(key) & mask;

    while (t->index[at] != 0 && !slice_equal(touched_key(t, t->index[at] - 1), key))
        at = (at + 1) & mask;
    return &t->index[at];
}

static void index_last(struct touched *t)
{
    if (2 * t->count <= t->index_size) {
        *index_at(t, touched_key(t, t->count - 1)) = (uint32_t)t->count;
        return;
    }
    free(t->index);
    t->index_size = t->index_size == 0 ? 8 * SEARCHED : 4 * t->index_size; /* a power of 2 */
    t->index = calloc(t->index_size, sizeof *t->index);
    if (t->index == NULL)
        abort();
    for (size_t i = 0; i < t->count; i++)
        *index_at(t, touched_key(t, i)) = (uint32_t)i + 1;
}

size_t touched_find(const struct touched *t, struct slice key)
{
    size_t i = 0;

    if (t->index != NULL) {
        uint32_t place = *index_at(t, key);
        return place != 0 ? place - 1 : t->count;
    }
    while (i < t->count && !slice_equal(touched_key(t, i), key))
        i++;
    return i;
}

void touched_add(struct touched *t, struct slice key)
{
    size_t start = t->count > 0 ? t->ends[t->count - 1] : 0;

    if (touched_find(t, key) < t->count)
        return;
    t->ends = few_grow(t->ends, &t->cap, t->count + 1, sizeof *t->ends, t->few_ends);
    t->bytes = few_grow(t->bytes, &t->bytes_cap, start + key.len, 1, t->few_bytes);
    if (key.len > 0)
        memcpy(t->bytes + start, key.p, key.len);
    t->ends[t->count++] = start + key.len;
    if (t->count >= SEARCHED)
        index_last(t);
}
