#include "sync/suspects.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

struct suspect {
    struct suspect *next;
    int64_t archive; /* the version at the first look */
    int64_t due_us;
    int looks;
    size_t key_len;
    char key[];
};

/* Those whose time comes first are in front. */
struct suspects {
    struct suspect *first, **end;
    size_t n;
};

struct suspects *suspects_new(void)
{
    struct suspects *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    s->end = &s->first;
    return s;
}

void suspects_free(struct suspects *own_s)
{
    if (own_s == NULL)
        return;
    for (struct suspect *one = own_s->first, *next; one != NULL; one = next) {
        next = one->next;
        free(one);
    }
    free(own_s);
}

size_t suspects_count(const struct suspects *s)
{
    return s->n;
}

static void put(struct suspects *s, struct suspect *one)
{
    one->due_us = clock_mono_us() + SUSPECTS_PAUSE_MS * 1000;
    one->next = NULL;
    *s->end = one;
    s->end = &one->next;
    s->n++;
}

static struct suspect *take(struct suspects *s)
{
    struct suspect *one = s->first;

    s->first = one->next;
    if (s->first == NULL)
        s->end = &s->first;
    s->n--;
    return one;
}

void suspects_add(struct suspects *s, struct slice key, int64_t archive)
{
    struct suspect *one = calloc(1, sizeof *one + key.len);

    if (one == NULL)
        abort();
    if (key.len > 0)
        memcpy(one->key, key.p, key.len);
    one->key_len = key.len;
    one->archive = archive;
    put(s, one);
}

/* Up to most whose time has come. */
static size_t due(const struct suspects *s, struct arena *a, size_t most, struct compared *ret)
{
    int64_t now = clock_mono_us();
    size_t n = 0;

    for (const struct suspect *one = s->first; one != NULL && one->due_us <= now && n < most; one = one->next)
        ret[n++] = (struct compared){.key = arena_copy(a, (struct slice){one->key, one->key_len})};
    return n;
}

/* True: it is different for good. */
static bool judge(struct suspects *s, struct suspect *one, const struct compared *k)
{
    bool different = !k->same && !k->owed && k->archive == one->archive;

    if (!k->same && ++one->looks < SUSPECTS_LOOKS) {
        put(s, one);
        return false;
    }
    free(one);
    return different;
}

enum err suspects_look(struct suspects *s, const struct moves_stores *stores, struct arena *a, bool deep,
                       size_t most, struct compared *ret, size_t *ret_n, size_t *ret_looked)
{
    size_t n = due(s, a, most, ret), found = 0;

    *ret_n = *ret_looked = 0;
    enum err e = n > 0 ? compare_keys(stores, a, ret, n, deep) : ERR_NONE;
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++) {
        if (judge(s, take(s), &ret[i]))
            ret[found++] = ret[i];
    }
    *ret_looked = n;
    *ret_n = found;
    return ERR_NONE;
}
