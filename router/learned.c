#include "router/learned.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_LEN 127

struct learned {
    _Atomic unsigned refs;
    struct command *rows; /* by length, then by name */
    size_t count, cap;
    bool subs; /* some entry had subcommands */
};

/* Where things stand in a command's entry; servers before 7.0 end it at KEYSPECS, before 6.0 at CATS. */
enum { NAME, ARITY, FLAGS, FIRST, LAST, STEP, CATS, KEYSPECS = 8, SUBCOMMANDS = 9 };

/* ---- the parts of a reply ---- */

static bool is_text(const redisReply *r)
{
    return r != NULL && (r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS);
}

static bool is_word(const redisReply *r, const char *word)
{
    return is_text(r) && strcmp(r->str, word) == 0;
}

static const redisReply *item(const redisReply *r, size_t i)
{
    return r != NULL && r->type == REDIS_REPLY_ARRAY && i < r->elements ? r->element[i] : NULL;
}

static size_t items(const redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_ARRAY ? r->elements : 0;
}

/* The value behind a name in a flat list of pairs. */
static const redisReply *value_of(const redisReply *pairs, const char *name)
{
    for (size_t i = 0; i + 1 < items(pairs); i += 2) {
        if (is_word(pairs->element[i], name))
            return pairs->element[i + 1];
    }
    return NULL;
}

static bool read_number(const redisReply *r, int16_t least, int16_t *ret_n)
{
    if (r == NULL || r->type != REDIS_REPLY_INTEGER || r->integer < least || r->integer > INT16_MAX)
        return false;
    *ret_n = (int16_t)r->integer;
    return true;
}

static bool read_name(const redisReply *r, struct slice *ret_name)
{
    if (!is_text(r) || r->len == 0 || r->len > NAME_MAX_LEN || memchr(r->str, '\0', r->len) != NULL)
        return false;
    *ret_name = (struct slice){r->str, (size_t)r->len};
    return true;
}

static uint32_t read_words(const redisReply *words, const char *(*name)(unsigned bit))
{
    uint32_t bits = 0;
    for (size_t i = 0; i < items(words); i++) {
        for (unsigned bit = 0; name(bit) != NULL; bit++) {
            if (is_word(words->element[i], name(bit)))
                bits |= 1u << bit;
        }
    }
    return bits;
}

/* ---- key specifications: false means that it says nothing that router/keys could use ---- */

static bool read_begin(struct keyspec *spec, const redisReply *begin)
{
    const redisReply *type = value_of(begin, "type"), *how = value_of(begin, "spec");

    if (is_word(type, "index")) {
        spec->begin = BEGIN_INDEX;
        return read_number(value_of(how, "index"), 1, &spec->index);
    }
    spec->begin = BEGIN_KEYWORD;
    return is_word(type, "keyword") && is_text(value_of(how, "keyword")) &&
           read_number(value_of(how, "startfrom"), INT16_MIN, &spec->index);
}

/* Steps are divided by, and positions added to the first: neither may be less than these. */
static bool read_find(struct keyspec *spec, const redisReply *find)
{
    const redisReply *type = value_of(find, "type"), *how = value_of(find, "spec");

    if (is_word(type, "range")) {
        spec->find = FIND_RANGE;
        return read_number(value_of(how, "lastkey"), INT16_MIN, &spec->a) &&
               read_number(value_of(how, "keystep"), 1, &spec->b) &&
               read_number(value_of(how, "limit"), 0, &spec->c);
    }
    spec->find = FIND_KEYNUM;
    return is_word(type, "keynum") && read_number(value_of(how, "keynumidx"), 0, &spec->a) &&
           read_number(value_of(how, "firstkey"), 0, &spec->b) &&
           read_number(value_of(how, "keystep"), 1, &spec->c);
}

static bool may_change(const redisReply *flags)
{
    for (size_t i = 0; i < items(flags); i++) {
        const redisReply *flag = flags->element[i];
        if (is_word(flag, "RW") || is_word(flag, "OW") || is_word(flag, "RM"))
            return true;
    }
    return false;
}

static uint8_t needs_of(const redisReply *flags)
{
    uint8_t needs = 0;
    for (size_t i = 0; i < items(flags); i++) {
        const redisReply *flag = flags->element[i];
        needs |= is_word(flag, "access") ? KEY_READ : 0;
        needs |= is_word(flag, "insert") || is_word(flag, "update") || is_word(flag, "delete") ? KEY_WRITE : 0;
    }
    return needs;
}

static bool is_channel(const redisReply *flags)
{
    for (size_t i = 0; i < items(flags); i++) {
        if (is_word(flags->element[i], "not_key"))
            return true;
    }
    return false;
}

static bool read_spec(struct keyspec *spec, const redisReply *from)
{
    const redisReply *begin = value_of(from, "begin_search"), *flags = value_of(from, "flags");

    if (!read_begin(spec, begin) || !read_find(spec, value_of(from, "find_keys")))
        return false;
    spec->write = may_change(flags);
    spec->needs = needs_of(flags);
    spec->not_key = is_channel(flags);
    if (spec->begin == BEGIN_KEYWORD) {
        spec->keyword = strdup(value_of(value_of(begin, "spec"), "keyword")->str);
        return spec->keyword != NULL;
    }
    return true;
}

/* What servers before 7.0 say instead. */
static bool read_old_spec(struct keyspec *spec, const struct command *cmd)
{
    if (cmd->first < 1 || cmd->step < 1)
        return false;
    *spec = (struct keyspec){.begin = BEGIN_INDEX, .find = FIND_RANGE, .write = true, .needs = KEY_BOTH, .index = cmd->first};
    spec->a = cmd->last < 0 ? cmd->last : (int16_t)(cmd->last - cmd->first);
    spec->b = cmd->step;
    return cmd->last < 0 || cmd->last >= cmd->first;
}

static void read_specs(struct command *cmd, const redisReply *specs)
{
    for (size_t i = 0; i < items(specs) && cmd->nspecs < CMD_MAX_KEYSPECS; i++) {
        struct keyspec spec = {0};
        if (read_spec(&spec, specs->element[i]))
            cmd->specs[cmd->nspecs++] = spec;
    }
    if (items(specs) == 0 && read_old_spec(&cmd->specs[0], cmd))
        cmd->nspecs = 1;
    /* Modules that give positions only are said to write all keys, also by a command that reads. */
    for (unsigned i = 0; i < cmd->nspecs; i++)
        cmd->specs[i].write &= (cmd->flags & CMD_WRITE) != 0;
}

/* ---- rows ---- */

static uint8_t route_of(const struct command *cmd)
{
    const uint32_t flags = CMD_BLOCKING | CMD_PUBSUB | CMD_NO_MULTI;
    const uint32_t cats = CAT_BLOCKING | CAT_PUBSUB | CAT_CONNECTION | CAT_TRANSACTION;

    if (cmd->flags & flags || cmd->cats & cats)
        return ROUTE_UNSUPPORTED;
    return cmd->flags & CMD_FAST ? ROUTE_FORWARD : ROUTE_SLOW;
}

static void free_row(struct command *row)
{
    for (unsigned i = 0; i < row->nspecs; i++)
        free((void *)row->specs[i].keyword);
    free((void *)row->name);
}

/* False: no memory. */
static bool add_row(struct learned *l, struct slice name, const redisReply *entry, uint16_t id)
{
    if (l->count == l->cap) {
        size_t cap = l->cap == 0 ? 16 : 2 * l->cap;
        struct command *rows = realloc(l->rows, cap * sizeof *rows);
        if (rows == NULL)
            return false;
        l->rows = rows;
        l->cap = cap;
    }
    struct command *row = &l->rows[l->count];
    *row = (struct command){.name = strndup(name.p, name.len), .id = id, .arity = -1};
    if (row->name == NULL)
        return false;
    l->count++;
    read_number(item(entry, ARITY), INT16_MIN, &row->arity);
    read_number(item(entry, FIRST), INT16_MIN, &row->first);
    read_number(item(entry, LAST), INT16_MIN, &row->last);
    read_number(item(entry, STEP), INT16_MIN, &row->step);
    row->flags = read_words(item(entry, FLAGS), command_flag_name);
    row->cats = read_words(item(entry, CATS), command_cat_name);
    row->container = items(item(entry, SUBCOMMANDS)) > 0;
    read_specs(row, item(entry, KEYSPECS));
    row->route = route_of(row);
    row->ttl = row->flags & CMD_WRITE ? TTL_SLIDE : TTL_NONE;
    row->trim = TRIM_NONE;
    row->flags |= CMD_NOSCRIPT;
    return true;
}

static bool in_table(struct slice name)
{
    const char *bar = memchr(name.p, '|', name.len);

    if (bar == NULL)
        return command_find(name) != NULL;
    size_t n = (size_t)(bar - name.p);
    const struct command *parent = command_find((struct slice){name.p, n});
    return parent != NULL && command_find_sub(parent, (struct slice){bar + 1, name.len - n - 1}) != NULL;
}

/* The command and its subcommands, as far as the table does not have them. */
static bool add_entry(struct learned *l, const redisReply *entry, uint16_t id)
{
    struct slice name;

    if (!read_name(item(entry, NAME), &name))
        return true;
    if (!in_table(name) && !add_row(l, name, entry, id))
        return false;
    const redisReply *subs = item(entry, SUBCOMMANDS);
    l->subs |= items(subs) > 0;
    for (size_t i = 0; i < items(subs); i++) {
        if (!add_entry(l, subs->element[i], id))
            return false;
    }
    return true;
}

static int compare(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return a.len < b.len ? -1 : 1;
    return strncasecmp(a.p, b.p, a.len);
}

static struct slice name_of(const struct command *row)
{
    return (struct slice){row->name, strlen(row->name)};
}

static int compare_rows(const void *a, const void *b)
{
    return compare(name_of(a), name_of(b));
}

static int compare_name(const void *name, const void *row)
{
    return compare(*(const struct slice *)name, name_of(row));
}

/* ---- public ---- */

static bool lists_exec(const redisReply *commands)
{
    for (size_t i = 0; i < items(commands); i++) {
        const redisReply *name = item(commands->element[i], NAME);
        if (is_text(name) && strcasecmp(name->str, "exec") == 0)
            return true;
    }
    return false;
}

struct learned *learned_new(const struct redisReply *commands, uint16_t id)
{
    struct learned *l = lists_exec(commands) ? calloc(1, sizeof *l) : NULL;

    if (l == NULL)
        return NULL;
    atomic_init(&l->refs, 1);
    for (size_t i = 0; i < items(commands); i++) {
        if (!add_entry(l, commands->element[i], id)) {
            learned_unref(l);
            return NULL;
        }
    }
    if (l->count > 0)
        qsort(l->rows, l->count, sizeof *l->rows, compare_rows);
    return l;
}

struct learned *learned_ref(struct learned *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void learned_unref(struct learned *own_l)
{
    if (own_l == NULL || atomic_fetch_sub_explicit(&own_l->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < own_l->count; i++)
        free_row(&own_l->rows[i]);
    free(own_l->rows);
    free(own_l);
}

static const struct command *find(const struct learned *l, struct slice name)
{
    if (l == NULL || l->count == 0)
        return NULL;
    return bsearch(&name, l->rows, l->count, sizeof *l->rows, compare_name);
}

/* A verb with a '|' would name a subcommand's row. */
const struct command *learned_find(const struct learned *l, struct slice verb)
{
    return memchr(verb.p, '|', verb.len) == NULL ? find(l, verb) : NULL;
}

const struct command *learned_find_sub(const struct learned *l, const struct command *parent,
                                       struct slice sub)
{
    char name[NAME_MAX_LEN];
    size_t n = strlen(parent->name);

    if (!parent->container || sub.len > sizeof name || n + 1 + sub.len > sizeof name)
        return NULL;
    memcpy(name, parent->name, n);
    name[n] = '|';
    memcpy(name + n + 1, sub.p, sub.len);
    return find(l, (struct slice){name, n + 1 + sub.len});
}

bool learned_knows_subs(const struct learned *l)
{
    return l != NULL && l->subs;
}

bool learned_owns(const struct learned *l, const char *name)
{
    for (size_t i = 0; l != NULL && i < l->count; i++) {
        if (l->rows[i].name == name)
            return true;
    }
    return false;
}

size_t learned_count(const struct learned *l)
{
    return l->count;
}
