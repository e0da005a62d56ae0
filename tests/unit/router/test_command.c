#include "router/command.h"
#include "router/command_doc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define S(text)                                                                                              \
    (struct slice)                                                                                           \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Looks a full name up the way a session does: verb first, then the subcommand. */
static const struct command *find(const char *name)
{
    const char *bar = strchr(name, '|');
    if (bar == NULL)
        return command_find(slice_of(name));
    const struct command *parent = command_find((struct slice){name, (size_t)(bar - name)});
    return parent != NULL ? command_find_sub(parent, slice_of(bar + 1)) : NULL;
}

/* The count of commands that Redis 7.0.15 answers to COMMAND COUNT, and one of our own: CONV. */
static void test_count(void **state)
{
    unsigned verbs = 0;
    for (uint16_t id = 0; id < command_count(); id++)
        verbs += strchr(command_at(id)->name, '|') == NULL;
    assert_int_equal(verbs, 240 + 1);
    assert_non_null(command_find(S("conv")));
    assert_null(command_at(command_count()));
    assert_null(command_at(UINT16_MAX));
}

static void test_order(void **state)
{
    const struct command *container = NULL;
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        const char *bar = strchr(cmd->name, '|');
        assert_int_equal(cmd->id, id);
        if (bar == NULL) {
            container = cmd;
            continue;
        }
        assert_non_null(container);
        assert_true(container->container);
        assert_int_equal(strlen(container->name), bar - cmd->name);
        assert_memory_equal(container->name, cmd->name, (size_t)(bar - cmd->name));
        assert_false(cmd->container);
    }
}

static void test_find_in_any_case(void **state)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        for (unsigned phase = 0; phase < 3; phase++) {
            char name[64];
            snprintf(name, sizeof name, "%s", cmd->name);
            for (unsigned i = 0; name[i] != '\0'; i++) {
                if (phase == 1 || (phase == 2 && i % 2 == 0))
                    name[i] = (char)toupper((unsigned char)name[i]);
            }
            assert_ptr_equal(find(name), cmd);
        }
    }
}

static void test_unknown_verbs(void **state)
{
    static const char long_name[] = "client-client-client-client-client-client-client-client-client";
    assert_null(command_find(S("")));
    assert_null(command_find((struct slice){NULL, 0}));
    assert_null(command_find(S("ge")));
    assert_null(command_find(S("gett")));
    assert_null(command_find(S("get\0")));
    assert_null(command_find(S("get ")));
    assert_null(command_find(S("JSON.SET")));
    assert_null(command_find(S("config|get"))); /* a row's name, yet no verb */
    assert_null(command_find(S("config|")));
    assert_null(command_find(S("\xc7\xc5\xd4"))); /* GET with the high bits set */
    assert_null(command_find(S("RESTORE\rASKING")));
    for (size_t len = 0; len < sizeof long_name; len++)
        assert_true(len == 6 || command_find((struct slice){long_name, len}) == NULL);
}

static void test_subcommands(void **state)
{
    const struct command *config = command_find(S("CONFIG"));
    assert_true(config->container);
    assert_string_equal(command_find_sub(config, S("Set"))->name, "config|set");
    assert_null(command_find_sub(config, S("")));
    assert_null(command_find_sub(config, S("nothing")));
    assert_null(command_find_sub(config, S("|set")));
    assert_null(command_find_sub(config, S("usage"))); /* MEMORY's */
    assert_null(command_find_sub(config, S("set-config-epoch-set-config-epoch-set")));
    assert_null(command_find_sub(command_find(S("get")), S("set")));
    const struct command *cluster = command_find(S("cluster"));
    assert_non_null(command_find_sub(cluster, S("COUNT-failure-REPORTS")));
}

static void expect_row(const char *verb, const char *sub, const char *name)
{
    const struct slice argv[] = {{verb, strlen(verb)}, {sub, strlen(sub)}};
    const struct command *cmd = command_of(argv, *sub != '\0' ? 2 : 1);

    assert_string_equal(cmd != NULL ? cmd->name : "none", name);
}

static void test_row_of_a_request(void **state)
{
    expect_row("Get", "key", "get");
    expect_row("CONFIG", "Set", "config|set");
    expect_row("config", "nothing", "config");
    expect_row("config", "", "config");
    expect_row("nosuch", "set", "none");
}

static void test_arity(void **state)
{
    const struct command *get = command_find(S("get"));
    const struct command *rpush = command_find(S("rpush"));
    const struct command *create = find("xgroup|create");
    assert_false(command_arity_ok(get, 0));
    assert_false(command_arity_ok(get, 1));
    assert_true(command_arity_ok(get, 2));
    assert_false(command_arity_ok(get, 3));
    assert_false(command_arity_ok(rpush, 2));
    assert_true(command_arity_ok(rpush, 3));
    assert_true(command_arity_ok(rpush, 1000000));
    assert_false(command_arity_ok(create, 4));
    assert_true(command_arity_ok(create, 5));
}

static bool listed(const char *const *names, const char *name)
{
    for (; *names != NULL; names++) {
        if (strcmp(*names, name) == 0)
            return true;
    }
    return false;
}

static bool writes_a_key(const struct command *cmd)
{
    for (unsigned i = 0; i < cmd->nspecs; i++) {
        if (cmd->specs[i].write)
            return true;
    }
    return false;
}

/* Design §3: a managed key never lives without a TTL. A write adds none only when it leaves no key, or can't
 * create one and touches nothing but a consumer group. */
static void test_writes_have_a_ttl_class(void **state)
{
    static const char *const add_nothing[] = {"del",
                                              "unlink",
                                              "getdel",
                                              "flushall",
                                              "flushdb",
                                              "swapdb",
                                              "move",
                                              "migrate",
                                              "function|delete",
                                              "function|flush",
                                              "function|load",
                                              "function|restore",
                                              "xack",
                                              "xclaim",
                                              "xautoclaim",
                                              "xreadgroup",
                                              NULL};
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        if (!(cmd->flags & CMD_WRITE))
            assert_int_equal(cmd->ttl,
                             cmd->cats & CAT_SCRIPTING && writes_a_key(cmd) ? TTL_SCRIPT : TTL_NONE);
        else if ((cmd->ttl == TTL_NONE) != listed(add_nothing, cmd->name))
            fail_msg("%s: ttl is %s", cmd->name, command_ttl_name(cmd->ttl));
    }
}

static void test_row_invariants(void **state)
{
    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        bool write = cmd->flags & CMD_WRITE;
        assert_true(cmd->arity != 0);
        assert_false(write && cmd->flags & CMD_READONLY);
        assert_false(cmd->ttl == TTL_SHRINK && cmd->flags & CMD_DENYOOM);
        assert_false(cmd->flags & CMD_READONLY && writes_a_key(cmd));
        assert_false(cmd->ttl != TTL_NONE && !writes_a_key(cmd));
        assert_true(cmd->trim == TRIM_NONE || (write && cmd->flags & CMD_DENYOOM));
        assert_int_equal(cmd->route == ROUTE_MULTI, (cmd->cats & CAT_TRANSACTION) != 0);
        /* WAIT waits for replicas, which Redis does not call blocking */
        assert_false(cmd->route == ROUTE_BLOCKING && !(cmd->flags & CMD_BLOCKING) &&
                     strcmp(cmd->name, "wait") != 0);
        assert_true(cmd->container || cmd->cats != 0);
        assert_int_equal((cmd->cats & CAT_FAST) != 0, (cmd->flags & CMD_FAST) != 0);
        assert_true(cmd->nspecs > 0 || cmd->first == 0);
        for (unsigned i = 0; i < cmd->nspecs; i++)
            assert_true(cmd->specs[i].begin != BEGIN_KEYWORD || cmd->specs[i].keyword != NULL);
    }
}

static void test_classes(void **state)
{
    static const struct {
        const char *name;
        enum cmd_route route;
        enum cmd_ttl ttl;
        enum cmd_trim trim;
    } expected[] = {
        {"rpush", ROUTE_FORWARD, TTL_SLIDE, TRIM_HEAD},
        {"rpushx", ROUTE_FORWARD, TTL_COND, TRIM_HEAD},
        {"lpush", ROUTE_FORWARD, TTL_SLIDE, TRIM_TAIL},
        {"lpushx", ROUTE_FORWARD, TTL_COND, TRIM_TAIL},
        {"xadd", ROUTE_FORWARD, TTL_COND, TRIM_STREAM},
        {"zadd", ROUTE_FORWARD, TTL_SLIDE, TRIM_ZSET},
        {"set", ROUTE_FORWARD, TTL_SET, TRIM_JSON},
        {"setex", ROUTE_FORWARD, TTL_OWN, TRIM_JSON},
        {"msetnx", ROUTE_FORWARD, TTL_COND, TRIM_JSON},
        {"lpop", ROUTE_FORWARD, TTL_SHRINK, TRIM_NONE},
        {"pexpireat", ROUTE_FORWARD, TTL_OWN, TRIM_NONE},
        {"getex", ROUTE_FORWARD, TTL_GETEX, TRIM_NONE},
        {"persist", ROUTE_FORWARD, TTL_PERSIST, TRIM_NONE},
        {"restore", ROUTE_SLOW, TTL_RESTORE, TRIM_NONE},
        {"copy", ROUTE_SLOW, TTL_COND, TRIM_NONE},
        {"keys", ROUTE_SLOW, TTL_NONE, TRIM_NONE},
        {"scan", ROUTE_FORWARD, TTL_NONE, TRIM_NONE},
        {"evalsha", ROUTE_SLOW, TTL_SCRIPT, TRIM_NONE},
        {"fcall_ro", ROUTE_SLOW, TTL_NONE, TRIM_NONE},
        {"script|kill", ROUTE_URGENT, TTL_NONE, TRIM_NONE},
        {"script|debug", ROUTE_REFUSED, TTL_NONE, TRIM_NONE},
        {"client|tracking", ROUTE_LOCAL, TTL_NONE, TRIM_NONE},
        {"blpop", ROUTE_BLOCKING, TTL_SHRINK, TRIM_NONE},
        {"xread", ROUTE_FORWARD, TTL_NONE, TRIM_NONE},
        {"watch", ROUTE_MULTI, TTL_NONE, TRIM_NONE},
        {"subscribe", ROUTE_PUBSUB, TTL_NONE, TRIM_NONE},
        {"psync", ROUTE_REFUSED, TTL_NONE, TRIM_NONE},
    };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct command *cmd = find(expected[i].name);
        assert_non_null(cmd);
        assert_string_equal(command_route_name(cmd->route), command_route_name(expected[i].route));
        assert_string_equal(command_ttl_name(cmd->ttl), command_ttl_name(expected[i].ttl));
        assert_string_equal(command_trim_name(cmd->trim), command_trim_name(expected[i].trim));
    }
}

/* Each name of a bit, up to the first without one. */
static void test_names(void **state)
{
    unsigned flags = 0;
    unsigned cats = 0;
    while (command_flag_name(flags) != NULL)
        flags++;
    while (command_cat_name(cats) != NULL)
        cats++;
    assert_int_equal(1u << (flags - 1), CMD_ALLOW_BUSY);
    assert_int_equal(1u << (cats - 1), CAT_SCRIPTING);
    assert_string_equal(command_route_name(ROUTE_REFUSED), "refused");
    assert_string_equal(command_ttl_name(TTL_SCRIPT), "script");
    assert_string_equal(command_trim_name(TRIM_JSON), "json");
}

/* Every row stands once on the page, under a heading. */
static void test_markdown(void **state)
{
    char *page = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&page, &len);
    commands_markdown(out);
    assert_int_equal(fclose(out), 0);
    for (uint16_t id = 0; id < command_count(); id++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "| `%s` |", command_at(id)->name);
        for (char *p = wanted + 3; *p != '`'; p++)
            *p = *p == '|' ? ' ' : (char)toupper((unsigned char)*p);
        const char *row = strstr(page, wanted);
        if (row == NULL)
            fail_msg("no %s", wanted);
        assert_null(strstr(row + 1, wanted));
    }
    assert_non_null(strstr(page, "\n## Lists\n"));
    assert_non_null(
        strstr(page, "| `RPUSH` | 3+ | 1\\* | Redis | TTL starts again; keeps the last N elements |"));
    free(page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_count),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_find_in_any_case),
        cmocka_unit_test(test_unknown_verbs),
        cmocka_unit_test(test_subcommands),
        cmocka_unit_test(test_row_of_a_request),
        cmocka_unit_test(test_arity),
        cmocka_unit_test(test_writes_have_a_ttl_class),
        cmocka_unit_test(test_row_invariants),
        cmocka_unit_test(test_classes),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_markdown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
