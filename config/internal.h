/* config/internal — what the modules of config share: memory that is always there, texts for errors,
 * snapshots with the places their values came from. Threads: any; a snapshot is built by one thread and
 * immutable once others can see it. */
#ifndef CONFIG_INTERNAL_H
#define CONFIG_INTERNAL_H

#include "config/error.h"
#include "config/settings.h"

#include <stdatomic.h>

/* Settings are small and few; without memory for them there is nothing sensible to do, so these abort. */
void *must_alloc(size_t size); /* zeroed */
void *must_grow(void *own_p, size_t size);
char *must_dup(const char *text);
char *must_copy(const char *p, size_t len);
__attribute__((format(printf, 1, 2))) char *must_print(const char *format, ...);

/* Writes 'text' with its quotes: cut when long, control bytes as '?', so that an error stays one line. */
#define QUOTE_TEXT 72
const char *quote(const char *text, char buf[QUOTE_TEXT]);

/* Formats the reason. Returns false, so that a parser can return the call. */
__attribute__((format(printf, 2, 3))) bool because(struct reason *why, const char *format, ...);

/* Fills err: text is "LABEL: REASON", or the reason alone when label is "". */
void config_error_set(struct config_error *err, const char *label, const char *name, const char *reason);

/* Where one value came from. */
struct slot {
    char *origin; /* for people: "default", "FILE:LINE", "environment NAME", "--set", "run time" */
    char *label; /* in front of an error: "FILE:LINE: policies.conv.ttl", "environment NAME", "--set conv.ttl"
                  */
};

/* struct settings with its count of references, and one slot for each value: first the SETTING rows, then the
 * POLICY rows of each policy in turn. */
struct snapshot {
    atomic_size_t refs;
    size_t slot_count;
    struct slot *slots;
    struct settings s;
};

/* One value in a snapshot that is being built. */
struct target {
    const struct setting_row *row;
    void *field;
    struct slot *slot;
    const struct policy_conf *policy; /* NULL for a SETTING */
};

/* Every SETTING at its default; no policies. */
struct snapshot *snapshot_new(void);
/* Appends a policy with every POLICY row at its default. */
void snapshot_add_policy(struct snapshot *snap, const char *name);
/* Finds "redis.url" or "conv.ttl", in any case. */
bool snapshot_find(struct snapshot *snap, const char *name, struct target *ret);
/* The n-th value, n < slot_count. */
void snapshot_at(const struct snapshot *snap, size_t n, struct target *ret);
/* The name of the n-th value as CONFIG GET has it; the caller frees it. */
char *target_name(const struct target *target);
/* Sets the value and its place. On failure the old value stays. */
bool target_set(const struct target *target, const char *text, struct reason *why);
void target_place(const struct target *target, const char *origin, const char *label);
/* The value's text, which target_set reads back; the caller frees it. */
char *target_text(const struct target *target);
/* The same for people's eyes: secrets, and the password inside a URL, are "***". */
char *target_shown(const struct target *target);

static inline struct snapshot *snapshot_of(const struct settings *s)
{
    return (struct snapshot *)(void *)((char *)(uintptr_t)s - offsetof(struct snapshot, s));
}

#endif
