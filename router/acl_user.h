/* router/acl_user — what a user is made of; shared by router/acl, acl_rules and acl_text.
 * Owns:    see router/acl.
 * Threads: as there. */
#ifndef ROUTER_ACL_USER_H
#define ROUTER_ACL_USER_H

#include "base/secret.h"
#include "router/acl.h"

#include <stdatomic.h>

#define ACL_WORDS 8 /* of 64 commands each: STATS_COMMANDS */

struct acl_pattern {
    char *text; /* a NUL stands behind it */
    size_t len;
    uint8_t rights; /* enum key_right, as bits; of a channel: unused */
};

struct acl_patterns {
    struct acl_pattern *items;
    size_t count;
};

/* "+select|0": an argument that lets a command through that is not allowed. */
struct acl_first {
    uint16_t id;
    char *arg;
};

/* What a rule says of commands that the table does not have; the last one that fits counts. */
struct acl_late {
    bool allow;
    uint32_t cat; /* or, when 0: */
    char *name;
};

struct acl_selector {
    struct acl_selector *next;
    bool all_keys, all_channels;
    bool all_commands; /* +@all, and nothing was taken away since */
    bool rest;         /* the last of +@all and -@all: holds for commands that nobody knows yet */
    uint64_t bits[ACL_WORDS];
    struct acl_patterns keys, channels;
    struct acl_first *firsts;
    size_t nfirsts;
    struct acl_late *late;
    size_t nlate;
};

struct acl_user {
    atomic_size_t refs;
    char *name;
    size_t name_len;
    bool on, nopass, sanitize, skip_sanitize;
    char (*passwords)[SECRET_HEX + 1];
    size_t npasswords;
    struct acl_selector root; /* root.next: the others */
};

static inline bool acl_bit(const struct acl_selector *s, uint16_t id)
{
    return (s->bits[id / 64] >> id % 64 & 1) != 0;
}

/* Rules about one selector: +get, ~x, allchannels … */
enum acl_error acl_selector_apply(struct acl_selector *s, struct slice rule, const struct acl_words *words);
void acl_selector_init(struct acl_selector *s); /* nothing is allowed */
void acl_selector_done(struct acl_selector *s);
void acl_allow_all(struct acl_selector *s, bool allow); /* +@all, -@all */
void acl_set_row(struct acl_selector *s, const struct command *cmd, bool allow); /* with its subcommands */
void acl_set_category(struct acl_selector *s, uint32_t cat, bool allow);
/* "+json.get" of what the table does not have. */
void acl_late_put(struct acl_selector *s, bool allow, uint32_t cat, struct slice name);
void acl_drop_selectors(struct acl_user *u); /* all but the root one */
struct acl_patterns acl_patterns_copy(const struct acl_patterns *from);
void acl_patterns_done(struct acl_patterns *p);
void *acl_grow(void *own_p, size_t size); /* realloc that never fails */

#endif
