#include "config/config.h"

#include "config/file.h"
#include "config/glob.h"
#include "config/internal.h"
#include "config/lasting.h"
#include "config/rewrite.h"
#include "config/seeds.h"
#include "config/sources.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct subscriber {
    config_change_cb *cb;
    void *ctx;
};

/* Two locks, so that readers never wait for a file: change is held for a whole change and guards sources;
 * lock is held for moments and guards the rest. Order: change, then lock. */
struct config {
    pthread_mutex_t change;
    struct sources sources;
    bool started; /* RESTART settings are fixed */
    char *found_by, *found; /* by config_found; NULL: nothing yet */

    pthread_mutex_t lock;
    struct snapshot *now;
    uint64_t version;   /* of now */
    uint64_t delivered; /* the version that subscribers know */
    bool delivering;    /* a thread is telling them */
    size_t subscriber_count;
    struct subscriber *subscribers;
};

struct config *config_new(void)
{
    struct config *cfg = must_alloc(sizeof *cfg);
    pthread_mutex_init(&cfg->change, NULL);
    pthread_mutex_init(&cfg->lock, NULL);
    cfg->now = snapshot_new();
    snapshot_add_policy(cfg->now, SOURCES_BUILT_IN);
    return cfg;
}

void config_free(struct config *cfg)
{
    if (cfg == NULL)
        return;
    settings_unref(&cfg->now->s);
    sources_done(&cfg->sources);
    free(cfg->subscribers);
    free(cfg->found_by);
    free(cfg->found);
    pthread_mutex_destroy(&cfg->lock);
    pthread_mutex_destroy(&cfg->change);
    free(cfg);
}

const struct settings *config_current(struct config *cfg)
{
    pthread_mutex_lock(&cfg->lock);
    const struct settings *s = settings_ref(&cfg->now->s);
    pthread_mutex_unlock(&cfg->lock);
    return s;
}

void config_report_done(struct config_report *report)
{
    text_list_done(&report->pending);
    text_list_done(&report->dropped);
    text_list_done(&report->shadowed);
}

/* ---- telling others ---- */

void config_subscribe(struct config *cfg, config_change_cb *cb, void *ctx)
{
    pthread_mutex_lock(&cfg->lock);
    cfg->subscribers = must_grow(cfg->subscribers, (cfg->subscriber_count + 1) * sizeof *cfg->subscribers);
    cfg->subscribers[cfg->subscriber_count++] = (struct subscriber){cb, ctx};
    pthread_mutex_unlock(&cfg->lock);
}

static bool subscriber_at(struct config *cfg, size_t i, struct subscriber *ret)
{
    pthread_mutex_lock(&cfg->lock);
    bool there = i < cfg->subscriber_count;
    if (there)
        *ret = cfg->subscribers[i];
    pthread_mutex_unlock(&cfg->lock);
    return there;
}

/* One thread delivers at a time and goes on until nothing is newer: so calls come in order without a lock
 * held. */
static void deliver(struct config *cfg)
{
    struct subscriber sub;

    pthread_mutex_lock(&cfg->lock);
    bool mine = !cfg->delivering;
    cfg->delivering = true;
    while (mine && cfg->delivered != cfg->version) {
        uint64_t version = cfg->version;
        const struct settings *s = settings_ref(&cfg->now->s);
        pthread_mutex_unlock(&cfg->lock);
        for (size_t i = 0; subscriber_at(cfg, i, &sub); i++)
            sub.cb(sub.ctx, s);
        settings_unref(s);
        pthread_mutex_lock(&cfg->lock);
        cfg->delivered = version;
    }
    if (mine)
        cfg->delivering = false;
    pthread_mutex_unlock(&cfg->lock);
}

/* ---- changing ---- */

static bool is_fixed(const struct target *target)
{
    return target->row->when == SETTING_WHEN_RESTART;
}

/* Gives RESTART settings of fresh the value of the start, and lists those that differed. */
static void keep_fixed(const struct snapshot *now, struct snapshot *fresh, struct text_list *pending)
{
    for (size_t n = 0; n < fresh->slot_count; n++) {
        struct target target, old;
        struct reason why;
        snapshot_at(fresh, n, &target);
        if (!is_fixed(&target) || target.policy != NULL)
            continue;
        snapshot_at(now, n, &old); /* the slots of SETTING rows have the same number in every snapshot */
        char *want = target_text(&target), *have = target_text(&old);
        if (strcmp(want, have) != 0 && target_set(&target, have, &why)) {
            text_list_add(pending, target.row->name);
            target_place(&target, old.slot->origin, old.slot->label);
        }
        free(want);
        free(have);
    }
}

/* A checked snapshot of the layers. Called with change held, so now is stable. */
static enum err build(struct config *cfg, const struct sources *sources, struct snapshot **ret_fresh,
                      struct text_list *pending, struct config_error *err)
{
    struct text_list differing = {0};
    struct snapshot *fresh;
    enum err rc = sources_build(sources, &fresh, err);

    if (rc != ERR_NONE)
        return rc;
    /* Checked twice: a reload must hold now, with the values of the start, and after the next start. */
    rc = sources_check(fresh, err);
    if (rc == ERR_NONE && cfg->started)
        rc = lasting_check(&cfg->now->s, &fresh->s, err);
    if (rc == ERR_NONE && cfg->started) {
        keep_fixed(cfg->now, fresh, &differing);
        rc = sources_check(fresh, err);
    }
    if (rc != ERR_NONE) {
        settings_unref(&fresh->s);
        text_list_done(&differing);
        return rc;
    }
    *ret_fresh = fresh;
    if (pending != NULL)
        *pending = differing;
    else
        text_list_done(&differing);
    return ERR_NONE;
}

/* Called with change held. */
static void add_found(const struct config *cfg, struct settings *s)
{
    bool known = cfg->found_by != NULL && strcmp(cfg->found_by, s->redis_url) == 0;

    if (redis_kind(s->redis_url) != REDIS_SINGLE)
        s->redis_found = must_dup(known ? cfg->found : "");
}

static void publish(struct config *cfg, struct snapshot *own_fresh, bool changed)
{
    add_found(cfg, &own_fresh->s);
    pthread_mutex_lock(&cfg->lock);
    struct snapshot *old = cfg->now;
    cfg->now = own_fresh;
    cfg->version += changed;
    pthread_mutex_unlock(&cfg->lock);
    settings_unref(&old->s);
}

enum err config_load(struct config *cfg, const struct config_start *start, struct config_error *err)
{
    struct sources fresh = {0};
    struct snapshot *snap;
    enum err rc = ERR_NONE;

    if (start->env != NULL)
        sources_read_env(&fresh, start->env);
    if (start->file != NULL) {
        fresh.path = must_dup(start->file);
        rc = sources_read_file(start->file, &fresh.file, &fresh.policies, err);
    }
    if (rc == ERR_NONE)
        rc = sources_read_sets(&fresh, start->sets, start->set_count, err);
    pthread_mutex_lock(&cfg->change);
    if (rc == ERR_NONE)
        rc = build(cfg, &fresh, &snap, NULL, err);
    if (rc == ERR_NONE) {
        sources_done(&cfg->sources);
        cfg->sources = fresh;
        cfg->started = true;
        publish(cfg, snap, true);
    } else {
        sources_done(&fresh);
    }
    pthread_mutex_unlock(&cfg->change);
    if (rc == ERR_NONE)
        deliver(cfg);
    return rc;
}

/* ---- CONFIG GET and SET ---- */

void config_get(struct config *cfg, const char *pattern, config_view_cb *cb, void *ctx)
{
    const struct settings *s = config_current(cfg);
    const struct snapshot *snap = snapshot_of(s);

    for (size_t n = 0; n < snap->slot_count; n++) {
        struct target target;
        snapshot_at(snap, n, &target);
        char *name = target_name(&target);
        if (glob_match(pattern, name)) {
            char *value = target_shown(&target);
            cb(ctx, &(struct config_view){.name = name,
                                          .value = value,
                                          .origin = target.slot->origin,
                                          .policy = target.policy == NULL ? NULL : target.policy->name,
                                          .row = target.row});
            free(value);
        }
        free(name);
    }
    settings_unref(s);
}

/* The reason in the words of Redis 7 (config.c there: "CONFIG SET failed (possibly related to argument …").
 */
static enum err refuse_set(struct config_error *err, const char *name, const char *reason)
{
    char *label = must_print("CONFIG SET failed (possibly related to argument '%.90s') - %s", name, reason);
    char *why = must_dup(reason); /* may be err's own */
    char *about = must_dup(name);

    config_error_set(err, "", about, why);
    snprintf(err->text, sizeof err->text, "%s", label);
    free(label);
    free(why);
    free(about);
    return ERR_CONFIG;
}

static enum err refuse_unknown(struct config_error *err, const char *name)
{
    char shown[QUOTE_TEXT];
    config_error_set(err, "", name, "there is no such setting");
    snprintf(err->text, sizeof err->text, "Unknown option or number of arguments for CONFIG SET - %s",
             quote(name, shown));
    return ERR_CONFIG;
}

/* Adds the pair to the layer, unless it alone can be seen to be wrong. seen: what this call has set so far.
 */
static enum err add_pair(struct snapshot *now, const struct config_pair *pair, struct assign_list *live,
                         struct assign_list *seen, struct config_error *err)
{
    struct target target;
    enum err rc = ERR_NONE;

    if (!snapshot_find(now, pair->name, &target))
        return refuse_unknown(err, pair->name);
    char *name = target_name(&target);
    if (is_fixed(&target))
        rc = refuse_set(err, name, "can't be changed while running");
    else if (assign_find(seen, name) != NULL)
        rc = refuse_set(err, name, "duplicate parameter");
    if (rc == ERR_NONE) {
        assign_put(seen, name, "", "", "");
        assign_put(live, name, pair->value, "run time", name);
    }
    free(name);
    return rc;
}

enum err config_set(struct config *cfg, const struct config_pair *pairs, size_t count,
                    struct config_error *err)
{
    struct assign_list seen = {0};
    struct snapshot *fresh;
    enum err rc = ERR_NONE;

    pthread_mutex_lock(&cfg->change);
    struct sources view = cfg->sources; /* the same layers but for the last one */
    view.live = assign_copy(&cfg->sources.live);
    for (size_t i = 0; rc == ERR_NONE && i < count; i++)
        rc = add_pair(cfg->now, &pairs[i], &view.live, &seen, err);
    if (rc == ERR_NONE && (rc = build(cfg, &view, &fresh, NULL, err)) != ERR_NONE)
        refuse_set(err, err->name, err->reason);
    if (rc == ERR_NONE) {
        assign_done(&cfg->sources.live);
        cfg->sources.live = view.live;
        publish(cfg, fresh, count > 0);
    } else {
        assign_done(&view.live);
    }
    pthread_mutex_unlock(&cfg->change);
    assign_done(&seen);
    if (rc == ERR_NONE)
        deliver(cfg);
    return rc;
}

/* ---- what was found ---- */

void config_found(struct config *cfg, const char *redis_url, const char *found)
{
    struct snapshot *fresh;
    struct config_error err;

    pthread_mutex_lock(&cfg->change);
    free(cfg->found_by);
    free(cfg->found);
    cfg->found_by = must_dup(redis_url);
    cfg->found = must_dup(found);
    bool ok = build(cfg, &cfg->sources, &fresh, NULL, &err) == ERR_NONE;
    if (ok)
        publish(cfg, fresh, true);
    pthread_mutex_unlock(&cfg->change);
    if (ok)
        deliver(cfg);
}

/* ---- reload ---- */

/* The run-time values whose policy, if they are of one, is still there. */
static struct assign_list surviving(const struct sources *view, const struct assign_list *live,
                                    struct text_list *dropped)
{
    struct assign_list kept = {0};

    for (size_t i = 0; i < live->count; i++) {
        const struct assign *a = &live->items[i];
        if (sources_has(view, a->name))
            assign_put(&kept, a->name, a->value, a->origin, a->label);
        else
            text_list_add(dropped, a->name);
    }
    return kept;
}

enum err config_reload(struct config *cfg, struct config_report *report, struct config_error *err)
{
    struct config_report found = {0};
    struct snapshot *fresh;

    pthread_mutex_lock(&cfg->change);
    struct sources view = cfg->sources;
    bool file = view.path != NULL;
    enum err rc = file ? sources_read_file(view.path, &view.file, &view.policies, err) : ERR_NONE;
    if (file && rc == ERR_NONE) {
        view.live = surviving(&view, &cfg->sources.live, &found.dropped);
        rc = build(cfg, &view, &fresh, &found.pending, err);
        struct sources drop = rc == ERR_NONE ? cfg->sources : view;
        assign_done(&drop.file);
        assign_done(&drop.live);
        text_list_done(&drop.policies);
    }
    if (file && rc == ERR_NONE) {
        cfg->sources = view;
        publish(cfg, fresh, true);
    }
    pthread_mutex_unlock(&cfg->change);
    if (rc == ERR_NONE) {
        *report = found;
        deliver(cfg);
    } else {
        config_report_done(&found);
    }
    return rc;
}

/* ---- rewrite ---- */

/* The file's text with every run-time value in it. */
static enum err edited_text(const struct sources *sources, char **ret_text, struct config_error *err)
{
    bool missing;
    size_t len = 0;
    char *text;
    enum err rc = file_read(sources->path, &text, &len, &missing, err);

    if (missing) {
        text = must_dup("");
        rc = ERR_NONE;
    } else if (rc == ERR_NONE && strlen(text) != len) {
        config_error_set(err, sources->path, "", "the file holds a NUL byte; expected a UTF-8 text");
        free(text);
        rc = ERR_CONFIG;
    }
    if (rc != ERR_NONE)
        return rc;
    for (size_t i = 0; rc == ERR_NONE && i < sources->live.count; i++) {
        char *next;
        rc = rewrite_value(sources->path, text, sources->live.items[i].name, sources->live.items[i].value,
                           &next, err);
        if (rc == ERR_NONE) {
            free(text);
            text = next;
        }
    }
    if (rc == ERR_NONE)
        *ret_text = text;
    else
        free(text);
    return rc;
}

/* The values are in the file now: they move to its layer, but for those that something else would shadow
 * there. */
static void settle(struct config *cfg, const char *text, struct text_list *shadowed)
{
    struct sources *sources = &cfg->sources;
    struct assign_list left = {0};
    struct snapshot *fresh;
    struct config_error err;

    sources_take_written(sources, text);
    for (size_t i = 0; i < sources->live.count; i++) {
        const struct assign *a = &sources->live.items[i];
        if (assign_find(&sources->env, a->name) == NULL && assign_find(&sources->sets, a->name) == NULL)
            continue;
        text_list_add(shadowed, a->name);
        assign_put(&left, a->name, a->value, a->origin, a->label);
    }
    assign_done(&sources->live);
    sources->live = left;
    /* Only the origins differ, so nobody is told. */
    if (build(cfg, sources, &fresh, NULL, &err) == ERR_NONE)
        publish(cfg, fresh, false);
}

enum err config_rewrite(struct config *cfg, struct config_report *report, struct config_error *err)
{
    struct config_report found = {0};
    char *text = NULL;
    enum err rc = ERR_NONE;

    pthread_mutex_lock(&cfg->change);
    if (cfg->sources.path == NULL) {
        config_error_set(err, "", "", "no config file");
        rc = ERR_CONFIG;
    } else if (cfg->sources.live.count > 0) {
        rc = edited_text(&cfg->sources, &text, err);
        if (rc == ERR_NONE)
            rc = file_replace(cfg->sources.path, text, err);
        if (rc == ERR_NONE)
            settle(cfg, text, &found.shadowed);
    }
    pthread_mutex_unlock(&cfg->change);
    free(text);
    if (rc == ERR_NONE)
        *report = found;
    return rc;
}
