#include "proxy/internal.h"

#include "proxy/lines.h"
#include "proxy/orders.h"
#include "proxy/overview.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool refuse(struct session *s, const char *why)
{
    char line[320];
    snprintf(line, sizeof line, "ERR %s", why);
    return local_error(s, line);
}

static bool answer_line(struct session *s, const char *text)
{
    build_text(slot_answer(s), text);
    slot_answered(s);
    return true;
}

/* ---- BACKFILL, DRAIN, VERIFY, AUDIT ---- */

/* The words behind the subcommand, in any order; what is none of them is the policy. False: they make no sense. */
static bool read_words(const struct job *job, struct move_order *order)
{
    for (size_t i = 2; i < job->argc; i++) {
        struct slice arg = job->argv[i];
        if (slice_is(arg, "deep"))
            order->deep = true;
        else if (slice_is(arg, "repair"))
            order->repair = true;
        else if (slice_is(arg, "rate") && i + 1 < job->argc &&
                 frame_number(job->argv[i + 1].p, job->argv[i + 1].len, &order->rate))
            i++;
        else if (order->policy[0] == '\0')
            lines_word(arg, order->policy, sizeof order->policy);
        else
            return false;
    }
    return true;
}

bool moves_do_order(struct session *s, const struct job *job)
{
    struct move_order order = {0};
    char kind[16], why[200], line[160];

    lines_word(job->argv[1], kind, sizeof kind);
    if (!move_kind_parse(slice_is(job->argv[1], "audit") ? "ttl-audit" : kind, &order.kind) ||
        !read_words(job, &order)) {
        build_err(slot_answer(s), ERR_SYNTAX, NULL);
        slot_answered(s);
        return true;
    }
    uint64_t id = orders_move(s->loop->server, &order, "conv", why, sizeof why);
    if (id == 0)
        return refuse(s, why);
    snprintf(line, sizeof line, "move %" PRIu64 ": %s of policy %s (CONV MOVES shows it)", id,
             move_kind_name(order.kind), order.policy);
    return answer_line(s, line);
}

/* ---- MOVES, ABORT, RESUME ---- */

static void add_move(struct lines *l, const struct move_report *m)
{
    char total[32] = "", eta[40] = "";

    if (m->total >= 0)
        snprintf(total, sizeof total, " of %" PRId64, m->total);
    if (m->eta_s >= 0 && m->state == MOVE_RUNNING)
        snprintf(eta, sizeof eta, ", %" PRId64 " s left", m->eta_s);
    lines_add(
        l, "%" PRIu64 " %s %s: %s, %" PRId64 "%s keys, %.0f/s%s, found %" PRId64 ", repaired %" PRId64 "%s%s",
        m->id, move_kind_name(m->order.kind), m->order.policy, move_state_name(m->state), m->done, total,
        m->rate, eta, m->found, m->repaired, m->why[0] != '\0' ? ", " : "", m->why);
    if (m->examples[0] != '\0')
        lines_add(l, "  keys: %s", m->examples);
}

bool moves_do_list(struct session *s, const struct job *job)
{
    struct move_report list[OVERVIEW_MOVES];
    size_t n = orders_list(s->loop->server, list, OVERVIEW_MOVES);
    struct lines *l = lines_new();

    for (size_t i = 0; i < n; i++)
        add_move(l, &list[i]);
    if (n == 0)
        lines_add(l, "there are no moves");
    lines_answer(s, l);
    free(l);
    return true;
}

typedef bool (*order_by_id)(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap);

static bool do_by_id(struct session *s, const struct job *job, order_by_id what)
{
    int64_t id;
    char why[160];

    if (!frame_number(job->argv[2].p, job->argv[2].len, &id) || id <= 0)
        return local_error(s, "ERR value is not an integer or out of range");
    return what(s->loop->server, (uint64_t)id, "conv", why, sizeof why) ? local_ok(s) : refuse(s, why);
}

bool moves_do_abort(struct session *s, const struct job *job)
{
    return do_by_id(s, job, orders_abort);
}

bool moves_do_resume(struct session *s, const struct job *job)
{
    return do_by_id(s, job, orders_resume);
}

/* ---- DUALWRITE ---- */

bool moves_do_dual_write(struct session *s, const struct job *job)
{
    struct orders_dual_write d;
    struct lines *l;
    char policy[64] = "", why[300];
    bool on = slice_is(job->argv[2], "on");

    if (job->argc > 4 || (!on && !slice_is(job->argv[2], "off"))) {
        build_err(slot_answer(s), ERR_SYNTAX, NULL);
        slot_answered(s);
        return true;
    }
    if (job->argc == 4)
        lines_word(job->argv[3], policy, sizeof policy);
    if (!orders_dual_write(s->loop->server, policy, on, "conv", &d, why, sizeof why))
        return refuse(s, why);
    local_see_settings(s);
    l = lines_new();
    lines_add(l, "policy %s: dual writes %s, were %s", d.policy, d.now ? "on" : "off", d.was ? "on" : "off");
    if (d.backfill != 0)
        lines_add(l, "move %" PRIu64 " copies what is there already (CONV MOVES shows it)", d.backfill);
    if (d.warning[0] != '\0')
        lines_add(l, "warning: %s", d.warning);
    lines_answer(s, l);
    free(l);
    return true;
}
