#include "router/place.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The rows' words. */
enum {
    KNOWN = FACT_KNOWN,
    NEW = FACT_NEW,
    LAST_REDIS = FACT_LAST_REDIS,
    LAST_ARCHIVE = FACT_LAST_ARCHIVE,
    ARCHIVE = FACT_ARCHIVE,
    ASKED = FACT_ASKED,
    THERE = FACT_THERE,
    REDIS = FACT_REDIS,
    OURS = FACT_OURS,
    WELL = FACT_WELL,
    WANT_ARCHIVE = FACT_WANT_ARCHIVE,
    AUTOMATIC = FACT_AUTOMATIC,
    QUIET = FACT_QUIET,
    COPIED = FACT_COPIED,
    NEARLY_CLEAN = FACT_NEARLY_CLEAN,
    CLEAN = FACT_CLEAN,
    CLAIMED = FACT_CLAIMED,
    CAUGHT_UP = FACT_CAUGHT_UP,
    LATE = FACT_LATE
};

static const struct {
    const char *name, *help;
    enum phase phase;
    int64_t limit_ms;
} places[] = {
#define PLACE(place, name, phase, limit, help) {name, help, PHASE_##phase, limit},
#define STEP(...)
#include "router/place.def"
#undef PLACE
#undef STEP
};

static const struct step {
    enum place from;
    uint32_t needs, unless;
    enum place to;
    const char *needs_text, *unless_text;
} steps[] = {
#define PLACE(...)
#define STEP(from, needs, unless, to) {PLACE_##from, needs, unless, PLACE_##to, #needs, #unless},
#include "router/place.def"
#undef PLACE
#undef STEP
};
#define STEPS (sizeof steps / sizeof steps[0])

enum place place_next(enum place at, uint32_t facts)
{
    for (size_t i = 0; i < STEPS; i++)
        if (steps[i].from == at && (facts & steps[i].needs) == steps[i].needs &&
            (facts & steps[i].unless) == 0)
            return steps[i].to;
    return at;
}

enum phase place_phase(enum place p)
{
    return places[p].phase;
}

int64_t place_limit_ms(enum place p)
{
    return places[p].limit_ms;
}

const char *place_name(enum place p)
{
    return places[p].name;
}

const char *place_help(enum place p)
{
    return places[p].help;
}

const char *phase_name(enum phase p)
{
    static const char *const names[] = {"redis", "hold", "archive", "catchup"};
    return names[p];
}

/* KNOWN | OURS → "known, ours" */
static void put_facts(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == ' ' && text[1] == '|')
            continue;
        if (*text == '|')
            fputc(',', out);
        else
            fputc(*text == '_' ? ' ' : tolower((unsigned char)*text), out);
    }
}

static void put_diagram(FILE *out)
{
    fputs("```mermaid\nstateDiagram-v2\n", out);
    for (size_t i = 0; i < STEPS; i++) {
        bool told = false;
        for (size_t k = 0; k < i; k++)
            told |= steps[k].from == steps[i].from && steps[k].to == steps[i].to;
        if (!told)
            fprintf(out, "    %s --> %s\n", place_name(steps[i].from), place_name(steps[i].to));
    }
    fputs("```\n", out);
}

void place_markdown(FILE *out)
{
    fputs("# Where a policy is between the two stores\n\nMade by `convproxy --docs places` from "
          "`router/place.def`; do not edit. "
          "[protocol.md](protocol.md) explains.\n\n",
          out);
    put_diagram(out);
    fputs("\n| place | clients' requests | at most | what happens |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < PLACES; i++) {
        fprintf(out, "| %s | %s | ", place_name((enum place)i), phase_name(places[i].phase));
        if (places[i].limit_ms > 0)
            fprintf(out, "%lld ms", (long long)places[i].limit_ms);
        fprintf(out, " | %s |\n", places[i].help);
    }
    fputs("\nThe first row whose facts hold counts; without one the policy stays.\n\n| from | to | when | "
          "and not |\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < STEPS; i++) {
        fprintf(out, "| %s | %s | ", place_name(steps[i].from), place_name(steps[i].to));
        put_facts(out, steps[i].needs == 0 ? "" : steps[i].needs_text);
        fputs(" | ", out);
        put_facts(out, steps[i].unless == 0 ? "" : steps[i].unless_text);
        fputs(" |\n", out);
    }
}
