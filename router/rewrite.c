#include "router/rewrite.h"

#include "engine/jsontrim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rewrite_init(struct rewrite *r, struct chunk_pool *pool)
{
    *r = (struct rewrite){0};
    chain_init(&r->pieces, pool);
}

void rewrite_done(struct rewrite *r)
{
    free(r->own);
    chain_clear(&r->pieces);
    rewrite_init(r, r->pieces.pool);
}

void rewrite_start(struct rewrite *r, const struct slice *argv, size_t argc)
{
    r->argv = argv;
    r->argc = argc;
    chain_clear(&r->pieces);
}

bool rewrite_changed(const struct rewrite *r)
{
    return r->argv == r->own;
}

/* Makes argv our own, with room for `need` arguments. */
static bool own_argv(struct rewrite *r, size_t need)
{
    bool changed = rewrite_changed(r);
    if (need > r->own_cap) {
        size_t cap = need + need / 2 + 4;
        struct slice *own = realloc(r->own, cap * sizeof *own);
        if (own == NULL)
            return false;
        r->own = own;
        r->own_cap = cap;
    }
    if (!changed)
        memcpy(r->own, r->argv, r->argc * sizeof *r->own);
    r->argv = r->own;
    return true;
}

bool rewrite_replace(struct rewrite *r, size_t arg, struct slice with)
{
    if (!own_argv(r, r->argc))
        return false;
    r->own[arg] = with;
    return true;
}

bool rewrite_append(struct rewrite *r, struct slice arg)
{
    if (!own_argv(r, r->argc + 1))
        return false;
    r->own[r->argc++] = arg;
    return true;
}

void rewrite_cut(struct rewrite *r, size_t argc)
{
    r->argc = argc;
}

struct slice rewrite_number(struct rewrite *r, int64_t value)
{
    char *p = chain_reserve(&r->pieces, 24);
    int n = snprintf(p, 24, "%lld", (long long)value);
    chain_commit(&r->pieces, (size_t)n);
    return (struct slice){p, (size_t)n};
}

/* ---- JSON histories ---- */

/* head and tail in one piece; NULL in .p: no memory. */
static struct slice join(struct rewrite *r, struct slice head, struct slice tail)
{
    size_t n = head.len + tail.len;
    char *p = n <= CHUNK_ROOM ? chain_reserve(&r->pieces, n) : malloc(n);
    if (p == NULL)
        return (struct slice){NULL, 0};
    memcpy(p, head.p, head.len);
    memcpy(p + head.len, tail.p, tail.len);
    if (n <= CHUNK_ROOM)
        chain_commit(&r->pieces, n);
    else
        chain_append_own(&r->pieces, p, 0, n);
    return (struct slice){p, n};
}

bool rewrite_history(struct rewrite *r, size_t arg, const struct policy_conf *policy,
                     struct rewrite_json *counts)
{
    struct jsontrim found;

    if (policy->max_messages == 0 && policy->max_bytes == 0)
        return true;
    switch (jsontrim(r->argv[arg], (size_t)policy->max_messages, (size_t)policy->max_bytes, &found)) {
    case JSONTRIM_UNCHANGED:
        return true;
    case JSONTRIM_NOT_ARRAY:
        counts->not_array++;
        return true;
    case JSONTRIM_INVALID:
        counts->invalid++;
        return true;
    case JSONTRIM_TRIMMED:
        break;
    }
    counts->trimmed++;
    struct slice value = join(r, (struct slice){found.head, strlen(found.head)}, found.tail);
    return value.p != NULL && rewrite_replace(r, arg, value);
}

/* ---- options ---- */

enum option_group { GROUP_IF = 1, GROUP_TTL = 2, GROUP_GET = 4 };

struct option {
    const char *word;
    uint8_t group; /* enum option_group: of a group one word at most, GET apart */
    bool set, getex, takes_value;
};

static const struct option options[] = {
    {"nx", GROUP_IF, true, false, false},       {"xx", GROUP_IF, true, false, false},
    {"get", GROUP_GET, true, false, false},     {"keepttl", GROUP_TTL, true, false, false},
    {"persist", GROUP_TTL, false, true, false}, {"ex", GROUP_TTL, true, true, true},
    {"px", GROUP_TTL, true, true, true},        {"exat", GROUP_TTL, true, true, true},
    {"pxat", GROUP_TTL, true, true, true},
};

static const struct option *find_option(struct slice arg, bool set)
{
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];
        if ((set ? o->set : o->getex) && slice_is(arg, o->word))
            return o;
    }
    return NULL;
}

struct expiry_options rewrite_parse_options(const struct slice *argv, size_t argc, bool set)
{
    struct expiry_options found = {0};
    const struct option *chosen[GROUP_GET + 1] = {NULL};

    for (size_t i = set ? 3 : 2; i < argc; i++) {
        const struct option *o = find_option(argv[i], set);
        if (o == NULL)
            return found;
        if (chosen[o->group] != NULL && chosen[o->group] != o)
            return found;
        chosen[o->group] = o;
        if (o->takes_value && ++i == argc)
            return found;
    }
    const struct option *ttl = chosen[GROUP_TTL];
    found.valid = true;
    found.own = ttl != NULL && ttl->takes_value;
    found.keepttl = ttl != NULL && !found.own && set;
    found.persist = ttl != NULL && !found.own && !set;
    return found;
}
