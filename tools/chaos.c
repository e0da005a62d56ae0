#include "tools/chaos.h"

#include "tools/paint.h"
#include "tools/screen.h"

#include <string.h>
#include <unistd.h>

#define PATH   "/api/v1/chaos"
#define LOOK_S 0.2

struct wish {
    const char *fault, *store;
    double seconds, delay_s, jitter_s;
};

/* What each fault does, and who feels it. */
static const struct {
    const char *fault, *store, *who;
} effects[] = {
    {"cut", "redis", "All connections to Redis end, and new ones are refused. Keys outside of policies get -REDISDOWN; managed keys go on "
                     "from the archive where failover is automatic, otherwise they fail."},
    {"pause", "redis", "Nothing is read from Redis or sent to it. Requests wait until redis.timeout; then it counts as down, as if it were cut."},
    {"delay", "redis", "Every answer of Redis comes later: every client feels that. Beyond redis.timeout Redis counts as down."},
    {"cut", "archive", "Every operation of the archive fails. While Redis acts, writes with ack both fall back to Redis's promise, and copies "
                       "are owed; while the archive acts, managed keys fail."},
    {"pause", "archive", "The archive does not answer: writes with ack both wait until archive.timeout; then it counts as down."},
    {"delay", "archive", "Every operation of the archive takes longer: writes with ack both feel that, and all commands while the archive acts."},
};

static const char *effect_of(const struct wish *w)
{
    for (size_t i = 0; i < sizeof effects / sizeof effects[0]; i++)
        if (strcmp(effects[i].fault, w->fault) == 0 && strcmp(effects[i].store, w->store) == 0)
            return effects[i].who;
    return NULL;
}

/* False after a message. */
static bool read_wish(const struct args *args, struct wish *w)
{
    *w = (struct wish){.fault = args->words[0], .store = args_word(args, 1), .seconds = 10, .delay_s = 0.1};
    if (w->store == NULL)
        return ctl_usage_error("which store: convctl chaos cut redis, or convctl chaos cut archive", ""), false;
    if (strcmp(w->store, "mongo") == 0)
        w->store = "archive";
    if (effect_of(w) == NULL)
        return ctl_usage_error("expected cut, pause or delay, and redis or archive, not ", w->fault), false;
    return args_seconds(args, "for", 0.1, 300, &w->seconds) && args_seconds(args, "by", 0.001, 60, &w->delay_s) &&
           args_seconds(args, "jitter", 0, w->delay_s, &w->jitter_s);
}

/* ---- what is in force ---- */

static void say_row(FILE *out, const cJSON *row)
{
    const char *fault = screen_text(row, "fault");

    fprintf(out, "%-10s %s", screen_text(row, "store"), fault);
    if (paint_find(row, "delayMs") != NULL)
        fprintf(out, " %.0f ms +- %.0f ms", screen_number(row, "delayMs"), screen_number(row, "jitterMs"));
    if (paint_find(row, "secondsLeft") != NULL)
        fprintf(out, "   %.1f s left", screen_number(row, "secondsLeft"));
    if (!screen_flag(row, "allowed"))
        fprintf(out, "   not allowed: convctl settings set %s.faults=yes", screen_text(row, "store"));
    putc('\n', out);
}

static void say_all(FILE *out, const cJSON *doc)
{
    const cJSON *row;

    cJSON_ArrayForEach(row, paint_find(doc, "chaos"))
    {
        say_row(out, row);
    }
}

static double left_of(const cJSON *doc, const char *store)
{
    return screen_number(paint_row(paint_find(doc, "chaos"), "store", store), "secondsLeft");
}

/* ---- orders ---- */

static int end_all(const struct options *o)
{
    int code;
    cJSON *doc = ctl_order(o, "DELETE", PATH, NULL, &code);

    if (doc != NULL && !o->json)
        say_all(stdout, doc);
    cJSON_Delete(doc);
    return code;
}

static int confirm(const struct options *o, const struct wish *w)
{
    char question[512];

    if (!o->json)
        printf("%s\nIt ends by itself after %g s, also when convctl is gone; convctl chaos off ends it at once.\n",
               effect_of(w), w->seconds);
    snprintf(question, sizeof question, "%s %s at %s?", w->fault, w->store, o->client.url);
    return ctl_confirm(o->yes, "chaos", question);
}

/* A bar at a terminal, until it is over; elsewhere only the end is told. */
static int watch(const struct options *o, const struct wish *w)
{
    double left = w->seconds;
    int code = EXIT_OK;
    bool bar = isatty(STDOUT_FILENO) && !o->json && !o->quiet;

    ctl_catch_interrupts();
    while (left > 0 && !ctl_interrupted()) {
        ctl_pause(LOOK_S < left ? LOOK_S : left);
        cJSON *doc = ctl_document(o, PATH, &code);
        if (doc == NULL)
            return fprintf(stderr, "convctl: it ends by itself; convctl chaos shows what is in force\n"), code;
        left = left_of(doc, w->store);
        if (bar) {
            printf("\r\033[K%s %s  [", w->fault, w->store);
            paint_bar(stdout, 1 - left / w->seconds);
            printf("]  %.0f s left", left);
            fflush(stdout);
        }
        cJSON_Delete(doc);
    }
    if (bar)
        putchar('\n');
    if (ctl_interrupted())
        return end_all(o);
    if (!o->json)
        printf("over: %s may be used again; convctl status shows who answers\n", w->store);
    return EXIT_OK;
}

static int begin(const struct options *o, const struct wish *w, bool wait)
{
    cJSON *json = cJSON_CreateObject(), *doc = NULL;

    cJSON_AddStringToObject(json, "store", w->store);
    cJSON_AddStringToObject(json, "fault", w->fault);
    cJSON_AddNumberToObject(json, "seconds", w->seconds);
    if (strcmp(w->fault, "delay") == 0) {
        cJSON_AddNumberToObject(json, "delayMs", w->delay_s * 1000);
        cJSON_AddNumberToObject(json, "jitterMs", w->jitter_s * 1000);
    }
    int code = ctl_change(o, PATH, json, say_all, &doc);
    cJSON_Delete(doc);
    return code == EXIT_OK && wait ? watch(o, w) : code;
}

int run_chaos(struct options *o, const struct args *args)
{
    struct wish w;

    if (args->count == 0)
        return ctl_show(o, PATH, say_all);
    if (args->count == 1 && strcmp(args->words[0], "off") == 0)
        return end_all(o);
    if (!read_wish(args, &w))
        return EXIT_WRONG_USAGE;
    int code = confirm(o, &w);
    return code == EXIT_OK ? begin(o, &w, !args_flag(args, "no-wait")) : code;
}
