#include "proxy/internal.h"

#include "proxy/cluster.h"
#include "proxy/dispatch.h"
#include "proxy/hide.h"
#include "proxy/info.h"
#include "proxy/overview.h"
#include "proxy/reader.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the proxy knows better than Redis ---- */

static uint64_t connected(const struct loop *l)
{
    return overview_clients();
}

static uint64_t blocked(const struct loop *l)
{
    return STATS_SUM(clients_blocked);
}

static uint64_t max_clients(const struct loop *l)
{
    return (uint64_t)l->settings->max_clients;
}

static uint64_t port(const struct loop *l)
{
    return info_port(l->settings);
}

static const struct {
    const char *name;
    uint64_t (*value)(const struct loop *l);
} better[] = {
    {"tcp_port:", port},
    {"connected_clients:", connected},
    {"maxclients:", max_clients},
    {"blocked_clients:", blocked},
};

static bool begins(struct slice line, const char *with)
{
    size_t n = strlen(with);
    return line.len >= n && memcmp(line.p, with, n) == 0;
}

/* db0:keys=7,expires=2,avg_ttl=5: without the proxy's own keys, which never expire; a database of none is not told. */
static void put_keys(FILE *out, struct slice line, int64_t own)
{
    const char *from = line.p + strlen("db0:keys="), *end = memchr(line.p, ',', line.len);
    int64_t keys;

    if (end == NULL || !frame_number(from, (size_t)(end - from), &keys))
        fwrite(line.p, 1, line.len, out);
    else if (keys > own)
        fprintf(out, "db0:keys=%" PRId64 "%.*s", keys - own, (int)(line.p + line.len - end), end);
}

/* Each line has its CR LF. */
static void put_line(FILE *out, const struct loop *l, struct slice line, int64_t own)
{
    size_t i = 0, n = sizeof better / sizeof better[0];

    if (l->topology != NULL)
        line = cluster_plain(line);
    while (i < n && !begins(line, better[i].name))
        i++;
    if (i < n)
        fprintf(out, "%s%" PRIu64 "\r\n", better[i].name, better[i].value(l));
    else if (own > 0 && begins(line, "db0:keys="))
        put_keys(out, line, own);
    else
        fwrite(line.p, 1, line.len, out);
}

static void put_lines(FILE *out, const struct loop *l, struct slice text, int64_t own)
{
    while (text.len > 0) {
        const char *end = memchr(text.p, '\n', text.len);
        size_t n = end != NULL ? (size_t)(end - text.p) + 1 : text.len;
        put_line(out, l, (struct slice){text.p, n}, own);
        text = (struct slice){text.p + n, text.len - n};
    }
}

/* ---- Redis's answer ---- */

/* Redis's text, whatever form it has; p NULL: an error. */
static struct slice text_of(struct slice reply)
{
    size_t skip = reply.len > 0 && reply.p[0] == '=' ? strlen("txt:") : 0;
    const char *line = memchr(reply.p, '\n', reply.len);

    if (line == NULL || (reply.p[0] != '$' && reply.p[0] != '='))
        return (struct slice){NULL, 0};
    return (struct slice){line + 1 + skip, (size_t)(reply.p + reply.len - line) - 3 - skip};
}

static void retell(struct slot *slot, bool with_own_section)
{
    struct reader r = {chain_flat(&slot->reply)};
    struct slice first = reader_next(&r), text = text_of(first);
    int64_t own = r.rest.len > 0 ? reader_int(reader_next(&r)) : 0;
    enum resp resp = first.p[0] == '=' ? RESP3 : RESP2;
    struct chain reply;
    char *told = NULL;
    size_t len = 0, section_len;

    FILE *out = open_memstream(&told, &len);
    if (out == NULL)
        abort();
    if (text.p != NULL)
        put_lines(out, slot->loop, text, own);
    if (text.p != NULL && with_own_section) {
        char *section = info_convproxy(slot->loop->server, &section_len);
        fprintf(out, "\r\n%s", section);
        free(section);
    }
    fclose(out);
    chain_init(&reply, slot->reply.pool);
    if (text.p != NULL)
        build_verbatim(&reply, resp, told, len);
    else
        chain_put(&reply, first.p, first.len);
    free(told);
    chain_clear(&slot->reply);
    slot->reply = reply;
}

static void finish(struct slot *slot)
{
    retell(slot, false);
}

static void finish_with_section(struct slot *slot)
{
    retell(slot, true);
}

static bool answer_own(struct session *s, char *own_text, size_t len)
{
    build_verbatim(slot_answer(s), s->resp, own_text, len);
    slot_answered(s);
    free(own_text);
    return true;
}

bool local_info(struct session *s, const struct job *job)
{
    const struct slice *names = job->argv + 1;
    size_t count = job->argc - 1, len;
    bool guarded = s->loop->acting.guarded && s->db == 0;
    struct chain requests;

    if (count == 1 && slice_is(names[0], "convproxy")) {
        char *text = info_convproxy(s->loop->server, &len);
        return answer_own(s, text, len);
    }
    if (!local_redis_up(s)) {
        char *text = info_standalone(s->loop->server, names, count, &len);
        return answer_own(s, text, len);
    }
    chain_init(&requests, &s->loop->turn.chunks);
    managed_put_raw(&requests, job);
    if (guarded)
        hide_put_count(&requests, s->loop);
    return dispatch_ask(s, job, &requests, guarded ? 2 : 1,
                        info_wants_convproxy(names, count) ? finish_with_section : finish);
}
