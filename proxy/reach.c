#include "proxy/reach.h"

#include "proxy/clients.h"
#include "proxy/internal.h"
#include "proxy/round.h"
#include "proxy/slot.h"
#include "proxy/users.h"
#include "proxy/waiting.h"
#include "resp/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum act { ACT_KILL, ACT_UNBLOCK, ACT_UNBLOCK_ERROR };

struct reach {
    struct round round; /* first: visits get it */
    struct slot *slot;  /* of the one who asks */
    uint64_t asker_id;
    enum act act;
    int64_t id;               /* 0: any */
    char addr[64], laddr[64]; /* "": any */
    char *user;               /* NULL: any */
    enum client_type type;
    bool nobody; /* what is asked for, nobody has */
    bool skip_me;
    bool old_form; /* CLIENT KILL addr: OK, or an error */
    bool me;       /* the asker is one of them: it ends when it was answered */
    int64_t found;
    char error[160]; /* "": the arguments are right */
};

/* ---- what is meant ---- */

static bool is_meant(const struct reach *r, const struct session *s)
{
    if (r->nobody || (r->skip_me && s->id == r->asker_id) || s->ending)
        return false;
    return clients_are(s, r->type) && (r->user == NULL || strcmp(r->user, acl_user_name(s->user).p) == 0) && (r->id == 0 || (uint64_t)r->id == s->id) &&
           (r->addr[0] == '\0' || strcmp(r->addr, s->addr) == 0) &&
           (r->laddr[0] == '\0' || strcmp(r->laddr, s->laddr) == 0);
}

static void act_on(struct reach *r, struct session *s)
{
    if (r->act != ACT_KILL) {
        r->found += waiting_unblock(s, r->act == ACT_UNBLOCK_ERROR);
        return;
    }
    r->found++;
    if (s->id == r->asker_id)
        r->me = true;
    else
        session_close(s, "CLIENT KILL");
}

/* ---- from loop to loop ---- */

static void reach_free(struct reach *own_r)
{
    free(own_r->user);
    free(own_r);
}

static void answer(struct reach *own_r)
{
    struct slot *slot = own_r->slot;
    struct session *s = slot->session;

    if (own_r->old_form && own_r->found == 0)
        build_error(&slot->reply, "ERR No such client");
    else if (own_r->old_form)
        build_status(&slot->reply, "OK");
    else
        build_int(&slot->reply, own_r->found);
    if (own_r->me && s != NULL && !s->stream.closing)
        session_end(s); /* its answer is still owed */
    slot_complete(slot);
    reach_free(own_r);
}

static void drop(struct round *own_r)
{
    reach_free((struct reach *)own_r);
}

static void visit(struct loop *l, struct round *round)
{
    struct reach *r = (struct reach *)round;

    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (is_meant(r, s))
            act_on(r, s);
    }
    if (l == round->asker)
        answer(r);
}

static struct reach *reach_new(struct session *s, enum act act)
{
    struct reach *r = calloc(1, sizeof *r);
    if (r == NULL)
        abort();
    r->round = (struct round){.asker = s->loop, .visit = visit, .drop = drop};
    r->asker_id = s->id;
    r->act = act;
    return r;
}

static bool start(struct session *s, const struct job *job, struct reach *own_r)
{
    if (own_r->error[0] != '\0') {
        local_error(s, own_r->error);
        reach_free(own_r);
        return true;
    }
    own_r->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot_defer(own_r->slot, s->current);
    round_start(&own_r->round);
    return true;
}

/* ---- CLIENT UNBLOCK id [TIMEOUT|ERROR] ---- */

bool reach_unblock(struct session *s, const struct job *job)
{
    struct reach *r = reach_new(s, ACT_UNBLOCK);

    if (job->argc > 4)
        snprintf(r->error, sizeof r->error,
                 "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try CLIENT HELP.",
                 (int)job->argv[1].len, job->argv[1].p);
    else if (job->argc == 4 && slice_is(job->argv[3], "error"))
        r->act = ACT_UNBLOCK_ERROR;
    else if (job->argc == 4 && !slice_is(job->argv[3], "timeout"))
        snprintf(r->error, sizeof r->error, "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");
    if (r->error[0] == '\0' && !frame_number(job->argv[2].p, job->argv[2].len, &r->id))
        snprintf(r->error, sizeof r->error, "ERR value is not an integer or out of range");
    r->nobody = r->id <= 0;
    return start(s, job, r);
}

/* ---- CLIENT KILL addr | [ID id] [ADDR addr] [LADDR addr] [TYPE type] [USER name] [SKIPME yes|no] ---- */

static void take_text(char *to, size_t cap, struct slice text)
{
    snprintf(to, cap, "%.*s", (int)(text.len < cap ? text.len : cap - 1), text.p);
}

static void take_type(struct reach *r, struct slice type)
{
    r->type = clients_type(type);
    if (r->type == CLIENTS_UNKNOWN)
        snprintf(r->error, sizeof r->error, "ERR Unknown client type '%.*s'",
                 (int)(type.len < 64 ? type.len : 64), type.p);
}

static void take_user(struct reach *r, struct slice name)
{
    free(r->user);
    r->user = strndup(name.p, name.len);
    if (r->user == NULL)
        abort();
}

static void take_filter(struct reach *r, struct slice name, struct slice value)
{
    if (slice_is(name, "id")) {
        if (!frame_number(value.p, value.len, &r->id) || r->id < 1)
            snprintf(r->error, sizeof r->error, "ERR client-id should be greater than 0");
    } else if (slice_is(name, "type")) {
        take_type(r, value);
    } else if (slice_is(name, "addr")) {
        take_text(r->addr, sizeof r->addr, value);
    } else if (slice_is(name, "laddr")) {
        take_text(r->laddr, sizeof r->laddr, value);
    } else if (slice_is(name, "user")) {
        if (user_set_find(r->round.asker->users, value) != NULL)
            take_user(r, value);
        else
            snprintf(r->error, sizeof r->error, "ERR No such user '%.*s'",
                     (int)(value.len < 64 ? value.len : 64), value.p);
    } else if (slice_is(name, "skipme") && (slice_is(value, "yes") || slice_is(value, "no"))) {
        r->skip_me = slice_is(value, "yes");
    } else {
        snprintf(r->error, sizeof r->error, "ERR syntax error");
    }
}

bool reach_kill(struct session *s, const struct job *job)
{
    struct reach *r = reach_new(s, ACT_KILL);

    if (job->argc == 3) {
        r->old_form = true;
        take_text(r->addr, sizeof r->addr, job->argv[2]);
        r->nobody = r->addr[0] == '\0';
        return start(s, job, r);
    }
    r->skip_me = true;
    if (job->argc % 2 != 0)
        snprintf(r->error, sizeof r->error, "ERR syntax error");
    for (size_t i = 2; i + 1 < job->argc && r->error[0] == '\0'; i += 2)
        take_filter(r, job->argv[i], job->argv[i + 1]);
    return start(s, job, r);
}
