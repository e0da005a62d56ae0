/* config/settings — the settings as typed values: one immutable, counted snapshot.
 * Owns:       strings and policies of the snapshot.
 * Invariants: a snapshot never changes; a change makes a new one (config/config). One row of settings.def per setting.
 * Threads:    any; references are counted atomically. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_name { STORE_REDIS, STORE_MONGO }; /* mongo = the archive, whichever it is */
enum ack_class { ACK_BOTH, ACK_PRIMARY };

/* Text lists (listen addresses). */
struct text_list {
    size_t count;
    char **items;
};

/* Field types that settings.def uses. */
typedef char *setting_text;
typedef struct text_list setting_list;
typedef int64_t setting_int;
typedef int64_t setting_bytes;    /* "64mb", "15MiB", "1000" */
typedef int64_t setting_duration; /* kept in ms: "30d", "500ms", "10s", "2592000" (the row names the bare unit) */
typedef bool setting_bool;        /* 0 1 yes no true false on off */
typedef int setting_enum;         /* index into the row's list of words */

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
};

const struct settings *settings_ref(const struct settings *s);
void settings_unref(const struct settings *s);

#endif
