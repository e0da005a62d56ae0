/* proxy/users — the users of the process: from the settings, from the file acl.file, and as ACL SETUSER has made them.
 *
 *   settings, ACL SETUSER … ─▶ a new set ─▶ each loop takes it (proxy/login) ─▶ its sessions look their user up again
 *
 * Owns:       the current set, and what the settings said when it was made.
 * Invariants: a set never changes, its users neither; a change makes a new one. Every set has the user default.
 *             What a change does not touch are the very same users in both sets.
 * Threads:    any (a lock, held for moments; changes and files: one at a time). */
#ifndef PROXY_USERS_H
#define PROXY_USERS_H

#include "base/err.h"
#include "config/settings.h"
#include "router/acl.h"

struct users;
struct user_set;

/* *ret_good: false when the settings name users that make no sense; why says what, and nobody must be served. */
struct users *users_new(const struct settings *s, bool *ret_good, char *why, size_t cap);
void users_free(struct users *own_u);

/* A reference to the current set. */
struct user_set *users_current(struct users *u);
void user_set_unref(struct user_set *own_set); /* NULL is fine */
struct acl_user *user_set_find(const struct user_set *set, struct slice name); /* borrowed; NULL: there is none */
struct acl_user *user_set_default(const struct user_set *set);
/* In the order of their names. */
size_t user_set_count(const struct user_set *set);
struct acl_user *user_set_at(const struct user_set *set, size_t i);

/* ACL SETUSER: makes or changes a user. On failure *ret_why, which the caller frees, is Redis's error. */
MUST_USE bool users_put(struct users *u, struct slice name, const struct slice *rules, size_t count, const struct learned *learned,
                        char **ret_why);
/* ACL DELUSER; how many there were. */
size_t users_remove(struct users *u, const struct slice *names, size_t count);
/* ACL LOAD, ACL SAVE. Without a file, or when it can't be read or written, *ret_why is Redis's error. */
MUST_USE bool users_load(struct users *u, const struct learned *learned, char **ret_why);
MUST_USE bool users_save(struct users *u, char **ret_why);
/* What the setting users must say so that a start makes the users that there are now: for CONFIG REWRITE. The caller frees it. NULL: it
 * says so already, or acl.file has them. */
char *users_to_keep(struct users *u);
/* The settings have changed. What they say of users is done only where it differs from what they said before: ACL SETUSER's
 * changes stay. What can't be done is logged. */
void users_settings(struct users *u, const struct settings *now);

#endif
