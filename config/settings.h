/* config/settings — the settings as typed values: one immutable, counted snapshot; and their rows.
 * Owns:       strings and policies of the snapshot.
 * Invariants: a snapshot never changes; a change makes a new one (config/config). One row of settings.def per
 * setting. Threads:    any; references are counted atomically.          Used by: every layer above. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum store_name { STORE_REDIS, STORE_MONGO, STORE_ARCHIVE }; /* mongo = the archive, whichever it is */
enum ack_class { ACK_BOTH, ACK_PRIMARY };
enum value_format { FORMAT_ANY, FORMAT_JSON, FORMAT_JSON_STRICT };
enum error_codes { CODES_REDIS, CODES_MEM };
enum script_trace { TRACE_NO, TRACE_KEYLESS, TRACE_ALL };

/* Text lists (listen addresses). */
struct text_list {
    size_t count;
    char **items;
};

/* Field types that settings.def uses. */
typedef char *setting_text; /* never NULL */
typedef struct text_list setting_list;
typedef int64_t setting_int;
typedef int64_t setting_bytes; /* "64mb", "15MiB", "1000" */
typedef int64_t
    setting_duration;      /* kept in ms: "30d", "500ms", "10s", "2592000" (the row names the bare unit) */
typedef bool setting_bool; /* 0 1 yes no true false on off */
typedef int setting_enum;  /* index into the row's list of words */

/* One policy: fields from the POLICY rows of settings.def, plus its name. */
struct policy_conf {
    char *name;
    size_t index; /* position in settings.policies */
#define POLICY(field, type, ...) setting_##type field;
#define SETTING(...)
#include "config/settings.def"
#undef POLICY
#undef SETTING
};

struct settings {
#define POLICY(...)
#define SETTING(field, type, ...) setting_##type field;
#include "config/settings.def"
#undef POLICY
#undef SETTING
    size_t policy_count;
    struct policy_conf *policies;
    char *
        redis_found; /* where redis.url names sentinels or a cluster: what config_found told, "" before; otherwise NULL */
};

const struct settings *settings_ref(const struct settings *s);
void settings_unref(const struct settings *s);

/* By exact name; NULL when there is none. */
const struct policy_conf *settings_policy(const struct settings *s, const char *name);
/* Some key may be the archive's: always, unless redis.url names a cluster, beside which it has policies of primary mongo only. */
bool settings_has_archive(const struct settings *s);

/* The row of a setting, from settings.def. */
enum setting_type {
    SETTING_TYPE_text,
    SETTING_TYPE_list,
    SETTING_TYPE_int,
    SETTING_TYPE_bytes,
    SETTING_TYPE_duration,
    SETTING_TYPE_bool,
    SETTING_TYPE_enum
};
enum setting_when { SETTING_WHEN_LIVE, SETTING_WHEN_RESTART };

struct setting_row {
    const char *name; /* "redis.url"; of a policy's row what follows the policy's name: "ttl" */
    const char *env;  /* names separated by '|', or NULL */
    const char *def;
    const char *least; /* settings.def says what it means for which type */
    const char *most;
    const char *help;
    enum setting_type type;
    enum setting_when when;
    bool policy;
    size_t offset; /* of the field in struct settings or struct policy_conf */
};

/* All SETTING rows stand before all POLICY rows. */
size_t settings_row_count(void);
const struct setting_row *settings_row(size_t i);
/* By exact name; NULL when there is none. */
const struct setting_row *settings_row_find(const char *name, bool policy);
/* "duration" and so on. */
const char *setting_type_name(enum setting_type type);
/* True when the value must not be shown. The password inside a URL is hidden by config_get. */
bool setting_is_secret(const struct setting_row *row);

void text_list_add(struct text_list *list, const char *text);
void text_list_done(struct text_list *list);

/* Every setting with environment name, default, range, live or restart, and help: for --help. */
void settings_help(FILE *out);
/* The page docs/settings.md. */
void settings_markdown(FILE *out);

#endif
