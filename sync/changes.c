#include "sync/changes.h"

#include "engine/arena.h"
#include "router/marks.h"
#include "sync/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL "__redis__:invalidate"

struct changes {
    struct link *link;
    const struct settings *settings; /* counted: those that it was begun with; NULL: it was not */
    struct arena arena;              /* of what follows */
    struct slice *keys;
    size_t n, cap;
    bool whole;
};

struct changes *changes_new(void)
{
    struct changes *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort();
    c->link = link_new();
    arena_init(&c->arena);
    return c;
}

void changes_free(struct changes *own_c)
{
    if (own_c == NULL)
        return;
    changes_end(own_c);
    link_free(own_c->link);
    arena_done(&own_c->arena);
    free(own_c);
}

bool changes_are_whole(const struct changes *c)
{
    return c->whole && link_is_open(c->link);
}

const char *changes_why(const struct changes *c)
{
    return link_why(c->link);
}

void changes_interrupt(struct changes *c)
{
    link_interrupt(c->link);
}

void changes_end(struct changes *c)
{
    link_done(c->link);
    link_close(c->link);
    settings_unref(c->settings);
    c->settings = NULL;
    c->whole = false;
    arena_reset(&c->arena);
    c->keys = NULL;
    c->n = c->cap = 0;
}

/* ---- beginning ---- */

/* What all keys of the policy begin with. */
static struct slice prefix_of(const struct policy_conf *policy)
{
    return (struct slice){policy->match, strcspn(policy->match, "*")};
}

static bool begins_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

/* Redis refuses one that another one covers; of equal ones the first stays. */
static bool is_covered(const struct settings *s, size_t i)
{
    struct slice own = prefix_of(&s->policies[i]);

    for (size_t k = 0; k < s->policy_count; k++) {
        struct slice other = prefix_of(&s->policies[k]);
        if (k == i || !s->policies[k].dual_write || !begins_with(own, other))
            continue;
        if (other.len < own.len || k < i)
            return true;
    }
    return false;
}

static void say_tracking(struct changes *c, const struct settings *s, int64_t id)
{
    char text[24];
    size_t n = 0;
    struct slice *argv = calloc(6 + 2 * s->policy_count, sizeof *argv);
    static const char *const words[] = {"CLIENT", "TRACKING", "ON", "REDIRECT", NULL, "BCAST"};

    if (argv == NULL)
        abort();
    snprintf(text, sizeof text, "%lld", (long long)id);
    for (; n < 6; n++) {
        const char *word = words[n] != NULL ? words[n] : text;
        argv[n] = (struct slice){word, strlen(word)};
    }
    for (size_t i = 0; i < s->policy_count; i++) {
        if (!s->policies[i].dual_write || is_covered(s, i))
            continue;
        argv[n++] = (struct slice){"PREFIX", 6};
        argv[n++] = prefix_of(&s->policies[i]);
    }
    link_put(c->link, argv, n);
    free(argv);
}

/* False: an error reply, or none. */
static bool is_fine(struct changes *c, bool *ret_refused)
{
    const redisReply *r = link_get(c->link);

    if (r == NULL)
        return false;
    if (r->type != REDIS_REPLY_ERROR)
        return true;
    *ret_refused = strncmp(r->str, "BUSY", 4) != 0 && strncmp(r->str, "LOADING", 7) != 0;
    link_refuse(c->link, r);
    return false;
}

static bool greet(struct changes *c, const struct settings *s, bool *ret_refused)
{
    int64_t id;

    link_say(c->link, "CLIENT", "ID", NULL);
    const redisReply *r = link_get(c->link);
    if (r == NULL)
        return false;
    if (!reply_int(r, &id)) {
        *ret_refused = r->type == REDIS_REPLY_ERROR;
        link_refuse(c->link, r);
        return false;
    }
    say_tracking(c, s, id);
    link_say(c->link, "SUBSCRIBE", CHANNEL, NULL);
    return is_fine(c, ret_refused) && is_fine(c, ret_refused);
}

enum err changes_begin(struct changes *c, const struct settings *settings, bool *ret_refused)
{
    *ret_refused = false;
    if (changes_are_whole(c) && c->settings == settings)
        return ERR_NONE;
    changes_end(c);
    if (!link_open(c->link, settings) || !greet(c, settings, ret_refused)) {
        link_done(c->link);
        return ERR_REDISDOWN;
    }
    link_done(c->link);
    c->settings = settings_ref(settings);
    c->whole = true;
    return ERR_NONE;
}

/* ---- what is told ---- */

static void keep(struct changes *c, const struct policy_set *policies, struct slice key)
{
    const struct policy_conf *policy = policy_find(policies, key);
    bool internal = begins_with(key, (struct slice){MARKS_PREFIX, sizeof MARKS_PREFIX - 1});

    if (internal || policy == NULL || !policy->dual_write)
        return;
    if (c->n == c->cap) {
        size_t cap = c->cap == 0 ? 64 : 2 * c->cap;
        c->keys = arena_grow(&c->arena, c->keys, c->cap * sizeof *c->keys, cap * sizeof *c->keys);
        c->cap = cap;
    }
    c->keys[c->n++] = arena_copy(&c->arena, key);
}

/* A message names keys, or none (nil) when a whole database was emptied: of this the guard of the epoch tells, cvp:ep is gone. */
static void take_message(struct changes *c, const struct policy_set *policies, const redisReply *r)
{
    const redisReply *keys = r->elements == 3 ? r->element[2] : NULL;

    for (size_t i = 0; keys != NULL && reply_is_array(keys) && i < keys->elements; i++)
        if (reply_is_text(keys->element[i]))
            keep(c, policies, reply_slice(keys->element[i]));
}

static bool is_pong(const redisReply *r)
{
    return reply_is_array(r) && r->elements == 2 && reply_is_text(r->element[0]) &&
           slice_is(reply_slice(r->element[0]), "pong");
}

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

static void make_distinct(struct changes *c)
{
    size_t n = 0;

    if (c->n > 0)
        qsort(c->keys, c->n, sizeof *c->keys, compare);
    for (size_t i = 0; i < c->n; i++)
        if (n == 0 || compare(&c->keys[n - 1], &c->keys[i]) != 0)
            c->keys[n++] = c->keys[i];
    c->n = n;
}

static void forget(struct changes *c)
{
    arena_reset(&c->arena);
    c->keys = NULL;
    c->n = c->cap = 0;
}

enum err changes_collect(struct changes *c, const struct policy_set *policies, struct slice **ret_keys,
                         size_t *ret_n)
{
    const redisReply *r;

    forget(c);
    link_say(c->link, "PING", NULL);
    while ((r = link_get(c->link)) != NULL && !is_pong(r)) {
        if (r->type == REDIS_REPLY_ERROR) {
            link_refuse(c->link, r);
            break;
        }
        take_message(c, policies, r);
        link_done(c->link);
    }
    link_done(c->link);
    if (!link_is_open(c->link)) {
        c->whole = false;
        return ERR_REDISLOST;
    }
    make_distinct(c);
    *ret_keys = c->keys;
    *ret_n = c->n;
    return ERR_NONE;
}
