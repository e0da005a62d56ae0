/* config/config — the holder of the settings: loads them, changes them while running, tells who wants to
 * know. Owns:       the layers (file, environment, --set, run time) and the current snapshot. Invariants: a
 * change is all or nothing: a new snapshot replaces the old one, or an error says why not. Settings of kind
 * RESTART keep the value of the start. Threads:    any. Readers take a reference and never wait for a file.
 * Used by:    main, proxy/dispatch (CONFIG), proxy/admin, tools. */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/err.h"
#include "config/error.h"
#include "config/settings.h"

struct config;

/* What is read at the start. Nothing is kept of it but copies. */
struct config_start {
    const char *file;        /* NULL: none */
    const char *const *sets; /* "name=value" from --set, set_count of them */
    size_t set_count;
    const char *const *env; /* like environ, NULL-terminated; NULL: none */
};

/* What a reload or rewrite could not do fully, by setting name. Zeroed before the call; config_report_done
 * releases. */
struct config_report {
    struct text_list pending;  /* reload: RESTART settings that differ now and wait for a restart */
    struct text_list dropped;  /* reload: run-time values of policies that are gone */
    struct text_list shadowed; /* rewrite: written, but the environment or --set wins at the next start */
};

struct config_pair {
    const char *name; /* in any case */
    const char *value;
};

/* One setting as people see it; borrowed for the call. */
struct config_view {
    const char *name;   /* "redis.url", "conv.ttl" */
    const char *value;  /* secrets, and the password inside a URL, are "***" */
    const char *origin; /* "default", "FILE:LINE", "environment NAME", "--set", "run time" */
    const char *policy; /* the policy's name, or NULL */
    const struct setting_row *row;
};

typedef void config_view_cb(void *ctx, const struct config_view *view);
typedef void config_change_cb(void *ctx, const struct settings *now);

/* Holds the defaults, and the built-in policy "conv", until config_load. */
struct config *config_new(void);
/* No other thread uses cfg any more. Snapshots that others hold stay valid. */
void config_free(struct config *cfg);

/* Once, before other threads use cfg. All functions below that fail return ERR_CONFIG, fill err with one line
 * that names place, setting, what was given and what was expected, and change nothing. */
MUST_USE enum err config_load(struct config *cfg, const struct config_start *start, struct config_error *err);

/* A reference to the current snapshot: settings_unref gives it back. */
const struct settings *config_current(struct config *cfg);

/* Calls cb for every setting whose name matches the Redis-style glob pattern, in the order of settings.def,
 * all from one snapshot. cb may call anything here. */
void config_get(struct config *cfg, const char *pattern, config_view_cb *cb, void *ctx);

/* Changes all pairs or none. err->text has the wording of Redis's CONFIG SET, err->reason only what is wrong.
 */
MUST_USE enum err config_set(struct config *cfg, const struct config_pair *pairs, size_t count,
                             struct config_error *err);

/* Reads the file again and keeps run-time changes on top. Without a file nothing happens. */
MUST_USE enum err config_reload(struct config *cfg, struct config_report *report, struct config_error *err);

/* Writes the run-time changes into the file, which then is where they come from. Other lines and comments
 * stay. */
MUST_USE enum err config_rewrite(struct config *cfg, struct config_report *report, struct config_error *err);
void config_report_done(struct config_report *report);

/* What was found by redis_url (config/seeds): from now on snapshots with that very redis.url have it as redis_found. */
void config_found(struct config *cfg, const char *redis_url, const char *found);

/* cb is called after each change, with no lock held, by a thread that made a change (not always the one whose
 * change it is, when two come together), one call at a time, and ends with the newest snapshot; snapshots in
 * between may be left out. now is borrowed. Subscriptions last as long as cfg. */
void config_subscribe(struct config *cfg, config_change_cb *cb, void *ctx);

#endif
