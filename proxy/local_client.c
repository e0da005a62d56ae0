#include "proxy/internal.h"

#include "proxy/clients.h"
#include "proxy/dispatch.h"
#include "proxy/pause.h"
#include "proxy/reach.h"
#include "proxy/tracking.h"

#include <stdlib.h>
#include <string.h>

static bool do_id(struct session *s, const struct job *job)
{
    build_int(slot_answer(s), (int64_t)s->id);
    slot_answered(s);
    return true;
}

static bool do_getname(struct session *s, const struct job *job)
{
    if (s->name != NULL)
        build_text(slot_answer(s), s->name);
    else
        build_null(slot_answer(s), s->resp);
    slot_answered(s);
    return true;
}

static bool do_setname(struct session *s, const struct job *job)
{
    if (!local_set_name(s, job->argv[2]))
        return local_error(s, "ERR Client names cannot contain spaces, newlines or special characters.");
    return local_ok(s);
}

static void keep_text(char **place, struct slice value)
{
    free(*place);
    *place = strndup(value.p, value.len);
}

/* Redis 7.2's command: clients of today send it to any server. */
static bool do_setinfo(struct session *s, const struct job *job)
{
    if (job->argc != 4)
        return local_error(s, "ERR wrong number of arguments for 'client|setinfo' command");
    for (size_t i = 0; i < job->argv[3].len; i++)
        if (job->argv[3].p[i] < '!' || job->argv[3].p[i] > '~')
            return local_error(
                s, "ERR lib-name and lib-ver cannot contain spaces, newlines or special characters.");
    if (slice_is(job->argv[2], "lib-name"))
        keep_text(&s->lib_name, job->argv[3]);
    else if (slice_is(job->argv[2], "lib-ver"))
        keep_text(&s->lib_ver, job->argv[3]);
    else
        return local_error(s, "ERR Unrecognized option");
    return local_ok(s);
}

static bool set_flag(struct session *s, const struct job *job, bool *flag)
{
    if (job->argc != 3 || (!slice_is(job->argv[2], "ON") && !slice_is(job->argv[2], "OFF")))
        return local_error(s, "ERR syntax error");
    *flag = slice_is(job->argv[2], "ON");
    return local_ok(s);
}

static bool do_no_evict(struct session *s, const struct job *job)
{
    return set_flag(s, job, &s->no_evict);
}

static bool do_no_touch(struct session *s, const struct job *job)
{
    return set_flag(s, job, &s->no_touch);
}

static bool do_reply(struct session *s, const struct job *job)
{
    if (slice_is(job->argv[2], "ON")) {
        s->mute &= MUTE_KEPT;
        return local_ok(s);
    }
    if (slice_is(job->argv[2], "OFF"))
        s->mute |= MUTE_OFF;
    else if (!slice_is(job->argv[2], "SKIP"))
        return local_error(s, "ERR syntax error");
    else if ((s->mute & MUTE_OFF) == 0)
        s->mute |= MUTE_NEXT;
    return true;
}

static bool do_info(struct session *s, const struct job *job)
{
    char line[CLIENT_LINE];
    size_t n = client_line(s, line, sizeof line);
    build_verbatim(slot_answer(s), s->resp, line, n);
    slot_answered(s);
    return true;
}

static bool do_help(struct session *s, const struct job *job)
{
    static const char *const lines[] = {
        "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "GETNAME",
        "    Return the name of the current connection.",
        "GETREDIR",
        "    Return the id of the client that invalidations go to, or -1.",
        "ID",
        "    Return the ID of the current connection.",
        "INFO",
        "    Return information about the current client connection.",
        "KILL <ip:port>|<option> <value> ...",
        "    Close clients: ID, ADDR, LADDR, TYPE, USER, SKIPME.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> ...]",
        "    Return information about the clients of this proxy.",
        "NO-EVICT (ON|OFF)",
        "    Accepted; the proxy never evicts clients.",
        "NO-TOUCH (ON|OFF)",
        "    Accepted; has no effect.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Let the clients of this proxy wait, for so many milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Send replies to the current connection, or none.",
        "SETINFO <LIB-NAME|LIB-VER> <value>",
        "    Keep the name and version of the client library.",
        "SETNAME <name>",
        "    Assign the name <name> to the current connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    End what the client waits for.",
        "UNPAUSE",
        "    End the pause.",
    };
    return local_help(s, lines, sizeof lines / sizeof lines[0]);
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} subcommands[] = {
    {"ID", do_id},
    {"GETNAME", do_getname},
    {"SETNAME", do_setname},
    {"SETINFO", do_setinfo},
    {"PAUSE", pause_command},
    {"UNPAUSE", pause_unpause},
    {"REPLY", do_reply},
    {"GETREDIR", tracking_command},
    {"TRACKING", tracking_command},
    {"CACHING", tracking_command},
    {"TRACKINGINFO", tracking_command},
    {"INFO", do_info},
    {"NO-EVICT", do_no_evict},
    {"NO-TOUCH", do_no_touch},
    {"LIST", clients_list},
    {"HELP", do_help},
    {"KILL", reach_kill},
    {"UNBLOCK", reach_unblock},
};

bool local_client(struct session *s, const struct job *job)
{
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (slice_is(job->argv[1], subcommands[i].name))
            return subcommands[i].fn(s, job);
    if (!job->cmd->container)
        return dispatch_unsupported(s, job); /* Redis has it, the proxy not yet */
    return local_unknown_sub(s, job);
}
