#include "config/settings.h"

#include "config/internal.h"
#include "config/seeds.h"
#include "config/url.h"
#include "config/value.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ROW(struct_, policy_, field_, type_, name_, env_, def_, least_, most_, when_, help_)                 \
    {.name = name_,                                                                                          \
     .env = env_,                                                                                            \
     .def = def_,                                                                                            \
     .least = least_,                                                                                        \
     .most = most_,                                                                                          \
     .help = help_,                                                                                          \
     .type = type_,                                                                                          \
     .when = SETTING_WHEN_##when_,                                                                           \
     .policy = policy_,                                                                                      \
     .offset = offsetof(struct struct_, field_)},
/* The type is pasted out here: bool is a macro, which would be gone inside of ROW. */
#define SETTING(field_, type_, ...) ROW(settings, false, field_, SETTING_TYPE_##type_, __VA_ARGS__)
#define POLICY(field_, type_, ...)  ROW(policy_conf, true, field_, SETTING_TYPE_##type_, __VA_ARGS__)
static const struct setting_row rows[] = {
#include "config/settings.def"
};
#undef SETTING
#undef POLICY
#undef ROW

#define ROW_COUNT (sizeof rows / sizeof rows[0])

enum {
#define SETTING(...) +1
#define POLICY(...)
    GLOBAL_COUNT = 0
#include "config/settings.def"
#undef SETTING
#undef POLICY
    ,
    POLICY_COUNT = (int)ROW_COUNT - GLOBAL_COUNT
};

/* ---- rows ---- */

size_t settings_row_count(void)
{
    return ROW_COUNT;
}

const struct setting_row *settings_row(size_t i)
{
    return i < ROW_COUNT ? &rows[i] : NULL;
}

const struct setting_row *settings_row_find(const char *name, bool policy)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].policy == policy && strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

const char *setting_type_name(enum setting_type type)
{
    return value_type_name(type);
}

bool setting_is_secret(const struct setting_row *row)
{
    return value_has_form(row, "secret") || value_has_form(row, "users"); /* rules hold passwords */
}

void text_list_add(struct text_list *list, const char *text)
{
    list->items = must_grow(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = must_dup(text);
}

void text_list_done(struct text_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}

/* ---- snapshots ---- */

/* Defaults are ours: one that does not parse is a bug, which the unit test of the rows finds first. */
static void set_default(const struct target *target)
{
    struct reason why;
    bool good = target_set(target, target->row->def, &why);
    assert(good);
    (void)good;
    char *name = target_name(target);
    target_place(target, "default", name);
    free(name);
}

static void add_slots(struct snapshot *snap, size_t count)
{
    snap->slots = must_grow(snap->slots, (snap->slot_count + count) * sizeof *snap->slots);
    memset(snap->slots + snap->slot_count, 0, count * sizeof *snap->slots);
    snap->slot_count += count;
    for (size_t i = snap->slot_count - count; i < snap->slot_count; i++) {
        struct target target;
        snapshot_at(snap, i, &target);
        set_default(&target);
    }
}

struct snapshot *snapshot_new(void)
{
    struct snapshot *snap = must_alloc(sizeof *snap);
    atomic_init(&snap->refs, 1);
    add_slots(snap, GLOBAL_COUNT);
    return snap;
}

void snapshot_add_policy(struct snapshot *snap, const char *name)
{
    struct settings *s = &snap->s;
    s->policies = must_grow(s->policies, (s->policy_count + 1) * sizeof *s->policies);
    s->policies[s->policy_count] = (struct policy_conf){.name = must_dup(name), .index = s->policy_count};
    s->policy_count++;
    add_slots(snap, POLICY_COUNT);
}

void snapshot_at(const struct snapshot *snap, size_t n, struct target *ret)
{
    /* Readers get the same struct as builders and leave field and slot alone. */
    struct snapshot *s = (struct snapshot *)(uintptr_t)snap;

    *ret = (struct target){.slot = &s->slots[n]};
    if (n < GLOBAL_COUNT) {
        ret->row = &rows[n];
        ret->field = (char *)&s->s + rows[n].offset;
        return;
    }
    struct policy_conf *policy = &s->s.policies[(n - GLOBAL_COUNT) / POLICY_COUNT];
    ret->row = &rows[GLOBAL_COUNT + (n - GLOBAL_COUNT) % POLICY_COUNT];
    ret->field = (char *)policy + ret->row->offset;
    ret->policy = policy;
}

bool snapshot_find(struct snapshot *snap, const char *name, struct target *ret)
{
    for (size_t n = 0; n < snap->slot_count; n++) {
        struct target target;
        snapshot_at(snap, n, &target);
        size_t prefix = target.policy == NULL ? 0 : strlen(target.policy->name);
        if (prefix > 0 && (strncasecmp(name, target.policy->name, prefix) != 0 || name[prefix++] != '.'))
            continue;
        if (strcasecmp(name + prefix, target.row->name) == 0) {
            *ret = target;
            return true;
        }
    }
    return false;
}

char *target_name(const struct target *target)
{
    return target->policy == NULL ? must_dup(target->row->name)
                                  : must_print("%s.%s", target->policy->name, target->row->name);
}

bool target_set(const struct target *target, const char *text, struct reason *why)
{
    return value_parse(target->row, text, target->field, why);
}

void target_place(const struct target *target, const char *origin, const char *label)
{
    free(target->slot->origin);
    free(target->slot->label);
    *target->slot = (struct slot){.origin = must_dup(origin), .label = must_dup(label)};
}

char *target_text(const struct target *target)
{
    return value_print(target->row, target->field);
}

char *target_shown(const struct target *target)
{
    char *text = target_text(target), *shown = text;

    if (setting_is_secret(target->row) && text[0] != '\0')
        shown = must_dup("***");
    else if (value_has_form(target->row, "url"))
        shown = redis_url_hide(text);
    if (shown != text)
        free(text);
    return shown;
}

const struct settings *settings_ref(const struct settings *s)
{
    atomic_fetch_add_explicit(&snapshot_of(s)->refs, 1, memory_order_relaxed);
    return s;
}

const struct policy_conf *settings_policy(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->policy_count; i++)
        if (strcmp(s->policies[i].name, name) == 0)
            return &s->policies[i];
    return NULL;
}

bool settings_has_archive(const struct settings *s)
{
    size_t i = 0;

    if (redis_kind(s->redis_url) != REDIS_CLUSTER)
        return true;
    while (i < s->policy_count && s->policies[i].primary == STORE_REDIS)
        i++;
    return i < s->policy_count;
}

void settings_unref(const struct settings *s)
{
    if (s == NULL)
        return;
    struct snapshot *snap = snapshot_of(s);
    if (atomic_fetch_sub_explicit(&snap->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t n = 0; n < snap->slot_count; n++) {
        struct target target;
        snapshot_at(snap, n, &target);
        value_done(target.row, target.field);
        free(snap->slots[n].origin);
        free(snap->slots[n].label);
    }
    for (size_t i = 0; i < snap->s.policy_count; i++)
        free(snap->s.policies[i].name);
    free(snap->s.policies);
    free(snap->s.redis_found);
    free(snap->slots);
    free(snap);
}

/* ---- reference ---- */

/* "10ms to 60s", "redis or mongo" or "" for a free text. */
static void print_range(FILE *out, const struct setting_row *row)
{
    if (row->type == SETTING_TYPE_bool)
        fputs("yes or no", out);
    else if (row->type == SETTING_TYPE_enum)
        for (const char *p = row->least; *p != '\0'; p++)
            fputs(*p == '|' ? " or " : (char[]){*p, '\0'}, out);
    else if (row->most != NULL)
        fprintf(out, "%s to %s", row->least, row->most);
    else
        fputs(row->least == NULL ? "text" : row->least, out);
}

static void print_env(FILE *out, const struct setting_row *row, const char *separator)
{
    for (const char *p = row->env == NULL ? "" : row->env; *p != '\0'; p++)
        fputs(*p == '|' ? separator : (char[]){*p, '\0'}, out);
}

void settings_help(FILE *out)
{
    fputs("Settings. Each can be given in the file, by its environment name, or as --set NAME=VALUE;\n"
          "later ones win, and what is changed while running (CONFIG SET, HTTP) wins over all.\n"
          "Policies: NAME is the policy's name; environment names set the policy conv.\n",
          out);
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct setting_row *row = &rows[i];
        fprintf(out, "\n  %s%s", row->policy ? "NAME." : "", row->name);
        fputs(row->env == NULL ? "" : "   ", out);
        print_env(out, row, ", ");
        fprintf(out, "\n      %s\n      ", row->help);
        print_range(out, row);
        fprintf(out, "; default %s; %s\n", row->def[0] == '\0' ? "empty" : row->def,
                row->when == SETTING_WHEN_LIVE ? "can be changed while running" : "needs a restart");
    }
}

static void print_table_row(FILE *out, const struct setting_row *row)
{
    fprintf(out, "| `%s%s` | ", row->policy ? "NAME." : "", row->name);
    fputs(row->env == NULL ? "" : "`", out);
    print_env(out, row, "` `");
    fputs(row->env == NULL ? "" : "`", out);
    fprintf(out, row->def[0] == '\0' ? " | empty | " : " | `%s` | ", row->def);
    print_range(out, row);
    fprintf(out, " | %s | %s |\n", row->when == SETTING_WHEN_LIVE ? "live" : "restart", row->help);
}

static void print_table(FILE *out, bool policy)
{
    fputs("| name | environment | default | range or form | change | meaning |\n"
          "|---|---|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].policy == policy)
            print_table_row(out, &rows[i]);
}

void settings_markdown(FILE *out)
{
    fputs("# Settings\n\n"
          "This page is generated from `config/settings.def`; change the row, not the page.\n\n"
          "Order of precedence: default, file, environment, `--set NAME=VALUE`, changed while running; the "
          "last one "
          "wins.\nAn empty environment variable counts as not set. *live* settings can be changed while "
          "running "
          "(`CONFIG SET`, HTTP, SIGHUP);\n*restart* settings are read at the start only.\n\n"
          "Durations are written as `500ms`, `10s`, `5min`, `2h`, `30d`; a bare number counts in the unit of "
          "the "
          "default. Sizes are\nwritten as in redis.conf: `64mb` is 64 * 1024 * 1024 bytes, `64m` is "
          "64,000,000.\n\n"
          "## The proxy\n\n",
          out);
    print_table(out, false);
    fputs(
        "\n## Policies\n\n"
        "`NAME` is the policy's name. Without a file, or with a file that lists none, there is one policy, "
        "`conv`, "
        "for `conv:*`.\nThe environment names set the policy `conv`; where two are given, the second is the "
        "default of all other policies.\n\n",
        out);
    print_table(out, true);
}
