#include "tools/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS     16
#define TEXT_MAX  160
#define TOP       8 /* commands that watch lists */
#define BAR_WIDTH 30

/* ---- looking into documents ---- */

static const cJSON *find(const cJSON *doc, const char *path)
{
    char name[64];

    while (doc != NULL && *path != '\0') {
        size_t len = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)len, path);
        doc = cJSON_GetObjectItemCaseSensitive(doc, name);
        path += len + (path[len] == '.');
    }
    return doc;
}

double screen_number(const cJSON *doc, const char *path)
{
    const cJSON *item = find(doc, path);
    return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

bool screen_flag(const cJSON *doc, const char *path)
{
    return cJSON_IsTrue(find(doc, path));
}

static char *next_text(void)
{
    static _Thread_local char texts[TEXTS][TEXT_MAX];
    static _Thread_local unsigned at;
    return texts[at++ % TEXTS];
}

const char *screen_text(const cJSON *doc, const char *path)
{
    const cJSON *item = find(doc, path);
    char *text = next_text();

    if (!cJSON_IsString(item) || item->valuestring[0] == '\0')
        return "-";
    snprintf(text, TEXT_MAX, "%s", item->valuestring);
    for (char *p = text; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    return text;
}

/* ---- units ---- */

static const char *bytes(double n)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char *text = next_text();
    size_t u = 0;

    while (n >= 1024 && u + 1 < sizeof units / sizeof units[0]) {
        n /= 1024;
        u++;
    }
    snprintf(text, TEXT_MAX, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
    return text;
}

/* 1234567 as 1,234,567. */
static const char *count(double n)
{
    char digits[32], *text = next_text();
    size_t at = 0;

    snprintf(digits, sizeof digits, "%.0f", fabs(n) < 1e15 ? fabs(n) : 1e15);
    for (size_t i = 0, len = strlen(digits); i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            text[at++] = ',';
        text[at++] = digits[i];
    }
    text[at] = '\0';
    return text;
}

static const char *duration(double s)
{
    char *text = next_text();
    long n = (long)s;

    if (n >= 86400)
        snprintf(text, TEXT_MAX, "%ldd %ldh", n / 86400, n % 86400 / 3600);
    else if (n >= 3600)
        snprintf(text, TEXT_MAX, "%ldh %ldmin", n / 3600, n % 3600 / 60);
    else if (n >= 60)
        snprintf(text, TEXT_MAX, "%ldmin %lds", n / 60, n % 60);
    else
        snprintf(text, TEXT_MAX, "%lds", n);
    return text;
}

/* ---- parts that status and watch share ---- */

static void show_list(FILE *out, const cJSON *doc, const char *name, const char *title)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, find(doc, name))
    {
        fprintf(out, "%-10s %s\n", title, screen_text(item, ""));
    }
}

static void show_head(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s   up %s   pid %.0f   threads %.0f%s\n", "convproxy", screen_text(s, "version"),
            duration(screen_number(s, "uptimeSeconds")), screen_number(s, "pid"), screen_number(s, "threads"),
            screen_flag(s, "draining") ? "   ENDING" : "");
    fprintf(out, "%-10s %s\n", "health", screen_flag(s, "healthy") ? "ok" : "NOT OK");
    show_list(out, s, "reasons", "  problem");
    show_list(out, s, "warnings", "  warning");
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

    if (find(s, "archive.kind") == NULL)
        return;
    if (strcmp(screen_text(s, "archive.kind"), "none") == 0) {
        fprintf(out, "%-10s none (%s)\n", "archive", screen_text(s, "archive.error"));
        return;
    }
    fprintf(out, "%-10s %s (%s)   %s documents, %s   p50 %.2f ms   p95 %.2f ms   p99 %.2f ms\n", "archive",
            up ? "up" : "DOWN", screen_text(s, "archive.kind"),
            find(s, "archive.documents") != NULL ? count(screen_number(s, "archive.documents")) : "-",
            bytes(screen_number(s, "archive.bytes")), screen_number(s, "archive.latencyMs.p50"),
            screen_number(s, "archive.latencyMs.p95"), screen_number(s, "archive.latencyMs.p99"));
    if (!up)
        fprintf(out, "%-10s %s\n", "  problem", screen_text(s, "archive.error"));
    fprintf(
        out,
        "%-10s %s waiting, %s running, %s parked   failed %s   refused %s   late %s   races %s   swept %s\n",
        "  queue", count(screen_number(s, "archive.queue.waiting") + screen_number(s, "archive.queue.ready")),
        count(screen_number(s, "archive.queue.running")), count(screen_number(s, "archive.queue.parked")),
        count(screen_number(s, "archive.failed")), count(screen_number(s, "archive.refused")),
        count(screen_number(s, "archive.late")), count(screen_number(s, "archive.races")),
        count(screen_number(s, "archive.swept")));
}

static void show_memory(FILE *out, const cJSON *s)
{
    double most = screen_number(s, "redis.maxMemory");

    fprintf(out, "%-10s proxy %s, %s of it buffered   redis %s of %s, %s, %s keys evicted\n", "memory",
            bytes(screen_number(s, "residentBytes")), bytes(screen_number(s, "traffic.bufferedBytes")),
            bytes(screen_number(s, "redis.usedMemory")), most > 0 ? bytes(most) : "no limit",
            screen_text(s, "redis.maxMemoryPolicy"), count(screen_number(s, "redis.evictedKeys")));
}

static void show_clients(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s of at most %s   accepted %s   refused %s   closed for unread output %s\n",
            "clients", count(screen_number(s, "clients.connected")), count(screen_number(s, "clients.max")),
            count(screen_number(s, "clients.accepted")), count(screen_number(s, "clients.refused")),
            count(screen_number(s, "clients.closedForOutput")));
}

static void show_upstream(FILE *out, const cJSON *s)
{
    fprintf(out, "%-10s %s open, %s of them pinned   failed connects %s   lost %s   time-outs %s\n",
            "upstream", count(screen_number(s, "upstream.open")), count(screen_number(s, "upstream.pinned")),
            count(screen_number(s, "upstream.connectFailures")), count(screen_number(s, "upstream.lost")),
            count(screen_number(s, "upstream.timeouts")));
}

/* ---- status ---- */

static void show_reasons(FILE *out, const cJSON *policy)
{
    const cJSON *item;
    const char *before = " (";

    cJSON_ArrayForEach(item, find(policy, "persistErrors.byReason"))
    {
        fprintf(out, "%s%s %.0f", before, item->string, item->valuedouble);
        before = ", ";
    }
    fputs(before[0] == ',' ? ")\n" : "\n", out);
}

static void show_policy(FILE *out, const cJSON *p)
{
    fprintf(out, "%-10s %s  %s   answered by %s   copies %s   ttl %s   at most %s messages\n", "policy",
            screen_text(p, "name"), screen_text(p, "settings.match"), screen_text(p, "acting"),
            screen_flag(p, "dualWrite") ? "yes" : "no", screen_text(p, "settings.ttl"),
            screen_text(p, "settings.max_messages"));
    fprintf(out, "%-10s hit %s   miss %s   error %s\n", "  reads", count(screen_number(p, "reads.hit")),
            count(screen_number(p, "reads.miss")), count(screen_number(p, "reads.error")));
    fprintf(out, "%-10s stored %s   NOT stored %s", "  writes", count(screen_number(p, "writes")),
            count(screen_number(p, "persistErrors.total")));
    show_reasons(out, p);
}

void screen_status(FILE *out, const cJSON *s)
{
    const cJSON *policy;

    show_head(out, s);
    show_redis(out, s);
    show_archive(out, s);
    show_memory(out, s);
    show_clients(out, s);
    fprintf(out, "%-10s %s requests   in %s   out %s   protocol errors %s\n", "traffic",
            count(screen_number(s, "traffic.requests")), bytes(screen_number(s, "traffic.bytesIn")),
            bytes(screen_number(s, "traffic.bytesOut")), count(screen_number(s, "traffic.protocolErrors")));
    show_upstream(out, s);
    cJSON_ArrayForEach(policy, find(s, "policies"))
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
    const cJSON *other, *name = find(item, "name");

    cJSON_ArrayForEach(other, list)
    {
        const cJSON *its = find(other, "name");
        if (cJSON_IsString(its) && cJSON_IsString(name) && strcmp(its->valuestring, name->valuestring) == 0)
            return other;
    }
    return NULL;
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

static void bar(FILE *out, double part)
{
    int n = (int)(part * BAR_WIDTH + 0.5);

    for (int i = 0; i < n && i < BAR_WIDTH; i++)
        putc('#', out);
}

static void show_command(FILE *out, const struct line *l, double most, double seconds)
{
    double calls = rate(l->now, l->before, "calls", 1), spent = rate(l->now, l->before, "seconds", 1);

    fprintf(out, "  %-16s %12s/s  %8.3f ms  %8s err/s  ", screen_text(l->now, "name"), count(l->rate),
            calls > 0 ? spent * 1000 / calls : 0, count(rate(l->now, l->before, "errors", seconds)));
    bar(out, l->rate / most);
    putc('\n', out);
}

static void show_commands(FILE *out, const cJSON *s, const cJSON *before, double seconds)
{
    const cJSON *list = find(s, "commands"), *item;
    int n = cJSON_GetArraySize(list), used = 0;
    struct line *lines = n > 0 ? calloc((size_t)n, sizeof *lines) : NULL;

    if (lines == NULL)
        return;
    cJSON_ArrayForEach(item, list)
    {
        static const cJSON nothing; /* a command that is new counts from 0 */
        struct line l = {item, same_name(find(before, "commands"), item), 0};
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

    cJSON_ArrayForEach(p, find(s, "policies"))
    {
        const cJSON *was = same_name(find(before, "policies"), p);
        double lost = screen_number(p, "persistErrors.total");
        fprintf(out, "%-10s %s (%s)   reads %s/s   misses %s/s   writes %s/s   NOT stored %s (%s/s)\n",
                "policy", screen_text(p, "name"), screen_text(p, "acting"),
                count(rate(p, was, "reads.hit", seconds)), count(rate(p, was, "reads.miss", seconds)),
                count(rate(p, was, "writes", seconds)), count(lost),
                count(rate(p, was, "persistErrors.total", seconds)));
    }
}

void screen_watch(FILE *out, const cJSON *s, const cJSON *before, double seconds)
{
    show_head(out, s);
    show_redis(out, s);
    show_archive(out, s);
    show_memory(out, s);
    show_clients(out, s);
    show_upstream(out, s);
    fprintf(out, "%-10s %s requests/s   in %s/s   out %s/s\n", "traffic",
            count(rate(s, before, "traffic.requests", seconds)),
            bytes(rate(s, before, "traffic.bytesIn", seconds)),
            bytes(rate(s, before, "traffic.bytesOut", seconds)));
    show_policy_rates(out, s, before, seconds);
    show_commands(out, s, before, seconds);
}

/* ---- health, settings ---- */

void screen_health(FILE *out, const cJSON *health)
{
    fprintf(out, "%s\n", screen_flag(health, "healthy") ? "ok" : "NOT OK");
    show_list(out, health, "reasons", "problem");
    show_list(out, health, "warnings", "warning");
}

void screen_placement(FILE *out, const cJSON *doc)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, find(doc, "placement"))
    {
        fprintf(out, "%-10s %s   primary %s   answered by %s\n", "policy", screen_text(item, "policy"),
                screen_text(item, "primary"), screen_text(item, "acting"));
    }
}

void screen_switched(FILE *out, const cJSON *doc)
{
    fprintf(out, "%-10s %s   answered by %s, was %s\n", "switched", screen_text(doc, "policy"),
            screen_text(doc, "after"), screen_text(doc, "before"));
    show_list(out, doc, "warnings", "warning");
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

    cJSON_ArrayForEach(item, find(settings, "settings"))
    {
        fprintf(out, "%-26s %-30s %-8s %s\n", screen_text(item, "name"), screen_text(item, "value"),
                screen_text(item, "when"), screen_text(item, "source"));
    }
}
