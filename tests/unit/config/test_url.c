/* Redis URLs and listen addresses: every accepted form, every refusal, and that no error quotes a password.
 */
#include "config/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

struct good {
    const char *text;
    struct redis_url want;
};

static void same_text(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a != NULL)
        assert_string_equal(a, b);
}

static void test_accepted(void **state)
{
    static const struct good rows[] = {
        {"redis://localhost", {"localhost", 6379, NULL, NULL, NULL, 0, false}},
        {"redis://localhost/", {"localhost", 6379, NULL, NULL, NULL, 0, false}},
        {"redis://10.0.0.1:7000/3", {"10.0.0.1", 7000, NULL, NULL, NULL, 3, false}},
        {"redis://[::1]:6390/15", {"::1", 6390, NULL, NULL, NULL, 15, false}},
        {"redis://[fe80::1]", {"fe80::1", 6379, NULL, NULL, NULL, 0, false}},
        {"redis://:secret@h", {"h", 6379, NULL, NULL, "secret", 0, false}},
        {"redis://ann:secret@h:1/2", {"h", 1, NULL, "ann", "secret", 2, false}},
        {"redis://a%40b:p%3A%2F%25@h", {"h", 6379, NULL, "a@b", "p:/%", 0, false}},
        {"redis://u:p@ss@h", {"h", 6379, NULL, "u", "p@ss", 0, false}},
        {"redis://u:@h", {"h", 6379, NULL, "u", "", 0, false}},
        {"unix:///run/redis.sock", {NULL, 0, "/run/redis.sock", NULL, NULL, 0, false}},
        {"unix:///run/my%20redis.sock?db=4", {NULL, 0, "/run/my redis.sock", NULL, NULL, 4, false}},
        {"unix://u:p@/run/r.sock", {NULL, 0, "/run/r.sock", "u", "p", 0, false}},
        {"rediss://redis.example.com", {"redis.example.com", 6379, NULL, NULL, NULL, 0, true}},
        {"rediss://ann:secret@[::1]:1/2", {"::1", 1, NULL, "ann", "secret", 2, true}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct redis_url url;
        struct reason why;
        if (!redis_url_parse(rows[i].text, &url, &why))
            fail_msg("%s: %s", rows[i].text, why.text);
        same_text(url.host, rows[i].want.host);
        same_text(url.path, rows[i].want.path);
        same_text(url.user, rows[i].want.user);
        same_text(url.password, rows[i].want.password);
        assert_int_equal(url.port, rows[i].want.port);
        assert_int_equal(url.db, rows[i].want.db);
        assert_int_equal(url.tls, rows[i].want.tls);
        redis_url_done(&url);
    }
}

#define FORMS "expected redis[s]://[user:password@]host[:port][/db] or unix:///path[?db=N]"

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "this is not a Redis URL; " FORMS},
        {"localhost:6379", "this is not a Redis URL; " FORMS},
        {"http://localhost", "this is not a Redis URL; " FORMS},
        {"rediss://", "host or port is missing or malformed; " FORMS},
        {"redisss://h", "this is not a Redis URL; " FORMS},
        {"redis://", "host or port is missing or malformed; " FORMS},
        {"redis://:6379", "host or port is missing or malformed; " FORMS},
        {"redis://h:", "host or port is missing or malformed; " FORMS},
        {"redis://h:0", "host or port is missing or malformed; " FORMS},
        {"redis://h:65536", "host or port is missing or malformed; " FORMS},
        {"redis://h:99999999999999999999", "host or port is missing or malformed; " FORMS},
        {"redis://h:-1", "host or port is missing or malformed; " FORMS},
        {"redis://h:6379x", "host or port is missing or malformed; " FORMS},
        {"redis://::1:6379", "host or port is missing or malformed; " FORMS},
        {"redis://[::1", "host or port is missing or malformed; " FORMS},
        {"redis://[::1]6379", "host or port is missing or malformed; " FORMS},
        {"redis://a b", "host or port is missing or malformed; " FORMS},
        {"redis://h/x", "what follows the '/' is not a database number; " FORMS},
        {"redis://h/-1", "what follows the '/' is not a database number; " FORMS},
        {"redis://h/2147483648", "what follows the '/' is not a database number; " FORMS},
        {"redis://h/1/2", "what follows the '/' is not a database number; " FORMS},
        {"redis://h?db=2", "there are no parameters in a redis:// URL; " FORMS},
        {"redis://word@h", "there is one word before the '@'; expected user:password@ or :password@"},
        {"redis://u:hunter2%zz@h",
         "a '%' in user or password is not followed by two hex digits; expected %25 for a percent sign"},
        {"redis://u%0:hunter2@h",
         "a '%' in user or password is not followed by two hex digits; expected %25 for a percent sign"},
        {"redis://u:hunter2%00@h",
         "a '%' in user or password is not followed by two hex digits; expected %25 for a percent sign"},
        {"unix://run/redis.sock", "the path of the socket is not absolute; " FORMS},
        {"unix://", "the path of the socket is not absolute; " FORMS},
        {"unix:///", "the path of the socket is empty, malformed or longer than 107 bytes; " FORMS},
        {"unix:///a%2", "the path of the socket is empty, malformed or longer than 107 bytes; " FORMS},
        {"unix:///a?db=", "what follows the '?' is not db=N; " FORMS},
        {"unix:///a?name=b", "what follows the '?' is not db=N; " FORMS},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct redis_url url = {.db = 77};
        struct reason why;
        assert_false(redis_url_parse(rows[i].text, &url, &why));
        assert_string_equal(why.text, rows[i].why);
        assert_int_equal(url.db, 77);
        assert_null(strstr(why.text, "hunter2"));
    }
}

static void test_long_path(void **state)
{
    char text[256] = "unix:///";
    struct redis_url url;
    struct reason why;

    memset(text + 8, 'a', 106);
    assert_true(redis_url_parse(text, &url, &why));
    redis_url_done(&url);
    text[8 + 106] = 'a';
    assert_false(redis_url_parse(text, &url, &why));
}

static void check_hidden(const char *text, const char *want)
{
    char *hidden = redis_url_hide(text);
    assert_string_equal(hidden, want);
    free(hidden);
}

static void test_hidden(void **state)
{
    check_hidden("redis://h:6379/0", "redis://h:6379/0");
    check_hidden("redis://u:p@h:6379/0", "redis://u:***@h:6379/0");
    check_hidden("redis://:p@h", "redis://:***@h");
    check_hidden("redis://u:p@p@h", "redis://u:***@h");
    check_hidden("redis://u:p/p@h", "redis://u:***@h");
    check_hidden("unix://u:p@/run/r.sock", "unix://u:***@/run/r.sock");
    check_hidden("unix:///run/a:b@c", "unix:///run/a:b@c");
    check_hidden("u:p@h", "u:***@h");
    check_hidden("", "");
}

static void test_address(void **state)
{
    static const struct {
        const char *text, *host;
        int port;
        const char *path;
        bool local;
    } rows[] = {
        {"127.0.0.1:6380", "127.0.0.1", 6380, NULL, true},
        {"127.9.9.9:1", "127.9.9.9", 1, NULL, true},
        {"[::1]:6380", "::1", 6380, NULL, true},
        {"[::]:6380", "::", 6380, NULL, false},
        {"0.0.0.0:0", "0.0.0.0", 0, NULL, false},
        {"localhost:65535", "localhost", 65535, NULL, true},
        {"unix:/run/c.sock", NULL, 0, "/run/c.sock", true},
        {"127.example.org:80", "127.example.org", 80, NULL, false},
        {"proxy.internal:80", "proxy.internal", 80, NULL, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct net_address address;
        struct reason why;
        assert_true(net_address_parse(rows[i].text, &address, &why));
        same_text(address.host, rows[i].host);
        same_text(address.path, rows[i].path);
        assert_int_equal(address.port, rows[i].port);
        assert_int_equal(net_address_is_local(&address), rows[i].local);
        net_address_done(&address);
    }
}

static void test_address_refused(void **state)
{
    static const char *const bad[] = {
        "",      "6380",  ":6380",  "h",      "h:",    "h:65536",     "h:-1",  "::1:1", "[::1]",      "[]:1",
        "h:1:2", "unix:", "unix:/", "unix:a", "a b:1", "http://h:80", "h:1/2", "h: 1",  "redis://h:1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct net_address address;
        struct reason why;
        if (net_address_parse(bad[i], &address, &why))
            fail_msg("'%s' was accepted", bad[i]);
        assert_non_null(strstr(why.text, "expected host:port, [v6]:port or unix:/path"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_long_path), cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_address),   cmocka_unit_test(test_address_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
