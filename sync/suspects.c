#include "sync/suspects.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct suspect {
    char *key; /* malloc'ed */
    size_t key_len;
    int64_t archive; /* the version at the first look */
    int64_t due_us;
    int looks;
};

/* A ring: those whose time comes first are at the head. */
struct suspects {
    struct suspect ring[SUSPECTS_MOST];
    size_t head, n;
};

struct suspects *suspects_new(void)
{
    struct suspects *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    return s;
}

static struct suspect *at(struct suspects *s, size_t i)
{
    return &s->ring[(s->head + i) % SUSPECTS_MOST];
}

void suspects_free(struct suspects *own_s)
{
    if (own_s == NULL)
        return;
    for (size_t i = 0; i < own_s->n; i++)
        free(at(own_s, i)->key);
    free(own_s);
}

size_t suspects_count(const struct suspects *s)
{
    return s->n;
}

static void put(struct suspects *s, struct suspect one)
{
    one.due_us = clock_mono_us() + SUSPECTS_PAUSE_MS * 1000;
    *at(s, s->n++) = one;
}

bool suspects_add(struct suspects *s, struct slice key, int64_t archive)
{
    if (s->n == SUSPECTS_MOST)
        return false;
    char *copy = malloc(key.len + 1);
    if (copy == NULL)
        abort();
    memcpy(copy, key.p, key.len);
    put(s, (struct suspect){.key = copy, .key_len = key.len, .archive = archive});
    return true;
}

static size_t due(struct suspects *s, size_t most)
{
    int64_t now = clock_mono_us();
    size_t n = 0;

    while (n < s->n && n < most && at(s, n)->due_us <= now)
        n++;
    return n;
}

/* True: it is different for good. */
static bool judge(struct suspects *s, struct suspect one, const struct compared *k)
{
    bool moves = k->archive != one.archive;

    if (!k->same && ++one.looks < SUSPECTS_LOOKS) {
        put(s, one);
        return false;
    }
    free(one.key);
    return !k->same && !k->owed && !moves;
}

enum err suspects_look(struct suspects *s, const struct moves_stores *stores, struct arena *a, bool deep,
                       size_t most, struct compared *ret, size_t *ret_n, size_t *ret_looked)
{
    size_t n = due(s, most), found = 0;

    *ret_n = *ret_looked = 0;
    if (n == 0)
        return ERR_NONE;
    for (size_t i = 0; i < n; i++) {
        struct slice key = {at(s, i)->key, at(s, i)->key_len};
        ret[i] = (struct compared){.key = arena_copy(a, key)};
    }
    enum err e = compare_keys(stores, a, ret, n, deep);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++) {
        struct suspect one = *at(s, 0);
        s->head++;
        s->n--;
        if (judge(s, one, &ret[i]))
            ret[found++] = ret[i];
    }
    *ret_looked = n;
    *ret_n = found;
    return ERR_NONE;
}
