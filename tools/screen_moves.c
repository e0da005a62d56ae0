#include "tools/paint.h"

#include <string.h>

/* Of those whose total is not known there is no part. */
static double part_of(const cJSON *move)
{
    double done = screen_number(move, "done"), total = screen_number(move, "total");
    if (strcmp(screen_text(move, "state"), "done") == 0)
        return 1;
    return total > 0 && done < total ? done / total : total > 0;
}

static void put_bar(FILE *out, double part)
{
    fputs("  [", out);
    paint_bar(out, part);
    for (int i = (int)(part * BAR_WIDTH + 0.5); i < BAR_WIDTH; i++)
        putc('-', out);
    fprintf(out, "] %3.0f%%", part * 100);
}

/* What the keys are that a move counts as found. */
static const struct finding {
    const char *kind, *words;
    bool wrong; /* until it is repaired */
} findings[] = {
    {"verify", "differ", true},
    {"ttl-audit", "without TTL", true},
    {"tier", "changed tier", false},
};

/* Of a newer proxy's kinds nothing is known but that they have found something. */
static const struct finding *finding_of(const cJSON *move)
{
    static const struct finding unknown = {"", "found", true};
    const char *kind = screen_text(move, "kind");

    for (size_t i = 0; i < sizeof findings / sizeof findings[0]; i++)
        if (strcmp(findings[i].kind, kind) == 0)
            return &findings[i];
    return &unknown;
}

bool screen_move_wrong(const cJSON *move)
{
    return finding_of(move)->wrong && screen_number(move, "found") > screen_number(move, "repaired");
}

static void put_found(FILE *out, const cJSON *move)
{
    if (screen_number(move, "found") > 0)
        fprintf(out, "   %s %s", paint_count(screen_number(move, "found")), finding_of(move)->words);
    if (screen_number(move, "repaired") > 0)
        fprintf(out, ", %s repaired", paint_count(screen_number(move, "repaired")));
}

void screen_move(FILE *out, const cJSON *move, bool with_bar)
{
    const char *state = screen_text(move, "state");

    fprintf(out, "%-4.0f %-9s %-10s %-8s", screen_number(move, "id"), screen_text(move, "kind"),
            screen_text(move, "policy"), state);
    if (with_bar)
        put_bar(out, part_of(move));
    fprintf(out, "  %s", paint_count(screen_number(move, "done")));
    if (paint_find(move, "total") != NULL)
        fprintf(out, " of %s", paint_count(screen_number(move, "total")));
    fprintf(out, " keys   %s/s", paint_count(screen_number(move, "keysPerSecond")));
    if (paint_find(move, "etaSeconds") != NULL && strcmp(state, "running") == 0)
        fprintf(out, "   %s left", paint_duration(screen_number(move, "etaSeconds")));
    put_found(out, move);
    if (paint_find(move, "why") != NULL)
        fprintf(out, "   (%s)", screen_text(move, "why"));
}

void screen_move_end(FILE *out, const cJSON *move)
{
    const cJSON *key;

    cJSON_ArrayForEach(key, paint_find(move, "examples"))
    {
        fprintf(out, "  key  %s\n", screen_text(key, ""));
    }
}

void screen_moves(FILE *out, const cJSON *doc)
{
    const cJSON *move;

    if (cJSON_GetArraySize(paint_find(doc, "moves")) == 0)
        fputs("there are no moves\n", out);
    cJSON_ArrayForEach(move, paint_find(doc, "moves"))
    {
        screen_move(out, move, false);
        putc('\n', out);
        screen_move_end(out, move);
    }
}

void screen_aborted(FILE *out, const cJSON *doc)
{
    fprintf(out, "aborted    move %.0f\n", screen_number(doc, "aborted"));
}

void screen_resumed(FILE *out, const cJSON *doc)
{
    fprintf(out, "resumed    move %.0f\n", screen_number(doc, "resumed"));
}

void screen_dual_write(FILE *out, const cJSON *doc)
{
    fprintf(out, "dual-write %s   %s, was %s\n", screen_text(doc, "policy"),
            screen_flag(doc, "on") ? "on" : "off", screen_flag(doc, "was") ? "on" : "off");
    if (paint_find(doc, "backfill") != NULL)
        fprintf(out, "backfill   move %.0f copies what is there; convctl moves shows how far it is\n",
                screen_number(doc, "backfill"));
    paint_list(out, doc, "warnings", "warning");
}
