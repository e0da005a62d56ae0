#include "proxy/bequest.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/handover_wire.h"
#include "proxy/login.h"
#include "proxy/loop.h"
#include "proxy/pause.h"
#include "proxy/server.h"
#include "proxy/users_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is told ---- */

/* Whether somebody of that name in set is the same user in all that can be told of him. */
static bool is_same(const struct user_set *set, const struct acl_user *u)
{
    const struct acl_user *other = user_set_find(set, acl_user_name(u));

    if (other == NULL || other == u)
        return other == u;
    char *a = acl_line(u), *b = acl_line(other);
    bool same = strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}

static void tell_users(FILE *out, struct users *u)
{
    pthread_mutex_lock(&u->change);
    for (size_t i = 0; i < u->now->count; i++) {
        if (is_same(u->given, u->now->users[i]))
            continue;
        char *line = acl_line(u->now->users[i]);
        fprintf(out, "%s\n", line);
        free(line);
    }
    for (size_t i = 0; i < u->given->count; i++)
        if (user_set_find(u->now, acl_user_name(u->given->users[i])) == NULL)
            fprintf(out, "-%s\n", acl_user_name(u->given->users[i]).p);
    pthread_mutex_unlock(&u->change);
}

static void write_text(struct bequest_out *b, struct server *s, const struct pause_report *pause)
{
    FILE *out = open_memstream(&b->text, &b->len);

    if (out == NULL)
        abort();
    if (pause->until_us > clock_mono_us())
        fprintf(out, "pause %" PRId64 " %s\n", pause->until_us, pause->all ? "all" : "write");
    tell_users(out, server_users(s));
    if (fclose(out) != 0)
        abort();
    b->at = 0;
}

static void drop_text(struct bequest_out *b)
{
    free(b->text);
    b->text = NULL;
}

void bequest_reset(struct bequest_out *b)
{
    drop_text(b);
    *b = (struct bequest_out){.text = NULL};
}

/* The serials are read before what they are of: a change in between is told again. */
static void look_again(struct bequest_out *b, struct server *s)
{
    struct pause_report pause;
    uint64_t users = atomic_load(&server_users(s)->serial);

    pause_report(&pause);
    if (b->any && b->users == users && b->pauses == pause.orders)
        return;
    write_text(b, s, &pause);
    b->users = users;
    b->pauses = pause.orders;
    if (b->len == 0 && !b->any)
        drop_text(b); /* nothing to tell, and nothing to take back */
}

int bequest_send(struct bequest_out *b, struct server *s, int sock)
{
    if (b->text == NULL)
        look_again(b, s);
    while (b->text != NULL) {
        struct slice piece = {b->text + b->at, b->len - b->at};
        if (piece.len > WIRE_DATA)
            piece.len = WIRE_DATA;
        int rc = wire_send(sock, WIRE_STATE, b->len - b->at - piece.len, piece, -1);
        if (rc < 0)
            return rc;
        b->any = true;
        b->at += piece.len;
        if (b->at == b->len)
            drop_text(b);
    }
    return 0;
}

/* ---- what is taken ---- */

void bequest_done(struct bequest_in *b)
{
    free(b->text);
    free(b->applied);
    *b = (struct bequest_in){.text = NULL};
}

void bequest_piece(struct bequest_in *b, struct slice piece, uint64_t left)
{
    b->text = realloc(b->text, b->len + piece.len + 1);
    if (b->text == NULL)
        abort();
    memcpy(b->text + b->len, piece.p, piece.len);
    b->len += piece.len;
    b->text[b->len] = '\0';
    b->whole = left == 0;
}

/* "alice" of "user alice on …" and of "-alice"; empty: the line is about the pause. */
static struct slice name_of(struct slice line)
{
    if (line.len > 0 && line.p[0] == '-')
        return (struct slice){line.p + 1, line.len - 1};
    if (line.len < 5 || memcmp(line.p, "user ", 5) != 0)
        return (struct slice){line.p, 0};
    const char *end = memchr(line.p + 5, ' ', line.len - 5);
    return (struct slice){line.p + 5, end != NULL ? (size_t)(end - line.p) - 5 : line.len - 5};
}

/* The line at *at, which goes behind it. False: there is none any more. */
static bool next_line(const char **at, struct slice *ret)
{
    if (**at == '\0')
        return false;
    *ret = (struct slice){*at, strcspn(*at, "\n")};
    *at += ret->len + ((*at)[ret->len] == '\n');
    return true;
}

static bool equal(struct slice a, struct slice b)
{
    return a.len == b.len && memcmp(a.p, b.p, a.len) == 0;
}

/* Whether text has this line; just_name: one about the same user, or about the pause. */
static bool has_line(const char *text, struct slice line, bool just_name)
{
    struct slice other;

    while (text != NULL && next_line(&text, &other))
        if (just_name ? equal(name_of(other), name_of(line)) : equal(other, line))
            return true;
    return false;
}

/* The user as a line has him; NULL: *ret_why says what is wrong with it. He begins from nothing, default as well. */
static struct acl_user *user_of(struct slice text, char **ret_why)
{
    const struct user_set nobody = {.count = 0};
    const struct acl_words words = {.learned = NULL, .foreseen = true};
    struct users_line *line = malloc(sizeof *line);
    struct acl_user *u = NULL;

    if (line == NULL)
        abort();
    if (users_split(text.p, text.len, line) && line->count >= 2) {
        u = users_changed(&nobody, line->words[1], line->words + 2, line->count - 2, &words, ret_why);
    }
    free(line);
    return u;
}

/* In the place of whoever has that name; user NULL: nobody is to have it. */
static void put(struct users *u, struct slice name, struct acl_user *own_user)
{
    size_t at = users_place(u->now, name);

    if (own_user != NULL)
        users_publish(u, users_with(u->now, own_user));
    else if (users_is_at(u->now, at, name) && !equal(name, (struct slice){"default", 7}))
        users_publish(u, users_without(u->now, at));
}

static void take_user(struct users *u, struct slice line)
{
    struct slice name = name_of(line);
    char *why = NULL;
    struct acl_user *user = line.p[0] == '-' ? NULL : user_of(line, &why);

    pthread_mutex_lock(&u->change);
    if (user != NULL || line.p[0] == '-')
        put(u, name, user);
    u->beyond_settings = true;
    pthread_mutex_unlock(&u->change);
    if (user == NULL && line.p[0] != '-')
        log_event(LOG_WARN, "user_not_taken_over", LOG_BYTES("user", name.p, name.len), LOG_STR("reason", why != NULL ? why : "too many rules"));
    free(why);
}

/* It was told before and is not now: he is what the settings say again. */
static void give_up_user(struct users *u, struct slice name)
{
    pthread_mutex_lock(&u->change);
    struct acl_user *given = user_set_find(u->given, name);
    put(u, name, given != NULL ? acl_user_ref(given) : NULL);
    pthread_mutex_unlock(&u->change);
}

static void take_pause(struct server *s, struct slice line)
{
    char word[8] = "";
    int64_t until_us;

    if (sscanf(line.p, "pause %" SCNd64 " %7s", &until_us, word) == 2 && until_us > clock_mono_us())
        pause_inherit(s, until_us, strcmp(word, "all") == 0);
}

static void take_lines(const char *text, const char *before, struct server *s)
{
    struct slice line;

    for (const char *at = before; at != NULL && next_line(&at, &line);) {
        if (has_line(text, line, true))
            continue;
        if (name_of(line).len > 0)
            give_up_user(server_users(s), name_of(line));
        else
            pause_inherit(s, 0, false);
    }
    for (const char *at = text; next_line(&at, &line);) {
        if (has_line(before, line, false))
            continue;
        if (name_of(line).len > 0)
            take_user(server_users(s), line);
        else
            take_pause(s, line);
    }
}

void bequest_apply(struct bequest_in *b, struct server *s)
{
    struct loop *l;

    if (!b->whole)
        return;
    take_lines(b->text, b->applied, s);
    free(b->applied);
    b->applied = b->text;
    b->text = NULL;
    b->len = 0;
    b->whole = false;
    for (unsigned i = 0; (l = server_loop(s, i)) != NULL; i++)
        loop_post(l, login_refresh, NULL);
}
