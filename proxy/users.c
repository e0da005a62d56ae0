#include "proxy/users.h"

#include "base/log.h"
#include "base/secret.h"
#include "config/file.h"
#include "proxy/users_state.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const no_file =
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER command and "
    "then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in the Redis "
    "configuration.";

static bool refuse(char **ret_why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool refuse(char **ret_why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(ret_why, format, args) < 0)
        abort();
    va_end(args);
    return false;
}

/* ---- sets ---- */

static struct user_set *set_new(size_t count)
{
    struct user_set *set = calloc(1, sizeof *set + count * sizeof set->users[0]);
    if (set == NULL)
        abort();
    atomic_init(&set->refs, 1);
    set->count = count;
    return set;
}

void user_set_unref(struct user_set *own_set)
{
    if (own_set == NULL || atomic_fetch_sub(&own_set->refs, 1) > 1)
        return;
    for (size_t i = 0; i < own_set->count; i++)
        acl_user_unref(own_set->users[i]);
    free(own_set);
}

static struct user_set *set_ref(struct user_set *set)
{
    atomic_fetch_add(&set->refs, 1);
    return set;
}

struct user_set *users_current(struct users *u)
{
    pthread_mutex_lock(&u->lock);
    struct user_set *set = set_ref(u->now);
    pthread_mutex_unlock(&u->lock);
    return set;
}

static int compare(struct slice a, struct slice b)
{
    int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

size_t users_place(const struct user_set *set, struct slice name)
{
    size_t low = 0, high = set->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (compare(acl_user_name(set->users[mid]), name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool users_is_at(const struct user_set *set, size_t at, struct slice name)
{
    return at < set->count && compare(acl_user_name(set->users[at]), name) == 0;
}

struct acl_user *user_set_find(const struct user_set *set, struct slice name)
{
    size_t at = users_place(set, name);
    return users_is_at(set, at, name) ? set->users[at] : NULL;
}

struct acl_user *user_set_default(const struct user_set *set)
{
    return user_set_find(set, (struct slice){"default", 7});
}

size_t user_set_count(const struct user_set *set)
{
    return set->count;
}

struct acl_user *user_set_at(const struct user_set *set, size_t i)
{
    return set->users[i];
}

struct user_set *users_with(const struct user_set *set, struct acl_user *own_user)
{
    size_t at = users_place(set, acl_user_name(own_user));
    bool there = users_is_at(set, at, acl_user_name(own_user));
    struct user_set *fresh = set_new(set->count + !there);

    for (size_t i = 0; i < at; i++)
        fresh->users[i] = acl_user_ref(set->users[i]);
    fresh->users[at] = own_user;
    for (size_t i = at + there; i < set->count; i++)
        fresh->users[i + !there] = acl_user_ref(set->users[i]);
    return fresh;
}

struct user_set *users_without(const struct user_set *set, size_t at)
{
    struct user_set *fresh = set_new(set->count - 1);
    for (size_t i = 0; i < set->count; i++)
        if (i != at)
            fresh->users[i - (i > at)] = acl_user_ref(set->users[i]);
    return fresh;
}

/* The default user alone. */
static struct user_set *set_start(void)
{
    struct user_set *set = set_new(1);
    set->users[0] = acl_user_default();
    return set;
}

static void replace(struct user_set **set, struct user_set *own_fresh)
{
    user_set_unref(*set);
    *set = own_fresh;
}

void users_publish(struct users *u, struct user_set *own_fresh)
{
    pthread_mutex_lock(&u->lock);
    struct user_set *old = u->now;
    u->now = own_fresh;
    pthread_mutex_unlock(&u->lock);
    atomic_fetch_add(&u->serial, 1);
    user_set_unref(old);
}

/* What stands in the settings or the file now. */
static void set_given(struct users *u, struct user_set *own_set)
{
    user_set_unref(u->given);
    u->given = own_set;
}

/* ---- one user ---- */

struct acl_user *users_changed(const struct user_set *set, struct slice name, const struct slice *rules, size_t count,
                                const struct acl_words *words, char **ret_why)
{
    const struct acl_user *old = user_set_find(set, name);
    struct acl_user *fresh = old != NULL ? acl_user_copy(old) : acl_user_new(name);
    char *bad = NULL;
    enum acl_error e = acl_apply(fresh, rules, count, words, &bad);

    if (e == ACL_GOOD)
        return fresh;
    if (e == ACL_BAD_PARENTHESIS)
        refuse(ret_why, "ERR Unmatched parenthesis in acl selector starting at '%s'.", bad);
    else
        refuse(ret_why, "ERR Error in ACL SETUSER modifier '%s': %s", bad, acl_error_text(e));
    free(bad);
    acl_user_unref(fresh);
    return NULL;
}

bool users_put(struct users *u, struct slice name, const struct slice *rules, size_t count, const struct learned *learned,
               char **ret_why)
{
    const struct acl_words words = {.learned = learned};

    if (acl_has_blank(name))
        return refuse(ret_why, "ERR Usernames can't contain spaces or null characters");
    pthread_mutex_lock(&u->change);
    struct acl_user *fresh = users_changed(u->now, name, rules, count, &words, ret_why);
    if (fresh != NULL) {
        users_publish(u, users_with(u->now, fresh));
        u->beyond_settings = true;
    }
    pthread_mutex_unlock(&u->change);
    return fresh != NULL;
}

size_t users_remove(struct users *u, const struct slice *names, size_t count)
{
    size_t removed = 0;

    pthread_mutex_lock(&u->change);
    for (size_t i = 0; i < count; i++) {
        size_t at = users_place(u->now, names[i]);
        if (!users_is_at(u->now, at, names[i]))
            continue;
        users_publish(u, users_without(u->now, at));
        u->beyond_settings = true;
        removed++;
    }
    pthread_mutex_unlock(&u->change);
    return removed;
}

/* ---- lines: "alice on >secret …", with or without "user" in front ---- */

bool users_split(const char *text, size_t len, struct users_line *ret)
{
    ret->count = 0;
    for (size_t at = 0; at < len;) {
        size_t begin = at;
        while (at < len && strchr(" \t\r", text[at]) == NULL)
            at++;
        if (at > begin && ret->count == USERS_LINE_RULES)
            return false;
        if (at > begin)
            ret->words[ret->count++] = (struct slice){text + begin, at - begin};
        at++;
    }
    return true;
}

/* Adds a line's user to *set. Each may stand there once; a user begins from nothing, but for default. */
static bool add_line(struct user_set **set, const struct user_set *before, const struct users_line *line,
                     const struct acl_words *words, char **ret_why)
{
    struct slice name = line->words[1];
    char *why = NULL;

    if (acl_has_blank(name))
        return refuse(ret_why, "a user without a name");
    if (before != NULL && user_set_find(*set, name) != user_set_find(before, name))
        return refuse(ret_why, "user '%.*s' stands here twice", (int)name.len, name.p);
    struct acl_user *fresh = users_changed(*set, name, line->words + 2, line->count - 2, words, &why);
    if (fresh == NULL) {
        refuse(ret_why, "%s", strchr(why, ' ') + 1);
        free(why);
        return false;
    }
    replace(set, users_with(*set, fresh));
    return true;
}

/* ---- the file ---- */

/* A line of an ACL file: "user NAME RULE …", or nothing. */
static bool add_file_line(struct user_set **set, const struct user_set *start, const char *text, size_t len,
                          const struct acl_words *words, char **ret_why)
{
    struct users_line *line = malloc(sizeof *line);
    bool good;

    if (line == NULL)
        abort();
    if (!users_split(text, len, line))
        good = refuse(ret_why, "more than %d rules", USERS_LINE_RULES);
    else if (line->count == 0 || line->words[0].p[0] == '#')
        good = true;
    else if (line->count < 2 || !slice_is(line->words[0], "user"))
        good = refuse(ret_why, "should start with user keyword");
    else
        good = add_line(set, start, line, words, ret_why);
    free(line);
    return good;
}

/* All users of the file, or NULL and why. */
static struct user_set *read_file(const char *path, const struct acl_words *words, char **ret_why)
{
    struct user_set *start = set_start(), *set = set_start();
    struct config_error error;
    char *text, *why = NULL;
    size_t len, at = 0, number = 1;

    replace(&set, users_with(start, acl_user_ref(start->users[0]))); /* so that default counts as not in the file yet */
    if (file_read(path, &text, &len, NULL, &error) != ERR_NONE) {
        refuse(ret_why, "Error loading ACLs, opening file '%s': %s", path, error.reason);
        goto bad;
    }
    for (; why == NULL && at < len; number++) {
        size_t n = strcspn(text + at, "\n");
        if (!add_file_line(&set, start, text + at, n, words, &why))
            refuse(ret_why, "%s:%zu: %s. WARNING: ACL errors detected, no change to the previously active ACL rules was performed", path,
                   number, why);
        at += n + 1;
    }
    free(text);
    if (why == NULL) {
        user_set_unref(start);
        return set;
    }
    free(why);
bad:
    user_set_unref(start);
    user_set_unref(set);
    return NULL;
}

bool users_load(struct users *u, const struct learned *learned, char **ret_why)
{
    const struct acl_words words = {.learned = learned, .foreseen = learned == NULL};
    char *why = NULL;

    if (u->file[0] == '\0')
        return refuse(ret_why, "%s", no_file);
    pthread_mutex_lock(&u->change);
    struct user_set *set = read_file(u->file, &words, &why);
    if (set != NULL) {
        set_given(u, set_ref(set));
        users_publish(u, set);
    } else {
        refuse(ret_why, "ERR %s", why);
    }
    pthread_mutex_unlock(&u->change);
    free(why);
    return set != NULL;
}

static char *all_lines(const struct user_set *set)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    if (out == NULL)
        abort();
    for (size_t i = 0; i < set->count; i++) {
        char *line = acl_line(set->users[i]);
        fprintf(out, "%s\n", line);
        free(line);
    }
    if (fclose(out) != 0)
        abort();
    return text;
}

char *users_to_keep(struct users *u)
{
    pthread_mutex_lock(&u->change);
    bool needed = u->beyond_settings && u->file[0] == '\0';
    char *text = needed ? all_lines(u->now) : NULL;
    pthread_mutex_unlock(&u->change);
    if (text != NULL)
        text[strlen(text) - 1] = '\0'; /* the last line's end */
    return text;
}

bool users_save(struct users *u, char **ret_why)
{
    struct config_error error;

    if (u->file[0] == '\0')
        return refuse(ret_why, "%s", no_file);
    pthread_mutex_lock(&u->change);
    char *text = all_lines(u->now);
    bool good = file_replace(u->file, text, &error) == ERR_NONE;
    if (good)
        set_given(u, set_ref(u->now));
    pthread_mutex_unlock(&u->change);
    if (!good)
        log_event(LOG_ERROR, "acl_not_saved", LOG_STR("file", u->file), LOG_STR("reason", error.reason));
    free(text);
    return good || refuse(ret_why, "ERR There was an error trying to save the ACLs. Please check the server logs for more information");
}

/* ---- the settings ---- */

/* The password of the settings, which the caller frees; NULL: the file can't be read. */
static char *password_of(const struct settings *s, char **ret_why)
{
    struct config_error error;
    char *text;
    size_t len;

    if (s->requirepass[0] != '\0' || s->requirepass_file[0] == '\0')
        return strdup(s->requirepass);
    if (file_read(s->requirepass_file, &text, &len, NULL, &error) != ERR_NONE) {
        refuse(ret_why, "requirepass_file: %s", error.reason);
        return NULL;
    }
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] != '\0')
        return text;
    free(text);
    refuse(ret_why, "requirepass_file: the first line of %s is empty; expected the password", s->requirepass_file);
    return NULL;
}

/* As CONFIG SET requirepass: this password and no other, or none. */
static void set_password(struct user_set **set, const char *password)
{
    char *rule = NULL, *bad = NULL;
    struct acl_user *fresh = acl_user_copy(user_set_default(*set));

    if (asprintf(&rule, ">%s", password) < 0)
        abort();
    const struct slice rules[] = {{"resetpass", 9}, {"nopass", 6}, {rule, strlen(rule)}};
    const struct acl_words words = {.learned = NULL};
    bool good = password[0] == '\0' ? acl_apply(fresh, rules, 2, &words, &bad) == ACL_GOOD
                                    : acl_apply(fresh, rules, 1, &words, &bad) == ACL_GOOD &&
                                          acl_apply(fresh, rules + 2, 1, &words, &bad) == ACL_GOOD;
    if (!good)
        abort(); /* a password may be any text */
    secret_wipe(rule, strlen(rule));
    free(rule);
    replace(set, users_with(*set, fresh));
}

static bool read_line(const char *text, struct users_line *line, char **ret_why)
{
    /* "user" may be left out. */
    if (!users_split(text, strlen(text), line) || line->count == USERS_LINE_RULES)
        return refuse(ret_why, "more than %d rules", USERS_LINE_RULES - 1);
    if (line->count > 0 && slice_is(line->words[0], "user") && line->count > 1)
        return true;
    memmove(line->words + 1, line->words, line->count * sizeof line->words[0]);
    line->words[0] = (struct slice){"user", 4};
    line->count++;
    return line->count > 1 || refuse(ret_why, "an empty line; expected NAME RULE …");
}

/* The users of the setting, each as the line says and no more. */
static bool add_setting_line(struct user_set **set, const struct user_set *before, const char *text, char **ret_why)
{
    const struct acl_words words = {.learned = NULL, .foreseen = true};
    struct users_line *line = malloc(sizeof *line);
    char *why = NULL;

    if (line == NULL)
        abort();
    bool good = read_line(text, line, &why) && add_line(set, before, line, &words, &why);
    if (!good)
        refuse(ret_why, "users: '%.*s': %s", line->count > 1 ? (int)line->words[1].len : 0, line->count > 1 ? line->words[1].p : "",
               why);
    free(why);
    free(line);
    return good;
}

/* A user of the setting begins anew: whatever ACL SETUSER has made of him is gone, default's password stays with requirepass. */
static void forget_line(struct user_set **set, const char *text)
{
    struct users_line *line = malloc(sizeof *line);
    char *why = NULL;

    if (line == NULL)
        abort();
    if (read_line(text, line, &why)) {
        size_t at = users_place(*set, line->words[1]);
        bool there = users_is_at(*set, at, line->words[1]);
        if (slice_is(line->words[1], "default"))
            replace(set, users_with(*set, acl_user_default()));
        else if (there)
            replace(set, users_without(*set, at));
    }
    free(why);
    free(line);
}

static bool same_lines(const struct text_list *a, const struct text_list *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = strcmp(a->items[i], b->items[i]) == 0;
    return same;
}

/* set, as the setting users asks for it now. */
static bool take_lines(struct user_set **set, const struct text_list *old, const struct text_list *now, char **ret_why)
{
    bool good = true;

    for (size_t i = 0; i < old->count; i++)
        forget_line(set, old->items[i]);
    for (size_t i = 0; i < now->count; i++)
        forget_line(set, now->items[i]);
    struct user_set *before = set_new((*set)->count);
    for (size_t i = 0; i < (*set)->count; i++)
        before->users[i] = acl_user_ref((*set)->users[i]);
    for (size_t i = 0; good && i < now->count; i++)
        good = add_setting_line(set, before, now->items[i], ret_why);
    user_set_unref(before);
    return good;
}

static void remember(struct users *u, const struct settings *s, char *own_password)
{
    if (u->password != NULL)
        secret_wipe(u->password, strlen(u->password));
    free(u->password);
    u->password = own_password;
    text_list_done(&u->lines);
    for (size_t i = 0; i < s->users.count; i++)
        text_list_add(&u->lines, s->users.items[i]);
}

/* set with what the settings say anew; NULL: why says what is wrong with them. */
static struct user_set *updated(const struct users *u, struct user_set *set, const struct settings *s, const char *password,
                                char **ret_why)
{
    set = set_ref(set);
    bool lines = !same_lines(&u->lines, &s->users);
    bool good = !lines || take_lines(&set, &u->lines, &s->users, ret_why);

    if (good && (strcmp(password, u->password) != 0 || (lines && password[0] != '\0')))
        set_password(&set, password);
    if (good)
        return set;
    user_set_unref(set);
    return NULL;
}

static bool take_settings(struct users *u, const struct settings *s, char **ret_why)
{
    if (u->file[0] != '\0' && s->users.count > 0)
        return refuse(ret_why, "there are users in the setting users and in acl.file; expected one of them");
    char *password = password_of(s, ret_why);
    struct user_set *given = password != NULL ? updated(u, u->given, s, password, ret_why) : NULL;
    struct user_set *set = given != NULL ? updated(u, u->now, s, password, ret_why) : NULL;

    if (set == NULL) {
        user_set_unref(given);
        free(password);
        return false;
    }
    set_given(u, given);
    users_publish(u, set);
    u->beyond_settings &= same_lines(&u->lines, &s->users);
    remember(u, s, password);
    return true;
}

void users_settings(struct users *u, const struct settings *now)
{
    char *why = NULL;

    pthread_mutex_lock(&u->change);
    bool good = take_settings(u, now, &why);
    pthread_mutex_unlock(&u->change);
    if (!good)
        log_event(LOG_ERROR, "users_refused", LOG_STR("reason", why));
    free(why);
}

/* ---- life ---- */

static bool start(struct users *u, const struct settings *s, char **ret_why)
{
    const struct acl_words words = {.learned = NULL, .foreseen = true};

    if (s->acl_file[0] == '\0')
        return take_settings(u, s, ret_why);
    struct user_set *set = read_file(s->acl_file, &words, ret_why);
    if (set == NULL)
        return false;
    set_given(u, set_ref(set));
    users_publish(u, set);
    return take_settings(u, s, ret_why);
}

struct users *users_new(const struct settings *s, bool *ret_good, char *why, size_t cap)
{
    struct users *u = calloc(1, sizeof *u);
    char *reason = NULL;

    if (u == NULL)
        abort();
    pthread_mutex_init(&u->change, NULL);
    pthread_mutex_init(&u->lock, NULL);
    u->now = set_start();
    u->given = set_ref(u->now);
    u->file = strdup(s->acl_file);
    u->password = strdup("");
    *ret_good = start(u, s, &reason);
    if (!*ret_good)
        snprintf(why, cap, "%s", reason);
    free(reason);
    return u;
}

void users_free(struct users *own_u)
{
    if (own_u == NULL)
        return;
    user_set_unref(own_u->now);
    user_set_unref(own_u->given);
    text_list_done(&own_u->lines);
    secret_wipe(own_u->password, strlen(own_u->password));
    free(own_u->password);
    free(own_u->file);
    pthread_mutex_destroy(&own_u->change);
    pthread_mutex_destroy(&own_u->lock);
    free(own_u);
}
