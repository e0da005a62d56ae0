#include "proxy/aside.h"

#include "proxy/internal.h"
#include "proxy/local.h"
#include "proxy/reader.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <stdlib.h>
#include <string.h>

struct item {
    struct item *next;
    size_t at; /* position between MULTI and EXEC */
    const struct command *cmd;
    size_t argc;
    struct slice *argv; /* behind it, with the bytes */
};

struct aside {
    struct item *head, **tail;
    size_t n;
    int db; /* before MULTI */
    bool sent;
};

void aside_forget(struct session *s)
{
    struct aside *a = s->aside;

    if (a == NULL)
        return;
    s->aside = NULL;
    for (struct item *i = a->head, *next; i != NULL; i = next) {
        next = i->next;
        free(i);
    }
    free(a);
}

void aside_drop(struct session *s)
{
    if (s->aside == NULL || s->aside->sent)
        return;
    s->db = s->aside->db;
    aside_forget(s);
}

/* ---- while MULTI is open ---- */

static struct aside *of(struct session *s)
{
    if (s->aside == NULL) {
        s->aside = calloc(1, sizeof *s->aside);
        if (s->aside == NULL)
            abort();
        s->aside->tail = &s->aside->head;
        s->aside->db = s->db;
    }
    return s->aside;
}

static struct item *keep(const struct job *job)
{
    size_t bytes = 0;

    for (size_t i = 0; i < job->argc; i++)
        bytes += job->argv[i].len;
    struct item *item = malloc(sizeof *item + job->argc * sizeof *item->argv + bytes);
    if (item == NULL)
        abort();
    *item = (struct item){.cmd = job->cmd, .argc = job->argc, .argv = (struct slice *)(item + 1)};
    char *at = (char *)(item->argv + job->argc);
    for (size_t i = 0; i < job->argc; i++) {
        item->argv[i] = (struct slice){memcpy(at, job->argv[i].p, job->argv[i].len), job->argv[i].len};
        at += job->argv[i].len;
    }
    return item;
}

/* The PING is queued as any other command; what that has answered stands, too, when it was refused. */
static void queue(struct session *s, const struct job *job)
{
    static const char ping[] = "*1\r\n$4\r\nPING\r\n";
    const struct slice verb = {"ping", 4};
    struct job place = {.cmd = command_find(verb), .argv = &verb, .argc = 1, .raw = {ping, sizeof ping - 1}};
    size_t at = transaction_length(s);
    struct aside *a = of(s);

    transaction_queue(s, &place);
    if (transaction_length(s) == at)
        return;
    struct item *item = keep(job);
    item->at = at;
    *a->tail = item;
    a->tail = &item->next;
    a->n++;
}

/* An error line; NULL: the transaction may go there. What is no number, or no database, EXEC says. */
static const char *select_now(struct session *s, const struct job *job)
{
    struct probe_report report;
    int64_t db;

    server_redis(s->loop->server, &report);
    if (!frame_count(job->argv[1].p, job->argv[1].len, &db) || db < 0 || db >= report.databases ||
        db == s->db)
        return NULL;
    if (transaction_length(s) > of(s)->n || s->pinned != NULL || s->watched != NULL)
        return "ERR SELECT of another database inside MULTI must come before the commands that use it, and "
               "without WATCH: "
               "convproxy sends a transaction to one database";
    s->db = (int)db;
    return NULL;
}

bool aside_takes(struct session *s, const struct job *job)
{
    static const char *const names[] = {"client|getname", "client|getredir", "client|help",    "client|id",
                                        "client|info",    "client|no-evict", "client|setname", "select"};
    size_t i = 0, n = sizeof names / sizeof names[0];

    while (i < n && strcmp(names[i], job->cmd->name) != 0)
        i++;
    if (i == n)
        return false;
    of(s); /* knows the database from before SELECT */
    const char *error = strcmp(job->cmd->name, "select") == 0 ? select_now(s, job) : NULL;
    if (error != NULL)
        local_error(s, error);
    else
        queue(s, job);
    return true;
}

/* ---- EXEC ---- */

/* What the command's handler answers now, in its place. */
static void answer(struct session *s, const struct item *item, struct chain *out)
{
    struct job job = {.cmd = item->cmd, .argv = item->argv, .argc = item->argc, .inline_ = true};

    s->mute |= MUTE_KEPT;
    local_command(s, &job);
    s->mute &= (uint8_t)~MUTE_KEPT;
    chain_move(out, &s->loop->unheard);
}

static bool is_list(struct slice reply)
{
    return reply.len > 2 && reply.p[0] == '*' && reply.p[1] != '-';
}

static bool exec_over(struct slot *slot)
{
    struct session *s = slot->session;
    struct reader r = {chain_flat(&slot->reply)};
    struct chain out;

    if (s == NULL)
        return false;
    const struct item *item = s->aside->head;
    if (!is_list(r.rest)) {
        s->db = s->aside->db; /* nothing has run */
        aside_forget(s);
        return false;
    }
    chain_init(&out, slot->reply.pool);
    size_t n = (size_t)reader_enter(&r);
    build_array(&out, n);
    for (size_t i = 0; i < n; i++) {
        struct slice value = reader_next(&r);
        if (item == NULL || item->at != i) {
            chain_put(&out, value.p, value.len);
            continue;
        }
        answer(s, item, &out);
        item = item->next;
    }
    chain_clear(&slot->reply);
    slot->reply = out;
    aside_forget(s);
    return false;
}

void aside_sent(struct slot *slot)
{
    struct session *s = slot->session;

    slot->then = exec_over;
    s->aside->sent = true;
    session_pause(s, PAUSE_ORDER);
}
