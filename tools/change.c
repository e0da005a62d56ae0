#include "tools/change.h"

#include "tools/paint.h"

#include <stdlib.h>
#include <string.h>

#define SWITCH_LOOK_S 0.1
#define SWITCH_LOOKS  600 /* that a switch is watched for at most */

/* ---- settings ---- */

static int settings_get(const struct options *o, const char *pattern)
{
    char *own_path = ctl_path("/api/v1/settings?match=", pattern);
    int code = ctl_show(o, own_path, screen_settings);

    free(own_path);
    return code;
}

static void print_changed(FILE *out, const cJSON *doc)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "changed"))
    {
        fprintf(out, "%s = %s\n", screen_text(item, "name"), screen_text(item, "value"));
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "warnings"))
    {
        fprintf(stderr, "convctl: warning: %s\n", screen_text(item, ""));
    }
}

static int settings_set(const struct options *o, int argc, const char *const *argv)
{
    cJSON *doc = cJSON_CreateObject();
    char name[128];

    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (equals == NULL || equals == argv[i] || (size_t)(equals - argv[i]) >= sizeof name) {
            cJSON_Delete(doc);
            return ctl_usage_error("expected NAME=VALUE: ", argv[i]);
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - argv[i]), argv[i]);
        cJSON_AddStringToObject(doc, name, equals + 1);
    }
    return ctl_change(o, "/api/v1/settings", doc, print_changed, NULL);
}

int run_settings(struct options *o, const struct args *args)
{
    const char *verb = args_word(args, 0);

    if (verb == NULL)
        return settings_get(o, "*");
    if (strcmp(verb, "get") == 0 && args->count == 2)
        return settings_get(o, args->words[1]);
    if (strcmp(verb, "set") == 0 && args->count > 1)
        return settings_set(o, args->count - 1, args->words + 1);
    return ctl_usage_error(
        "expected settings, settings get PATTERN, or settings set NAME=VALUE..., not settings ", verb);
}

/* ---- primary ---- */

static bool is_store(const char *name)
{
    static const char *const stores[] = {"redis", "mongo", "archive"};

    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++)
        if (strcmp(name, stores[i]) == 0)
            return true;
    return ctl_usage_error("expected primary redis or primary mongo, not primary ", name), false;
}

static int confirm(const struct options *o, const char *store)
{
    char question[160];

    snprintf(question, sizeof question, "Commands on these keys go to %s from now on. Switch?", store);
    return ctl_confirm(o->yes, "a switch", question);
}

/* ---- until the switch is done ---- */

/* Requests wait no more, and the store answers; Redis also while keys are still given back to it. */
static bool is_there(const cJSON *item, const char *store)
{
    return strcmp(screen_text(item, "acting"), store) == 0 &&
           strcmp(screen_text(item, "phase"), "hold") != 0 &&
           strcmp(screen_text(item, "place"), "drain") != 0;
}

int primary_wait(const struct options *o, const char *policy, const char *store)
{
    char place[32] = "";
    int code = EXIT_UNHEALTHY;

    for (int look = 0; look < SWITCH_LOOKS && !ctl_interrupted(); look++) {
        cJSON *doc = ctl_document(o, "/api/v1/primary", &code);
        if (doc == NULL)
            return code;
        const cJSON *item = paint_row(paint_find(doc, "placement"), "policy", policy);
        bool there = item != NULL && is_there(item, store);
        if (!o->json && !o->quiet && strcmp(place, screen_text(item, "place")) != 0)
            screen_placement_of(stdout, item);
        snprintf(place, sizeof place, "%s", screen_text(item, "place"));
        fflush(stdout);
        cJSON_Delete(doc);
        if (there)
            return EXIT_OK;
        ctl_pause(SWITCH_LOOK_S);
    }
    fprintf(stderr, "convctl: the switch goes on; convctl primary shows how far it is\n");
    return ctl_interrupted() ? EXIT_INTERRUPTED : EXIT_UNHEALTHY;
}

int run_primary(struct options *o, const struct args *args)
{
    const char *store = args_word(args, 0), *policy = args_value(args, "policy");
    cJSON *switched = NULL, *json;
    char name[64];

    if (store == NULL && (policy != NULL || o->yes))
        return ctl_usage_error("which store shall answer: primary redis or primary mongo", "");
    if (store == NULL)
        return ctl_show(o, "/api/v1/primary", screen_placement);
    if (!is_store(store))
        return EXIT_WRONG_USAGE;
    int code = o->json || o->quiet ? EXIT_OK : ctl_show(o, "/api/v1/primary", screen_placement);
    if (code == EXIT_OK)
        code = confirm(o, store);
    if (code != EXIT_OK)
        return code;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "policy", policy != NULL ? policy : "");
    cJSON_AddStringToObject(json, "store", store);
    code = ctl_change(o, "/api/v1/primary", json, screen_switched, &switched);
    if (switched == NULL)
        return code;
    snprintf(name, sizeof name, "%s", screen_text(switched, "policy"));
    cJSON_Delete(switched);
    ctl_catch_interrupts();
    return primary_wait(o, name, strcmp(store, "redis") == 0 ? "redis" : "archive");
}

/* ---- fault ---- */

int run_fault(struct options *o, const struct args *args)
{
    const char *plan = args_word(args, 0);

    if (plan == NULL)
        return ctl_show(o, "/api/v1/archive/faults", screen_faults);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "plan", plan);
    return ctl_change(o, "/api/v1/archive/faults", json, screen_faults, NULL);
}
