#include "config/sources.h"

#include "config/file.h"
#include "config/seeds.h"
#include "config/url.h"
#include "config/yaml.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists of values ---- */

static void free_texts(struct assign *a)
{
    free(a->name);
    free(a->value);
    free(a->origin);
    free(a->label);
}

const struct assign *assign_find(const struct assign_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    return NULL;
}

void assign_put(struct assign_list *list, const char *name, const char *value, const char *origin,
                const char *label)
{
    struct assign fresh = {must_dup(name), must_dup(value), must_dup(origin), must_dup(label)};
    const struct assign *old = assign_find(list, name);

    if (old != NULL) {
        size_t i = (size_t)(old - list->items);
        free_texts(&list->items[i]);
        list->items[i] = fresh;
        return;
    }
    list->items = must_grow(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] = fresh;
}

struct assign_list assign_copy(const struct assign_list *list)
{
    struct assign_list copy = {0};
    for (size_t i = 0; i < list->count; i++)
        assign_put(&copy, list->items[i].name, list->items[i].value, list->items[i].origin,
                   list->items[i].label);
    return copy;
}

void assign_done(struct assign_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_texts(&list->items[i]);
    free(list->items);
    *list = (struct assign_list){0};
}

void sources_done(struct sources *sources)
{
    free(sources->path);
    text_list_done(&sources->policies);
    assign_done(&sources->file);
    assign_done(&sources->env_defaults);
    assign_done(&sources->env);
    assign_done(&sources->sets);
    assign_done(&sources->live);
    *sources = (struct sources){0};
}

/* ---- reading the layers ---- */

static void take_entry(struct assign_list *list, const char *path, const struct yaml_entry *entry)
{
    bool policy = settings_row_find(entry->name, false) == NULL;
    char *origin = must_print("%s:%zu", path, entry->line);
    char *label = must_print("%s: %s%s", origin, policy ? "policies." : "", entry->name);
    assign_put(list, entry->name, entry->value, origin, label);
    free(origin);
    free(label);
}

enum err sources_read_file(const char *path, struct assign_list *ret_file, struct text_list *ret_policies,
                           struct config_error *err)
{
    char *text;
    size_t len;
    struct yaml_doc doc;
    enum err rc = file_read(path, &text, &len, NULL, err);

    if (rc != ERR_NONE)
        return rc;
    rc = yaml_parse(path, text, len, &doc, err);
    free(text);
    if (rc != ERR_NONE)
        return rc;
    *ret_file = (struct assign_list){0};
    *ret_policies = (struct text_list){0};
    for (size_t i = 0; i < doc.entry_count; i++)
        take_entry(ret_file, path, &doc.entries[i]);
    for (size_t i = 0; i < doc.block_count; i++)
        if (doc.blocks[i].policy)
            text_list_add(ret_policies, doc.blocks[i].name);
    yaml_doc_done(&doc);
    return ERR_NONE;
}

/* The value of the variable whose name is the first len bytes of name; NULL when it isn't set, or empty. */
static const char *env_value(const char *const *env, const char *name, size_t len)
{
    for (; *env != NULL; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return (*env)[len + 1] == '\0' ? NULL : *env + len + 1;
    return NULL;
}

/* One row: its names from first to last. */
static void read_row_env(struct sources *sources, const struct setting_row *row, const char *const *env)
{
    char *conv = must_print(SOURCES_BUILT_IN ".%s", row->name);
    size_t len;

    for (const char *p = row->env; *p != '\0'; p += len + (p[len] == '|')) {
        len = strcspn(p, "|");
        const char *value = env_value(env, p, len);
        bool second = p != row->env;
        if (value == NULL)
            continue;
        const char *name = row->policy && !second ? conv : row->name;
        struct assign_list *list = row->policy && second ? &sources->env_defaults : &sources->env;
        char *label = must_print("environment %.*s", (int)len, p);
        if (assign_find(list, name) == NULL)
            assign_put(list, name, value, label, label);
        free(label);
    }
    free(conv);
}

void sources_read_env(struct sources *sources, const char *const *env)
{
    for (size_t i = 0; i < settings_row_count(); i++)
        if (settings_row(i)->env != NULL)
            read_row_env(sources, settings_row(i), env);
}

enum err sources_read_sets(struct sources *sources, const char *const *sets, size_t count,
                           struct config_error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(sets[i], "=");
        char *name = must_copy(sets[i], len);
        for (char *c = name; *c != '\0'; c++)
            *c = (char)tolower((unsigned char)*c); /* as every name is: layers are compared by name */
        char *label = must_print("--set %s", name);
        bool good = sets[i][len] == '=' && len > 0;
        if (good)
            assign_put(&sources->sets, name, sets[i] + len + 1, "--set", label);
        else
            config_error_set(err, label, name, "no '=' after the name; expected NAME=VALUE");
        free(name);
        free(label);
        if (!good)
            return ERR_CONFIG;
    }
    return ERR_NONE;
}

bool sources_has(const struct sources *sources, const char *name)
{
    if (settings_row_find(name, false) != NULL)
        return true;
    size_t prefix = strcspn(name, ".");
    bool there = sources->policies.count == 0 && strncmp(name, SOURCES_BUILT_IN ".", prefix + 1) == 0;
    for (size_t i = 0; i < sources->policies.count; i++)
        there = there || (strlen(sources->policies.items[i]) == prefix &&
                          strncmp(name, sources->policies.items[i], prefix) == 0);
    return there;
}

void sources_take_written(struct sources *sources, const char *text)
{
    struct yaml_doc doc;
    struct config_error err;

    if (yaml_parse(sources->path, text, strlen(text), &doc, &err) != ERR_NONE)
        return; /* config/rewrite has read it back already */
    for (size_t i = 0; i < doc.entry_count; i++) {
        const struct yaml_entry *entry = &doc.entries[i];
        const struct assign *old = assign_find(&sources->file, entry->name);
        bool moved = old != NULL && strcmp(old->value, entry->value) == 0;
        if (moved || assign_find(&sources->live, entry->name) != NULL)
            take_entry(&sources->file, sources->path, entry);
    }
    yaml_doc_done(&doc);
}

/* ---- building ---- */

/* There is no value of that name: is it the policy that is unknown, or the setting? */
static enum err fail_unknown(const struct assign *a, struct config_error *err)
{
    struct reason why;
    char shown[QUOTE_TEXT];
    size_t prefix = strcspn(a->name, ".");
    char *policy = must_copy(a->name, prefix);

    if (a->name[prefix] == '.' && settings_row_find(a->name + prefix + 1, true) != NULL)
        because(&why, "there is no policy named %s", quote(policy, shown));
    else
        because(&why, "there is no setting named %s", quote(a->name, shown));
    free(policy);
    config_error_set(err, a->label, a->name, why.text);
    return ERR_CONFIG;
}

static enum err apply(struct snapshot *snap, const char *name, const struct assign *a,
                      struct config_error *err)
{
    struct target target;
    struct reason why;

    if (!snapshot_find(snap, name, &target))
        return fail_unknown(a, err);
    if (!target_set(&target, a->value, &why)) {
        char *full = target_name(&target);
        config_error_set(err, a->label, full, why.text);
        free(full);
        return ERR_CONFIG;
    }
    target_place(&target, a->origin, a->label);
    return ERR_NONE;
}

static enum err add_policy(struct snapshot *snap, const char *policy, const struct assign_list *defaults,
                           struct config_error *err)
{
    enum err rc = ERR_NONE;

    snapshot_add_policy(snap, policy);
    for (size_t i = 0; rc == ERR_NONE && i < defaults->count; i++) {
        char *name = must_print("%s.%s", policy, defaults->items[i].name);
        rc = apply(snap, name, &defaults->items[i], err);
        free(name);
    }
    return rc;
}

/* The defaults for other policies are checked even when there is no other policy yet. */
static enum err check_defaults(const struct assign_list *defaults, struct config_error *err)
{
    struct snapshot *scratch = snapshot_new();
    enum err rc = add_policy(scratch, "other", defaults, err);
    settings_unref(&scratch->s);
    return rc;
}

static enum err add_policies(const struct sources *sources, struct snapshot *snap, struct config_error *err)
{
    static const struct assign_list none;
    enum err rc = check_defaults(&sources->env_defaults, err);

    if (sources->policies.count == 0)
        snapshot_add_policy(snap, SOURCES_BUILT_IN);
    for (size_t i = 0; rc == ERR_NONE && i < sources->policies.count; i++) {
        const char *name = sources->policies.items[i];
        rc =
            add_policy(snap, name, strcmp(name, SOURCES_BUILT_IN) == 0 ? &none : &sources->env_defaults, err);
    }
    return rc;
}

enum err sources_build(const struct sources *sources, struct snapshot **ret_snap, struct config_error *err)
{
    const struct assign_list *layers[] = {&sources->file, &sources->env, &sources->sets, &sources->live};
    struct snapshot *snap = snapshot_new();
    enum err rc = add_policies(sources, snap, err);

    for (size_t l = 0; l < sizeof layers / sizeof layers[0]; l++)
        for (size_t i = 0; rc == ERR_NONE && i < layers[l]->count; i++)
            rc = apply(snap, layers[l]->items[i].name, &layers[l]->items[i], err);
    if (rc == ERR_NONE)
        *ret_snap = snap;
    else
        settings_unref(&snap->s);
    return rc;
}

/* ---- values together ---- */

/* Blames the value called name. Returns false. */
__attribute__((format(printf, 4, 5))) static bool blame(struct snapshot *snap, struct config_error *err,
                                                        const char *name, const char *format, ...)
{
    struct target target;
    struct reason why;
    va_list args;
    bool found = snapshot_find(snap, name, &target);

    assert(found);
    (void)found;
    va_start(args, format);
    vsnprintf(why.text, sizeof why.text, format, args);
    va_end(args);
    config_error_set(err, target.slot->label, name, why.text);
    return false;
}

static bool check_order(struct snapshot *snap, struct config_error *err)
{
    const struct settings *s = &snap->s;

    if (s->output_soft > s->output_hard)
        return blame(snap, err, "proxy.output_soft", "above proxy.output_hard; expected at most that");
    if (s->redis_backoff_min > s->redis_backoff_max)
        return blame(snap, err, "redis.backoff_min", "above redis.backoff_max; expected at most that");
    return true;
}

static bool check_admin(struct snapshot *snap, struct config_error *err)
{
    struct net_address address;
    struct reason why;

    if (snap->s.admin_read_token[0] != '\0' && snap->s.admin_token[0] == '\0')
        return blame(snap, err, "admin.read_token", "set without admin.token; expected both, or anybody could change what not everybody may read");
    if (snap->s.admin_listen[0] == '\0' || snap->s.admin_token[0] != '\0')
        return true;
    bool parsed = net_address_parse(snap->s.admin_listen, &address, &why);
    assert(parsed);
    bool local = parsed && net_address_is_local(&address);
    net_address_done(&address);
    return local ||
           blame(snap, err, "admin.token", "empty; expected a secret, because admin.listen is not loopback");
}

static bool check_archive(struct snapshot *snap, struct config_error *err)
{
    for (size_t i = 0; i < snap->s.policy_count; i++)
        if (snap->s.policies[i].primary != STORE_REDIS && snap->s.archive_url[0] == '\0') {
            char *name = must_print("%s.primary", snap->s.policies[i].name);
            blame(snap, err, name, "an archive is needed, but archive.url is empty");
            free(name);
            return false;
        }
    return true;
}

static bool check_tls(struct snapshot *snap, struct config_error *err)
{
    const struct settings *s = &snap->s;

    if ((s->tls_cert[0] != '\0') != (s->tls_key[0] != '\0'))
        return blame(snap, err, s->tls_key[0] == '\0' ? "tls.key" : "tls.cert", "empty; a certificate and its key come together");
    if ((s->redis_tls_cert[0] != '\0') != (s->redis_tls_key[0] != '\0'))
        return blame(snap, err, s->redis_tls_key[0] == '\0' ? "redis.tls_key" : "redis.tls_cert",
                     "empty; a certificate and its key come together");
    if (s->tls_listen.count > 0 && s->tls_cert[0] == '\0')
        return blame(snap, err, "tls.cert", "empty; expected a file, because tls.listen is set");
    if (s->tls_client_certs != 0 && s->tls_ca[0] == '\0')
        return blame(snap, err, "tls.ca", "empty; expected a file or a folder, because tls.client_certs is not no");
    for (size_t i = 0; i < s->tls_listen.count; i++)
        for (size_t j = 0; j < s->listen.count; j++)
            if (strcmp(s->tls_listen.items[i], s->listen.items[j]) == 0)
                return blame(snap, err, "tls.listen", "an address of listen; expected one of its own");
    return true;
}

/* Two policies with one pattern: the second would never be used. */
static bool check_patterns(struct snapshot *snap, struct config_error *err)
{
    const struct settings *s = &snap->s;
    char shown[QUOTE_TEXT];

    for (size_t i = 1; i < s->policy_count; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(s->policies[i].match, s->policies[j].match) == 0) {
                char *name = must_print("%s.match", s->policies[i].name);
                blame(snap, err, name, "%s is the pattern of policy '%s'; expected another one",
                      quote(s->policies[i].match, shown), s->policies[j].name);
                free(name);
                return false;
            }
    return true;
}

/* Copies and their marks are kept beside the keys, on one Redis; a cluster has several. */
static bool check_cluster(struct snapshot *snap, struct config_error *err)
{
    for (size_t i = 0; redis_kind(snap->s.redis_url) == REDIS_CLUSTER && i < snap->s.policy_count; i++) {
        const struct policy_conf *p = &snap->s.policies[i];
        if (!p->dual_write)
            continue;
        char *name = must_print("%s.dual_write", p->name);
        blame(snap, err, name, "on; expected no, because redis.url names a Redis Cluster, of which no copies are made: "
                               "with primary mongo the archive keeps the policy's keys, whatever becomes of the cluster");
        free(name);
        return false;
    }
    return true;
}

/* What is wrong with tiers for the policy; NULL: nothing. */
static const char *trouble_of_tiers(const struct settings *s, const struct policy_conf *p, const char **ret_field)
{
    *ret_field = "tiers";
    if (!p->dual_write)
        return "on; expected no, because dual_write is off: a key may leave Redis only when the archive has it";
    if (strncmp(s->archive_url, "sqlite:", 7) != 0)
        return "on; expected no, because archive.url is no sqlite: one, and of an archive that several proxies may share none knows which "
               "keys the others have taken out of Redis";
    if (s->script_trace == TRACE_ALL)
        return "on; expected no, because script.trace is all: a key that leaves Redis would count as changed by a script";
    *ret_field = "tier_cold_after";
    return p->tier_cold_after < p->tier_warm_after ? "shorter than tier_warm_after; expected at least as long" : NULL;
}

static bool check_tiers(struct snapshot *snap, struct config_error *err)
{
    for (size_t i = 0; i < snap->s.policy_count; i++) {
        const struct policy_conf *p = &snap->s.policies[i];
        const char *field, *trouble = p->tiers ? trouble_of_tiers(&snap->s, p, &field) : NULL;
        if (trouble == NULL)
            continue;
        char *name = must_print("%s.%s", p->name, field);
        blame(snap, err, name, "%s", trouble);
        free(name);
        return false;
    }
    return true;
}

enum err sources_check(struct snapshot *snap, struct config_error *err)
{
    static bool (*const checks[])(struct snapshot *, struct config_error *) = {check_order, check_admin, check_archive,
                                                                               check_tls, check_patterns,
                                                                               check_cluster, check_tiers};
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        if (!checks[i](snap, err))
            return ERR_CONFIG;
    return ERR_NONE;
}
