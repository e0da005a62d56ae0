#include "router/acl_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct text {
    FILE *out;
    char *own_text;
    size_t len;
};

static void text_open(struct text *t)
{
    t->out = open_memstream(&t->own_text, &t->len);
    if (t->out == NULL)
        abort();
}

/* Without the blank that every part leaves behind it. */
static char *text_close(struct text *t)
{
    if (fclose(t->out) != 0)
        abort();
    if (t->len > 0 && t->own_text[t->len - 1] == ' ')
        t->own_text[t->len - 1] = '\0';
    return t->own_text;
}

/* ---- flags, passwords ---- */

static const char *flag_at(const struct acl_user *u, size_t i)
{
    const char *const names[] = {u->on ? "on" : "off", u->nopass ? "nopass" : NULL,
                                 u->skip_sanitize ? "skip-sanitize-payload" : NULL, u->sanitize ? "sanitize-payload" : NULL};
    return names[i];
}

enum { FLAGS = 4 };

size_t acl_flag_count(const struct acl_user *u)
{
    size_t n = 0;
    for (size_t i = 0; i < FLAGS; i++)
        n += flag_at(u, i) != NULL;
    return n;
}

const char *acl_flag(const struct acl_user *u, size_t i)
{
    size_t at = 0;
    for (;; at++)
        if (flag_at(u, at) != NULL && i-- == 0)
            return flag_at(u, at);
}

size_t acl_password_count(const struct acl_user *u)
{
    return u->npasswords;
}

const char *acl_password(const struct acl_user *u, size_t i)
{
    return u->passwords[i];
}

static const struct acl_selector *selector_at(const struct acl_user *u, size_t i)
{
    const struct acl_selector *s = &u->root;
    while (i-- > 0)
        s = s->next;
    return s;
}

size_t acl_selector_count(const struct acl_user *u)
{
    size_t n = 1;
    for (const struct acl_selector *s = u->root.next; s != NULL; s = s->next)
        n++;
    return n;
}

/* ---- commands: the categories that come closest, one after the other, then what they leave over ---- */

/* The proxy's own are not Redis's: with them its texts would differ. */
static bool is_own(const struct command *cmd)
{
    return strncmp(cmd->name, "conv", 4) == 0 && (cmd->name[4] == '\0' || cmd->name[4] == '|');
}

struct fit {
    unsigned same, differ;
};

/* How well a category fits: allowed is what the selector has and no chosen category has told yet. */
static struct fit fit_of(const struct acl_selector *left, uint32_t cat, bool additive)
{
    struct fit fit = {0, 0};
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        if ((cmd->cats & cat) == 0 || is_own(cmd))
            continue;
        if (acl_bit(left, id) == additive)
            fit.same++;
        else
            fit.differ++;
    }
    return fit;
}

/* The category to tell next, or 0. Redis takes it when more of its commands fit than not; of those the one with the fewest that
 * don't, then with the most that do. */
static uint32_t best_category(const struct acl_selector *left, uint32_t told, bool additive)
{
    struct fit best = {0, UINT32_MAX};
    uint32_t chosen = 0;

    for (unsigned bit = 0; command_cat_name(bit) != NULL; bit++) {
        uint32_t cat = 1u << bit;
        struct fit fit = fit_of(left, cat, additive);
        if ((told & cat) == 0 && fit.same > fit.differ &&
            (fit.differ < best.differ || (fit.differ == best.differ && fit.same > best.same))) {
            best = fit;
            chosen = cat;
        }
    }
    return chosen;
}

static const char *category_name(uint32_t cat)
{
    return command_cat_name((unsigned)__builtin_ctz(cat));
}

/* What the categories say wrongly. A container comes before its subcommands, and takes them along. */
static void put_rows(FILE *out, const struct acl_selector *s, struct acl_selector *told)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        if (acl_bit(s, id) != acl_bit(told, id)) {
            fprintf(out, "%c%s ", acl_bit(s, id) ? '+' : '-', cmd->name);
            acl_set_row(told, cmd, acl_bit(s, id));
        }
        for (size_t i = 0; !acl_bit(s, id) && i < s->nfirsts; i++)
            if (s->firsts[i].id == id)
                fprintf(out, "+%s|%s ", cmd->name, s->firsts[i].arg);
    }
    for (size_t i = 0; i < s->nlate; i++)
        if (s->late[i].cat == 0)
            fprintf(out, "%c%s ", s->late[i].allow ? '+' : '-', s->late[i].name);
}

static void put_commands(FILE *out, const struct acl_selector *s)
{
    struct acl_selector told, left;
    bool additive = !s->rest;
    uint32_t cats = 0, cat;

    acl_selector_init(&told);
    acl_selector_init(&left);
    acl_allow_all(&told, s->rest);
    memcpy(left.bits, s->bits, sizeof left.bits);
    fputs(s->rest ? "+@all " : "-@all ", out);
    while ((cat = best_category(&left, cats, additive)) != 0) {
        fprintf(out, "%c%s ", additive ? '+' : '-', category_name(cat));
        acl_set_category(&told, cat, additive);
        acl_set_category(&left, cat, !additive);
        cats |= cat;
    }
    put_rows(out, s, &told);
    acl_selector_done(&told);
    acl_selector_done(&left);
}

/* ---- keys, channels ---- */

static void put_keys(FILE *out, const struct acl_selector *s)
{
    static const char *const marks[] = {[KEY_READ] = "%R~", [KEY_WRITE] = "%W~", [KEY_BOTH] = "~"};

    if (s->all_keys)
        fputs("~* ", out);
    for (size_t i = 0; i < s->keys.count; i++)
        fprintf(out, "%s%s ", marks[s->keys.items[i].rights], s->keys.items[i].text);
}

static void put_channels(FILE *out, const struct acl_selector *s)
{
    if (s->all_channels)
        fputs("&* ", out);
    for (size_t i = 0; i < s->channels.count; i++)
        fprintf(out, "&%s ", s->channels.items[i].text);
}

static char *text_of(const struct acl_user *u, size_t selector, void (*put)(FILE *out, const struct acl_selector *s))
{
    struct text t;
    text_open(&t);
    put(t.out, selector_at(u, selector));
    return text_close(&t);
}

char *acl_commands(const struct acl_user *u, size_t selector)
{
    return text_of(u, selector, put_commands);
}

char *acl_keys(const struct acl_user *u, size_t selector)
{
    return text_of(u, selector, put_keys);
}

char *acl_channels(const struct acl_user *u, size_t selector)
{
    return text_of(u, selector, put_channels);
}

/* ---- the whole line ---- */

static void put_selector(FILE *out, const struct acl_selector *s)
{
    put_keys(out, s);
    if (!s->all_channels)
        fputs("resetchannels ", out);
    put_channels(out, s);
    put_commands(out, s);
}

char *acl_line(const struct acl_user *u)
{
    struct text t;

    text_open(&t);
    fprintf(t.out, "user %s ", u->name);
    for (size_t i = 0; i < acl_flag_count(u); i++)
        fprintf(t.out, "%s ", acl_flag(u, i));
    for (size_t i = 0; i < u->npasswords; i++)
        fprintf(t.out, "#%s ", u->passwords[i]);
    put_selector(t.out, &u->root);
    for (const struct acl_selector *s = u->root.next; s != NULL; s = s->next) {
        char *inner = NULL;
        struct text one;
        text_open(&one);
        put_selector(one.out, s);
        inner = text_close(&one);
        fprintf(t.out, "(%s) ", inner);
        free(inner);
    }
    return text_close(&t);
}
