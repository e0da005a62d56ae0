/* config/sources — where values come from, in layers, and the snapshot they make together.
 * Owns:       the texts of every layer.
 * Invariants: a later layer wins: default, file, environment, --set, run time. A build from the same layers
 * gives the same snapshot, so every change is "alter one layer, build again, swap". Threads:    one at a
 * time; config/config guards it.          Used by: config/config. */
#ifndef CONFIG_SOURCES_H
#define CONFIG_SOURCES_H

#include "base/err.h"
#include "config/error.h"
#include "config/internal.h"

/* The policy that is there when the file names none, and the one that the environment sets. */
#define SOURCES_BUILT_IN "conv"

/* One value as it was given. */
struct assign {
    char *name; /* "redis.url", "conv.ttl" */
    char *value;
    char *origin; /* struct slot says what these two are */
    char *label;
};

struct assign_list {
    size_t count;
    struct assign *items;
};

struct sources {
    char *path;                /* NULL: no file */
    struct text_list policies; /* names, in the order of the file; none: the built-in "conv" */
    struct assign_list file;
    struct assign_list env_defaults; /* for policies other than conv; names are bare: "ttl" */
    struct assign_list env;
    struct assign_list sets; /* from the command line */
    struct assign_list live;
};

/* Sets name, replacing an earlier value of the list. */
void assign_put(struct assign_list *list, const char *name, const char *value, const char *origin,
                const char *label);
const struct assign *assign_find(const struct assign_list *list, const char *name);
struct assign_list assign_copy(const struct assign_list *list);
void assign_done(struct assign_list *list);

/* Reads the file into a fresh list of its own and the policies' names. */
MUST_USE enum err sources_read_file(const char *path, struct assign_list *ret_file,
                                    struct text_list *ret_policies, struct config_error *err);
/* env, like environ: "NAME=value" texts, NULL at the end. A variable that is empty counts as not set. */
void sources_read_env(struct sources *sources, const char *const *env);
/* sets: "name=value" texts. */
MUST_USE enum err sources_read_sets(struct sources *sources, const char *const *sets, size_t count,
                                    struct config_error *err);
/* True when the policies of sources, or the rows, have a value of that name. */
bool sources_has(const struct sources *sources, const char *name);
/* text is the file now and holds the run-time values: they enter the file's layer. Values that stand there
 * already get their new lines. */
void sources_take_written(struct sources *sources, const char *text);
void sources_done(struct sources *sources);

/* A new snapshot (one reference) of all layers. Each value is checked alone; sources_check looks at them
 * together. */
MUST_USE enum err sources_build(const struct sources *sources, struct snapshot **ret_snap,
                                struct config_error *err);
/* What no single row can say: soft below hard limits, a token for a public admin listener, distinct patterns.
 */
MUST_USE enum err sources_check(struct snapshot *snap, struct config_error *err);

#endif
