#include "proxy/internal.h"

#include "base/secret.h"
#include "proxy/acl_log.h"
#include "proxy/dispatch.h"
#include "proxy/login.h"
#include "proxy/round.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/users.h"
#include "resp/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GENPASS_BITS 256
#define GENPASS_MOST 4096

static bool wrong_form(struct session *s, const struct job *job)
{
    char line[256];
    snprintf(line, sizeof line, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try ACL HELP.",
             (int)(job->argv[1].len < 128 ? job->argv[1].len : 128), job->argv[1].p);
    return local_error(s, line);
}

static void put_own_text(struct chain *out, char *own_text)
{
    build_text(out, own_text);
    free(own_text);
}

/* ---- changes: answered when every loop has taken them ---- */

struct spread {
    struct round round; /* first: visits get it */
    struct slot *slot;
    int64_t removed; /* -1: OK is the answer */
};

static void drop(struct round *own_r)
{
    free(own_r);
}

static void visit(struct loop *l, struct round *round)
{
    struct spread *own = (struct spread *)round;

    login_refresh(l, NULL);
    if (l != round->asker)
        return;
    if (own->removed >= 0)
        build_int(&own->slot->reply, own->removed);
    else
        build_status(&own->slot->reply, "OK");
    slot_complete(own->slot);
    free(own);
}

/* The asker's loop sees it at once: what this client sends next must meet the new rules. */
static bool spread(struct session *s, const struct job *job, int64_t removed)
{
    struct spread *own = calloc(1, sizeof *own);
    if (own == NULL)
        abort();
    own->round = (struct round){.asker = s->loop, .visit = visit, .drop = drop};
    own->removed = removed;
    own->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot_defer(own->slot, s->current);
    login_refresh(s->loop, NULL);
    round_start(&own->round);
    return true;
}

bool local_users_changed(struct session *s, const struct job *job)
{
    return spread(s, job, -1);
}

static bool refused(struct session *s, char *own_why)
{
    local_error(s, own_why);
    free(own_why);
    return true;
}

static bool do_setuser(struct session *s, const struct job *job)
{
    char *why;
    if (!users_put(server_users(s->loop->server), job->argv[2], job->argv + 3, job->argc - 3, s->loop->learned, &why))
        return refused(s, why);
    return spread(s, job, -1);
}

static bool do_deluser(struct session *s, const struct job *job)
{
    for (size_t i = 2; i < job->argc; i++)
        if (job->argv[i].len == 7 && memcmp(job->argv[i].p, "default", 7) == 0)
            return local_error(s, "ERR The 'default' user cannot be removed");
    return spread(s, job, (int64_t)users_remove(server_users(s->loop->server), job->argv + 2, job->argc - 2));
}

static bool do_load(struct session *s, const struct job *job)
{
    char *why;
    if (!users_load(server_users(s->loop->server), s->loop->learned, &why))
        return refused(s, why);
    return spread(s, job, -1);
}

static bool do_save(struct session *s, const struct job *job)
{
    char *why;
    return users_save(server_users(s->loop->server), &why) ? local_ok(s) : refused(s, why);
}

/* ---- questions ---- */

static bool do_whoami(struct session *s, const struct job *job)
{
    struct slice name = acl_user_name(s->user);
    build_bulk(slot_answer(s), name.p, name.len);
    slot_answered(s);
    return true;
}

static bool do_list(struct session *s, const struct job *job)
{
    const struct user_set *users = s->loop->users;
    struct chain *out = slot_answer(s);

    build_array(out, user_set_count(users));
    for (size_t i = 0; i < user_set_count(users); i++)
        put_own_text(out, acl_line(user_set_at(users, i)));
    slot_answered(s);
    return true;
}

static bool do_users(struct session *s, const struct job *job)
{
    const struct user_set *users = s->loop->users;
    struct chain *out = slot_answer(s);

    build_array(out, user_set_count(users));
    for (size_t i = 0; i < user_set_count(users); i++) {
        struct slice name = acl_user_name(user_set_at(users, i));
        build_bulk(out, name.p, name.len);
    }
    slot_answered(s);
    return true;
}

static void put_selector(struct chain *out, const struct acl_user *u, size_t selector)
{
    build_text(out, "commands");
    put_own_text(out, acl_commands(u, selector));
    build_text(out, "keys");
    put_own_text(out, acl_keys(u, selector));
    build_text(out, "channels");
    put_own_text(out, acl_channels(u, selector));
}

static bool do_getuser(struct session *s, const struct job *job)
{
    const struct acl_user *u = user_set_find(s->loop->users, job->argv[2]);
    struct chain *out = slot_answer(s);

    if (u == NULL) {
        build_null(out, s->resp);
        slot_answered(s);
        return true;
    }
    build_map(out, s->resp, 6);
    build_text(out, "flags");
    build_set(out, s->resp, acl_flag_count(u));
    for (size_t i = 0; i < acl_flag_count(u); i++)
        build_text(out, acl_flag(u, i));
    build_text(out, "passwords");
    build_array(out, acl_password_count(u));
    for (size_t i = 0; i < acl_password_count(u); i++)
        build_text(out, acl_password(u, i));
    put_selector(out, u, 0);
    build_text(out, "selectors");
    build_array(out, acl_selector_count(u) - 1);
    for (size_t i = 1; i < acl_selector_count(u); i++) {
        build_map(out, s->resp, 3);
        put_selector(out, u, i);
    }
    slot_answered(s);
    return true;
}

static bool do_cat(struct session *s, const struct job *job)
{
    struct chain *out;
    size_t count = 0;
    char line[192];

    if (job->argc > 3)
        return wrong_form(s, job);
    if (job->argc == 2) {
        while (command_cat_name((unsigned)count) != NULL)
            count++;
        build_array(out = slot_answer(s), count);
        for (unsigned bit = 0; bit < count; bit++)
            build_text(out, command_cat_name(bit) + 1);
        slot_answered(s);
        return true;
    }
    uint32_t cat = acl_category(job->argv[2]);
    if (cat == 0) {
        snprintf(line, sizeof line, "ERR Unknown category '%.*s'", (int)(job->argv[2].len < 128 ? job->argv[2].len : 128),
                 job->argv[2].p);
        return local_error(s, line);
    }
    for (uint16_t id = 0; id < command_count(); id++)
        count += (command_at(id)->cats & cat) != 0;
    build_array(out = slot_answer(s), count);
    for (uint16_t id = 0; id < command_count(); id++)
        if ((command_at(id)->cats & cat) != 0)
            build_text(out, command_at(id)->name);
    slot_answered(s);
    return true;
}

static bool answer_dryrun(struct session *s, const struct job *asked, enum acl_verdict v, size_t arg)
{
    char text[400];
    struct slice object = asked->argv[arg];
    int len = (int)(object.len < 256 ? object.len : 256);

    switch (v) {
    case ACL_ALLOWED:
    case ACL_NO_SORT_BY: /* SORT itself would say so */
    case ACL_NO_SORT_GET:
        return local_ok(s);
    case ACL_NO_COMMAND:
        snprintf(text, sizeof text, "This user has no permissions to run the '%s' command", asked->cmd->name);
        break;
    case ACL_NO_KEY:
        snprintf(text, sizeof text, "This user has no permissions to access the '%.*s' key", len, object.p);
        break;
    case ACL_NO_CHANNEL:
        snprintf(text, sizeof text, "This user has no permissions to access the '%.*s' channel", len, object.p);
        break;
    }
    build_text(slot_answer(s), text);
    slot_answered(s);
    return true;
}

static bool do_dryrun(struct session *s, const struct job *job)
{
    const struct acl_user *u = user_set_find(s->loop->users, job->argv[2]);
    struct job asked = {.argv = job->argv + 3, .argc = job->argc - 3};
    char line[256];
    size_t arg;

    if (u == NULL) {
        snprintf(line, sizeof line, "ERR User '%.*s' not found", (int)(job->argv[2].len < 128 ? job->argv[2].len : 128),
                 job->argv[2].p);
        return local_error(s, line);
    }
    asked.cmd = dispatch_row(s->loop, &asked);
    if (asked.cmd == NULL || (asked.cmd->container && asked.argc > 1)) {
        snprintf(line, sizeof line, "ERR Command '%.*s' not found", (int)(asked.argv[0].len < 128 ? asked.argv[0].len : 128),
                 asked.argv[0].p);
        return local_error(s, line);
    }
    if (!command_arity_ok(asked.cmd, asked.argc)) {
        snprintf(line, sizeof line, "ERR wrong number of arguments for '%s' command", asked.cmd->name);
        return local_error(s, line);
    }
    enum acl_verdict v = acl_check(u, asked.cmd, asked.argv, asked.argc, &arg);
    return answer_dryrun(s, &asked, v, arg);
}

static bool do_genpass(struct session *s, const struct job *job)
{
    int64_t bits = GENPASS_BITS;
    char hex[GENPASS_MOST / 4 + 1];

    if (job->argc > 3)
        return wrong_form(s, job);
    if (job->argc == 3 && !frame_number(job->argv[2].p, job->argv[2].len, &bits))
        return local_error(s, "ERR value is not an integer or out of range");
    if (bits <= 0 || bits > GENPASS_MOST)
        return local_error(s, "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to "
                              "4096");
    size_t digits = (size_t)(bits + 3) / 4;
    secret_random(hex, digits);
    build_bulk(slot_answer(s), hex, digits);
    secret_wipe(hex, sizeof hex);
    slot_answered(s);
    return true;
}

static bool do_log(struct session *s, const struct job *job)
{
    int64_t count = 10;

    if (job->argc > 3)
        return wrong_form(s, job);
    if (job->argc == 3 && slice_is(job->argv[2], "reset")) {
        acl_log_reset();
        return local_ok(s);
    }
    if (job->argc == 3 && !frame_number(job->argv[2].p, job->argv[2].len, &count))
        return local_error(s, "ERR value is not an integer or out of range");
    acl_log_get(slot_answer(s), s->resp, count < 0 ? 0 : count);
    slot_answered(s);
    return true;
}

static bool do_help(struct session *s, const struct job *job)
{
    static const char *const lines[] = {
        "ACL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CAT [<category>]",
        "    List all commands that belong to <category>, or all command categories",
        "    when no category is specified.",
        "DELUSER <username> [<username> ...]",
        "    Delete a list of users.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Returns whether the user can execute the given command without executing the command.",
        "GETUSER <username>",
        "    Get the user's details.",
        "GENPASS [<bits>]",
        "    Generate a secure 256-bit user password. The optional `bits` argument can",
        "    be used to specify a different size.",
        "LIST",
        "    Show users details in config file format.",
        "LOAD",
        "    Reload users from the ACL file.",
        "LOG [<count> | RESET]",
        "    Show the ACL log entries.",
        "SAVE",
        "    Save the current config to the ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Create or modify a user with the specified attributes.",
        "USERS",
        "    List all the registered usernames.",
        "WHOAMI",
        "    Return the current connection username.",
        "HELP",
        "    Prints this help.",
    };
    return local_help(s, lines, sizeof lines / sizeof lines[0]);
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} subcommands[] = {
    {"acl|cat", do_cat},         {"acl|deluser", do_deluser}, {"acl|dryrun", do_dryrun}, {"acl|genpass", do_genpass},
    {"acl|getuser", do_getuser}, {"acl|help", do_help},       {"acl|list", do_list},     {"acl|load", do_load},
    {"acl|log", do_log},         {"acl|save", do_save},       {"acl|setuser", do_setuser}, {"acl|users", do_users},
    {"acl|whoami", do_whoami},
};

bool local_acl(struct session *s, const struct job *job)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(job->cmd->name, subcommands[i].name) == 0)
            return subcommands[i].fn(s, job);
    return local_unknown_sub(s, job);
}
