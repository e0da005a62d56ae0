/* redis.url as a list of sentinels or of a cluster's nodes; and what config_found makes of it. */
#include "config/config.h"
#include "config/seeds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void kinds(void **state)
{
    assert_int_equal(redis_kind("redis://h"), REDIS_SINGLE);
    assert_int_equal(redis_kind("unix:///a"), REDIS_SINGLE);
    assert_int_equal(redis_kind("redis+sentinel://h/m"), REDIS_SENTINEL);
    assert_int_equal(redis_kind("redis+cluster://h"), REDIS_CLUSTER);
    assert_int_equal(redis_kind("rediss+sentinel://h/m"), REDIS_SENTINEL);
    assert_int_equal(redis_kind("rediss+cluster://h"), REDIS_CLUSTER);
    assert_int_equal(redis_kind("rediss://h"), REDIS_SINGLE);
    assert_int_equal(redis_kind("redisss+cluster://h"), REDIS_SINGLE);
    assert_int_equal(redis_kind("+cluster://h"), REDIS_SINGLE);
}

static void good_ones(void **state)
{
    struct redis_seeds seeds;
    struct reason why;

    assert_true(redis_seeds_parse("redis+sentinel://u:p%40s@a,b:1,[::1]:2,[::2]/my-master/3", &seeds, &why));
    assert_int_equal(seeds.kind, REDIS_SENTINEL);
    assert_int_equal(seeds.count, 4);
    assert_string_equal(seeds.hosts[0].host, "a");
    assert_int_equal(seeds.hosts[0].port, 26379);
    assert_int_equal(seeds.hosts[1].port, 1);
    assert_string_equal(seeds.hosts[2].host, "::1");
    assert_int_equal(seeds.hosts[2].port, 2);
    assert_int_equal(seeds.hosts[3].port, 26379);
    assert_string_equal(seeds.master, "my-master");
    assert_string_equal(seeds.user, "u");
    assert_string_equal(seeds.password, "p@s");
    assert_int_equal(seeds.db, 3);
    char *url = redis_seeds_url(&seeds, "::9", 77);
    assert_string_equal(url, "redis://u:p%40s@[::9]:77/3");
    free(url);
    redis_seeds_done(&seeds);

    assert_true(redis_seeds_parse("redis+cluster://a:7000,b", &seeds, &why));
    assert_int_equal(seeds.kind, REDIS_CLUSTER);
    assert_int_equal(seeds.hosts[1].port, 6379);
    assert_null(seeds.master);
    url = redis_seeds_url(&seeds, "10.0.0.1", 5);
    assert_string_equal(url, "redis://10.0.0.1:5/0");
    free(url);
    assert_false(seeds.tls);
    redis_seeds_done(&seeds);

    assert_true(redis_seeds_parse("rediss+cluster://:p@a:7000,b", &seeds, &why));
    assert_true(seeds.tls);
    assert_int_equal(seeds.count, 2);
    url = redis_seeds_url(&seeds, "10.0.0.1", 5);
    assert_string_equal(url, "rediss://:p@10.0.0.1:5/0");
    free(url);
    redis_seeds_done(&seeds);
}

static void bad_ones(void **state)
{
    static const char *const texts[] = {
        "redis://h",
        "redis+sentinel://",
        "redis+sentinel:///m",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel://a,/m",
        "redis+sentinel://,a/m",
        "redis+sentinel://a:0/m",
        "redis+sentinel://a:x/m",
        "redis+sentinel://a:70000/m",
        "redis+sentinel://a/m/x",
        "redis+sentinel://a/m/-1",
        "redis+sentinel://a/m m",
        "redis+sentinel://a/m?x=1",
        "redis+sentinel://word@a/m",
        "redis+sentinel://u:%zz@a/m",
        "redis+cluster://",
        "redis+cluster://a/1",
        "redis+cluster://a#x",
        "redis+cluster://a b",
        "redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33",
    };
    struct redis_seeds seeds;
    struct reason why;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        why.text[0] = '\0';
        if (redis_seeds_parse(texts[i], &seeds, &why))
            fail_msg("%s was taken", texts[i]);
        assert_true(strlen(why.text) > 0);
        assert_null(strstr(why.text, "%zz")); /* might be a password */
    }
}

static void set(struct config *cfg, const char *url)
{
    struct config_pair pair = {"redis.url", url};
    struct config_error err;
    assert_int_equal(config_set(cfg, &pair, 1, &err), ERR_NONE);
}

static void expect_at(struct config *cfg, const char *at)
{
    const struct settings *s = config_current(cfg);
    assert_string_equal(redis_at(s), at);
    settings_unref(s);
}

static void found(void **state)
{
    struct config *cfg = config_new();

    expect_at(cfg, "redis://127.0.0.1:6379/0");
    set(cfg, "redis+sentinel://s1,s2/m");
    expect_at(cfg, "");
    config_found(cfg, "redis+sentinel://s1,s2/m", "redis://10.0.0.1:1/0");
    expect_at(cfg, "redis://10.0.0.1:1/0");
    set(cfg, "redis+sentinel://s9/m"); /* what was found by the other is not its */
    expect_at(cfg, "");
    set(cfg, "redis://h:1/0");
    expect_at(cfg, "redis://h:1/0");
    config_found(cfg, "redis+sentinel://s9/m", "redis://10.0.0.2:1/0"); /* came too late */
    expect_at(cfg, "redis://h:1/0");
    config_free(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds),
        cmocka_unit_test(good_ones),
        cmocka_unit_test(bad_ones),
        cmocka_unit_test(found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
