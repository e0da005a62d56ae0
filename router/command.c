#include "router/command.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
#define KEYSPEC(how, what, w, i, ...) {.begin = BEGIN_##how, .find = FIND_##what, .write = w, .index = i, __VA_ARGS__}
#define NO_KEYS                              {0}
#define RD_UNTIL(i, last, step)              KEYSPEC(INDEX, RANGE, false, i, .a = last, .b = step)
#define WR_UNTIL(i, last, step)              KEYSPEC(INDEX, RANGE, true, i, .a = last, .b = step)
#define RD(i)                                RD_UNTIL(i, 0, 1)
#define WR(i)                                WR_UNTIL(i, 0, 1)
#define RD_COUNTED(i)                        KEYSPEC(INDEX, KEYNUM, false, i, .a = 0, .b = 1, .c = 1)
#define WR_COUNTED(i)                        KEYSPEC(INDEX, KEYNUM, true, i, .a = 0, .b = 1, .c = 1)
#define RD_AFTER(word, from, last, limit)    KEYSPEC(KEYWORD, RANGE, false, from, .keyword = word, .a = last, .b = 1, .c = limit)
#define WR_AFTER(word, from, last, limit)    KEYSPEC(KEYWORD, RANGE, true, from, .keyword = word, .a = last, .b = 1, .c = limit)
#define CHANNELS(i, last)                    KEYSPEC(INDEX, RANGE, false, i, .not_key = true, .a = last, .b = 1)
#define PATTERN                              KEYSPEC(UNKNOWN, UNKNOWN, false, 0, .a = 0)
#define SORT_STORE                           KEYSPEC(UNKNOWN, SORT, true, 0, .a = 0)
#define MIGRATE_ONE(i)                       KEYSPEC(INDEX, MIGRATE, true, i, .a = 0, .b = 1)
#define MIGRATE_KEYS(word, from)             KEYSPEC(KEYWORD, MIGRATE, true, from, .keyword = word, .a = -1, .b = 1)
#define BITFIELD(i)                          KEYSPEC(INDEX, BITFIELD, true, i, .a = 0, .b = 1)

/* F(WRITE, FAST) becomes CMD_WRITE | CMD_FAST. The names push OR1 … OR6 to the right, so that the seventh argument is the
 * OR that takes as many names as there are. */
#define OR1(p, a)                         p##a
#define OR2(p, a, b)                      p##a | p##b
#define OR3(p, a, b, c)                   OR2(p, a, b) | p##c
#define OR4(p, a, b, c, d)                OR3(p, a, b, c) | p##d
#define OR5(p, a, b, c, d, e)             OR4(p, a, b, c, d) | p##e
#define OR6(p, a, b, c, d, e, f)          OR5(p, a, b, c, d, e) | p##f
#define SEVENTH(a, b, c, d, e, f, g, ...) g
#define OR(p, ...)                        SEVENTH(__VA_ARGS__, OR6, OR5, OR4, OR3, OR2, OR1, )(p, __VA_ARGS__)
/* clang-format on */

#define F(...)     .flags = OR(CMD_, __VA_ARGS__)
#define C(...)     .cats = OR(CAT_, __VA_ARGS__)
#define K(f, l, s) .first = f, .last = l, .step = s
#define FAMILY(title)
#define CMD(word, args, f, k, c, how, t, tr, ...)                                                            \
    {.name = word,                                                                                           \
     .arity = args,                                                                                          \
     f,                                                                                                      \
     k,                                                                                                      \
     c,                                                                                                      \
     .route = ROUTE_##how,                                                                                   \
     .ttl = TTL_##t,                                                                                         \
     .trim = TRIM_##tr,                                                                                      \
     .specs = {__VA_ARGS__}},

/* Written by the constructor only. */
static struct command rows[] = {
#include "router/commands.def"
};

enum { ROWS = sizeof rows / sizeof rows[0], SLOT_BITS = 10, SLOTS = 1 << SLOT_BITS, NAME_WORDS = 4, NAME_BYTES = NAME_WORDS * 8 };
_Static_assert(ROWS * 2 < SLOTS, "the hash has become too full to be fast");

/* A name in lower case, zeros behind it. */
struct folded {
    union {
        char text[NAME_BYTES];
        uint64_t words[NAME_WORDS];
    };
    size_t len;
};

/* Open addressing with linear probing: 1 + a row's number; 0: a free slot. */
static uint16_t slots[SLOTS];
static struct folded rows_folded[ROWS];

/* 'A' to 'Z' of eight bytes at once. Source: the usual trick of adding, per byte, what carries into its highest bit. */
static uint64_t lower(uint64_t w)
{
    const uint64_t each = UINT64_C(0x0101010101010101), high = 0x80 * each;
    uint64_t low7 = w & ~high, from_a = low7 + (0x80 - 'A') * each, beyond_z = low7 + (0x7f - 'Z') * each;

    return w | ((from_a & ~beyond_z & ~w & high) >> 2);
}

/* Appends in lower case; false when no row can have the name. */
static bool fold(struct folded *f, struct slice text)
{
    if (text.len == 0 || text.len >= NAME_BYTES - f->len)
        return false;
    memcpy(f->text + f->len, text.p, text.len);
    f->len += text.len;
    for (size_t i = 0; i < NAME_WORDS; i++)
        f->words[i] = lower(f->words[i]);
    return true;
}

static uint32_t slot_of(const struct folded *f)
{
    uint64_t h = f->words[0] * UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 1; i < NAME_WORDS; i++)
        h = (h ^ f->words[i]) * UINT64_C(0xff51afd7ed558ccd);
    return (uint32_t)(h >> (64 - SLOT_BITS));
}

static bool same(const struct folded *a, const struct folded *b)
{
    uint64_t differ = 0;

    for (size_t i = 0; i < NAME_WORDS; i++)
        differ |= a->words[i] ^ b->words[i];
    return differ == 0 && a->len == b->len; /* a client's name may end in zeros */
}

static const struct command *look_up(const struct folded *f)
{
    for (uint32_t at = slot_of(f); slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
        size_t id = slots[at] - 1u;
        if (same(&rows_folded[id], f))
            return &rows[id];
    }
    return NULL;
}

static void insert(uint16_t id)
{
    struct folded f = {.len = 0};
    if (!fold(&f, (struct slice){rows[id].name, strlen(rows[id].name)}))
        abort(); /* NAME_BYTES is too small for the table */
    uint32_t at = slot_of(&f);
    while (slots[at] != 0)
        at = (at + 1) & (SLOTS - 1);
    slots[at] = (uint16_t)(id + 1);
    rows_folded[id] = f;
}

static const struct command *row_of(const char *name)
{
    struct folded f = {.len = 0};
    return fold(&f, (struct slice){name, strlen(name)}) ? look_up(&f) : NULL;
}

/* Source: Redis derives the same categories (redis.io/docs/management/security/acl). */
static uint32_t implied_cats(uint32_t flags, uint32_t cats)
{
    uint32_t more = flags & CMD_FAST ? CAT_FAST : CAT_SLOW;
    if (flags & CMD_WRITE)
        more |= CAT_WRITE;
    if (flags & CMD_READONLY && !(cats & CAT_SCRIPTING))
        more |= CAT_READ;
    if (flags & CMD_ADMIN)
        more |= CAT_ADMIN | CAT_DANGEROUS;
    if (flags & CMD_PUBSUB)
        more |= CAT_PUBSUB;
    if (flags & CMD_BLOCKING)
        more |= CAT_BLOCKING;
    return more;
}

static const struct access {
    const char *name;
    uint8_t spec, needs;
} accesses[] = {
#define NEEDS_BOTH               KEY_BOTH
#define NEEDS_READ               KEY_READ
#define NEEDS_NOTHING            0
#define ACCESS(word, at, rights) {word, at, NEEDS_##rights},
#include "router/access.def"
};

static void complete_access(const struct access *a)
{
    const struct command *cmd = row_of(a->name);
    assert(cmd != NULL && a->spec < cmd->nspecs);
    rows[cmd->id].specs[a->spec].needs = a->needs;
}

static void complete_specs(struct command *cmd)
{
    while (cmd->nspecs < CMD_MAX_KEYSPECS && cmd->specs[cmd->nspecs].begin != BEGIN_NONE) {
        struct keyspec *spec = &cmd->specs[cmd->nspecs++];
        spec->needs = spec->write ? KEY_WRITE : KEY_READ;
    }
}

__attribute__((constructor)) static void complete_rows(void)
{
    struct command *container = NULL;
    for (uint16_t id = 0; id < ROWS; id++) {
        struct command *cmd = &rows[id];
        cmd->id = id;
        cmd->cats |= implied_cats(cmd->flags, cmd->cats);
        complete_specs(cmd);
        cmd->sub = strchr(cmd->name, '|') != NULL;
        if (!cmd->sub)
            container = cmd;
        else if (container != NULL)
            container->container = true;
        insert(id);
    }
    for (size_t i = 0; i < sizeof accesses / sizeof accesses[0]; i++)
        complete_access(&accesses[i]);
}

const struct command *command_find(struct slice verb)
{
    struct folded f = {.len = 0};
    const struct command *cmd = fold(&f, verb) ? look_up(&f) : NULL;

    return cmd != NULL && !cmd->sub ? cmd : NULL; /* a verb must not name a subcommand's row */
}

const struct command *command_find_sub(const struct command *parent, struct slice sub)
{
    struct folded f = {.len = 0};

    if (!parent->container || !fold(&f, (struct slice){parent->name, strlen(parent->name)}) ||
        !fold(&f, (struct slice){"|", 1}))
        return NULL;
    return fold(&f, sub) ? look_up(&f) : NULL;
}

const struct command *command_of(const struct slice *argv, size_t argc)
{
    const struct command *cmd = command_find(argv[0]);
    const struct command *sub = cmd != NULL && argc > 1 ? command_find_sub(cmd, argv[1]) : NULL;

    return sub != NULL ? sub : cmd;
}

const struct command *command_at(uint16_t id)
{
    return id < ROWS ? &rows[id] : NULL;
}

uint16_t command_count(void)
{
    return ROWS;
}

bool command_sees_others(const struct command *cmd)
{
    return cmd->nspecs == 0 || strncmp(cmd->name, "sort", 4) == 0;
}

bool command_arity_ok(const struct command *cmd, size_t argc)
{
    return cmd->arity < 0 ? argc >= (size_t)-cmd->arity : argc == (size_t)cmd->arity;
}

/* The name tables are in the order of the enums; test_command_table.py compares the words with the server's.
 */
#define NAME_OF(table, i) ((size_t)(i) < sizeof(table) / sizeof((table)[0]) ? (table)[i] : NULL)

const char *command_flag_name(unsigned bit)
{
    static const char *const names[] = {"write",    "readonly",         "denyoom",           "admin",
                                        "pubsub",   "noscript",         "blocking",          "loading",
                                        "stale",    "skip_monitor",     "skip_slowlog",      "asking",
                                        "fast",     "no_auth",          "may_replicate",     "movablekeys",
                                        "no_multi", "no_async_loading", "no_mandatory_keys", "allow_busy"};
    return NAME_OF(names, bit);
}

const char *command_cat_name(unsigned bit)
{
    static const char *const names[] = {
        "@keyspace", "@read",   "@write",       "@set",       "@sortedset",  "@list",        "@hash",
        "@string",   "@bitmap", "@hyperloglog", "@geo",       "@stream",     "@pubsub",      "@admin",
        "@fast",     "@slow",   "@blocking",    "@dangerous", "@connection", "@transaction", "@scripting"};
    return NAME_OF(names, bit);
}

const char *command_route_name(enum cmd_route route)
{
    static const char *const names[] = {"forward",  "slow",   "urgent",      "local",  "multi",
                                        "blocking", "pubsub", "unsupported", "refused"};
    return NAME_OF(names, route);
}

const char *command_ttl_name(enum cmd_ttl ttl)
{
    static const char *const names[] = {"none", "slide", "cond",    "shrink", "own",
                                        "set",  "getex", "persist", "restore", "script"};
    return NAME_OF(names, ttl);
}

const char *command_trim_name(enum cmd_trim trim)
{
    static const char *const names[] = {"none", "head", "tail", "stream", "zset", "json"};
    return NAME_OF(names, trim);
}
