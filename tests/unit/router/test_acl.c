/* Rules and verdicts that need no server; tests/system/test_acl.py compares the rest with one. */
#include "router/acl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16 };

static const struct acl_words foreseen = {.learned = NULL, .foreseen = true};

static size_t split(const char *text, struct slice words[MOST])
{
    size_t n = 0;
    for (const char *p = text + strspn(text, " "); *p != '\0'; p += strspn(p, " ")) {
        size_t len = strcspn(p, " ");
        assert_true(n < MOST);
        words[n++] = (struct slice){p, len};
        p += len;
    }
    return n;
}

static struct acl_user *user(const char *rules)
{
    struct slice words[MOST];
    char *bad = NULL;
    struct acl_user *u = acl_user_new((struct slice){"u", 1});

    assert_int_equal(acl_apply(u, words, split(rules, words), &foreseen, &bad), ACL_GOOD);
    return u;
}

static enum acl_verdict verdict(const char *rules, const struct command *cmd, const char *request)
{
    struct slice argv[MOST];
    size_t argc = split(request, argv), arg;
    struct acl_user *u = user(rules);

    enum acl_verdict v = acl_check(u, cmd != NULL ? cmd : command_of(argv, argc), argv, argc, &arg);
    acl_user_unref(u);
    return v;
}

static void test_learned_commands(void **state)
{
    const struct keyspec spec = {BEGIN_INDEX, FIND_RANGE, true, false, KEY_BOTH, 1, NULL, 0, 1, 0};
    const struct command module = {.name = "json.set", .arity = -3, .cats = CAT_WRITE | CAT_SLOW, .id = 511, .specs = {spec}, .nspecs = 1};
    const struct command sub = {.name = "graph|list", .arity = -2, .cats = CAT_READ, .id = 511};
    const struct command hidden = {.name = "mod.x", .arity = -1, .flags = CMD_MOVABLEKEYS, .id = 511};
    const struct {
        const char *rules;
        const struct command *cmd;
        const char *request;
        enum acl_verdict expected;
    } rows[] = {
        {"+@all ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+@all ~a", &module, "json.set k v", ACL_NO_KEY},
        {"+@all %R~*", &module, "json.set k v", ACL_NO_KEY},
        {"+@all -@write ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"+@write ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+@read ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"+@write -json.set ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"-json.set +@write ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+json.set ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+JSON.SET ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+@all -json.set ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"+json.get ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"-json.set +@all ~*", &module, "json.set k v", ACL_ALLOWED},
        {"+json.set -@all ~*", &module, "json.set k v", ACL_NO_COMMAND},
        {"+graph|list", &sub, "graph list", ACL_ALLOWED},
        {"+graph", &sub, "graph list", ACL_ALLOWED},
        {"+graph|other", &sub, "graph list", ACL_NO_COMMAND},
        {"+@all ~*", &hidden, "mod.x", ACL_ALLOWED},
        {"+@all ~k", &hidden, "mod.x", ACL_NO_KEY},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (verdict(rows[i].rules, rows[i].cmd, rows[i].request) != rows[i].expected)
            fail_msg("%s: %s", rows[i].rules, rows[i].request);
}

/* Redis passes these on; we have no keys to look at, and say no. */
static void test_malformed_arguments_need_all_keys(void **state)
{
    static const char *const requests[] = {"eval x 99 k", "eval x -1 k", "eval x y k", "mset k v k2", "sintercard 5 k", "zunionstore k 3 k"};

    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        assert_int_equal(verdict("+@all ~k*", NULL, requests[i]), ACL_NO_KEY);
        assert_int_equal(verdict("+@all ~*", NULL, requests[i]), ACL_ALLOWED);
    }
}

static void test_names_that_nobody_knows(void **state)
{
    static const struct acl_words known_only = {.learned = NULL, .foreseen = false};
    static const char *const bad[] = {"+json!get", "+1x", "+", "+get|x|y|z", "+config|nosuch", "+json.get*"};
    struct slice words[MOST];
    char *text = NULL;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct acl_user *u = acl_user_new((struct slice){"u", 1});
        assert_int_not_equal(acl_apply(u, words, split(bad[i], words), &foreseen, &text), ACL_GOOD);
        assert_string_equal(text, bad[i]);
        free(text);
        acl_user_unref(u);
    }
    struct acl_user *u = acl_user_new((struct slice){"u", 1});
    assert_int_equal(acl_apply(u, words, split("+json.get", words), &known_only, &text), ACL_BAD_WORD);
    free(text);
    acl_user_unref(u);
}

/* What is told can be read again, names of the server's own commands included. */
static void test_told_and_read_again(void **state)
{
    static const char *const lines[] = {
        "on nopass ~* &* +@all", "off resetchannels -@all", "on %R~a %W~b ~c resetchannels &x -@all +get +json.get -ft.search",
        "on ~a resetchannels +@all -@dangerous +config|get (%R~b resetchannels -@all +set)",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct acl_user *u = user(lines[i]);
        char *line = acl_line(u);
        assert_string_equal(line + strlen("user u "), lines[i]);
        free(line);
        acl_user_unref(u);
    }
}

static void test_passwords(void **state)
{
    struct acl_user *u = user("on >one >two <one >three !8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f");
    struct acl_user *off = user("off >one"), *open = user("on nopass"), *copy = acl_user_copy(u);
    const struct slice one = {"one", 3}, two = {"two", 3}, none = {"", 0};

    assert_int_equal(acl_password_count(u), 1);
    assert_false(acl_user_accepts(u, one));
    assert_true(acl_user_accepts(u, two));
    assert_true(acl_user_accepts(copy, two));
    assert_false(acl_user_accepts(u, none));
    assert_false(acl_user_accepts(off, one));
    assert_true(acl_user_accepts(open, none));
    acl_user_unref(u);
    acl_user_unref(off);
    acl_user_unref(open);
    acl_user_unref(copy);
}

static void test_who_may_all(void **state)
{
    static const struct {
        const char *rules;
        bool all;
    } rows[] = {
        {"+@all ~* &*", true},          {"+@all ~*", false},       {"+@all &*", false},
        {"~* &*", false},               {"+@all ~* &* -get", false}, {"+@all -get +get ~* &*", false},
        {"(+@all ~* &*)", true},        {"+@all ~* &* (+get)", true}, {"+@all %R~* &*", false},
        {"+@all ~* &* -json.get", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct acl_user *u = user(rows[i].rules);
        if (acl_user_may_all(u) != rows[i].all)
            fail_msg("%s", rows[i].rules);
        acl_user_unref(u);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_learned_commands), cmocka_unit_test(test_malformed_arguments_need_all_keys),
        cmocka_unit_test(test_names_that_nobody_knows), cmocka_unit_test(test_told_and_read_again),
        cmocka_unit_test(test_passwords), cmocka_unit_test(test_who_may_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
