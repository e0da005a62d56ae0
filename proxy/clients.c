#include "proxy/clients.h"

#include "proxy/internal.h"
#include "proxy/divert.h"
#include "proxy/round.h"
#include "proxy/topics.h"
#include "proxy/tracking.h"
#include "proxy/transaction.h"
#include "proxy/waiting.h"
#include "resp/frame.h"
#include "router/acl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum client_type clients_type(struct slice word)
{
    static const struct {
        const char *word;
        enum client_type type;
    } types[] = {{"normal", CLIENTS_NORMAL},
                 {"pubsub", CLIENTS_PUBSUB},
                 {"master", CLIENTS_NONE},
                 {"replica", CLIENTS_NONE},
                 {"slave", CLIENTS_NONE}};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_is(word, types[i].word))
            return types[i].type;
    return CLIENTS_UNKNOWN;
}

bool clients_are(const struct session *s, enum client_type type)
{
    return type == CLIENTS_ALL || type == (s->subs != NULL ? CLIENTS_PUBSUB : CLIENTS_NORMAL);
}

/* In the order of Redis. */
static void client_flags(const struct session *s, char flags[9])
{
    const struct {
        bool set;
        char letter;
    } all[] = {
        {s->monitor != NULL, 'O'},
        {s->subs != NULL, 'P'},
        {transaction_is_open(s), 'x'},
        {waiting_is(s) || (s->pauses & PAUSE_CLIENTS) != 0, 'b'},
        {s->tracking != NULL, 't'},
        {divert_is_broken(s), 'R'},
        {tracking_broadcasts(s), 'B'},
        {s->no_evict, 'e'},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].set)
            flags[n++] = all[i].letter;
    if (n == 0)
        flags[n++] = 'N';
    flags[n] = '\0';
}

size_t client_line(const struct session *s, char *buf, size_t cap)
{
    static const struct subscriptions none;
    const struct subscriptions *subs = s->subs != NULL ? s->subs : &none;
    int64_t now = s->loop->turn.now_us;
    char flags[9];

    client_flags(s, flags);
    int n = snprintf(
        buf, cap,
        "id=%" PRIu64 " addr=%s laddr=%s fd=%d name=%s age=%" PRId64 " idle=%" PRId64
        " flags=%s db=%d sub=%zu psub=%zu ssub=%zu multi=%d qbuf=%zu qbuf-free=%zu argv-mem=0 multi-mem=0 rbs=0"
        " rbp=0 obl=%zu oll=0 omem=%zu tot-mem=%zu events=r cmd=%s user=%s redir=%" PRId64 " resp=%d"
        " lib-name=%s lib-ver=%s\n",
        s->id, s->addr, s->laddr, s->stream.fd, s->name != NULL ? s->name : "", (now - s->born_us) / 1000000,
        (now - s->last_us) / 1000000, flags, s->db, subs->counts[TOPIC_CHANNEL], subs->counts[TOPIC_PATTERN], subs->counts[TOPIC_SHARD],
        transaction_is_open(s) ? (int)transaction_length(s) : -1, s->in_len, s->in_cap - s->in_len,
        s->stream.out.len, s->stream.out.len, sizeof *s + s->in_cap + s->stream.out.len, s->last_command,
        acl_user_name(s->user).p, tracking_redirection(s), (int)s->resp, s->lib_name != NULL ? s->lib_name : "", s->lib_ver != NULL ? s->lib_ver : "");
    if (n < 0 || (size_t)n < cap)
        return n < 0 ? 0 : (size_t)n;
    buf[cap - 2] = '\n'; /* a long name was cut */
    return cap - 1;
}

/* ---- gathering from all loops ---- */

struct gather {
    struct round round; /* first: visits get it */
    struct slot *slot;
    enum resp resp;
    char *text;
    size_t len, cap;
    int64_t *ids; /* wanted; none: all */
    size_t nids;
    enum client_type type;
    char error[96];
};

static bool wanted(const struct gather *g, const struct session *s)
{
    if (!clients_are(s, g->type))
        return false;
    for (size_t i = 0; i < g->nids; i++)
        if (g->ids[i] == (int64_t)s->id)
            return true;
    return g->nids == 0;
}

static void add_clients(struct loop *l, struct gather *g)
{
    for (const struct session *s = l->sessions; s != NULL; s = s->next) {
        if (!wanted(g, s))
            continue;
        if (g->cap - g->len < CLIENT_LINE) {
            g->cap = g->cap == 0 ? 8 * CLIENT_LINE : 2 * g->cap;
            g->text = realloc(g->text, g->cap);
            if (g->text == NULL)
                abort();
        }
        g->len += client_line(s, g->text + g->len, CLIENT_LINE);
    }
}

static void gather_free(struct gather *own_g)
{
    free(own_g->text);
    free(own_g->ids);
    free(own_g);
}

static void answer(struct gather *own_g)
{
    build_verbatim(&own_g->slot->reply, own_g->resp, own_g->len > 0 ? own_g->text : "", own_g->len);
    slot_complete(own_g->slot);
    gather_free(own_g);
}

static void drop(struct round *own_r)
{
    gather_free((struct gather *)own_r);
}

static void visit(struct loop *l, struct round *r)
{
    struct gather *g = (struct gather *)r;

    add_clients(l, g);
    if (l == r->asker)
        answer(g);
}

static void start(struct session *s, const struct job *job, struct gather *own_g)
{
    own_g->round = (struct round){.asker = s->loop, .visit = visit, .drop = drop};
    own_g->resp = s->resp;
    own_g->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot_defer(own_g->slot, s->current);
    round_start(&own_g->round);
}

static const char *read_ids(const struct job *job, struct gather *g)
{
    g->ids = calloc(job->argc, sizeof *g->ids);
    if (g->ids == NULL)
        abort();
    for (size_t i = 3; i < job->argc; i++)
        if (!frame_count(job->argv[i].p, job->argv[i].len, &g->ids[g->nids++]))
            return "ERR Invalid client ID";
    return NULL;
}

static const char *read_options(const struct job *job, struct gather *g)
{
    if (job->argc == 2)
        return NULL;
    if (job->argc > 3 && slice_is(job->argv[2], "ID"))
        return read_ids(job, g);
    if (job->argc != 4 || !slice_is(job->argv[2], "TYPE"))
        return "ERR syntax error";
    g->type = clients_type(job->argv[3]);
    if (g->type != CLIENTS_UNKNOWN)
        return NULL;
    snprintf(g->error, sizeof g->error, "ERR Unknown client type '%.*s'",
             (int)(job->argv[3].len < 64 ? job->argv[3].len : 64), job->argv[3].p);
    return g->error;
}

bool clients_list(struct session *s, const struct job *job)
{
    struct gather *g = calloc(1, sizeof *g);
    if (g == NULL)
        abort();
    const char *error = read_options(job, g);
    if (error == NULL) {
        start(s, job, g);
        return true;
    }
    local_error(s, error); /* it may be in g */
    gather_free(g);
    return true;
}
