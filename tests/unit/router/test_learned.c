/* Rows made from replies of COMMAND. The replies are written as "[x.set -3 [write denyoom] 1 1 1 [@write] []
 * [SPECS] []]": brackets are arrays, numbers integers, everything else a string; ~ is nil. */
#include "router/learned.h"

#include "router/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID       511
#define MAX_ARGS 16

/* clang-format off */
#define INDEX(i)            "begin_search [type index spec [index " #i "]]"
#define WORD(word, from)    "begin_search [type keyword spec [keyword " word " startfrom " #from "]]"
#define RANGE(last, step)   "find_keys [type range spec [lastkey " #last " keystep " #step " limit 0]]"
#define KEYNUM(at, first, step) "find_keys [type keynum spec [keynumidx " #at " firstkey " #first " keystep " #step "]]"
#define SPEC(flags, ...)    "[flags [" flags "] " __VA_ARGS__ "]"
#define ONE_KEY(flags)      "[" SPEC(flags, INDEX(1) " " RANGE(0, 1)) "]"
#define EXEC                "[exec 1 [noscript] 0 0 0 [] [] [] []]"
/* clang-format on */

/* ---- replies from text ---- */

static redisReply *new_reply(int type)
{
    redisReply *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->type = type;
    return r;
}

static redisReply *read_reply(const char **at);

static redisReply *read_array(const char **at)
{
    redisReply *r = new_reply(REDIS_REPLY_ARRAY);

    for (;;) {
        *at += strspn(*at, " ");
        if (**at == ']' || **at == '\0') {
            *at += **at == ']';
            return r;
        }
        r->element = realloc(r->element, (r->elements + 1) * sizeof(redisReply *));
        assert_non_null(r->element);
        r->element[r->elements++] = read_reply(at);
    }
}

static redisReply *read_reply(const char **at)
{
    char *end;

    if (**at == '[') {
        ++*at;
        return read_array(at);
    }
    size_t n = strcspn(*at, " ]");
    const char *word = *at;
    long long number = strtoll(word, &end, 10);
    *at += n;
    if (end == word + n) {
        redisReply *r = new_reply(REDIS_REPLY_INTEGER);
        r->integer = number;
        return r;
    }
    if (n == 1 && *word == '~')
        return new_reply(REDIS_REPLY_NIL);
    redisReply *r = new_reply(REDIS_REPLY_STRING);
    r->str = strndup(word, n);
    r->len = n;
    assert_non_null(r->str);
    return r;
}

static struct learned *learn(const char *text)
{
    redisReply *r = read_reply(&text);
    struct learned *l = learned_new(r, ID);
    freeReplyObject(r); /* nothing of it may be needed later: the sanitizer watches */
    return l;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* The one command of the list, EXEC beside it. */
static struct learned *learn_one(const char *entry, const struct command **ret_row, const char *name)
{
    char text[4096];
    snprintf(text, sizeof text, "[%s " EXEC "]", entry);
    struct learned *l = learn(text);
    assert_non_null(l);
    *ret_row = learned_find(l, slice_of(name));
    return l;
}

/* ---- what a row says ---- */

static void test_columns(void **state)
{
    static const struct {
        const char *entry; /* of "x.y", behind its name */
        int arity;
        enum cmd_route route;
        enum cmd_ttl ttl;
    } rows[] = {
        {"-3 [write denyoom] 1 1 1 [@write @slow] [] [] []", -3, ROUTE_SLOW, TTL_SLIDE},
        {"2 [write fast] 1 1 1 [@write @fast] [] [] []", 2, ROUTE_FORWARD, TTL_SLIDE},
        {"2 [readonly fast] 1 1 1 [@read @fast] [] [] []", 2, ROUTE_FORWARD, TTL_NONE},
        {"-1 [] 0 0 0 [@slow] [] [] []", -1, ROUTE_SLOW, TTL_NONE},
        {"-1 [admin noscript] 0 0 0 [@admin @slow @dangerous] [] [] []", -1, ROUTE_SLOW, TTL_NONE},
        {"3 [write blocking] 1 1 1 [@write @slow] [] [] []", 3, ROUTE_UNSUPPORTED, TTL_SLIDE},
        {"3 [write] 1 1 1 [@write @blocking] [] [] []", 3, ROUTE_UNSUPPORTED, TTL_SLIDE},
        {"-2 [pubsub loading stale] 0 0 0 [@slow] [] [] []", -2, ROUTE_UNSUPPORTED, TTL_NONE},
        {"-2 [fast] 0 0 0 [@connection @fast] [] [] []", -2, ROUTE_UNSUPPORTED, TTL_NONE},
        {"-2 [fast] 0 0 0 [@transaction @fast] [] [] []", -2, ROUTE_UNSUPPORTED, TTL_NONE},
        {"1 [no_multi] 0 0 0 [@slow] [] [] []", 1, ROUTE_UNSUPPORTED, TTL_NONE},
        {"2 [readonly fast] 1 1 1", 2, ROUTE_FORWARD, TTL_NONE}, /* before 6.0 */
        {"~ ~", -1, ROUTE_SLOW, TTL_NONE},
        {"99999999 [write]", -1, ROUTE_SLOW, TTL_SLIDE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char entry[256];
        const struct command *row;
        snprintf(entry, sizeof entry, "[x.y %s]", rows[i].entry);
        struct learned *l = learn_one(entry, &row, "X.Y");
        assert_non_null(row);
        assert_int_equal(learned_count(l), 1);
        assert_string_equal(row->name, "x.y");
        assert_int_equal(row->id, ID);
        assert_int_equal(row->arity, rows[i].arity);
        assert_string_equal(command_route_name(row->route), command_route_name(rows[i].route));
        assert_string_equal(command_ttl_name(row->ttl), command_ttl_name(rows[i].ttl));
        assert_int_equal(row->trim, TRIM_NONE);
        assert_true(row->flags & CMD_NOSCRIPT);
        assert_false(row->container);
        learned_unref(l);
    }
}

/* ---- keys ---- */

struct found {
    char text[256];
    size_t n;
};

static bool note(void *ctx, struct key_ref ref)
{
    struct found *f = ctx;
    f->n += (size_t)snprintf(f->text + f->n, sizeof f->text - f->n, "%s%u%s", f->n > 0 ? " " : "", ref.arg,
                             ref.write ? "w" : "r");
    return true;
}

static const char *keys_of(const struct command *row, const char *line, struct found *f)
{
    char words[256];
    struct slice argv[MAX_ARGS];
    size_t argc = 0;

    snprintf(words, sizeof words, "%s", line);
    for (char *rest = words, *word; (word = strsep(&rest, " ")) != NULL; argc++)
        argv[argc] = slice_of(word);
    *f = (struct found){.n = 0};
    return keys_each(row, argv, argc, note, f) < 0 ? "malformed" : f->text;
}

static void test_keys(void **state)
{
    static const struct {
        const char *entry, *line, *keys;
    } rows[] = {
        {"-2 [write] 1 1 1 [] [] " ONE_KEY("RW access update"), "X a b", "1w"},
        {"-2 [write] 1 1 1 [] [] " ONE_KEY("OW update"), "X a", "1w"},
        {"-2 [write] 1 1 1 [] [] " ONE_KEY("RM delete"), "X a", "1w"},
        {"-2 [write] 1 1 1 [] [] " ONE_KEY("RO access"), "X a", "1r"},
        /* Modules that give positions only are said to write, whatever the command's own flags say. */
        {"-2 [readonly] 1 1 1 [] [] " ONE_KEY("RW access update"), "X a b", "1r"},
        {"-2 [write] 1 1 1 [] [] " ONE_KEY("RO not_key"), "X channel", ""},
        {"-3 [write] 1 -1 2 [] [] [" SPEC("OW update", INDEX(1) " " RANGE(-1, 2)) "]", "X a 1 b 2", "1w 3w"},
        {"-3 [write] 1 -1 2 [] [] [" SPEC("OW update", INDEX(1) " " RANGE(-1, 2)) "]", "X a 1 b",
         "malformed"},
        {"-3 [write] 0 0 0 [] [] [" SPEC("OW update", INDEX(1) " " KEYNUM(0, 1, 2)) "]", "X 2 a 1 b 2",
         "2w 4w"},
        {"-3 [write] 0 0 0 [] [] [" SPEC("OW update", INDEX(1) " " KEYNUM(0, 1, 1)) "]", "X 9 a",
         "malformed"},
        {"-3 [write] 0 0 0 [] [] [" SPEC("RO access", WORD("FROM", 1) " " RANGE(-1, 1)) "]", "X v from a b",
         "3r 4r"},
        {"-3 [write] 0 0 0 [] [] [" SPEC("OW insert", INDEX(1) " " RANGE(0, 1)) " " SPEC(
             "RO access", WORD("FROM", 2) " " RANGE(0, 1)) "]",
         "X a FROM b", "1w 3r"},
        {"-3 [write] 0 0 0 [] [] [" SPEC("RO access", WORD("FROM", -2) " " RANGE(0, 1)) "]", "X from from a",
         "3r"},
        /* Servers before 7.0 say positions only. */
        {"-2 [write] 1 1 1", "X a b", "1w"},
        {"-2 [readonly] 1 -1 1 [@read]", "X a b", "1r 2r"},
        {"-2 [write] 2 3 1 [@write] []", "X n a b v", "2w 3w"},
        {"-2 [write] 0 0 0 [] [] []", "X a b", ""},
        {"-2 [write movablekeys] 0 0 0 [] [] []", "X a b", ""},
        /* What router/keys could not work with is left out. */
        {"-2 [write] 1 1 0", "X a b", ""},
        {"-2 [write] 3 1 1", "X a b c", ""},
        {"-2 [write] -1 1 1", "X a b", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(1) " " RANGE(0, 0)) "]", "X a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(0) " " RANGE(0, 1)) "]", "X a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(70000) " " RANGE(0, 1)) "]", "X a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(1) " " KEYNUM(0, 1, 0)) "]", "X 1 a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(1) " " KEYNUM(-1, 1, 1)) "]", "X 1 a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", "begin_search [type unknown spec []] " RANGE(0, 1)) "]",
         "X a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(1) " find_keys [type unknown spec []]") "]",
         "X a", ""},
        {"-2 [write] 1 1 1 [] [] [[flags] 7 ~ [] [begin_search] [begin_search 3]]", "X a", ""},
        {"-2 [write] 1 1 1 [] [] [" SPEC("RW update",
                                         INDEX(1) " find_keys [type range spec [lastkey 0 limit 0]]") "]",
         "X a", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char entry[2048];
        struct found found;
        const struct command *row;
        snprintf(entry, sizeof entry, "[x %s]", rows[i].entry);
        struct learned *l = learn_one(entry, &row, "x");
        assert_non_null(row);
        if (strcmp(keys_of(row, rows[i].line, &found), rows[i].keys) != 0)
            fail_msg("%s: %s has the keys %s", rows[i].entry, rows[i].line,
                     keys_of(row, rows[i].line, &found));
        learned_unref(l);
    }
}

/* More specifications than a row holds. */
static void test_many_specs(void **state)
{
    const struct command *row;
    struct found found;
    struct learned *l =
        learn_one("[x -2 [write] 1 1 1 [] [] [" SPEC("OW", INDEX(1) " " RANGE(0, 1))
                      SPEC("OW", INDEX(2) " " RANGE(0, 1)) SPEC("OW", INDEX(3) " " RANGE(0, 1))
                          SPEC("OW", INDEX(4) " " RANGE(0, 1)) SPEC("OW", INDEX(5) " " RANGE(0, 1)) "] []]",
                  &row, "x");
    assert_int_equal(row->nspecs, CMD_MAX_KEYSPECS);
    assert_string_equal(keys_of(row, "x a b c d e", &found), "1w 2w 3w 4w");
    learned_unref(l);
}

/* ---- which commands ---- */

static void test_only_what_the_table_lacks(void **state)
{
    struct learned *l = learn("[[GET 2 [readonly fast] 1 1 1] [JSON.SET -4 [write denyoom] 1 1 1] " EXEC
                              " [json.get -2 [readonly] 1 1 1] [ft.search -3 [readonly] 0 0 0]]");
    assert_int_equal(learned_count(l), 3);
    assert_null(learned_find(l, slice_of("get")));
    assert_null(learned_find(l, slice_of("exec")));
    assert_string_equal(learned_find(l, slice_of("json.set"))->name,
                        "JSON.SET"); /* as the server's errors name it */
    assert_string_equal(learned_find(l, slice_of("Json.Get"))->name, "json.get");
    assert_string_equal(learned_find(l, slice_of("FT.SEARCH"))->name, "ft.search");
    assert_null(learned_find(l, slice_of("ft.searc")));
    assert_null(learned_find(l, slice_of("ft.searchh")));
    assert_null(learned_find(l, slice_of("")));
    assert_null(learned_find(l, (struct slice){"ft.\0earch", 9}));
    learned_unref(l);
}

static void test_subcommands(void **state)
{
    struct learned *l = learn("[[x.cfg -2 [] 0 0 0 [] [] [] [[x.cfg|get 3 [readonly fast] 2 2 1 [] [] []] "
                              "[x.cfg|set 4 [write] 2 2 1 [] [] [] []]]] " EXEC
                              " [cluster -2 [] 0 0 0 [] [] [] [[cluster|info 2 [stale] 0 0 0] "
                              "[cluster|myshardid 2 [stale] 0 0 0 [] [] [] []]]]]");
    const struct command *cfg = learned_find(l, slice_of("X.CFG"));
    const struct command *cluster = command_find(slice_of("cluster"));
    struct found found;

    assert_int_equal(learned_count(l), 4);
    assert_true(cfg->container);
    assert_string_equal(learned_find_sub(l, cfg, slice_of("GET"))->name, "x.cfg|get");
    assert_string_equal(keys_of(learned_find_sub(l, cfg, slice_of("set")), "x.cfg set k v", &found), "2w");
    assert_null(learned_find_sub(l, cfg, slice_of("help")));
    assert_null(learned_find_sub(l, cfg, slice_of("")));
    assert_null(learned_find_sub(l, learned_find_sub(l, cfg, slice_of("get")), slice_of("get")));
    assert_string_equal(learned_find_sub(l, cluster, slice_of("MyShardId"))->name, "cluster|myshardid");
    assert_null(learned_find_sub(l, cluster, slice_of("info"))); /* the table's */
    assert_null(command_find_sub(cfg, slice_of("get")));
    assert_null(learned_find(l, slice_of("x.cfg|get"))); /* no verb of a client's */
    assert_true(learned_knows_subs(l));
    char huge[300];
    memset(huge, 'a', sizeof huge);
    assert_null(learned_find_sub(l, cfg, (struct slice){huge, sizeof huge}));
    assert_null(learned_find(l, (struct slice){huge, sizeof huge}));
    learned_unref(l);
}

static void test_names_that_cannot_be(void **state)
{
    char text[1024], huge[200];
    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    snprintf(text, sizeof text, "[[%s 2 [write] 1 1 1] [] [[] 1] [~ 2] 7 ~ word [8 2 [write]] " EXEC "]",
             huge);
    struct learned *l = learn(text);
    assert_int_equal(learned_count(l), 0);
    assert_null(learned_find(l, slice_of("word")));
    assert_false(learned_knows_subs(l));
    learned_unref(l);
}

/* Only a list that could be whole says what does not exist. */
static void test_no_list(void **state)
{
    assert_null(learn("~"));
    assert_null(learn("7"));
    assert_null(learn("word"));
    assert_null(learn("[]"));
    assert_null(learn("[exec]"));
    assert_null(learn("[[x.y 2 [write] 1 1 1]]"));
    assert_null(learned_new(NULL, ID));
    assert_null(learned_find(NULL, slice_of("x.y")));
    assert_null(learned_find_sub(NULL, command_find(slice_of("cluster")), slice_of("x")));
    assert_false(learned_knows_subs(NULL));
    assert_false(learned_owns(NULL, "x.y"));
    learned_unref(NULL);
}

static void test_counted(void **state)
{
    const struct command *row;
    struct learned *l = learn_one("[x.y 2 [write] 1 1 1]", &row, "x.y");
    char copy[] = "x.y";

    assert_ptr_equal(learned_ref(l), l);
    learned_unref(l);
    assert_ptr_equal(learned_find(l, slice_of("x.y")), row);
    assert_true(learned_owns(l, row->name));
    assert_false(learned_owns(l, copy));
    learned_unref(l);
}

/* ---- any reply at all ---- */

static uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static size_t random_reply(char *to, size_t cap, unsigned depth, uint32_t *seed)
{
    static const char *const words[] = {"x.y",        "exec",         "get",       "x.cfg|a",  "[write]",
                                        "[readonly]", "[blocking]",   "type",      "range",    "keynum",
                                        "index",      "keyword",      "spec",      "flags",    "lastkey",
                                        "keystep",    "limit",        "RW",        "0",        "1",
                                        "-1",         "32768",        "-32769",    "~",        "[]",
                                        "[[]]",       "begin_search", "find_keys", "firstkey", "FROM",
                                        "keynumidx"};
    if (depth == 0 || random_next(seed) % 3 == 0)
        return (size_t)snprintf(to, cap, "%s ", words[random_next(seed) % (sizeof words / sizeof words[0])]);
    size_t n = (size_t)snprintf(to, cap, "[");
    for (unsigned i = random_next(seed) % 11; i > 0 && n + 64 < cap; i--)
        n += random_reply(to + n, cap - n - 8, depth - 1, seed);
    return n + (size_t)snprintf(to + n, cap - n, "] ");
}

/* An entry that is right but for one word, replaced by another. */
static void spoil(char *text, uint32_t *seed)
{
    static const char *const words[] = {"0", "-1", "7",  "~",      "32768", "x",
                                        "[", "]",  "RW", "keynum", "range", "keyword"};
    size_t len = strlen(text), at = random_next(seed) % len;
    while (at > 0 && strchr(" []", text[at]) == NULL)
        at--;
    at += strspn(text + at, " []");
    size_t n = strcspn(text + at, " []");
    const char *word = words[random_next(seed) % (sizeof words / sizeof words[0])];
    memmove(text + at + strlen(word), text + at + n, len - at - n + 1);
    memcpy(text + at, word, strlen(word));
}

/* Keys that a row reports are arguments, whatever the row was made of. */
static void use(const char *text)
{
    static const char *const lines[] = {
        "x", "x a", "x 1 a", "x 2 FROM a b", "x FROM FROM", "x 9 9 9 9 9 9 9 9 9"};
    struct learned *l = learn(text);
    const struct command *row = learned_find(l, slice_of("x"));
    struct found found;

    for (size_t i = 0; row != NULL && i < sizeof lines / sizeof lines[0]; i++) {
        const char *keys = keys_of(row, lines[i], &found);
        if (strcmp(keys, "malformed") == 0)
            continue;
        size_t argc = 1;
        for (const char *p = lines[i]; *p != '\0'; p++)
            argc += *p == ' ';
        for (const char *p = keys; *p != '\0';
             p = strchr(p, ' ') != NULL ? strchr(p, ' ') + 1 : p + strlen(p))
            assert_in_range(strtoul(p, NULL, 10), 1, argc - 1);
    }
    learned_unref(l);
}

static void test_hostile(void **state)
{
    static const char good[] =
        "[[x -2 [write] 1 1 1 [] [] [" SPEC("RW update", INDEX(1) " " RANGE(-1, 2)) " " SPEC(
            "RW update",
            INDEX(1) " " KEYNUM(0, 1, 1)) " " SPEC("RO", WORD("FROM", 1) " " RANGE(-1, 1)) "] []] " EXEC "]";
    uint32_t seed = 20260718;
    char text[4096];

    for (unsigned i = 0; i < 5000; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "[" EXEC " ");
        random_reply(text + n, sizeof text - n - 8, 7, &seed);
        strcat(text, "]");
        use(text);
        strcpy(text, good);
        for (unsigned changes = 1 + random_next(&seed) % 3; changes > 0; changes--)
            spoil(text, &seed);
        use(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns),     cmocka_unit_test(test_keys),
        cmocka_unit_test(test_many_specs),  cmocka_unit_test(test_only_what_the_table_lacks),
        cmocka_unit_test(test_subcommands), cmocka_unit_test(test_names_that_cannot_be),
        cmocka_unit_test(test_no_list),     cmocka_unit_test(test_counted),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
