#include "sync/claim.h"

#include "base/decimal.h"
#include "base/mutant.h"
#include "engine/number.h"
#include "router/marks.h"
#include "sync/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#define LOOKS                                                                                                \
    100 /* at the list of clients: Redis closes each at once, unless a thread of its own is busy with it */

/* The next reply, which must be a text, or nil where that may be. NULL: *ret_e says why. */
static const redisReply *get(struct link *l, bool may_be_nil, enum err *ret_e)
{
    const redisReply *r = link_get(l);

    *ret_e = r == NULL ? ERR_REDISLOST : ERR_NONE;
    if (r == NULL || reply_is_text(r) || (may_be_nil && r->type == REDIS_REPLY_NIL))
        return r;
    link_refuse(l, r);
    *ret_e = ERR_REDISDOWN;
    return NULL;
}

/* What stands behind name in a text, up to a blank or the end of the line; p NULL: it is not there. */
static struct slice behind(struct slice text, const char *name)
{
    const char *at = memmem(text.p, text.len, name, strlen(name));

    if (at == NULL)
        return (struct slice){NULL, 0};
    at += strlen(name);
    size_t left = (size_t)(text.p + text.len - at), n = 0;
    while (n < left && at[n] != ' ' && at[n] != '\r' && at[n] != '\n')
        n++;
    return (struct slice){at, n};
}

/* ---- who it is ---- */

static int64_t epoch_of(const redisReply *r)
{
    int64_t epoch;

    return reply_int(r, &epoch) ? epoch : 0;
}

enum err claim_look(struct link *l, struct redis_identity *ret)
{
    enum err e;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    link_say(l, "INFO", "server", NULL);
    link_say(l, "INFO", "replication", NULL);
    link_say(l, "GET", MARKS_EPOCH, NULL);
    const redisReply *server = get(l, false, &e);
    const redisReply *replication = server != NULL ? get(l, false, &e) : NULL;
    const redisReply *epoch = replication != NULL ? get(l, true, &e) : NULL;
    if (epoch != NULL) {
        struct slice run_id = behind(reply_slice(server), "\nrun_id:");
        snprintf(ret->run_id, sizeof ret->run_id, "%.*s", (int)run_id.len, run_id.p);
        ret->writable = slice_is(behind(reply_slice(replication), "\nrole:"), "master");
        ret->epoch = epoch_of(epoch);
    }
    link_done(l);
    return e;
}

/* ---- the fence ---- */

/* Whether a line of CLIENT LIST is a connection that a proxy greeted below the fence: convproxy-<proxy>-<epoch>. */
static bool is_behind(struct slice line, int64_t fence)
{
    static const char prefix[] = MARKS_CLIENT_NAME;
    struct slice name = behind(line, " name=");
    size_t dash = name.len;
    int64_t epoch;

    if (name.len < sizeof prefix || memcmp(name.p, prefix, sizeof prefix - 1) != 0)
        return false;
    while (name.p[dash - 1] != '-')
        dash--;
    return dash > sizeof prefix && number_int((struct slice){name.p + dash, name.len - dash}, &epoch) &&
           epoch < fence;
}

static void kill_client(struct link *l, struct slice line)
{
    struct slice id = behind(line, "id=");

    link_put(l, (struct slice[]){{"CLIENT", 6}, {"KILL", 4}, {"ID", 2}, id}, 4);
}

/* Closes those that the list shows; *ret_n: how many these were. */
static enum err close_once(struct link *l, int64_t fence, size_t *ret_n)
{
    enum err e;

    link_say(l, "CLIENT", "LIST", NULL);
    const redisReply *list = get(l, false, &e);
    if (list == NULL)
        return e;
    struct slice rest = reply_slice(list);
    while (rest.len > 0) {
        const char *line_end = memchr(rest.p, '\n', rest.len);
        struct slice line = {rest.p, line_end != NULL ? (size_t)(line_end - rest.p) : rest.len};
        if (is_behind(line, fence))
            kill_client(l, line);
        size_t used = line.len + (line_end != NULL);
        rest = (struct slice){rest.p + used, rest.len - used};
    }
    *ret_n = link_owed(l);
    while (link_owed(l) > 0) /* an error says that it has gone by itself: the next list shows it */
        if (link_get(l) == NULL)
            return ERR_REDISLOST;
    return ERR_NONE;
}

static enum err close_all(struct link *l, int64_t fence)
{
    size_t n = 1;
    enum err e = ERR_NONE;

    if (MUTANT(skip_kill))
        return ERR_NONE;
    for (int look = 0; e == ERR_NONE && n > 0 && look < LOOKS; look++) {
        e = close_once(l, fence, &n);
        link_done(l);
    }
    if (e == ERR_NONE && n > 0) {
        link_fail(l, "CLIENT KILL does not close the connections of an earlier epoch");
        return ERR_REDISDOWN;
    }
    return e;
}

/* Only upwards: who was paused for long must not take Redis back to an epoch that is over. A Redis that has lost its epoch was emptied:
 * versions and sessions that it has are of writes that found it so and were never acknowledged, though they look newer than all there
 * was; they go in the same step. *ret_raced: it was not as `emptied` says, or somebody else was faster. */
static enum err set_epoch(struct link *l, int64_t epoch, bool emptied, bool *ret_raced)
{
    char text[DECIMAL_MAX + 1];
    enum err e;

    text[decimal_print(text, epoch)] = '\0';
    link_say(l, "WATCH", MARKS_EPOCH, NULL);
    link_say(l, "GET", MARKS_EPOCH, NULL);
    const redisReply *before = get(l, false, &e) != NULL ? get(l, true, &e) : NULL;
    if (before == NULL)
        return e;
    *ret_raced = (before->type == REDIS_REPLY_NIL) != emptied;
    if (*ret_raced || epoch_of(before) > epoch) {
        link_say(l, "UNWATCH", NULL);
        return get(l, false, &e) == NULL ? e : *ret_raced ? ERR_NONE : ERR_MOVED;
    }
    link_say(l, "MULTI", NULL);
    link_say(l, "SET", MARKS_EPOCH, text, NULL);
    if (emptied)
        link_say(l, "DEL", MARKS_VERSION, MARKS_SESSION, NULL);
    link_say(l, "EXEC", NULL);
    while (link_owed(l) > 1)
        if (get(l, false, &e) == NULL)
            return e;
    const redisReply *exec = link_get(l);
    if (exec == NULL)
        return ERR_REDISLOST;
    *ret_raced = exec->type == REDIS_REPLY_NIL;
    if (*ret_raced ||
        (reply_is_array(exec) && exec->elements == 1u + emptied && reply_is_text(exec->element[0])))
        return ERR_NONE;
    link_refuse(l, exec);
    return ERR_REDISDOWN;
}

static enum err was_emptied(struct link *l, bool *ret)
{
    enum err e;

    link_say(l, "GET", MARKS_EPOCH, NULL);
    const redisReply *epoch = get(l, true, &e);
    *ret = epoch != NULL && epoch->type == REDIS_REPLY_NIL;
    link_done(l);
    return e;
}

/* Where there is an epoch it is raised first, so that nobody is greeted under the old one behind our back. Where there is none nobody
 * can be greeted, and what old connections write until they are closed must be gone with the rest (NO_KILL_FIRST in the models). */
static enum err claim_once(struct link *l, int64_t epoch, int64_t fence, bool *ret_raced)
{
    bool emptied = false;

    enum err e = was_emptied(l, &emptied);
    if (e == ERR_NONE && emptied)
        e = close_all(l, fence);
    if (e == ERR_NONE)
        e = set_epoch(l, epoch, emptied, ret_raced);
    link_done(l);
    return e == ERR_NONE && !emptied && !*ret_raced ? close_all(l, fence) : e;
}

enum err claim_redis(struct link *l, int64_t epoch, int64_t fence)
{
    enum err e = link_is_open(l) ? ERR_NONE : ERR_REDISDOWN;

    for (bool raced = true; e == ERR_NONE && raced;)
        e = claim_once(l, epoch, fence, &raced);
    return e;
}
