#include "proxy/local.h"

#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/internal.h"
#include "proxy/login.h"
#include "proxy/monitor.h"
#include "proxy/pubsub.h"
#include "proxy/server.h"
#include "proxy/subscriber.h"
#include "proxy/tracking.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool local_ok(struct session *s)
{
    build_status(slot_answer(s), "OK");
    slot_answered(s);
    return true;
}

bool local_help(struct session *s, const char *const *lines, size_t n)
{
    struct chain *out = slot_answer(s);

    build_array(out, n);
    for (size_t i = 0; i < n; i++)
        build_status(out, lines[i]);
    slot_answered(s);
    return true;
}

bool local_error(struct session *s, const char *line)
{
    transaction_spoil(s);
    build_error(slot_answer(s), line);
    slot_answered(s);
    return true;
}

static bool refuse_sub(struct session *s, const struct job *job, const char *what)
{
    char line[256], upper[32];
    size_t n = job->argv[0].len < sizeof upper - 1 ? job->argv[0].len : sizeof upper - 1;

    for (size_t i = 0; i < n; i++) {
        char c = job->argv[0].p[i];
        upper[i] = (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    upper[n] = '\0';
    snprintf(line, sizeof line, "ERR unknown subcommand %s'%.*s'. Try %s HELP.", what,
             (int)(job->argv[1].len < 128 ? job->argv[1].len : 128), job->argv[1].p, upper);
    return local_error(s, line);
}

bool local_unknown_sub(struct session *s, const struct job *job)
{
    return refuse_sub(s, job, "");
}

bool local_bad_args(struct session *s, const struct job *job)
{
    return refuse_sub(s, job, "or wrong number of arguments for ");
}

void local_replied(struct session *s)
{
    unsigned this = (s->mute & MUTE_NEXT) != 0 ? MUTE_THIS : 0;
    s->mute = (uint8_t)((s->mute & MUTE_OFF) | this);
}

/* ---- PING, ECHO, QUIT, RESET, SELECT, AUTH ---- */

static bool do_ping(struct session *s, const struct job *job)
{
    if (job->argc > 2)
        return local_error(s, "ERR wrong number of arguments for 'ping' command");
    if (pubsub_answers_ping(s, job))
        return true;
    if (job->argc == 2)
        build_bulk(slot_answer(s), job->argv[1].p, job->argv[1].len);
    else
        build_status(slot_answer(s), "PONG");
    slot_answered(s);
    return true;
}

static bool do_echo(struct session *s, const struct job *job)
{
    build_bulk(slot_answer(s), job->argv[1].p, job->argv[1].len);
    slot_answered(s);
    return true;
}

static bool do_quit(struct session *s, const struct job *job)
{
    local_ok(s);
    session_end(s);
    return true;
}

static bool do_reset(struct session *s, const struct job *job)
{
    transaction_drop(s);
    subscriber_drop(s);
    monitor_stop(s);
    tracking_drop(s);
    s->db = 0;
    s->resp = RESP2;
    s->mute &= MUTE_THIS;
    free(s->name);
    s->name = NULL;
    login_reset(s);
    build_status(slot_answer(s), "RESET");
    slot_answered(s);
    return true;
}

static bool do_select(struct session *s, const struct job *job)
{
    struct probe_report report;
    int64_t db;

    if (!frame_count(job->argv[1].p, job->argv[1].len, &db))
        return local_error(s, "ERR value is not an integer or out of range");
    if (db < INT32_MIN || db > INT32_MAX)
        return local_error(
            s, "ERR value is out of range, value must between -2147483648 and 2147483647");
    server_redis(s->loop->server, &report);
    if (db < 0 || db >= report.databases)
        return local_error(s, "ERR DB index is out of range");
    if (s->pinned != NULL && db != s->db)
        return local_error(s, "ERR SELECT between WATCH and EXEC is not supported by convproxy yet");
    s->db = (int)db;
    return local_ok(s);
}

static bool do_auth(struct session *s, const struct job *job)
{
    struct slice user = {"default", 7};
    const char *error;

    if (job->argc > 3)
        return local_error(s, "ERR syntax error");
    if (job->argc == 2 && !login_has_default_password(s))
        return local_error(s, "ERR AUTH <password> called without any password configured for the default user. Are you "
                              "sure your configuration is correct?");
    if (job->argc == 3)
        user = job->argv[1];
    error = login_auth(s, job->argv[0], user, job->argv[job->argc - 1]);
    return error != NULL ? local_error(s, error) : local_ok(s);
}

/* ---- HELLO ---- */

struct hello {
    int64_t version;
    const char *error;
    char text[128]; /* room for an error that names something */
};

static const char bad_name[] = "ERR Client names cannot contain spaces, newlines or special characters.";

static bool valid_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] < '!' || name.p[i] > '~')
            return false;
    return true;
}

bool local_set_name(struct session *s, struct slice name)
{
    if (!valid_name(name))
        return false;
    free(s->name);
    s->name = name.len > 0 ? strndup(name.p, name.len) : NULL;
    return true;
}

static const char no_auth[] =
    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used "
    "to authenticate the client and select the RESP protocol version at the same time";

/* A name is set and a user logged in as soon as they are met, also when what follows is wrong. */
static void read_hello(struct session *s, const struct job *job, struct hello *h)
{
    if (job->argc > 1 && !frame_number(job->argv[1].p, job->argv[1].len, &h->version)) {
        h->error = "ERR Protocol version is not an integer or out of range";
        return;
    }
    if (h->version < 2 || h->version > 3) {
        h->error = "NOPROTO unsupported protocol version";
        return;
    }
    for (size_t i = 2; i < job->argc && h->error == NULL; i++) {
        size_t more = job->argc - 1 - i;
        if (slice_is(job->argv[i], "AUTH") && more >= 2) {
            h->error = login_auth(s, job->argv[0], job->argv[i + 1], job->argv[i + 2]);
            i += 2;
        } else if (slice_is(job->argv[i], "SETNAME") && more >= 1) {
            if (!local_set_name(s, job->argv[++i]))
                h->error = bad_name;
        } else {
            snprintf(h->text, sizeof h->text, "ERR Syntax error in HELLO option '%.*s'",
                     (int)(job->argv[i].len < 64 ? job->argv[i].len : 64), job->argv[i].p);
            h->error = h->text;
        }
    }
}

static void tell_hello(struct session *s)
{
    struct probe_report report;
    struct chain *out = slot_answer(s);

    server_redis(s->loop->server, &report);
    build_map(out, s->resp, 7);
    build_text(out, "server");
    build_text(out, "redis");
    build_text(out, "version");
    build_text(out, report.version[0] != '\0' ? report.version : "7.0.0");
    build_text(out, "proto");
    build_int(out, (int)s->resp);
    build_text(out, "id");
    build_int(out, (int64_t)s->id);
    build_text(out, "mode");
    build_text(out, "standalone");
    build_text(out, "role");
    build_text(out, "master");
    build_text(out, "modules");
    build_array(out, 0);
    slot_answered(s);
}

static bool do_hello(struct session *s, const struct job *job)
{
    struct hello h = {.version = (int64_t)s->resp};

    read_hello(s, job, &h);
    if (h.error == NULL && login_needed(s))
        h.error = no_auth;
    if (h.error != NULL)
        return local_error(s, h.error);
    if (s->pinned != NULL && h.version != (int64_t)s->resp)
        return local_error(s, "ERR HELLO between WATCH and EXEC is not supported by convproxy yet");
    s->resp = h.version == 3 ? RESP3 : RESP2;
    tell_hello(s);
    return true;
}

/* ---- the table ---- */

/* Inside MULTI. */
enum in_multi {
    WAITS,   /* for EXEC; the proxy answers it then, see proxy/aside */
    QUEUED,  /* for EXEC, as a part of the transaction: whoever runs that answers it */
    AT_ONCE, /* it runs, as in Redis */
    REFUSED,
};

static const struct {
    const char *name; /* a row of route LOCAL, without its subcommand */
    bool (*fn)(struct session *s, const struct job *job);
    enum in_multi in_multi;
} handlers[] = {
    {"acl", local_acl, WAITS},
    {"auth", do_auth, WAITS},
    {"client", local_client, WAITS},
    {"command", local_commands, QUEUED},
    {"config", local_config, WAITS},
    {"conv", local_conv, REFUSED},
    {"echo", do_echo, QUEUED},
    {"hello", do_hello, WAITS},
    {"info", local_info, WAITS},
    {"monitor", monitor_command, WAITS},
    {"ping", do_ping, QUEUED},
    {"quit", do_quit, AT_ONCE},
    {"reset", do_reset, AT_ONCE},
    {"select", do_select, WAITS},
    {"slowlog", local_slowlog, WAITS},
};

#define HANDLERS (sizeof handlers / sizeof handlers[0])

/* Rows are found by the name before any '|'. Every row of route LOCAL has one: tests/unit/proxy/test_tables.c */
static size_t find(const struct command *cmd)
{
    size_t len = strcspn(cmd->name, "|"), i = 0;
    while (i < HANDLERS && (strncmp(handlers[i].name, cmd->name, len) != 0 || handlers[i].name[len] != '\0'))
        i++;
    return i;
}

bool local_handles(const struct command *cmd)
{
    return find(cmd) < HANDLERS;
}

bool local_command(struct session *s, const struct job *job)
{
    return handlers[find(job->cmd)].fn(s, job);
}

static bool refuse_in_multi(struct session *s, const struct job *job)
{
    char line[96];

    snprintf(line, sizeof line, "ERR '%s' inside MULTI is not supported by convproxy", job->cmd->name);
    return local_error(s, line);
}

bool local_in_multi(struct session *s, const struct job *job)
{
    size_t i = find(job->cmd);

    if (job->cmd->container && job->argc > 1 && handlers[i].in_multi != QUEUED)
        return local_unknown_sub(s, job);
    if (tracking_is_about(job->cmd))
        return tracking_in_multi(s, job) || refuse_in_multi(s, job);
    switch (handlers[i].in_multi) {
    case WAITS:
        aside_takes(s, job);
        return true;
    case QUEUED:
        transaction_queue(s, job);
        return true;
    case AT_ONCE:
        return handlers[i].fn(s, job);
    case REFUSED:
        break;
    }
    return refuse_in_multi(s, job);
}
