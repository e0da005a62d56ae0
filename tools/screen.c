#include "tools/screen.h"

#include "tools/paint.h"

#include <stdlib.h>
#include <string.h>

#define TOP 8 /* commands that watch lists */

/* ---- parts that status and watch share ---- */

static void show_head(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s   up %s   pid %.0f   threads %.0f%s\n", "convproxy", screen_text(s, "version"),
            paint_duration(screen_number(s, "uptimeSeconds")), screen_number(s, "pid"),
            screen_number(s, "threads"), screen_flag(s, "draining") ? "   ENDING" : "");
    fprintf(out, "%-10s %s\n", "health", screen_flag(s, "healthy") ? "ok" : "NOT OK");
    paint_list(out, s, "reasons", "  problem");
    paint_list(out, s, "warnings", "  warning");
}

static void show_redis(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s (%s) since %s   %s   %s %s\n", "redis", screen_flag(s, "redis.up") ? "up" : "DOWN",
            screen_text(s, "redis.state"), screen_text(s, "redis.since"), screen_text(s, "redis.url"),
            screen_text(s, "redis.version"), screen_text(s, "redis.role"));
    fprintf(out, "%-10s p50 %.2f ms   p95 %.2f ms   p99 %.2f ms   (%s)\n", "latency",
            screen_number(s, "redis.latencyMs.p50"), screen_number(s, "redis.latencyMs.p95"),
            screen_number(s, "redis.latencyMs.p99"), screen_text(s, "redis.latencyMs.of"));
}

/* A proxy that knows of no archive says nothing about one. */
static void show_archive(FILE *out, const cJSON *s)
{
    bool up = screen_flag(s, "archive.up");

    if (paint_find(s, "archive.kind") == NULL)
        return;
    if (strcmp(screen_text(s, "archive.kind"), "none") == 0) {
        fprintf(out, "%-10s none (%s)\n", "archive", screen_text(s, "archive.error"));
        return;
    }
    fprintf(out, "%-10s %s (%s)   %s documents, %s   p50 %.2f ms   p95 %.2f ms   p99 %.2f ms\n", "archive",
            up ? "up" : "DOWN", screen_text(s, "archive.kind"),
            paint_find(s, "archive.documents") != NULL ? paint_count(screen_number(s, "archive.documents"))
                                                       : "-",
            paint_bytes(screen_number(s, "archive.bytes")), screen_number(s, "archive.latencyMs.p50"),
            screen_number(s, "archive.latencyMs.p95"), screen_number(s, "archive.latencyMs.p99"));
    if (!up)
        fprintf(out, "%-10s %s\n", "  problem", screen_text(s, "archive.error"));
    fprintf(
        out,
        "%-10s %s waiting, %s running, %s parked   failed %s   refused %s   late %s   races %s   swept %s\n",
        "  queue",
        paint_count(screen_number(s, "archive.queue.waiting") + screen_number(s, "archive.queue.ready")),
        paint_count(screen_number(s, "archive.queue.running")),
        paint_count(screen_number(s, "archive.queue.parked")),
        paint_count(screen_number(s, "archive.failed")), paint_count(screen_number(s, "archive.refused")),
        paint_count(screen_number(s, "archive.late")), paint_count(screen_number(s, "archive.races")),
        paint_count(screen_number(s, "archive.swept")));
}

static void show_sync(FILE *out, const cJSON *s)
{
    if (paint_find(s, "sync") == NULL)
        return;
    fprintf(
        out,
        "%-10s epoch %.0f   owed %s keys, the oldest for %s   copied %s   handed over %s   quarantined %s\n",
        "sync", screen_number(s, "sync.epoch"),
        paint_find(s, "sync.dirtyKeys") != NULL ? paint_count(screen_number(s, "sync.dirtyKeys")) : "-",
        paint_duration(screen_number(s, "sync.copyLagSeconds")), paint_count(screen_number(s, "sync.copied")),
        paint_count(screen_number(s, "sync.handedOver")), paint_count(screen_number(s, "sync.quarantined")));
    if (paint_find(s, "sync.catchup") != NULL)
        fprintf(out, "%-10s %s of %s conversations given back to Redis\n", "  catchup",
                paint_count(screen_number(s, "sync.catchup.done")),
                paint_count(screen_number(s, "sync.catchup.total")));
    if (paint_find(s, "sync.trouble") != NULL)
        fprintf(out, "%-10s %s\n", "  problem", screen_text(s, "sync.trouble"));
}

static void show_memory(FILE *out, const cJSON *s)
{
    double most = screen_number(s, "redis.maxMemory");

    fprintf(out, "%-10s proxy %s, %s of it buffered   redis %s of %s, %s, %s keys evicted\n", "memory",
            paint_bytes(screen_number(s, "residentBytes")),
            paint_bytes(screen_number(s, "traffic.bufferedBytes")),
            paint_bytes(screen_number(s, "redis.usedMemory")), most > 0 ? paint_bytes(most) : "no limit",
            screen_text(s, "redis.maxMemoryPolicy"), paint_count(screen_number(s, "redis.evictedKeys")));
}

static void show_clients(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s of at most %s   accepted %s   refused %s   closed for unread output %s\n",
            "clients", paint_count(screen_number(s, "clients.connected")),
            paint_count(screen_number(s, "clients.max")), paint_count(screen_number(s, "clients.accepted")),
            paint_count(screen_number(s, "clients.refused")),
            paint_count(screen_number(s, "clients.closedForOutput")));
}

static void show_upstream(FILE *out, const cJSON *s)
{
    fprintf(
        out, "%-10s %s open, %s of them pinned   failed connects %s   lost %s   time-outs %s\n", "upstream",
        paint_count(screen_number(s, "upstream.open")), paint_count(screen_number(s, "upstream.pinned")),
        paint_count(screen_number(s, "upstream.connectFailures")),
        paint_count(screen_number(s, "upstream.lost")), paint_count(screen_number(s, "upstream.timeouts")));
}

/* ---- status ---- */

static void show_reasons(FILE *out, const cJSON *policy)
{
    const cJSON *item;
    const char *before = " (";

    cJSON_ArrayForEach(item, paint_find(policy, "persistErrors.byReason"))
    {
        fprintf(out, "%s%s %.0f", before, item->string, item->valuedouble);
        before = ", ";
    }
    fputs(before[0] == ',' ? ")\n" : "\n", out);
}

/* A proxy without an archive, or an older one, says nothing of it. */
static void show_place(FILE *out, const cJSON *p)
{
    if (paint_find(p, "phase") != NULL)
        fprintf(out, "%-10s %s since %s (%s)   failovers %s   longest pause %.0f ms\n", "  phase",
                screen_text(p, "phase"), screen_text(p, "since"), screen_text(p, "why"),
                paint_count(screen_number(p, "failovers")), screen_number(p, "longestPauseMs"));
    if (paint_find(p, "guarantee.level") != NULL)
        fprintf(out, "%-10s %s: %s\n", "  promise", screen_text(p, "guarantee.level"),
                screen_text(p, "guarantee.promise"));
    paint_list(out, paint_find(p, "guarantee"), "loweredBy", "  lowered");
    paint_list(out, paint_find(p, "guarantee"), "warnings", "  warning");
}

static void show_policy(FILE *out, const cJSON *p)
{
    fprintf(out, "%-10s %s  %s   answered by %s   copies %s   ttl %s   at most %s messages\n", "policy",
            screen_text(p, "name"), screen_text(p, "settings.match"), screen_text(p, "acting"),
            screen_flag(p, "dualWrite") ? "yes" : "no", screen_text(p, "settings.ttl"),
            screen_text(p, "settings.max_messages"));
    show_place(out, p);
    fprintf(out, "%-10s hit %s   miss %s   error %s\n", "  reads", paint_count(screen_number(p, "reads.hit")),
            paint_count(screen_number(p, "reads.miss")), paint_count(screen_number(p, "reads.error")));
    fprintf(out, "%-10s stored %s   NOT stored %s", "  writes", paint_count(screen_number(p, "writes")),
            paint_count(screen_number(p, "persistErrors.total")));
    show_reasons(out, p);
}

void screen_status(FILE *out, const cJSON *s)
{
    const cJSON *policy;

    show_head(out, s);
    show_redis(out, s);
    show_archive(out, s);
    show_sync(out, s);
    show_memory(out, s);
    show_clients(out, s);
    fprintf(out, "%-10s %s requests   in %s   out %s   protocol errors %s\n", "traffic",
            paint_count(screen_number(s, "traffic.requests")),
            paint_bytes(screen_number(s, "traffic.bytesIn")),
            paint_bytes(screen_number(s, "traffic.bytesOut")),
            paint_count(screen_number(s, "traffic.protocolErrors")));
    show_upstream(out, s);
    cJSON_ArrayForEach(policy, paint_find(s, "policies"))
    {
        show_policy(out, policy);
    }
}

/* ---- watch ---- */

/* A proxy that was started again counts from 0: then there is no rate yet. */
static double rate(const cJSON *now, const cJSON *before, const char *path, double seconds)
{
    double grown = screen_number(now, path) - screen_number(before, path);
    return before == NULL || seconds <= 0 || grown < 0 ? 0 : grown / seconds;
}

/* The object of the list whose name is that of item. */
static const cJSON *same_name(const cJSON *list, const cJSON *item)
{
    const cJSON *name = paint_find(item, "name");
    return cJSON_IsString(name) ? paint_row(list, "name", name->valuestring) : NULL;
}

struct line {
    const cJSON *now, *before;
    double rate;
};

static int busier(const void *a, const void *b)
{
    double x = ((const struct line *)a)->rate, y = ((const struct line *)b)->rate;
    return (x < y) - (x > y);
}

static void show_command(FILE *out, const struct line *l, double most, double seconds)
{
    double calls = rate(l->now, l->before, "calls", 1), spent = rate(l->now, l->before, "seconds", 1);

    fprintf(out, "  %-16s %12s/s  %8.3f ms  %8s err/s  ", screen_text(l->now, "name"), paint_count(l->rate),
            calls > 0 ? spent * 1000 / calls : 0, paint_count(rate(l->now, l->before, "errors", seconds)));
    paint_bar(out, l->rate / most);
    putc('\n', out);
}

static void show_commands(FILE *out, const cJSON *s, const cJSON *before, double seconds)
{
    const cJSON *list = paint_find(s, "commands"), *item;
    int n = cJSON_GetArraySize(list), used = 0;
    struct line *lines = n > 0 ? calloc((size_t)n, sizeof *lines) : NULL;

    if (lines == NULL)
        return;
    cJSON_ArrayForEach(item, list)
    {
        static const cJSON nothing; /* a command that is new counts from 0 */
        struct line l = {item, same_name(paint_find(before, "commands"), item), 0};
        if (l.before == NULL)
            l.before = &nothing;
        l.rate = before == NULL ? 0 : rate(item, l.before, "calls", seconds);
        if (l.rate > 0)
            lines[used++] = l;
    }
    qsort(lines, (size_t)used, sizeof *lines, busier);
    for (int i = 0; i < used && i < TOP; i++)
        show_command(out, &lines[i], lines[0].rate, seconds);
    free(lines);
}

static void show_policy_rates(FILE *out, const cJSON *s, const cJSON *before, double seconds)
{
    const cJSON *p;

    cJSON_ArrayForEach(p, paint_find(s, "policies"))
    {
        const cJSON *was = same_name(paint_find(before, "policies"), p);
        double lost = screen_number(p, "persistErrors.total");
        fprintf(
            out, "%-10s %s (%s)   reads %s/s   misses %s/s   writes %s/s   NOT stored %s (%s/s)\n", "policy",
            screen_text(p, "name"), screen_text(p, "acting"), paint_count(rate(p, was, "reads.hit", seconds)),
            paint_count(rate(p, was, "reads.miss", seconds)), paint_count(rate(p, was, "writes", seconds)),
            paint_count(lost), paint_count(rate(p, was, "persistErrors.total", seconds)));
    }
}

void screen_watch(FILE *out, const cJSON *s, const cJSON *before, double seconds)
{
    show_head(out, s);
    show_redis(out, s);
    show_archive(out, s);
    show_sync(out, s);
    show_memory(out, s);
    show_clients(out, s);
    show_upstream(out, s);
    fprintf(out, "%-10s %s requests/s   in %s/s   out %s/s\n", "traffic",
            paint_count(rate(s, before, "traffic.requests", seconds)),
            paint_bytes(rate(s, before, "traffic.bytesIn", seconds)),
            paint_bytes(rate(s, before, "traffic.bytesOut", seconds)));
    show_policy_rates(out, s, before, seconds);
    show_commands(out, s, before, seconds);
}

/* ---- health, settings ---- */

void screen_health(FILE *out, const cJSON *health)
{
    fprintf(out, "%s\n", screen_flag(health, "healthy") ? "ok" : "NOT OK");
    paint_list(out, health, "reasons", "problem");
    paint_list(out, health, "warnings", "warning");
}

void screen_placement_of(FILE *out, const cJSON *item)
{
    fprintf(out, "%-10s %s   primary %s   answered by %s", "policy", screen_text(item, "policy"),
            screen_text(item, "primary"), screen_text(item, "acting"));
    if (paint_find(item, "phase") != NULL)
        fprintf(out, "   phase %s (%s)", screen_text(item, "phase"), screen_text(item, "place"));
    putc('\n', out);
}

void screen_placement(FILE *out, const cJSON *doc)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, paint_find(doc, "placement"))
    {
        screen_placement_of(out, item);
        paint_list(out, paint_find(item, "guarantee"), "loweredBy", "  lowered");
    }
}

void screen_switched(FILE *out, const cJSON *doc)
{
    fprintf(out, "%-10s %s   to be answered by %s, was %s\n", "ordered", screen_text(doc, "policy"),
            screen_text(doc, "after"), screen_text(doc, "before"));
    paint_list(out, doc, "warnings", "warning");
}

void screen_faults(FILE *out, const cJSON *doc)
{
    bool allowed = screen_flag(doc, "allowed");

    fprintf(out, "%-10s %s%s\n", "faults", screen_text(doc, "plan"),
            allowed ? "" : "   (not allowed: archive.faults is off)");
}

void screen_settings(FILE *out, const cJSON *settings)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, paint_find(settings, "settings"))
    {
        fprintf(out, "%-26s %-30s %-8s %s\n", screen_text(item, "name"), screen_text(item, "value"),
                screen_text(item, "when"), screen_text(item, "source"));
    }
}
