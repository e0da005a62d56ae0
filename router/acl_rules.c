#include "router/acl_user.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const texts[] = {
    [ACL_GOOD] = "",
    [ACL_BAD_SYNTAX] = "Syntax error",
    [ACL_BAD_WORD] = "Unknown command or category name in ACL",
    [ACL_BAD_AFTER_ALL] = "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any "
                          "effect. Try 'resetkeys' to start with an empty list of patterns",
    [ACL_BAD_CHANNEL] = "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any "
                        "effect. Try 'resetchannels' to start with an empty list of channels",
    [ACL_BAD_HASH] = "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
    [ACL_BAD_PASSWORD] = "The password you are trying to remove from the user does not exist",
    [ACL_BAD_FIRST_ARG] = "Allowing first-arg of a subcommand is not supported",
    [ACL_BAD_PARENTHESIS] = "Unmatched parenthesis in acl selector",
};

const char *acl_error_text(enum acl_error e)
{
    return texts[e];
}

bool acl_has_blank(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (isspace((unsigned char)text.p[i]) || text.p[i] == '\0')
            return true;
    return false;
}

uint32_t acl_category(struct slice name)
{
    for (unsigned bit = 0; command_cat_name(bit) != NULL; bit++)
        if (slice_is(name, command_cat_name(bit) + 1))
            return 1u << bit;
    return 0;
}

static struct slice behind(struct slice text, size_t n)
{
    return (struct slice){text.p + n, text.len - n};
}

/* ---- commands ---- */

void acl_selector_init(struct acl_selector *s)
{
    *s = (struct acl_selector){0};
}

static void drop_firsts(struct acl_selector *s, const uint16_t *id)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->nfirsts; i++) {
        if (id != NULL && s->firsts[i].id != *id)
            s->firsts[kept++] = s->firsts[i];
        else
            free(s->firsts[i].arg);
    }
    s->nfirsts = kept;
}

static void add_first(struct acl_selector *s, uint16_t id, struct slice arg)
{
    for (size_t i = 0; i < s->nfirsts; i++)
        if (s->firsts[i].id == id && slice_is(arg, s->firsts[i].arg))
            return;
    s->firsts = acl_grow(s->firsts, (s->nfirsts + 1) * sizeof *s->firsts);
    s->firsts[s->nfirsts++] = (struct acl_first){id, strndup(arg.p, arg.len)};
}

void acl_allow_all(struct acl_selector *s, bool allow)
{
    memset(s->bits, allow ? 0xff : 0, sizeof s->bits);
    s->all_commands = s->rest = allow;
    drop_firsts(s, NULL);
    for (size_t i = 0; i < s->nlate; i++)
        free(s->late[i].name);
    s->nlate = 0;
}

static void set_bit(struct acl_selector *s, uint16_t id, bool allow)
{
    uint64_t bit = UINT64_C(1) << id % 64;
    if (allow)
        s->bits[id / 64] |= bit;
    else
        s->bits[id / 64] &= ~bit;
    s->all_commands &= allow;
    drop_firsts(s, &id);
}

void acl_set_row(struct acl_selector *s, const struct command *cmd, bool allow)
{
    size_t len = strlen(cmd->name);

    set_bit(s, cmd->id, allow);
    for (uint16_t id = cmd->id + 1; cmd->container && id < command_count(); id++) {
        const struct command *sub = command_at(id);
        if (strncmp(sub->name, cmd->name, len) != 0 || sub->name[len] != '|')
            break; /* a container's subcommands follow it */
        set_bit(s, id, allow);
    }
}

/* A later word on the same commands makes an earlier one useless. */
void acl_late_put(struct acl_selector *s, bool allow, uint32_t cat, struct slice name)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->nlate; i++) {
        bool same = cat != 0 ? s->late[i].cat == cat : s->late[i].cat == 0 && slice_is(name, s->late[i].name);
        if (same)
            free(s->late[i].name);
        else
            s->late[kept++] = s->late[i];
    }
    s->late = acl_grow(s->late, (kept + 1) * sizeof *s->late);
    s->late[kept] = (struct acl_late){allow, cat, cat == 0 ? strndup(name.p, name.len) : NULL};
    s->nlate = kept + 1;
    s->all_commands &= allow;
}

void acl_set_category(struct acl_selector *s, uint32_t cat, bool allow)
{
    for (uint16_t id = 0; id < command_count(); id++)
        if ((command_at(id)->cats & cat) != 0)
            acl_set_row(s, command_at(id), allow);
    bool all = s->all_commands;
    acl_late_put(s, allow, cat, (struct slice){NULL, 0});
    s->all_commands = all; /* the rows have told already */
}

/* The row of "get", "config|get"; NULL when the table has none. */
static const struct command *row_of(struct slice word)
{
    const char *bar = memchr(word.p, '|', word.len);
    if (bar == NULL)
        return command_find(word);
    const struct command *parent = command_find((struct slice){word.p, (size_t)(bar - word.p)});
    return parent != NULL ? command_find_sub(parent, behind(word, (size_t)(bar - word.p) + 1)) : NULL;
}

/* A name that a server could have for a command of its own. */
static bool is_name(struct slice word)
{
    for (size_t i = 0; i < word.len; i++)
        if (!isalnum((unsigned char)word.p[i]) && strchr("._-|", word.p[i]) == NULL)
            return false;
    return word.len > 0 && word.len < 64 && isalpha((unsigned char)word.p[0]);
}

static bool is_beyond_table(struct slice word, const struct acl_words *words)
{
    const char *bar = memchr(word.p, '|', word.len);
    struct slice verb = {word.p, bar != NULL ? (size_t)(bar - word.p) : word.len};
    const struct command *parent = learned_find(words->learned, verb);

    if (parent != NULL)
        return bar == NULL || learned_find_sub(words->learned, parent, behind(word, verb.len + 1)) != NULL;
    return words->foreseen && command_find(verb) == NULL && is_name(word);
}

static enum acl_error apply_unknown(struct acl_selector *s, struct slice word, bool allow, const struct acl_words *words)
{
    if (!is_beyond_table(word, words))
        return ACL_BAD_WORD;
    acl_late_put(s, allow, 0, word);
    return ACL_GOOD;
}

/* "+config|get", "+select|0": word has a bar. */
static enum acl_error allow_part(struct acl_selector *s, struct slice word, const struct acl_words *words)
{
    const char *bar = memrchr(word.p, '|', word.len);
    struct slice verb = {word.p, (size_t)(bar - word.p)}, part = behind(word, verb.len + 1);
    const struct command *cmd = row_of(verb);

    if (cmd == NULL)
        return apply_unknown(s, word, true, words);
    if (strchr(cmd->name, '|') != NULL)
        return ACL_BAD_FIRST_ARG;
    if (part.len == 0 || acl_has_blank(part)) /* told again, it would be two rules */
        return ACL_BAD_SYNTAX;
    if (!cmd->container) {
        add_first(s, cmd->id, part);
        return ACL_GOOD;
    }
    const struct command *sub = row_of(word);
    if (sub == NULL)
        return ACL_BAD_WORD;
    acl_set_row(s, sub, true);
    return ACL_GOOD;
}

static enum acl_error apply_command(struct acl_selector *s, struct slice rule, const struct acl_words *words)
{
    bool allow = rule.p[0] == '+';
    struct slice word = behind(rule, 1);

    if (slice_is(word, "@all")) {
        acl_allow_all(s, allow);
        return ACL_GOOD;
    }
    if (word.len > 0 && word.p[0] == '@') {
        uint32_t cat = acl_category(behind(word, 1));
        if (cat != 0)
            acl_set_category(s, cat, allow);
        return cat != 0 ? ACL_GOOD : ACL_BAD_WORD;
    }
    if (allow && word.len > 0 && memchr(word.p, '|', word.len) != NULL)
        return allow_part(s, word, words);
    const struct command *cmd = word.len > 0 ? row_of(word) : NULL;
    if (cmd == NULL)
        return word.len > 0 ? apply_unknown(s, word, allow, words) : ACL_BAD_WORD;
    acl_set_row(s, cmd, allow);
    return ACL_GOOD;
}

/* ---- keys and channels ---- */

static void add_pattern(struct acl_patterns *list, struct slice text, unsigned rights)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].len == text.len && memcmp(list->items[i].text, text.p, text.len) == 0) {
            list->items[i].rights |= (uint8_t)rights;
            return;
        }
    list->items = acl_grow(list->items, (list->count + 1) * sizeof *list->items);
    struct acl_pattern *p = &list->items[list->count++];
    *p = (struct acl_pattern){acl_grow(NULL, text.len + 1), text.len, (uint8_t)rights};
    memcpy(p->text, text.p, text.len);
    p->text[text.len] = '\0';
}

/* ~pattern, %R~pattern, %W~pattern, %RW~pattern; "%R" alone names the empty one. */
static enum acl_error apply_key(struct acl_selector *s, struct slice rule)
{
    size_t at = 1;
    unsigned rights = rule.p[0] == '~' ? KEY_BOTH : 0;

    if (s->all_keys)
        return ACL_BAD_AFTER_ALL;
    for (bool more = rule.p[0] == '%'; more && at < rule.len; at++) {
        int c = toupper((unsigned char)rule.p[at]);
        unsigned right = c == 'R' ? KEY_READ : c == 'W' ? KEY_WRITE : 0;
        more = c != '~';
        if (more && (right == 0 || (rights & right) != 0))
            return ACL_BAD_SYNTAX;
        rights |= right;
    }
    if (rights == 0 || acl_has_blank(behind(rule, at)))
        return ACL_BAD_SYNTAX;
    add_pattern(&s->keys, behind(rule, at), rights);
    return ACL_GOOD;
}

static enum acl_error apply_channel(struct acl_selector *s, struct slice rule)
{
    if (s->all_channels)
        return ACL_BAD_CHANNEL;
    if (acl_has_blank(behind(rule, 1)))
        return ACL_BAD_SYNTAX;
    add_pattern(&s->channels, behind(rule, 1), 0);
    return ACL_GOOD;
}

static bool apply_word(struct acl_selector *s, struct slice rule)
{
    if (slice_is(rule, "allcommands"))
        acl_allow_all(s, true);
    else if (slice_is(rule, "nocommands"))
        acl_allow_all(s, false);
    else if (slice_is(rule, "allkeys") || slice_is(rule, "~*"))
        s->all_keys = true;
    else if (slice_is(rule, "resetkeys"))
        s->all_keys = false;
    else if (slice_is(rule, "allchannels") || slice_is(rule, "&*"))
        s->all_channels = true;
    else if (slice_is(rule, "resetchannels"))
        s->all_channels = false;
    else
        return false;
    if (slice_is(rule, "allkeys") || slice_is(rule, "~*") || slice_is(rule, "resetkeys"))
        acl_patterns_done(&s->keys);
    if (slice_is(rule, "allchannels") || slice_is(rule, "&*") || slice_is(rule, "resetchannels"))
        acl_patterns_done(&s->channels);
    return true;
}

enum acl_error acl_selector_apply(struct acl_selector *s, struct slice rule, const struct acl_words *words)
{
    if (apply_word(s, rule))
        return ACL_GOOD;
    switch (rule.len > 0 ? rule.p[0] : '\0') {
    case '~':
    case '%':
        return apply_key(s, rule);
    case '&':
        return apply_channel(s, rule);
    case '+':
    case '-':
        return apply_command(s, rule, words);
    default:
        return ACL_BAD_SYNTAX;
    }
}

/* ---- users ---- */

static void drop_passwords(struct acl_user *u)
{
    free(u->passwords);
    u->passwords = NULL;
    u->npasswords = 0;
    u->nopass = false;
}

static void add_password(struct acl_user *u, const char hash[SECRET_HEX + 1], size_t known)
{
    u->nopass = false;
    if (known < u->npasswords)
        return;
    u->passwords = acl_grow(u->passwords, (u->npasswords + 1) * sizeof *u->passwords);
    memcpy(u->passwords[u->npasswords++], hash, SECRET_HEX + 1);
}

/* >clear #hash add, <clear !hash remove. */
static enum acl_error apply_password(struct acl_user *u, struct slice rule)
{
    char hash[SECRET_HEX + 1];
    struct slice text = behind(rule, 1);
    bool clear = rule.p[0] == '>' || rule.p[0] == '<';
    size_t known = 0;

    if (!clear && !secret_is_hash(text))
        return ACL_BAD_HASH;
    if (clear)
        secret_hash(text, hash);
    else
        memcpy(hash, text.p, SECRET_HEX);
    hash[SECRET_HEX] = '\0';
    while (known < u->npasswords && !secret_same_hash(hash, u->passwords[known]))
        known++;
    if (rule.p[0] == '>' || rule.p[0] == '#') {
        add_password(u, hash, known);
        return ACL_GOOD;
    }
    if (known == u->npasswords)
        return ACL_BAD_PASSWORD;
    u->npasswords--;
    memmove(u->passwords[known], u->passwords[known + 1], (u->npasswords - known) * sizeof *u->passwords);
    return ACL_GOOD;
}

/* "(+get ~x)": its own rules are split at blanks, and can't be selectors themselves. */
static enum acl_error apply_selector(struct acl_user *u, struct slice rule, const struct acl_words *words)
{
    struct acl_selector *s = acl_grow(NULL, sizeof *s), **last = &u->root.next;
    enum acl_error e = ACL_GOOD;

    acl_selector_init(s);
    for (size_t at = 1; e == ACL_GOOD && at < rule.len - 1;) {
        size_t end = at;
        while (end < rule.len - 1 && !isspace((unsigned char)rule.p[end]))
            end++;
        if (end > at)
            e = acl_selector_apply(s, (struct slice){rule.p + at, end - at}, words);
        at = end + 1;
    }
    if (e != ACL_GOOD) {
        acl_selector_done(s);
        free(s);
        return e;
    }
    while (*last != NULL)
        last = &(*last)->next;
    *last = s;
    return ACL_GOOD;
}

static void reset(struct acl_user *u)
{
    drop_passwords(u);
    acl_patterns_done(&u->root.keys);
    acl_patterns_done(&u->root.channels);
    u->root.all_keys = u->root.all_channels = u->on = u->skip_sanitize = false;
    u->sanitize = true;
    acl_allow_all(&u->root, false);
    acl_drop_selectors(u);
}

static bool apply_user_word(struct acl_user *u, struct slice rule)
{
    if (slice_is(rule, "on") || slice_is(rule, "off"))
        u->on = slice_is(rule, "on");
    else if (slice_is(rule, "nopass") || slice_is(rule, "resetpass")) {
        drop_passwords(u);
        u->nopass = slice_is(rule, "nopass");
    } else if (slice_is(rule, "sanitize-payload") || slice_is(rule, "skip-sanitize-payload")) {
        u->sanitize = slice_is(rule, "sanitize-payload");
        u->skip_sanitize = !u->sanitize;
    } else if (slice_is(rule, "clearselectors"))
        acl_drop_selectors(u);
    else if (slice_is(rule, "reset"))
        reset(u);
    else
        return rule.len == 0;
    return true;
}

static enum acl_error apply_one(struct acl_user *u, struct slice rule, const struct acl_words *words)
{
    if (apply_user_word(u, rule))
        return ACL_GOOD;
    if (memchr("><#!", rule.p[0], 4) != NULL)
        return apply_password(u, rule);
    if (rule.p[0] == '(' && rule.p[rule.len - 1] == ')')
        return apply_selector(u, rule, words);
    return acl_selector_apply(&u->root, rule, words);
}

static char *joined(const struct slice *parts, size_t count, size_t *ret_len)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += parts[i].len + 1;
    char *text = acl_grow(NULL, len + 1), *p = text;
    for (size_t i = 0; i < count; i++) {
        memcpy(p, parts[i].p, parts[i].len);
        p += parts[i].len;
        *p++ = ' ';
    }
    *ret_len = len - 1;
    text[len - 1] = '\0';
    return text;
}

/* How many of the rules one selector takes; 0: it does not end. A parenthesis that opens anew forgets the one before. */
static size_t selector_parts(const struct slice *rules, size_t count, size_t *ret_begin)
{
    *ret_begin = 0;
    for (size_t i = 1; i < count; i++) {
        bool opens = rules[i].len > 0 && rules[i].p[0] == '(', closes = rules[i].len > 0 && rules[i].p[rules[i].len - 1] == ')';
        if (opens && !closes)
            *ret_begin = i;
        else if (closes)
            return i + 1;
    }
    return 0;
}

static bool opens_selector(struct slice rule)
{
    return rule.len > 0 && rule.p[0] == '(' && rule.p[rule.len - 1] != ')';
}

/* Redis says so before it applies anything. */
static bool all_closed(const struct slice *rules, size_t count, char **ret_bad)
{
    size_t begin, parts;

    for (size_t i = 0; i < count; i += parts) {
        parts = 1;
        if (opens_selector(rules[i]) && (parts = selector_parts(rules + i, count - i, &begin)) == 0) {
            *ret_bad = strndup(rules[i + begin].p, rules[i + begin].len);
            return false;
        }
    }
    return true;
}

enum acl_error acl_apply(struct acl_user *u, const struct slice *rules, size_t count, const struct acl_words *words,
                         char **ret_bad)
{
    enum acl_error e = ACL_GOOD;

    if (!all_closed(rules, count, ret_bad))
        return ACL_BAD_PARENTHESIS;
    for (size_t i = 0, parts; e == ACL_GOOD && i < count; i += parts) {
        size_t begin = 0, len;
        parts = opens_selector(rules[i]) ? selector_parts(rules + i, count - i, &begin) : 1;
        char *text = joined(rules + i + begin, parts - begin, &len);
        e = apply_one(u, (struct slice){text, len}, words);
        if (e == ACL_GOOD)
            free(text);
        else
            *ret_bad = text;
    }
    return e;
}
