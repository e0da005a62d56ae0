#include "proxy/aside.h"

#include "proxy/internal.h"
#include "proxy/local.h"
#include "proxy/login.h"
#include "proxy/pubsub.h"
#include "proxy/reader.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <stddef.h>
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
    enum resp resp; /* before MULTI */
    char *user;     /* that a queued AUTH will make of the client; NULL: it stays who it is */
    bool sent, queueing;
    /* from here on, once EXEC was answered: */
    struct slot *exec;
    const struct item *next;
    struct reader rest; /* of EXEC's reply, in exec->reply */
    size_t at, count;
    struct chain out; /* what the client gets instead */
    bool silent;      /* CLIENT REPLY OFF */
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
    if (a->exec != NULL)
        chain_clear(&a->out);
    free(a->user);
    free(a);
}

static void put_back(struct session *s)
{
    s->db = s->aside->db;
    s->resp = s->aside->resp;
    aside_forget(s);
}

void aside_drop(struct session *s)
{
    if (s->aside != NULL && !s->aside->sent)
        put_back(s);
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
        s->aside->resp = s->resp;
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

    a->queueing = true;
    transaction_queue(s, &place);
    a->queueing = false;
    if (transaction_length(s) == at)
        return;
    struct item *item = keep(job);
    item->at = at;
    *a->tail = item;
    a->tail = &item->next;
    a->n++;
}

bool aside_at(const struct session *s, size_t at, struct job *ret_job)
{
    const struct item *item = s->aside != NULL ? s->aside->head : NULL;

    while (item != NULL && item->at != at)
        item = item->next;
    if (item != NULL)
        *ret_job = (struct job){.cmd = item->cmd, .argv = item->argv, .argc = item->argc};
    return item != NULL;
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

/* The same of HELLO. Redis would tell in one protocol what stands before it and in another what stands behind. */
static const char *hello_now(struct session *s, const struct job *job)
{
    int64_t version;

    if (job->argc < 2 || !frame_number(job->argv[1].p, job->argv[1].len, &version) || version < 2 || version > 3 ||
        version == (int64_t)s->resp)
        return NULL;
    if (job->argc > 2 || transaction_length(s) > of(s)->n || s->pinned != NULL || s->watched != NULL)
        return "ERR HELLO with another protocol inside MULTI must come alone, before the commands that use keys, and "
               "without WATCH: convproxy sends a transaction in one protocol";
    s->resp = version == 3 ? RESP3 : RESP2;
    return NULL;
}

/* The user and password of an AUTH, or of a HELLO with one. False: there is none. */
static bool find_login(const struct job *job, struct slice *ret_user, struct slice *ret_password)
{
    size_t at = 1;

    if (strcmp(job->cmd->name, "hello") == 0) {
        for (at = 2; at < job->argc && !slice_is(job->argv[at], "AUTH"); at++)
            ;
        at++;
        if (at + 1 >= job->argc)
            return false;
    }
    bool named = at > 1 || job->argc > 2;
    *ret_user = named ? job->argv[at] : (struct slice){"default", 7};
    *ret_password = job->argv[named ? at + 1 : at];
    return true;
}

static void login_later(struct session *s, const struct job *job)
{
    struct slice user, password;

    if (!find_login(job, &user, &password) || !login_fits(s, user, password))
        return;
    free(of(s)->user);
    of(s)->user = strndup(user.p, user.len);
}

static const char *prepare(struct session *s, const struct job *job)
{
    const char *error = NULL;

    of(s); /* knows what was before */
    if (strcmp(job->cmd->name, "select") == 0)
        return select_now(s, job);
    if (strcmp(job->cmd->name, "hello") == 0)
        error = hello_now(s, job);
    if (error == NULL && (strcmp(job->cmd->name, "auth") == 0 || strcmp(job->cmd->name, "hello") == 0))
        login_later(s, job);
    return error;
}

void aside_takes(struct session *s, const struct job *job)
{
    const char *error = prepare(s, job);

    if (error != NULL)
        local_error(s, error);
    else
        queue(s, job);
}

bool aside_denies(struct session *s, const struct job *job)
{
    struct aside *a = s->aside;

    if (a->queueing || a->user == NULL || job->cmd == NULL || login_would_let(s, (struct slice){a->user, strlen(a->user)}, job))
        return false;
    queue(s, job);
    return true;
}

/* ---- EXEC ---- */

static const struct {
    const char *name, *line;
} impossible[] = {
    {"monitor", "ERR MONITOR isn't allowed for DENY BLOCKING client"},
    {"ssubscribe", "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client"},
};

static const char *why_never(const struct command *cmd)
{
    for (size_t i = 0; i < sizeof impossible / sizeof impossible[0]; i++)
        if (strcmp(impossible[i].name, cmd->name) == 0)
            return impossible[i].line;
    return NULL;
}

/* False: it must wait. */
static bool call(struct session *s, const struct job *job)
{
    const char *line = why_never(job->cmd);

    if (line != NULL)
        return local_error(s, line);
    if (s->guarded && !login_lets_still(s, job))
        return true;
    if (job->cmd->route == ROUTE_LOCAL)
        return local_command(s, job);
    if (job->cmd->route == ROUTE_PUBSUB)
        return pubsub_command(s, job);
    return local_error(s, "TRYAGAIN the rights of the user have changed since the command was queued"); /* aside_denies */
}

/* CLIENT REPLY is heeded at once; messages are told all the same. */
static void tell(struct session *s, const struct item *item, struct chain *own_reply)
{
    struct aside *a = s->aside;

    if (strcmp(item->cmd->name, "client|reply") == 0 && slice_is(item->argv[2], "on"))
        a->silent = false;
    if (item->cmd->route == ROUTE_PUBSUB || !a->silent)
        chain_move(&a->out, own_reply);
    chain_clear(own_reply);
    a->silent |= (s->mute & MUTE_OFF) != 0 || s->ending;
}

static bool item_over(struct slot *slot);

/* The command's handler, as if EXEC were over: its answer stands in loop.unheard, or comes in a slot behind EXEC's. False: that. */
static bool answer(struct session *s, const struct item *item)
{
    struct job job = {.cmd = item->cmd, .argv = item->argv, .argc = item->argc, .inline_ = true};
    struct slot **end = s->tail;
    size_t others = s->in_flight; /* EXEC itself, and what the archive has not answered of before it: nothing that this waits for */

    s->in_flight = 0;
    s->mute |= MUTE_KEPT;
    bool taken = call(s, &job);
    s->mute &= (uint8_t)~MUTE_KEPT;
    s->in_flight += others;
    s->last_command = item->cmd->name;
    if (s->tail == end) {
        if (!taken)
            build_error(&s->loop->unheard, "TRYAGAIN Redis could not be asked just then");
        tell(s, item, &s->loop->unheard);
        return true;
    }
    struct slot *slot = (struct slot *)((char *)s->tail - offsetof(struct slot, next));
    slot->muted = false;
    slot->then = item_over;
    slot->ctx = s->aside->exec;
    return false;
}

/* The rest of EXEC's elements. False: an answer must be waited for. */
static bool go_on(struct session *s)
{
    struct aside *a = s->aside;

    while (a->at < a->count) {
        struct slice value = reader_next(&a->rest);
        const struct item *item = a->next;
        size_t at = a->at++;
        if (item == NULL || item->at != at) {
            if (!a->silent)
                chain_put(&a->out, value.p, value.len);
            continue;
        }
        a->next = item->next;
        if (!answer(s, item))
            return false;
    }
    chain_clear(&a->exec->reply);
    chain_move(&a->exec->reply, &a->out);
    aside_forget(s);
    local_replied(s); /* CLIENT REPLY SKIP is about the next request */
    return true;
}

/* slot->ctx is EXEC's. */
static bool item_over(struct slot *slot)
{
    struct slot *exec = slot->ctx;
    struct session *s = slot->session;

    exec->then = NULL;
    if (s == NULL) {
        slot_complete(exec);
        return false;
    }
    const struct item *item = s->aside->head;
    while (item->next != s->aside->next)
        item = item->next;
    tell(s, item, &slot->reply);
    slot_take_back(slot);
    if (go_on(s))
        slot_complete(exec);
    return true;
}

static bool is_list(struct slice reply)
{
    return reply.len > 2 && reply.p[0] == '*' && reply.p[1] != '-';
}

/* Nothing has run. HELLO has not, either: a nil is told in the protocol of before. */
static void not_run(struct session *s, struct slot *slot)
{
    struct slice reply = chain_flat(&slot->reply);
    bool nil = slice_is(reply, "_\r\n") || slice_is(reply, "*-1\r\n");

    put_back(s);
    if (!nil)
        return;
    chain_clear(&slot->reply);
    build_null_array(&slot->reply, s->resp);
}

static bool exec_over(struct slot *slot)
{
    struct session *s = slot->session;

    if (s == NULL)
        return false;
    struct aside *a = s->aside;
    a->rest.rest = chain_flat(&slot->reply);
    if (!is_list(a->rest.rest)) {
        not_run(s, slot);
        return false;
    }
    a->exec = slot;
    a->next = a->head;
    a->silent = slot->muted;
    a->count = (size_t)reader_enter(&a->rest);
    chain_init(&a->out, slot->reply.pool);
    if (!a->silent)
        build_array(&a->out, a->count);
    slot->muted = false;
    slot->partial = true; /* messages of a channel that is subscribed here come behind it */
    return !go_on(s);
}

void aside_sent(struct slot *slot)
{
    struct session *s = slot->session;

    slot->then = exec_over;
    s->aside->sent = true;
    session_pause(s, PAUSE_ORDER);
}
