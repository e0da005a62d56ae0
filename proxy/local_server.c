#include "proxy/cluster.h"
#include "proxy/internal.h"

#include "base/log.h"
#include "proxy/dispatch.h"
#include "proxy/placement.h"
#include "proxy/primary.h"
#include "proxy/redact.h"
#include "proxy/server.h"
#include "proxy/slowlog.h"
#include "proxy/users.h"
#include "resp/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The loop's own connection learns by trying; the probe may know already. */
bool local_redis_up(struct session *s)
{
    struct probe_report report;

    server_redis(s->loop->server, &report);
    return (!report.known || strcmp(report.state, "connected") == 0) && dispatch_redis_up(s);
}

/* ---- CONFIG: names with a dot are the proxy's, as are those of settings without one (requirepass); others are Redis's ---- */

enum whose { WHOSE_REDIS, WHOSE_PROXY, WHOSE_MIXED };

static bool is_top_setting(struct slice name)
{
    for (size_t i = 0; i < settings_row_count(); i++)
        if (!settings_row(i)->policy && slice_is(name, settings_row(i)->name))
            return true;
    return false;
}

static enum whose whose(const struct slice *names, size_t count, size_t step)
{
    size_t ours = 0, all = 0;
    for (size_t i = 0; i < count; i += step, all++)
        ours += memchr(names[i].p, '.', names[i].len) != NULL || is_top_setting(names[i]);
    return ours == 0 ? WHOSE_REDIS : (ours == all ? WHOSE_PROXY : WHOSE_MIXED);
}

static bool refuse_mixed(struct session *s)
{
    return local_error(
        s, "ERR names with a dot are settings of convproxy, others of Redis: ask for them in separate "
           "commands");
}

struct found {
    struct chain *out;
    size_t pairs;
};

static void add_pair(void *ctx, const struct config_view *view)
{
    struct found *f = ctx;
    build_text(f->out, view->name);
    build_text(f->out, view->value);
    f->pairs++;
}

/* A name that two patterns match is told twice, which clients read into the same map entry. */
static bool config_get_own(struct session *s, const struct job *job)
{
    struct chain body;
    struct found f = {.out = &body};

    chain_init(&body, &s->loop->turn.chunks);
    for (size_t i = 2; i < job->argc; i++) {
        char pattern[128];
        size_t n = job->argv[i].len < sizeof pattern - 1 ? job->argv[i].len : sizeof pattern - 1;
        memcpy(pattern, job->argv[i].p, n);
        pattern[n] = '\0';
        config_get(server_config(s->loop->server), pattern, add_pair, &f);
    }
    struct chain *out = slot_answer(s);
    build_map(out, s->resp, f.pairs);
    chain_move(out, &body);
    slot_answered(s);
    return true;
}

void local_see_settings(struct session *s)
{
    loop_apply(s->loop, (void *)config_current(server_config(s->loop->server)));
}

/* That a store shall answer counts also when it is no change. The reply has no room for warnings: the log has. */
static void heed_primaries(struct session *s, const struct config_pair *pairs, size_t count)
{
    struct primary_change change;

    for (size_t i = 0; i < count; i++)
        if (primary_ordered(s->loop->server, pairs[i].name, "config set", &change))
            for (size_t w = 0; w < change.nwarnings; w++)
                log_event(LOG_WARN, "primary_set", LOG_STR("policy", change.policy),
                          LOG_STR("warning", change.warnings[w]));
}

/* Secrets are hidden in a view, so it may be logged. */
static void log_changed(void *ctx, const struct config_view *view)
{
    log_event(LOG_INFO, "setting_changed", LOG_STR("name", view->name), LOG_STR("value", view->value), LOG_STR("by", "config set"));
}

static bool concerns_users(const struct config_pair *pairs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncasecmp(pairs[i].name, "requirepass", 11) == 0 || strcasecmp(pairs[i].name, "users") == 0)
            return true;
    return false;
}

static bool config_set_own(struct session *s, const struct job *job)
{
    size_t count = (job->argc - 2) / 2;
    struct config_pair *pairs = calloc(count, sizeof *pairs);
    struct config *config = server_config(s->loop->server);
    struct config_error error;
    enum err e;

    if (pairs == NULL)
        abort();
    for (size_t i = 0; i < count; i++) {
        pairs[i].name = strndup(job->argv[2 + 2 * i].p, job->argv[2 + 2 * i].len);
        pairs[i].value = strndup(job->argv[3 + 2 * i].p, job->argv[3 + 2 * i].len);
    }
    e = config_set(config, pairs, count, &error);
    for (size_t i = 0; e == ERR_NONE && i < count; i++)
        config_get(config, pairs[i].name, log_changed, NULL);
    if (e == ERR_NONE)
        heed_primaries(s, pairs, count);
    bool users = concerns_users(pairs, count);
    for (size_t i = 0; i < count; i++) {
        free((char *)pairs[i].name);
        free((char *)pairs[i].value);
    }
    free(pairs);
    if (e != ERR_NONE) {
        build_err(slot_answer(s), ERR_CONFIG, error.text);
        slot_answered(s);
        return true;
    }
    local_see_settings(s);
    return users ? local_users_changed(s, job) : local_ok(s);
}

/* What ACL SETUSER has made becomes the setting users, passwords as hashes. */
static enum err keep_users(struct session *s, struct config_error *error)
{
    char *lines = users_to_keep(server_users(s->loop->server));
    const struct config_pair pair = {"users", lines};
    enum err e = lines != NULL ? config_set(server_config(s->loop->server), &pair, 1, error) : ERR_NONE;

    free(lines);
    local_see_settings(s);
    return e;
}

static bool config_rewrite_own(struct session *s)
{
    struct config_report report = {0};
    struct config_error error;
    enum err e = keep_users(s, &error);

    if (e == ERR_NONE)
        e = config_rewrite(server_config(s->loop->server), &report, &error);
    config_report_done(&report);
    if (e == ERR_NONE)
        return local_ok(s);
    build_err(slot_answer(s), ERR_CONFIG, error.text);
    slot_answered(s);
    return true;
}

/* The next bulk of a reply; what is none, or not whole, ends it: an empty name. */
static struct slice take_bulk(const char **p, const char *end)
{
    int64_t len = -1;
    const char *cr = *p < end && **p == '$' ? memchr(*p, '\r', (size_t)(end - *p)) : NULL;

    if (cr == NULL || !frame_number(*p + 1, (size_t)(cr - *p - 1), &len) || len < 0 || end - cr < len + 4)
        return (struct slice){NULL, 0};
    *p = cr + 2 + len + 2;
    return (struct slice){cr + 2, (size_t)len};
}

/* How the proxy logs in at Redis is not for its clients. */
static void hide_secrets(struct slot *slot)
{
    struct slice all = chain_flat(&slot->reply), name;
    const char *end = all.p + all.len, *lf = memchr(all.p, '\n', all.len), *p = lf + 1;
    struct chain out;

    if (lf == NULL || (all.p[0] != '*' && all.p[0] != '%'))
        return;
    chain_init(&out, slot->reply.pool);
    chain_put(&out, all.p, (size_t)(p - all.p));
    while ((name = take_bulk(&p, end)).p != NULL) {
        struct slice value = take_bulk(&p, end);
        bool hidden = redact_is_secret(name) && value.len > 0;
        build_bulk(&out, name.p, name.len);
        build_bulk(&out, hidden ? "***" : value.p, hidden ? 3 : value.len);
    }
    chain_clear(&slot->reply);
    slot->reply = out;
}

bool local_config(struct session *s, const struct job *job)
{
    bool get = slice_is(job->argv[1], "GET"), set = slice_is(job->argv[1], "SET");

    if (slice_is(job->argv[1], "REWRITE") && server_has_config_file(s->loop->server))
        return config_rewrite_own(s);
    if (set && job->argc % 2 != 0)
        return local_error(s, "ERR wrong number of arguments for 'config|set' command");
    if (get || set) {
        enum whose w = whose(job->argv + 2, job->argc - 2, get ? 1 : 2);
        if (w == WHOSE_MIXED)
            return refuse_mixed(s);
        if (w == WHOSE_PROXY || (get && !local_redis_up(s)))
            return get ? config_get_own(s, job) : config_set_own(s, job);
    }
    return get ? dispatch_forward_collect(s, job, hide_secrets) : dispatch_forward(s, job);
}

/* ---- SLOWLOG: of the proxy ---- */

bool local_slowlog(struct session *s, const struct job *job)
{
    int64_t count = 10;

    if (slice_is(job->argv[1], "GET")) {
        if (job->argc > 3)
            return local_bad_args(s, job);
        if (job->argc == 3 && (!frame_number(job->argv[2].p, job->argv[2].len, &count) || count < -1))
            return local_error(s, "ERR count should be greater than or equal to -1");
        slowlog_get(slot_answer(s), count);
        slot_answered(s);
        return true;
    }
    if (slice_is(job->argv[1], "LEN")) {
        build_int(slot_answer(s), slowlog_len());
        slot_answered(s);
        return true;
    }
    if (slice_is(job->argv[1], "RESET")) {
        slowlog_reset();
        return local_ok(s);
    }
    return job->cmd->container ? local_unknown_sub(s, job) : dispatch_forward(s, job);
}

/* ---- COMMAND: Redis knows its modules' commands too ---- */

bool local_commands(struct session *s, const struct job *job)
{
    return dispatch_forward(s, job);
}
