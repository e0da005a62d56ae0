#include "proxy/login.h"

#include "proxy/acl_log.h"
#include "proxy/coded.h"
#include "proxy/dispatch.h"
#include "proxy/internal.h"
#include "proxy/server.h"
#include "proxy/topics.h"
#include "proxy/transaction.h"
#include "proxy/users.h"

#include <stdio.h>
#include <string.h>

/* ---- who ---- */

static bool is_open(const struct acl_user *u)
{
    return acl_user_is_on(u) && acl_user_needs_no_password(u);
}

bool login_needed(const struct session *s)
{
    return !s->known && !is_open(user_set_default(s->loop->users));
}

static void become(struct session *s, struct acl_user *u, bool known)
{
    s->user = u;
    s->known = known;
    s->guarded = login_needed(s) || !acl_user_may_all(u);
}

void login_reset(struct session *s)
{
    struct acl_user *u = user_set_default(s->loop->users);
    become(s, u, is_open(u));
}

void login_begin(struct session *s)
{
    login_reset(s);
}

void login_inside(struct session *s)
{
    s->known = true;
    s->guarded = false;
}

bool login_arrive(struct session *s, struct slice user, bool known)
{
    struct acl_user *u = user_set_find(s->loop->users, user);
    if (u != NULL)
        become(s, u, known);
    return u != NULL;
}

bool login_has_default_password(const struct session *s)
{
    return !acl_user_needs_no_password(user_set_default(s->loop->users));
}

/* NULL: there is no such user, or the password is wrong. Who does not exist takes as long as a wrong password. */
static struct acl_user *find_fitting(const struct session *s, struct slice user, struct slice password)
{
    struct acl_user *u = user_set_find(s->loop->users, user);
    const struct acl_user *asked = u != NULL ? u : user_set_default(s->loop->users);

    return acl_user_accepts(asked, password) ? u : NULL;
}

bool login_fits(const struct session *s, struct slice user, struct slice password)
{
    return find_fitting(s, user, password) != NULL;
}

bool login_would_let(const struct session *s, struct slice user, const struct job *job)
{
    struct acl_user *u = user_set_find(s->loop->users, user);
    size_t arg;

    return u != NULL && (acl_user_may_all(u) || acl_check(u, job->cmd, job->argv, job->argc, &arg) == ACL_ALLOWED);
}

const char *login_auth(struct session *s, struct slice verb, struct slice user, struct slice password)
{
    struct acl_user *u = find_fitting(s, user, password);

    if (u == NULL) {
        acl_log_add(s, ACL_REASON_AUTH, verb, user);
        return "WRONGPASS invalid username-password pair or user is disabled.";
    }
    become(s, u, true);
    return NULL;
}

/* ---- what ---- */

/* EXEC that may not be ends the transaction, as in Redis. */
static bool refuse(struct session *s, const struct job *job, const char *line)
{
    char abort_line[320], coded[320];

    line = coded_denial(s->loop, job, line, coded, sizeof coded);
    if (job->cmd != NULL)
        counter_add(&s->loop->stats->commands[job->cmd->id].errors, 1);
    if (job->cmd == NULL || strcmp(job->cmd->name, "exec") != 0) {
        local_error(s, line);
        return false;
    }
    transaction_drop(s);
    snprintf(abort_line, sizeof abort_line, "EXECABORT Transaction discarded because of: %s", line);
    local_error(s, abort_line);
    return false;
}

bool login_refuse(struct session *s, const struct job *job)
{
    return refuse(s, job, "NOAUTH Authentication required.");
}

static bool deny(struct session *s, const struct job *job, enum acl_verdict v, struct slice object)
{
    static const struct {
        enum acl_reason reason;
        const char *text;
    } denials[] = {
        [ACL_NO_COMMAND] = {ACL_REASON_COMMAND, "NOPERM this user has no permissions to run the '%s' command"},
        [ACL_NO_KEY] = {ACL_REASON_KEY, "NOPERM this user has no permissions to access one of the keys used as arguments"},
        [ACL_NO_CHANNEL] = {ACL_REASON_CHANNEL,
                            "NOPERM this user has no permissions to access one of the channels used as arguments"},
    };
    char line[160];

    acl_log_add(s, denials[v].reason, object, acl_user_name(s->user));
    if (v != ACL_NO_COMMAND)
        return refuse(s, job, denials[v].text);
    snprintf(line, sizeof line, "NOPERM this user has no permissions to run the '%s' command", job->cmd->name);
    return refuse(s, job, line);
}

static bool runs_script(const struct command *cmd)
{
    return (cmd->cats & CAT_SCRIPTING) != 0 && (strncmp(cmd->name, "eval", 4) == 0 || strncmp(cmd->name, "fcall", 5) == 0);
}

bool login_lets(struct session *s, const struct job *job)
{
    size_t arg;
    struct slice name = {job->cmd->name, strlen(job->cmd->name)};
    enum acl_verdict v = acl_check(s->user, job->cmd, job->argv, job->argc, &arg);

    switch (v) {
    case ACL_ALLOWED:
        break;
    case ACL_NO_COMMAND:
        return deny(s, job, v, name);
    case ACL_NO_KEY:
    case ACL_NO_CHANNEL:
        return deny(s, job, v, job->argv[arg]);
    case ACL_NO_SORT_BY:
        return refuse(s, job, "ERR BY option of SORT denied due to insufficient ACL permissions.");
    case ACL_NO_SORT_GET:
        return refuse(s, job, "ERR GET option of SORT denied due to insufficient ACL permissions.");
    }
    if (!runs_script(job->cmd) || s->loop->settings->acl_scripts == 1 || acl_user_may_all(s->user))
        return true;
    return refuse(s, job,
                  "NOPERM scripts have all rights of convproxy inside Redis: this user may not run them (setting acl.scripts)");
}

bool login_lets_still(struct session *s, const struct job *job)
{
    static const struct {
        enum acl_reason reason;
        const char *why;
    } denials[] = {
        [ACL_NO_COMMAND] = {ACL_REASON_COMMAND, "no permission to execute the command or subcommand"},
        [ACL_NO_KEY] = {ACL_REASON_KEY, "no permission to touch the specified keys"},
        [ACL_NO_CHANNEL] = {ACL_REASON_CHANNEL, "no permission to access one of the channels used as arguments to the command"},
        [ACL_NO_SORT_BY] = {ACL_REASON_KEY, "no permission"},
        [ACL_NO_SORT_GET] = {ACL_REASON_KEY, "no permission"},
    };
    struct slice object = {job->cmd->name, strlen(job->cmd->name)};
    char line[320];
    size_t arg;
    enum acl_verdict v = acl_check(s->user, job->cmd, job->argv, job->argc, &arg);

    if (v == ACL_ALLOWED)
        return true;
    if (v == ACL_NO_KEY || v == ACL_NO_CHANNEL)
        object = job->argv[arg];
    acl_log_add(s, denials[v].reason, object, acl_user_name(s->user));
    counter_add(&s->loop->stats->commands[job->cmd->id].errors, 1);
    snprintf(line, sizeof line,
             "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no "
             "longer allowed for the following reason: %s",
             denials[v].why);
    local_error(s, line);
    return false;
}

/* ---- users change ---- */

/* What waits for EXEC was allowed to the user that was. */
static void look_at_queue(struct session *s)
{
    struct slice rest = transaction_queued(s), raw;
    struct request r;
    size_t arg;

    request_init(&r);
    while (request_next(&r, &rest, &raw)) {
        struct job job = {.argv = r.argv, .argc = r.argc};
        const struct command *cmd = dispatch_row(s->loop, &job);
        if (cmd == NULL || acl_check(s->user, cmd, r.argv, r.argc, &arg) != ACL_ALLOWED)
            transaction_spoil(s);
    }
    request_done(&r);
}

/* A client that hears what its user may no longer hear. */
static bool hears_too_much(const struct session *s)
{
    for (int kind = 0; s->subs != NULL && kind < TOPIC_KINDS; kind++)
        for (const struct link *link = s->subs->links[kind]; link != NULL; link = link->of_next)
            if (!acl_channel(s->user, link->topic->name, kind == TOPIC_PATTERN))
                return true;
    return false;
}

static void refresh(struct session *s, const struct user_set *now)
{
    struct acl_user *before = s->user, *u = user_set_find(now, acl_user_name(before));

    if (u == NULL) {
        become(s, user_set_default(now), false);
        session_end(s);
        return;
    }
    become(s, u, s->known);
    if (u != before && s->guarded && transaction_is_open(s))
        look_at_queue(s);
    if (u != before && hears_too_much(s))
        session_end(s);
}

void login_refresh(struct loop *l, void *unused)
{
    struct user_set *old = l->users, *now = users_current(server_users(l->server));

    if (now == old || l->closed) {
        user_set_unref(now);
        return;
    }
    l->users = now;
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        refresh(s, now);
    }
    user_set_unref(old);
}

void login_done(struct loop *l)
{
    user_set_unref(l->users);
}
