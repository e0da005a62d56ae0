#include "proxy/pause.h"

#include "base/clock.h"
#include "proxy/internal.h"
#include "proxy/round.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- of one loop ---- */

struct pausing {
    uv_timer_t timer; /* first: closing gives it back */
    struct loop *loop;
    bool all;
    int64_t until_us; /* mono */
};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void pause_end(struct loop *l)
{
    if (l->pausing == NULL)
        return;
    uv_close((uv_handle_t *)&l->pausing->timer, on_closed);
    l->pausing = NULL;
    for (struct session *s = l->sessions; s != NULL; s = s->next)
        session_resume(s, PAUSE_CLIENTS);
}

static void on_timer(uv_timer_t *timer);

/* Timers count in ms from the beginning of the loop's turn: it may come a little early. */
static void arm(struct pausing *p)
{
    int64_t left = p->until_us - turn_now(&p->loop->turn);

    uv_update_time(&p->loop->uv);
    uv_timer_start(&p->timer, on_timer, left > 0 ? (uint64_t)(left / 1000 + 1) : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct pausing *p = (struct pausing *)timer;

    if (p->until_us > turn_now(&p->loop->turn))
        arm(p);
    else
        pause_end(p->loop);
}

/* One whose timer has not come yet on this loop may be over on another: it does not count any more. */
static void begin(struct loop *l, bool all, int64_t until_us)
{
    if (l->pausing != NULL && l->pausing->until_us <= turn_now(&l->turn))
        pause_end(l);
    struct pausing *p = l->pausing;
    if (p == NULL) {
        p = calloc(1, sizeof *p);
        if (p == NULL)
            abort();
        p->loop = l;
        uv_timer_init(&l->uv, &p->timer);
        l->pausing = p;
    }
    p->all |= all;
    p->until_us = until_us > p->until_us ? until_us : p->until_us;
    arm(p);
}

/* ---- whom it concerns ---- */

/* Redis's own flag for these is not told by COMMAND: they write in some way, or may. */
static bool may_replicate(const struct command *cmd)
{
    static const char *const names[] = {"publish", "spublish", "pfcount"};

    if (cmd->ttl == TTL_SCRIPT)
        return true;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(cmd->name, names[i]) == 0)
            return true;
    return false;
}

/* EVAL with a first line like "#!lua flags=no-writes". */
static bool is_harmless_script(const struct job *job)
{
    struct slice script = job->argv[1];
    const char *line = memchr(script.p, '\n', script.len);
    const char *word = "no-writes";
    size_t n = line != NULL ? (size_t)(line - script.p) : script.len;

    return strcmp(job->cmd->name, "eval") == 0 && n > 2 && memcmp(script.p, "#!", 2) == 0 &&
           memmem(script.p, n, word, strlen(word)) != NULL;
}

/* A command that nobody here knows may write. */
static bool may_write(const struct session *s, const struct job *job)
{
    if (job->cmd == NULL || (job->cmd->flags & CMD_WRITE) != 0)
        return true;
    if (strcmp(job->cmd->name, "exec") == 0)
        return transaction_may_write(s);
    return may_replicate(job->cmd) && !is_harmless_script(job);
}

bool pause_may_write(const struct command *cmd)
{
    return cmd == NULL || (cmd->flags & CMD_WRITE) != 0 || may_replicate(cmd);
}

bool pause_holds(struct session *s, const struct job *job)
{
    if (!s->loop->pausing->all && !may_write(s, job))
        return false;
    session_pause(s, PAUSE_CLIENTS);
    return true;
}

/* ---- what a successor is told ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct pause_report in_force;

/* As begin: a second one makes the first no shorter and no milder. */
static void note(bool on, bool all, int64_t until_us)
{
    pthread_mutex_lock(&lock);
    bool over = !on || in_force.until_us <= clock_mono_us();
    in_force.all = (!over && in_force.all) || all;
    in_force.until_us = over || until_us > in_force.until_us ? until_us : in_force.until_us;
    in_force.orders++;
    pthread_mutex_unlock(&lock);
}

void pause_report(struct pause_report *ret)
{
    pthread_mutex_lock(&lock);
    *ret = in_force;
    pthread_mutex_unlock(&lock);
}

/* ---- all loops ---- */

struct order {
    struct round round; /* first: visits get it */
    struct slot *slot;
    bool on, all;
    int64_t until_us;
};

static void drop(struct round *own_r)
{
    free(own_r);
}

static void visit(struct loop *l, struct round *r)
{
    struct order *o = (struct order *)r;

    if (o->on)
        begin(l, o->all, o->until_us);
    else
        pause_end(l);
    if (l != r->asker)
        return;
    build_status(&o->slot->reply, "OK");
    slot_complete(o->slot);
    free(o);
}

static bool order(struct session *s, const struct job *job, const struct order *what)
{
    struct order *o = malloc(sizeof *o);

    if (o == NULL)
        abort();
    *o = *what;
    o->round = (struct round){.asker = s->loop, .visit = visit, .drop = drop};
    o->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot_defer(o->slot, s->current);
    note(o->on, o->all, o->until_us);
    session_pause(s, PAUSE_ORDER); /* the next request of this client already knows */
    round_start(&o->round);
    return true;
}

/* An error line; NULL: it is right. */
static const char *read_timeout(struct slice text, int64_t *ret_ms)
{
    if (!frame_count(text.p, text.len, ret_ms))
        return "ERR timeout is not an integer or out of range";
    return *ret_ms < 0 ? "ERR timeout is negative" : NULL;
}

bool pause_command(struct session *s, const struct job *job)
{
    struct order o = {.on = true, .all = true};
    int64_t ms;

    if (job->argc > 4)
        return local_bad_args(s, job);
    if (job->argc == 4 && !slice_is(job->argv[3], "WRITE") && !slice_is(job->argv[3], "ALL"))
        return local_error(s, "ERR CLIENT PAUSE mode must be WRITE or ALL");
    const char *error = read_timeout(job->argv[2], &ms);
    if (error != NULL)
        return local_error(s, error);
    if (ms > (INT64_MAX - clock_wall_us()) / 1000)
        ms = 0; /* such a sum overflows in Redis, and is in the past */
    o.all = job->argc == 3 || slice_is(job->argv[3], "ALL");
    o.until_us = turn_now(&s->loop->turn) + ms * 1000;
    return order(s, job, &o);
}

bool pause_unpause(struct session *s, const struct job *job)
{
    return order(s, job, &(struct order){.on = false});
}

static void begin_inherited(struct loop *l, void *own_arg)
{
    struct pause_report *order = own_arg;

    if (!l->closed && !l->draining)
        begin(l, order->all, order->until_us);
    free(order);
}

static void end_inherited(struct loop *l, void *unused)
{
    pause_end(l);
}

void pause_inherit(struct server *s, int64_t until_us, bool all)
{
    struct loop *l;

    note(until_us != 0, all, until_us);
    for (unsigned i = 0; (l = server_loop(s, i)) != NULL; i++) {
        struct pause_report *order = malloc(sizeof *order);
        if (order == NULL)
            abort();
        *order = (struct pause_report){.until_us = until_us, .all = all};
        if (until_us == 0)
            free(order);
        loop_post(l, until_us != 0 ? begin_inherited : end_inherited, until_us != 0 ? order : NULL);
    }
}
