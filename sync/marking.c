/* What backfill, repair and audit do to a key in Redis: a higher version and a mark. */
#include "sync/move.h"

#include "router/marks.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>

#define TOGETHER 64 /* keys of one MULTI: Redis does nothing else for some ten microseconds */

static void say(struct link *l, const char *verb, const char *hash, struct slice key, int64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, number);
    struct slice argv[] = {{verb, strlen(verb)}, {hash, strlen(hash)}, key, {text, (size_t)n}};

    link_put(l, argv, 4);
}

static void say_expiry(struct link *l, struct slice key, int64_t ms)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%" PRId64, ms);
    struct slice argv[] = {{"PEXPIRE", 7}, key, {text, (size_t)n}, {"NX", 2}};

    link_put(l, argv, 4);
}

/* Returns how many commands the block has. */
static size_t put_block(struct link *l, const struct marking *m, size_t n)
{
    struct slice marks[2 + TOGETHER] = {{"SADD", 4}, {MARKS_DIRTY, strlen(MARKS_DIRTY)}};
    size_t commands = 2 * n + 1;

    link_say(l, "MULTI", NULL);
    for (size_t i = 0; i < n; i++) {
        if (m[i].expire_in > 0) {
            say_expiry(l, m[i].key, m[i].expire_in);
            commands++;
        }
        say(l, "HSETNX", MARKS_VERSION, m[i].key, m[i].fresh);
        say(l, "HINCRBY", MARKS_VERSION, m[i].key, m[i].raise);
        marks[2 + i] = m[i].key;
    }
    link_put(l, marks, 2 + n);
    link_say(l, "EXEC", NULL);
    return commands;
}

/* EXEC's reply after those to MULTI and the queued commands; NULL: the link is closed. */
static const redisReply *get_exec(struct link *l, size_t commands)
{
    for (size_t i = 0; i < 1 + commands; i++) {
        const redisReply *r = link_get(l);
        if (r == NULL)
            return NULL;
        if (r->type == REDIS_REPLY_ERROR) {
            link_refuse(l, r);
            return NULL;
        }
    }
    const redisReply *exec = link_get(l);
    if (exec != NULL && (exec->type != REDIS_REPLY_ARRAY || exec->elements != commands)) {
        link_refuse(l, exec);
        return NULL;
    }
    return exec;
}

static bool read_replies(struct link *l, const redisReply *exec, struct marking *m, size_t n)
{
    const redisReply *const *r = (const redisReply *const *)exec->element;

    for (size_t i = 0; i < exec->elements; i++) {
        if (r[i]->type != REDIS_REPLY_INTEGER) {
            link_refuse(l, r[i]);
            return false;
        }
    }
    for (size_t i = 0; i < n; i++) {
        m[i].expires = m[i].expire_in > 0 && (*r++)->integer == 1;
        r += 2;
    }
    return true;
}

enum err marking_do(struct link *l, struct marking *m, size_t n)
{
    for (size_t i = 0; i < n; i += TOGETHER) {
        size_t some = n - i < TOGETHER ? n - i : TOGETHER;
        const redisReply *exec = get_exec(l, put_block(l, m + i, some));
        bool ok = exec != NULL && read_replies(l, exec, m + i, some);
        link_done(l);
        if (!ok)
            return ERR_REDISDOWN;
    }
    return ERR_NONE;
}
