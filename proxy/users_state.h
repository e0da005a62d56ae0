/* proxy/users_state — what proxy/users and proxy/bequest share of the users.
 * Owns:       nothing of its own; struct users is proxy/users'.
 * Invariants: those of proxy/users. now, given, lines and password are changed while `change` is held; now also under `lock`.
 * Threads:    as proxy/users.          Used by: proxy/users, proxy/bequest; nobody else. */
#ifndef PROXY_USERS_STATE_H
#define PROXY_USERS_STATE_H

#include "proxy/users.h"

#include <pthread.h>
#include <stdatomic.h>

#define USERS_LINE_RULES 512

struct user_set {
    atomic_size_t refs;
    size_t count;
    struct acl_user *users[]; /* counted, in the order of their names */
};

struct users {
    pthread_mutex_t change; /* held for a whole change; order: change, then lock */
    pthread_mutex_t lock;
    struct user_set *now;
    struct user_set *given; /* what now would be without ACL SETUSER and DELUSER */
    _Atomic uint64_t serial; /* of the change that made now */
    char *file;     /* acl.file; "": none */
    char *password; /* as the settings said last; "": none */
    struct text_list lines;
    bool beyond_settings; /* ACL has changed something since they were the settings' */
};

/* "user alice on >secret …" */
struct users_line {
    struct slice words[USERS_LINE_RULES];
    size_t count;
};

/* False: there are more words. They lie in the text. */
bool users_split(const char *text, size_t len, struct users_line *ret);
/* The place of the first user whose name is not before name, and whether he has it. */
size_t users_place(const struct user_set *set, struct slice name);
bool users_is_at(const struct user_set *set, size_t at, struct slice name);
/* The user of that name with rules on top; NULL: *ret_why says why not, as ACL SETUSER words it. */
struct acl_user *users_changed(const struct user_set *set, struct slice name, const struct slice *rules, size_t count,
                               const struct acl_words *words, char **ret_why);
/* A new set: with the user in the place of the one of that name, if there is one; without the one at that place. */
struct user_set *users_with(const struct user_set *set, struct acl_user *own_user);
struct user_set *users_without(const struct user_set *set, size_t at);
void users_publish(struct users *u, struct user_set *own_fresh);

#endif
