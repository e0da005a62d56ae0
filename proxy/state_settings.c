#include "proxy/state.h"

#include "config/units.h"

#include <stdio.h>
#include <string.h>

static void text(cJSON *in, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        cJSON_AddStringToObject(in, name, value);
}

/* The unit of a bare number. */
static const char *unit_of(const struct setting_row *row)
{
    static const struct {
        int64_t ms;
        const char *name;
    } units[] = {{1, "ms"}, {1000, "s"}, {60000, "min"}, {3600000, "h"}, {86400000, "d"}};

    if (row->type == SETTING_TYPE_bytes)
        return "bytes";
    if (row->type != SETTING_TYPE_duration)
        return NULL;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].ms == units_duration_unit(row->def))
            return units[i].name;
    return "ms";
}

/* "redis|mongo" as a list. */
static void add_words(cJSON *item, const char *words)
{
    cJSON *list = cJSON_AddArrayToObject(item, "words");
    char word[64];

    for (const char *p = words; *p != '\0';) {
        size_t len = strcspn(p, "|");
        snprintf(word, sizeof word, "%.*s", (int)len, p);
        cJSON_AddItemToArray(list, cJSON_CreateString(word));
        p += len + (p[len] == '|');
    }
}

/* settings.def: least and most are a range for numbers only. */
static void add_range(cJSON *item, const struct setting_row *row)
{
    bool ranged = row->type == SETTING_TYPE_int || row->type == SETTING_TYPE_bytes ||
                  row->type == SETTING_TYPE_duration;

    if (row->type == SETTING_TYPE_enum)
        add_words(item, row->least);
    else
        text(item, ranged ? "least" : "form", row->least);
    text(item, "most", row->most);
}

static void take_setting(void *ctx, const struct config_view *view)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", view->name);
    cJSON_AddStringToObject(item, "value", view->value);
    cJSON_AddStringToObject(item, "default", view->row->def);
    text(item, "source", view->origin);
    text(item, "type", setting_type_name(view->row->type));
    text(item, "unit", unit_of(view->row));
    add_range(item, view->row);
    text(item, "when", view->row->when == SETTING_WHEN_LIVE ? "live" : "restart");
    text(item, "env", view->row->env);
    text(item, "policy", view->policy);
    text(item, "help", view->row->help);
    cJSON_AddItemToArray(ctx, item);
}

cJSON *state_settings(struct config *config, const char *pattern)
{
    cJSON *doc = cJSON_CreateObject();

    config_get(config, pattern, take_setting, cJSON_AddArrayToObject(doc, "settings"));
    return doc;
}
