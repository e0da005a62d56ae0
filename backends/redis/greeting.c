#include "backends/redis/greeting.h"

#include "base/mutant.h"
#include "config/seeds.h"
#include "resp/frame.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The keys of router/marks.h, which is a layer above. */
#define KEY_EPOCH   "cvp:ep"
#define KEY_SESSION "cvp:sess"

/* KEYS: epoch, sessions. ARGV: the run id ("": any), the epoch, the session, and one that is spent ("": none). A field that is there
 * stays as it is: this may be executed late, when the session has long been given up. */
static const char identity_script[] =
    "#!lua flags=allow-oom\n"
    "local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''\n"
    "local epoch = redis.call('GET', KEYS[1]) or ''\n"
    "if (ARGV[1] == '' or ARGV[1] == run) and ARGV[2] == epoch then\n"
    "  redis.call('HSETNX', KEYS[2], ARGV[3], 0)\n"
    "  if ARGV[4] ~= '' then redis.call('HDEL', KEYS[2], ARGV[4]) end\n"
    "end\n"
    "return {run, epoch}\n";

static void say(struct greeting *g, bool optional)
{
    g->owed++;
    g->optional = g->optional << 1 | (optional ? 1u : 0u);
    g->identity <<= 1;
}

static void say_auth(struct greeting *g, struct chain *out, const struct greeting_ask *ask,
                     const struct redis_url *url)
{
    const char *password = url->password != NULL ? url->password : ask->settings->redis_password;
    const char *user = url->user != NULL ? url->user : "default";
    bool auth = password != NULL && password[0] != '\0';

    if (ask->resp == RESP3 && auth)
        build_command(out, "HELLO", "3", "AUTH", user, password, NULL);
    else if (ask->resp == RESP3)
        build_command(out, "HELLO", "3", NULL);
    else if (auth && url->user != NULL)
        build_command(out, "AUTH", user, password, NULL);
    else if (auth)
        build_command(out, "AUTH", password, NULL);
    if (ask->resp == RESP3 || auth)
        say(g, false);
}

static void say_identity(struct greeting *g, struct chain *out, const struct greeting_ask *ask)
{
    char name[64], epoch[24];

    snprintf(epoch, sizeof epoch, "%lld", (long long)g->guard.epoch);
    snprintf(name, sizeof name, "convproxy-%s-%s", g->guard.proxy, epoch);
    build_command(out, "CLIENT", "SETNAME", name, NULL);
    say(g, true);
    build_command(out, "EVAL", identity_script, "2", KEY_EPOCH, KEY_SESSION, g->guard.run_id, epoch,
                  ask->session, ask->spent, NULL);
    say(g, true);
    g->identity |= 1;
}

void greeting_start(struct greeting *g, struct chain *out, const struct greeting_ask *ask)
{
    struct redis_url url;
    struct reason why;
    char number[16];

    *g = (struct greeting){.met.ours = true};
    if (!redis_at_parse(ask->url, &url, &why))
        return; /* dialing has already refused it */
    say_auth(g, out, ask, &url);
    if (ask->guard->on && ask->db == 0) {
        g->guard = *ask->guard;
        say_identity(g, out, ask);
    } else {
        build_command(out, "CLIENT", "SETNAME", "convproxy", NULL);
        say(g, true);
    }
    if (ask->db != 0) {
        snprintf(number, sizeof number, "%d", ask->db);
        build_command(out, "SELECT", number, NULL);
        say(g, false);
    }
    if (ask->read_only) {
        build_command(out, "READONLY", NULL);
        say(g, false);
    }
    redis_url_done(&url);
}

/* ---- who it is ---- */

static void not_ours(struct greeting_met *met, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void not_ours(struct greeting_met *met, const char *format, ...)
{
    va_list args;

    if (!met->ours)
        return; /* the first reason counts */
    met->ours = false;
    va_start(args, format);
    vsnprintf(met->why, sizeof met->why, format, args);
    va_end(args);
}

/* The text of the bulk at p; *used: its length in all. False: it is no bulk that fits. */
static bool take_text(const char *p, size_t n, size_t *used, char *text, size_t cap)
{
    const char *line = memchr(p, '\n', n);
    int64_t len;

    *used = frame_length(p, n);
    if (*used == 0 || p[0] != '$' || line == NULL || !frame_number(p + 1, (size_t)(line - p) - 2, &len) ||
        len < 0 || (size_t)len >= cap)
        return false;
    memcpy(text, line + 1, (size_t)len);
    text[len] = '\0';
    return true;
}

static void take_identity(struct greeting *g, const char *p, size_t n)
{
    struct greeting_met *met = &g->met;
    char epoch[24];
    int64_t items;
    size_t used, at = frame_aggregate(p, n, &items);

    if (at == 0 || items != 2 || !take_text(p + at, n - at, &used, met->run_id, sizeof met->run_id) ||
        !take_text(p + at + used, n - at - used, &used, epoch, sizeof epoch)) {
        not_ours(met, "it does not tell who it is");
        return;
    }
    met->known = true;
    met->epoch = strtoll(epoch, NULL, 10);
    if (MUTANT(no_epoch))
        return;
    if (g->guard.run_id[0] != '\0' && strcmp(g->guard.run_id, met->run_id) != 0)
        not_ours(met, "run id %s", met->run_id);
    if (met->epoch != g->guard.epoch)
        not_ours(met, "epoch %lld", (long long)met->epoch);
}

/* ---- answers ---- */

/* An authentication error must stop the start even when it answers the optional command. */
static bool refuses(const char *p, bool optional)
{
    return p[0] == '-' && (!optional || strncmp(p, "-NOAUTH", 7) == 0);
}

static int text_len(size_t frame_len)
{
    return (int)(frame_len > 3 ? frame_len - 3 : 0);
}

/* One whole reply, which does not refuse. A guarded connection that can't have its name or its session is not ours, whatever the reason
 * (read-only, loading, no permission): other keys go on with it. */
static void take_one(struct greeting *g, const char *p, size_t n)
{
    if (g->guard.on && p[0] == '-')
        not_ours(&g->met, "%.*s", text_len(n), p + 1);
    else if (g->identity >> (g->owed - 1) & 1)
        take_identity(g, p, n);
}

enum greeting_status greeting_take(struct greeting *g, const char *p, size_t n, size_t *used, char *why,
                                   size_t why_cap)
{
    size_t at = 0;
    *used = 0;
    while (g->owed > 0) {
        struct frame f = {0};
        size_t len;
        enum frame_status status = frame_scan(&f, p + at, n - at, &len);
        if (status == FRAME_BAD) {
            snprintf(why, why_cap, "it does not speak RESP");
            return GREETING_REFUSED;
        }
        if (status == FRAME_MORE)
            return GREETING_MORE;
        if (refuses(p + at, g->optional >> (g->owed - 1) & 1)) {
            snprintf(why, why_cap, "%.*s", text_len(len), p + at + 1);
            return GREETING_REFUSED;
        }
        take_one(g, p + at, len);
        g->owed--;
        at += len;
        *used = at;
    }
    return GREETING_OK;
}
