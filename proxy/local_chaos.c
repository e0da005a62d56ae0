/* CONV CHAOS: a store that is cut off, paused or slow for some seconds (proxy/chaos). */
#include "proxy/internal.h"

#include "proxy/chaos.h"
#include "proxy/depot.h"
#include "proxy/lines.h"
#include "proxy/server.h"

#include <stdio.h>
#include <stdlib.h>

static bool show(struct session *s)
{
    struct chaos_report report;
    struct lines *l = lines_new();
    char text[64];

    chaos_report(depot_chaos(server_depot(s->loop->server)), &report);
    for (int store = 0; store < CHAOS_STORES; store++) {
        const struct chaos_order *o = &report.orders[store];
        chaos_text(o, text, sizeof text);
        if (o->kind == VALVE_OPEN)
            lines_add(l, "%s: none", chaos_store_name(o->store));
        else
            lines_add(l, "%s: %s, %.1f s left", chaos_store_name(o->store), text, o->seconds);
    }
    lines_answer(s, l);
    free(l);
    return true;
}

static bool read_number(struct slice arg, double *ret)
{
    char text[32], *end;

    lines_word(arg, text, sizeof text);
    *ret = strtod(text, &end);
    return end != text && *end == '\0' && *ret >= 0 && *ret < 1e9;
}

/* CONV CHAOS store fault seconds [delay_ms [jitter_ms]] */
static bool read_order(const struct job *job, struct chaos_order *o)
{
    char store[16], fault[16];
    double delay = 0, jitter = 0;

    if (job->argc < 5 || job->argc > 7)
        return false;
    lines_word(job->argv[2], store, sizeof store);
    lines_word(job->argv[3], fault, sizeof fault);
    if (!chaos_store_find(store, &o->store) || !valve_kind_find(fault, &o->kind) || o->kind == VALVE_OPEN ||
        !read_number(job->argv[4], &o->seconds))
        return false;
    if ((job->argc > 5 && !read_number(job->argv[5], &delay)) || (job->argc > 6 && !read_number(job->argv[6], &jitter)))
        return false;
    o->delay_ms = (int64_t)delay;
    o->jitter_ms = (int64_t)jitter;
    return true;
}

bool chaos_do(struct session *s, const struct job *job)
{
    struct chaos *chaos = depot_chaos(server_depot(s->loop->server));
    struct chaos_order order = {0};
    char why[DEPOT_PLAN + 120], line[DEPOT_PLAN + 128];

    if (job->argc == 2)
        return show(s);
    if (job->argc == 3 && slice_is(job->argv[2], "off")) {
        for (int store = 0; store < CHAOS_STORES; store++)
            chaos_end(chaos, (enum chaos_store)store, "conv chaos");
        return local_ok(s);
    }
    if (!read_order(job, &order))
        return local_error(s, "ERR expected CONV CHAOS redis|archive cut|pause|delay seconds [delay-ms [jitter-ms]], or CONV CHAOS OFF");
    if (chaos_begin(chaos, s->loop->settings, &order, "conv chaos", why, sizeof why))
        return local_ok(s);
    snprintf(line, sizeof line, "ERR %s", why);
    return local_error(s, line);
}
