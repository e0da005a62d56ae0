/* router/acl — users: what the rules of Redis 7.0 say that each may do, and whether a request is within it.
 *
 *   rule texts ─▶ acl_apply (router/acl_rules) ─▶ user: passwords, selectors ─▶ acl_check(row, arguments) ─▶ verdict
 *                                                  └▶ rule texts again (router/acl_text)
 *
 * Owns:       a user: name, hashes of passwords, the root selector and others.
 * Invariants: a user is changed by whoever made it, before anybody else sees it; then it never changes (a change is a copy).
 *             Arguments in which a command's keys can't be found need the right to all keys. Rules are read without recursion.
 * Source:     redis.io/docs/management/security/acl; texts and oddities are those of redis-server 7.0.15.
 * Threads:    any; references are counted atomically.          Used by: proxy/users, proxy/login, tests/fuzz. */
#ifndef ROUTER_ACL_H
#define ROUTER_ACL_H

#include "base/err.h"
#include "router/command.h"
#include "router/learned.h"

struct acl_user;

/* off, no password, nothing allowed: what SETUSER starts from. */
struct acl_user *acl_user_new(struct slice name);
/* "on nopass ~* &* +@all". */
struct acl_user *acl_user_default(void);
struct acl_user *acl_user_copy(const struct acl_user *u);
struct acl_user *acl_user_ref(struct acl_user *u);
void acl_user_unref(struct acl_user *own_u); /* NULL is fine */

struct slice acl_user_name(const struct acl_user *u); /* a NUL stands behind it */
bool acl_user_is_on(const struct acl_user *u);
bool acl_user_needs_no_password(const struct acl_user *u);
/* One selector allows everything: nothing has to be checked. */
bool acl_user_may_all(const struct acl_user *u);
/* On, and the password (or any, with nopass) is right. Takes the same time whichever password is wrong. */
bool acl_user_accepts(const struct acl_user *u, struct slice password);

/* ---- rules ---- */

enum acl_error {
    ACL_GOOD,
    ACL_BAD_SYNTAX,
    ACL_BAD_WORD,        /* no such command or category */
    ACL_BAD_AFTER_ALL,   /* a key pattern after * */
    ACL_BAD_CHANNEL,     /* a channel after * */
    ACL_BAD_HASH,
    ACL_BAD_PASSWORD,    /* the one to be removed is not there */
    ACL_BAD_FIRST_ARG,   /* +command|subcommand|argument */
    ACL_BAD_PARENTHESIS, /* a selector that does not end */
};

/* What else rules may name. */
struct acl_words {
    const struct learned *learned; /* commands of the server; may be NULL */
    bool foreseen;                 /* also commands that nobody knows yet: the server has not been asked */
};

/* Applies rules to u in order; a selector may come in several of them: "(+get", "~x)". On failure u is half changed, *ret_bad
 * (which the caller frees) is the rule. */
MUST_USE enum acl_error acl_apply(struct acl_user *u, const struct slice *rules, size_t count,
                                  const struct acl_words *words, char **ret_bad);
/* Redis's words: "Syntax error". */
const char *acl_error_text(enum acl_error e);
/* A blank or NUL in a user's name, a key pattern, or a channel. */
bool acl_has_blank(struct slice text);
/* The bit of a category's name without the @, or 0. */
uint32_t acl_category(struct slice name);

/* ---- rules again ---- */

/* Each returns a text that the caller frees. The line is as in ACL LIST and ACL SAVE: "user alice on #… ~* …". */
char *acl_line(const struct acl_user *u);
size_t acl_flag_count(const struct acl_user *u);
const char *acl_flag(const struct acl_user *u, size_t i);
size_t acl_password_count(const struct acl_user *u);
const char *acl_password(const struct acl_user *u, size_t i); /* SECRET_HEX digits */
size_t acl_selector_count(const struct acl_user *u);          /* the root one, number 0, included */
char *acl_commands(const struct acl_user *u, size_t selector);
char *acl_keys(const struct acl_user *u, size_t selector);
char *acl_channels(const struct acl_user *u, size_t selector);

/* ---- checking ---- */

enum acl_verdict {
    ACL_ALLOWED,
    ACL_NO_COMMAND,
    ACL_NO_KEY,
    ACL_NO_CHANNEL,
    ACL_NO_SORT_BY, /* SORT's patterns need the right to read all keys */
    ACL_NO_SORT_GET,
};

/* cmd: the row of the request (the subcommand's where there is one), whose arity is right. *ret_arg: the key or channel. */
enum acl_verdict acl_check(const struct acl_user *u, const struct command *cmd, const struct slice *argv, size_t argc,
                           size_t *ret_arg);
/* The same for one channel: of a subscription that is there already. pattern: of PSUBSCRIBE, which must be allowed as it is. */
bool acl_channel(const struct acl_user *u, struct slice channel, bool pattern);

#endif
