#include "router/acl.h"

#include "engine/pattern.h"
#include "router/acl_user.h"
#include "router/keys.h"

#include <stdlib.h>
#include <string.h>

void *acl_grow(void *own_p, size_t size)
{
    void *p = realloc(own_p, size > 0 ? size : 1);
    if (p == NULL)
        abort();
    return p;
}

/* ---- users ---- */

static char *copy_text(struct slice text)
{
    char *copy = acl_grow(NULL, text.len + 1);
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    return copy;
}

struct acl_user *acl_user_new(struct slice name)
{
    struct acl_user *u = calloc(1, sizeof *u);
    if (u == NULL)
        abort();
    atomic_init(&u->refs, 1);
    u->name = copy_text(name);
    u->name_len = name.len;
    acl_selector_init(&u->root);
    return u;
}

struct acl_user *acl_user_default(void)
{
    struct acl_user *u = acl_user_new((struct slice){"default", 7});
    u->on = u->nopass = true;
    u->root.all_keys = u->root.all_channels = true;
    acl_allow_all(&u->root, true);
    return u;
}

struct acl_patterns acl_patterns_copy(const struct acl_patterns *from)
{
    struct acl_patterns to = {.count = from->count};
    if (from->count > 0)
        to.items = acl_grow(NULL, from->count * sizeof *to.items);
    for (size_t i = 0; i < from->count; i++) {
        to.items[i] = from->items[i];
        to.items[i].text = copy_text((struct slice){from->items[i].text, from->items[i].len});
    }
    return to;
}

static void copy_selector(struct acl_selector *to, const struct acl_selector *from)
{
    *to = *from;
    to->next = NULL;
    to->keys = acl_patterns_copy(&from->keys);
    to->channels = acl_patterns_copy(&from->channels);
    to->firsts = acl_grow(NULL, from->nfirsts * sizeof *to->firsts);
    for (size_t i = 0; i < from->nfirsts; i++)
        to->firsts[i] = (struct acl_first){from->firsts[i].id, strdup(from->firsts[i].arg)};
    to->late = acl_grow(NULL, from->nlate * sizeof *to->late);
    for (size_t i = 0; i < from->nlate; i++) {
        to->late[i] = from->late[i];
        to->late[i].name = from->late[i].name != NULL ? strdup(from->late[i].name) : NULL;
    }
}

struct acl_user *acl_user_copy(const struct acl_user *u)
{
    struct acl_user *copy = acl_user_new(acl_user_name(u));
    struct acl_selector *last = &copy->root;

    copy->on = u->on;
    copy->nopass = u->nopass;
    copy->sanitize = u->sanitize;
    copy->skip_sanitize = u->skip_sanitize;
    copy->npasswords = u->npasswords;
    copy->passwords = acl_grow(NULL, u->npasswords * sizeof *copy->passwords);
    if (u->npasswords > 0)
        memcpy(copy->passwords, u->passwords, u->npasswords * sizeof *copy->passwords);
    copy_selector(&copy->root, &u->root);
    for (const struct acl_selector *s = u->root.next; s != NULL; s = s->next) {
        last->next = acl_grow(NULL, sizeof *last);
        last = last->next;
        copy_selector(last, s);
    }
    return copy;
}

struct acl_user *acl_user_ref(struct acl_user *u)
{
    atomic_fetch_add(&u->refs, 1);
    return u;
}

void acl_patterns_done(struct acl_patterns *p)
{
    for (size_t i = 0; i < p->count; i++)
        free(p->items[i].text);
    free(p->items);
    *p = (struct acl_patterns){0};
}

void acl_selector_done(struct acl_selector *s)
{
    acl_patterns_done(&s->keys);
    acl_patterns_done(&s->channels);
    for (size_t i = 0; i < s->nfirsts; i++)
        free(s->firsts[i].arg);
    for (size_t i = 0; i < s->nlate; i++)
        free(s->late[i].name);
    free(s->firsts);
    free(s->late);
}

void acl_drop_selectors(struct acl_user *u)
{
    struct acl_selector *s = u->root.next;
    u->root.next = NULL;
    while (s != NULL) {
        struct acl_selector *next = s->next;
        acl_selector_done(s);
        free(s);
        s = next;
    }
}

void acl_user_unref(struct acl_user *own_u)
{
    if (own_u == NULL || atomic_fetch_sub(&own_u->refs, 1) > 1)
        return;
    acl_drop_selectors(own_u);
    acl_selector_done(&own_u->root);
    free(own_u->passwords);
    free(own_u->name);
    free(own_u);
}

struct slice acl_user_name(const struct acl_user *u)
{
    return (struct slice){u->name, u->name_len};
}

bool acl_user_is_on(const struct acl_user *u)
{
    return u->on;
}

bool acl_user_needs_no_password(const struct acl_user *u)
{
    return u->nopass;
}

bool acl_user_may_all(const struct acl_user *u)
{
    for (const struct acl_selector *s = &u->root; s != NULL; s = s->next)
        if (s->all_commands && s->all_keys && s->all_channels)
            return true;
    return false;
}

bool acl_user_accepts(const struct acl_user *u, struct slice password)
{
    char hash[SECRET_HEX + 1];
    bool fits = false;

    secret_hash(password, hash);
    for (size_t i = 0; i < u->npasswords; i++)
        fits |= secret_same_hash(hash, u->passwords[i]);
    secret_wipe(hash, sizeof hash);
    return u->on && (u->nopass || fits);
}

/* ---- checking ---- */

static bool late_allows(const struct acl_selector *s, const struct command *cmd)
{
    size_t bar = strcspn(cmd->name, "|");
    for (size_t i = s->nlate; i-- > 0;) {
        const struct acl_late *late = &s->late[i];
        bool fits = late->cat != 0 ? (cmd->cats & late->cat) != 0
                                   : strcasecmp(late->name, cmd->name) == 0 ||
                                         (strlen(late->name) == bar && strncasecmp(late->name, cmd->name, bar) == 0);
        if (fits)
            return late->allow;
    }
    return s->rest;
}

static bool is_learned(const struct command *cmd)
{
    return command_at(cmd->id) != cmd;
}

static bool first_allowed(const struct acl_selector *s, const struct command *cmd, const struct slice *argv, size_t argc)
{
    size_t at = strchr(cmd->name, '|') != NULL ? 2 : 1;
    for (size_t i = 0; at < argc && i < s->nfirsts; i++)
        if (s->firsts[i].id == cmd->id && slice_is(argv[at], s->firsts[i].arg))
            return true;
    return false;
}

static bool command_allowed(const struct acl_selector *s, const struct command *cmd, const struct slice *argv, size_t argc)
{
    if (s->all_commands || (cmd->flags & CMD_NO_AUTH) != 0)
        return true;
    if (is_learned(cmd))
        return late_allows(s, cmd);
    return acl_bit(s, cmd->id) || first_allowed(s, cmd, argv, argc);
}

static bool key_allowed(const struct acl_selector *s, struct slice key, unsigned needs)
{
    for (size_t i = 0; i < s->keys.count; i++) {
        const struct acl_pattern *p = &s->keys.items[i];
        if ((p->rights & needs) == needs && pattern_match((struct slice){p->text, p->len}, key))
            return true;
    }
    return false;
}

struct key_check {
    const struct acl_selector *selector;
    const struct slice *argv;
    unsigned more; /* rights that the options ask for */
    bool denied;
    size_t arg;
};

static bool check_key(void *ctx, struct key_ref ref)
{
    struct key_check *c = ctx;
    c->denied = !key_allowed(c->selector, c->argv[ref.arg], ref.needs | c->more);
    c->arg = ref.arg;
    return !c->denied;
}

/* SET … GET tells the old value. */
static unsigned option_needs(const struct command *cmd, const struct slice *argv, size_t argc)
{
    if (strcmp(cmd->name, "set") != 0)
        return 0;
    for (size_t i = 3; i < argc; i++)
        if (slice_is(argv[i], "get"))
            return KEY_READ;
    return 0;
}

static bool keys_allowed(const struct acl_selector *s, const struct command *cmd, const struct slice *argv, size_t argc,
                         size_t *ret_arg)
{
    if (s->all_keys)
        return true;
    struct key_check c = {s, argv, option_needs(cmd, argv, argc), false, 0};
    int found = keys_each(cmd, argv, argc, check_key, &c);
    *ret_arg = c.arg;
    bool hidden = is_learned(cmd) && (cmd->flags & CMD_MOVABLEKEYS) != 0;
    return found >= 0 && !c.denied && !hidden;
}

static bool channel_allowed(const struct acl_selector *s, struct slice channel, bool pattern)
{
    if (s->all_channels)
        return true;
    for (size_t i = 0; i < s->channels.count; i++) {
        struct slice may = {s->channels.items[i].text, s->channels.items[i].len};
        if (pattern ? may.len == channel.len && memcmp(may.p, channel.p, may.len) == 0 : pattern_match(may, channel))
            return true;
    }
    return false;
}

/* Where channels stand. Who leaves one needs no right. */
static const struct {
    const char *name;
    bool pattern, one;
} channel_commands[] = {
    {"publish", false, true}, {"spublish", false, true}, {"subscribe", false, false},
    {"ssubscribe", false, false}, {"psubscribe", true, false},
};

static bool channels_allowed(const struct acl_selector *s, const struct command *cmd, const struct slice *argv, size_t argc,
                             size_t *ret_arg)
{
    if (s->all_channels || (cmd->flags & CMD_PUBSUB) == 0)
        return true;
    for (size_t c = 0; c < sizeof channel_commands / sizeof channel_commands[0]; c++)
        if (strcmp(channel_commands[c].name, cmd->name) == 0)
            for (*ret_arg = 1; *ret_arg < (channel_commands[c].one ? 2 : argc); ++*ret_arg)
                if (!channel_allowed(s, argv[*ret_arg], channel_commands[c].pattern))
                    return false;
    return true;
}

static enum acl_verdict check_selector(const struct acl_selector *s, const struct command *cmd, const struct slice *argv,
                                       size_t argc, size_t *ret_arg)
{
    *ret_arg = 0;
    if (!command_allowed(s, cmd, argv, argc))
        return ACL_NO_COMMAND;
    if (!keys_allowed(s, cmd, argv, argc, ret_arg))
        return ACL_NO_KEY;
    return channels_allowed(s, cmd, argv, argc, ret_arg) ? ACL_ALLOWED : ACL_NO_CHANNEL;
}

static bool may_read_all(const struct acl_selector *s)
{
    for (size_t i = 0; !s->all_keys && i < s->keys.count; i++)
        if ((s->keys.items[i].rights & KEY_READ) != 0 && strcmp(s->keys.items[i].text, "*") == 0)
            return true;
    return s->all_keys;
}

/* BY and GET make keys of what is stored. A BY without * names none. */
static enum acl_verdict check_sort(const struct acl_user *u, const struct command *cmd, const struct slice *argv, size_t argc)
{
    size_t arg;

    for (const struct acl_selector *s = &u->root; s != NULL; s = s->next)
        if (may_read_all(s) && check_selector(s, cmd, argv, argc, &arg) == ACL_ALLOWED)
            return ACL_ALLOWED;
    for (size_t i = 2; i + 1 < argc; i++) {
        if (slice_is(argv[i], "limit"))
            i += 2;
        else if (slice_is(argv[i], "store"))
            i++;
        else if (slice_is(argv[i], "get"))
            return ACL_NO_SORT_GET;
        else if (slice_is(argv[i], "by") && memchr(argv[i + 1].p, '*', argv[i + 1].len) != NULL)
            return ACL_NO_SORT_BY;
        else if (slice_is(argv[i], "by"))
            i++;
    }
    return ACL_ALLOWED;
}

enum acl_verdict acl_check(const struct acl_user *u, const struct command *cmd, const struct slice *argv, size_t argc,
                           size_t *ret_arg)
{
    enum acl_verdict worst = ACL_NO_COMMAND;

    *ret_arg = 0;
    for (const struct acl_selector *s = &u->root; s != NULL; s = s->next) {
        size_t arg;
        enum acl_verdict v = check_selector(s, cmd, argv, argc, &arg);
        if (v == ACL_ALLOWED)
            return strncmp(cmd->name, "sort", 4) == 0 ? check_sort(u, cmd, argv, argc) : ACL_ALLOWED;
        if (v > worst || (v == worst && arg > *ret_arg)) {
            worst = v;
            *ret_arg = arg;
        }
    }
    return worst;
}

bool acl_channel(const struct acl_user *u, struct slice channel, bool pattern)
{
    for (const struct acl_selector *s = &u->root; s != NULL; s = s->next)
        if (channel_allowed(s, channel, pattern))
            return true;
    return false;
}
