#include "tools/tiers.h"

#include "tools/moves.h"
#include "tools/screen.h"

#include <stdlib.h>
#include <string.h>

#define PATH "/api/v1/tiers"

/* ---- what is shown ---- */

static double number(const cJSON *policy, const char *tier, const char *name)
{
    return screen_number(cJSON_GetObjectItemCaseSensitive(policy, tier), name);
}

static void show_all(FILE *out, const cJSON *doc)
{
    const cJSON *policy;

    fprintf(out, "%-14s %-5s %10s %10s %14s %10s %14s\n", "policy", "tiers", "working", "warm", "bytes", "cold", "bytes");
    cJSON_ArrayForEach(policy, cJSON_GetObjectItemCaseSensitive(doc, "policies"))
    {
        fprintf(out, "%-14s %-5s %10.0f %10.0f %14.0f %10.0f %14.0f\n", screen_text(policy, "policy"),
                screen_flag(policy, "on") ? "on" : "off", number(policy, "working", "keys"), number(policy, "warm", "keys"),
                number(policy, "warm", "bytes"), number(policy, "cold", "keys"), number(policy, "cold", "bytes"));
    }
}

/* One that is no text is told in base64. */
static const char *key_of(const cJSON *doc)
{
    return cJSON_IsObject(cJSON_GetObjectItemCaseSensitive(doc, "key")) ? screen_text(doc, "key.base64") : screen_text(doc, "key");
}

static void show_key(FILE *out, const cJSON *doc)
{
    fprintf(out, "%s: %s, used %.0f times\n", key_of(doc), screen_text(doc, "tier"), screen_number(doc, "accesses"));
}

static void show_moved(FILE *out, const cJSON *doc)
{
    bool working = strcmp(screen_text(doc, "tier"), "working") == 0;

    show_key(out, doc);
    fprintf(out, "to undo it: convctl tiers %s %s\n", working ? "demote" : "promote", key_of(doc));
}

/* ---- what is done ---- */

static int move_key(const struct options *o, const char *key, const char *to)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "key", key);
    cJSON_AddStringToObject(json, "to", to);
    return ctl_change(o, PATH, json, show_moved, NULL);
}

static int show_one(const struct options *o, const char *key)
{
    char *own_path = ctl_path(PATH "?key=", key);
    int code = ctl_show(o, own_path, show_key);

    free(own_path);
    return code;
}

int run_tiers(struct options *o, const struct args *args)
{
    const char *word = args_word(args, 0), *what = args_word(args, 1);

    if (word == NULL)
        return ctl_show(o, PATH, show_all);
    if (strcmp(word, "sweep") == 0)
        return moves_do(o, "tier", what != NULL ? what : "");
    if (what == NULL)
        return ctl_usage_error("it needs a key: tiers ", word);
    if (strcmp(word, "demote") == 0)
        return move_key(o, what, "warm");
    if (strcmp(word, "promote") == 0)
        return move_key(o, what, "working");
    return strcmp(word, "show") == 0 ? show_one(o, what) : ctl_usage_error("expected sweep, demote, promote or show, not ", word);
}
