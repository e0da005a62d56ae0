#include "proxy/monitor.h"

#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/internal.h"
#include "proxy/pause.h"
#include "proxy/push.h"
#include "proxy/redact.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FLUSH_BYTES (64 * 1024) /* a long pipeline's lines need not all wait for the turn's end */

/* A client that monitors. */
struct monitor {
    struct session *session;
    struct monitor *next, **back;
};

/* A loop's: who monitors here, and what all monitors are to be told. */
struct monitors {
    struct monitor *first;
    struct text {
        char *p;
        size_t len, cap;
    } lines;
};

/* Lines on their way to another loop. */
struct batch {
    size_t len;
    char text[];
};

static _Atomic unsigned count;

const _Atomic unsigned *monitor_count(void)
{
    return &count;
}

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* ---- lines ---- */

static char *grow(struct text *t, size_t more)
{
    if (t->cap - t->len < more) {
        t->cap = 2 * t->cap + more + 256;
        t->p = must(realloc(t->p, t->cap));
    }
    return t->p + t->len;
}

static void put(struct text *t, const char *p, size_t n)
{
    memcpy(grow(t, n), p, n);
    t->len += n;
}

static bool is_plain(char c)
{
    return c >= ' ' && c <= '~' && c != '"' && c != '\\';
}

static void put_escaped(struct text *t, unsigned char c)
{
    static const char special[] = "\\\"\n\r\t\a\b", shown[] = "\\\"nrtab";
    const char *at = c != '\0' ? strchr(special, c) : NULL;
    char *to = grow(t, 5);

    if (at != NULL)
        t->len += (size_t)snprintf(to, 5, "\\%c", shown[at - special]);
    else
        t->len += (size_t)snprintf(to, 5, "\\x%02x", c);
}

/* As Redis shows bytes: in quotes, and what is not printable by its escape. */
static void put_quoted(struct text *t, struct slice arg)
{
    put(t, " \"", 2);
    for (size_t i = 0, end; i < arg.len; i = end) {
        for (end = i; end < arg.len && is_plain(arg.p[end]);)
            end++;
        if (end > i)
            put(t, arg.p + i, end - i);
        else
            put_escaped(t, (unsigned char)arg.p[end++]);
    }
    put(t, "\"", 1);
}

/* What Redis would not run, or does not show. Scripts are marked, but shown. */
static bool is_hidden(const struct command *cmd)
{
    return cmd == NULL || cmd->container || (cmd->flags & CMD_ADMIN) != 0 ||
           ((cmd->flags & CMD_SKIP_MONITOR) != 0 && (cmd->cats & CAT_SCRIPTING) == 0);
}

/* The line without its head; nothing when it is hidden. */
static void put_args(struct text *t, const struct job *job)
{
    if (is_hidden(job->cmd))
        return;
    for (size_t i = 0; i < job->argc; i++)
        put_quoted(t, redact_hides(job->cmd, job->argv, job->argc, i) ? (struct slice){REDACTED, sizeof REDACTED - 1} : job->argv[i]);
    put(t, "\r\n", 2);
}

static void put_line(struct text *t, const struct session *s, const struct text *args)
{
    int64_t us = s->loop->turn.now_us + s->loop->wall_minus_mono_us;

    if (args->len == 0)
        return;
    char *to = grow(t, 160);
    t->len += (size_t)snprintf(to, 160, "+%" PRId64 ".%06" PRId64 " [%d %s]", us / 1000000, us % 1000000, s->db, s->addr);
    put(t, args->p, args->len);
}

/* The commands of the transaction that is about to be executed. */
static void put_queued(struct text *t, struct session *s)
{
    struct slice rest = transaction_queued(s), raw;
    struct text args = {0};
    struct request r;

    request_init(&r);
    for (size_t at = 0; request_next(&r, &rest, &raw); at++) {
        struct job job = {.argv = r.argv, .argc = r.argc, .raw = raw};
        if (!aside_at(s, at, &job))
            job.cmd = dispatch_row(s->loop, &job);
        args.len = 0;
        put_args(&args, &job);
        put_line(t, s, &args);
    }
    request_done(&r);
    free(args.p);
}

/* A command that only waits for EXEC is not run now. */
static bool is_queued(const struct session *s, const struct job *job)
{
    static const char *const at_once[] = {"multi", "exec", "discard", "watch", "quit", "reset"};

    if (!transaction_is_open(s))
        return false;
    for (size_t i = 0; job->cmd != NULL && i < sizeof at_once / sizeof at_once[0]; i++)
        if (strcmp(at_once[i], job->cmd->name) == 0)
            return false;
    return true;
}

/* ---- to the monitors ---- */

static struct monitors *monitors_of(struct loop *l)
{
    if (l->monitors == NULL)
        l->monitors = must(calloc(1, sizeof *l->monitors));
    return l->monitors;
}

/* Sending may close a monitor, which leaves the list then. */
static void tell_own(struct loop *l, struct slice lines)
{
    for (struct monitor *m = l->monitors->first, *next; m != NULL; m = next) {
        next = m->next;
        push_send(m->session, lines);
    }
}

static void take_batch(struct loop *l, void *own_batch)
{
    struct batch *b = own_batch;

    if (!l->closed && l->monitors != NULL)
        tell_own(l, (struct slice){b->text, b->len});
    free(b);
}

static void tell_others(struct loop *l, struct slice lines)
{
    struct loop *other;

    for (unsigned i = 0; (other = server_loop(l->server, i)) != NULL; i++) {
        if (other == l || atomic_load(&other->monitors_here) == 0)
            continue;
        struct batch *b = must(malloc(sizeof *b + lines.len));
        b->len = lines.len;
        memcpy(b->text, lines.p, lines.len);
        if (!loop_try_post(other, take_batch, b))
            free(b);
    }
}

void monitor_flush(struct loop *l)
{
    struct monitors *m = l->monitors;

    if (m == NULL || m->lines.len == 0)
        return;
    struct text lines = m->lines;
    m->lines = (struct text){0};
    tell_own(l, (struct slice){lines.p, lines.len});
    tell_others(l, (struct slice){lines.p, lines.len});
    free(lines.p);
}

bool monitor_watch(struct session *s, struct job *job, bool (*take)(struct session *s, struct job *job))
{
    struct loop *l = s->loop;
    struct text queued = {0}, args = {0};

    if (!is_queued(s, job)) {
        if (transaction_is_open(s) && job->cmd != NULL && strcmp(job->cmd->name, "exec") == 0)
            put_queued(&queued, s);
        put_args(&args, job); /* now: they may be gone afterwards */
    }
    bool waited = s->parked != NULL;
    bool taken = take(s, job);
    bool heard = !waited && (taken || s->parked != NULL); /* what waits for something to come is asked again and again */
    if (heard && queued.len > 0)
        put(&monitors_of(l)->lines, queued.p, queued.len);
    if (heard)
        put_line(&monitors_of(l)->lines, s, &args); /* with the database that a SELECT has chosen, as in Redis */
    free(queued.p);
    free(args.p);
    if (l->monitors != NULL && l->monitors->lines.len > FLUSH_BYTES)
        monitor_flush(l);
    return taken;
}

void monitor_free(struct loop *l)
{
    if (l->monitors != NULL)
        free(l->monitors->lines.p);
    free(l->monitors);
}

/* ---- who monitors ---- */

/* A second MONITOR is not answered, as in Redis. */
bool monitor_command(struct session *s, const struct job *job)
{
    if (s->in_flight > 0) {
        s->pauses |= PAUSE_ORDER;
        return false;
    }
    if (s->monitor != NULL)
        return true;
    struct monitors *all = monitors_of(s->loop);
    struct monitor *m = must(calloc(1, sizeof *m));
    m->session = s;
    m->next = all->first;
    m->back = &all->first;
    if (m->next != NULL)
        m->next->back = &m->next;
    all->first = s->monitor = m;
    atomic_fetch_add(&s->loop->monitors_here, 1);
    atomic_fetch_add(&count, 1);
    return local_ok(s);
}

void monitor_stop(struct session *s)
{
    struct monitor *m = s->monitor;

    if (m == NULL)
        return;
    *m->back = m->next;
    if (m->next != NULL)
        m->next->back = m->back;
    free(m);
    s->monitor = NULL;
    atomic_fetch_sub(&s->loop->monitors_here, 1);
    atomic_fetch_sub(&count, 1);
}

bool monitor_refuses(struct session *s, const struct job *job)
{
    if (!pause_may_write(job->cmd) && (job->cmd->flags & CMD_READONLY) == 0)
        return false;
    return local_error(s, "ERR Replica can't interact with the keyspace");
}
