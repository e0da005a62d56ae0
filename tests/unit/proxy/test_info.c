/* INFO: which sections come for which names, the form of the lines, and the numbers. */
#include "fake_server.h"
#include "proxy/info.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME(text) ((struct slice){(text), sizeof(text) - 1})

static struct server *server(void)
{
    static const char *const sets[] = {"conv.match=conv:*"};
    fake_stats();
    return fake_server_new(sets, 1);
}

/* As Redis: "# Title" or name:value, each line ended by CR LF, sections parted by an empty line. */
static void check_lines(const char *text, size_t len)
{
    bool after_blank = true;

    assert_int_equal(strlen(text), len);
    while (*text != '\0') {
        size_t n = strcspn(text, "\r");
        assert_memory_equal(text + n, "\r\n", 2);
        if (n > 0 && text[0] == '#')
            assert_true(after_blank);
        else if (n > 0)
            assert_non_null(memchr(text, ':', n));
        after_blank = n == 0;
        text += n + 2;
    }
}

static void test_all_sections(void **state)
{
    static const char *const titles[] = {"# Server\r\n", "# Clients\r\n",  "# Memory\r\n",
                                         "# Stats\r\n",  "# Keyspace\r\n", "# Convproxy\r\n"};
    const struct slice words[] = {NAME("default"), NAME("ALL"), NAME("everything")};
    struct server *s = server();

    for (size_t w = 0; w <= 3; w++) {
        size_t len;
        char *text = info_standalone(s, w < 3 ? &words[w] : NULL, w < 3, &len);
        check_lines(text, len);
        const char *at = text;
        for (size_t i = 0; i < 6; i++) {
            at = strstr(at, titles[i]);
            assert_non_null(at);
        }
        free(text);
    }
    fake_server_free(s);
}

static void test_some_sections(void **state)
{
    struct server *s = server();
    struct slice names[] = {NAME("mEmOrY"), NAME("nonsense"), NAME("stats")};
    size_t len;
    char *text = info_standalone(s, names, 3, &len);

    check_lines(text, len);
    assert_memory_equal(text, "# Memory\r\n", 10);
    assert_non_null(strstr(text, "\r\n\r\n# Stats\r\n"));
    assert_null(strstr(text, "# Server"));
    free(text);
    text = info_standalone(s, &names[1], 1, &len);
    assert_int_equal(len, 0);
    free(text);
    fake_server_free(s);
}

static void test_version_last_seen(void **state)
{
    struct server *s = server();
    struct slice name = NAME("server");
    size_t len;
    char *text = info_standalone(s, &name, 1, &len);

    assert_non_null(strstr(text, "\r\nredis_version:7.2.4\r\n"));
    free(text);
    s->redis.version[0] = '\0';
    text = info_standalone(s, &name, 1, &len);
    assert_non_null(strstr(text, "\r\nredis_version:7.0.0\r\n"));
    free(text);
    fake_server_free(s);
}

static void test_convproxy_section(void **state)
{
    struct server *s = server();
    struct stats *stats = fake_stats();
    size_t len;

    counter_add(&stats->clients_accepted, 3);
    counter_add(&stats->clients_closed, 1);
    counter_add(&stats->policies[stats_policy_id("conv")].persist_errors[PERSIST_TIMEOUT], 5);
    s->redis.ping_p95_us = 1250;
    char *text = info_convproxy(s, &len);
    check_lines(text, len);
    assert_memory_equal(text, "# Convproxy\r\n", 13);
    assert_non_null(strstr(text, "\r\nconvproxy_connected_clients:2\r\n"));
    assert_non_null(strstr(text, "\r\nhistory_persist_errors:5\r\n"));
    assert_non_null(strstr(text, "\r\nredis_up:1\r\n"));
    assert_non_null(strstr(text, "\r\nredis_latency_p95_ms:1.250\r\n"));
    assert_non_null(strstr(text, "\r\npolicy_conv:match=conv:*,primary=redis,acting=redis,dual_write=0,"));
    free(text);
    fake_server_free(s);
}

static void test_archive_lines(void **state)
{
    struct server *s = server();
    size_t len;

    fake_server_archive(s, "no such\nhost");
    strcpy(s->archive.faults, "op=all hang");
    char *text = info_convproxy(s, &len);
    check_lines(text, len);
    assert_non_null(
        strstr(text, "\r\narchive_kind:sqlite\r\narchive_up:0\r\narchive_error:no such host\r\n"));
    assert_non_null(strstr(text, "\r\narchive_documents:7\r\n"));
    assert_non_null(strstr(text, "\r\narchive_faults:op=all hang\r\n"));
    assert_non_null(strstr(text, "primary=redis,acting=archive,"));
    assert_non_null(strstr(text, "\r\nconvproxy_healthy:0\r\n"));
    free(text);
    fake_server_free(s);
}

static void test_lines_between_the_stores(void **state)
{
    struct server *s = server();
    size_t len;

    fake_server_place(s, "conv", PLACE_REDIS);
    s->redis.aof_enabled = 1;
    s->sync.copier.dirty = 3;
    s->sync.handoff.merged = 2;
    s->places.policies[0].failovers = 1;
    char *text = info_convproxy(s, &len);
    check_lines(text, len);
    assert_non_null(strstr(text, "\r\nsync_epoch:257\r\nsync_dirty_keys:3\r\n"));
    assert_non_null(strstr(text, "\r\nsync_handed_over:2\r\n"));
    assert_non_null(strstr(text, "\r\nphase_conv:redis,place=redis,failovers=1,"));
    assert_non_null(strstr(text, "\r\nguarantee_conv:both\r\nguarantee_conv_promise:acknowledged writes are in both"));
    assert_non_null(strstr(text, "\r\nguarantee_conv_why:\r\n"));
    free(text);
    s->archive.executor.up = false;
    s->redis.aof_enabled = 0;
    text = info_convproxy(s, &len);
    assert_non_null(strstr(text, "\r\nguarantee_conv:redis\r\n"));
    assert_non_null(strstr(text, "\r\nguarantee_conv_why:the archive is down: "));
    assert_non_null(strstr(text, "; Redis keeps no log on disk (appendonly no)"));
    free(text);
    fake_server_free(s);
}

/* What Redis wrote about itself must not forge lines of ours. */
static void test_errors_stay_on_their_line(void **state)
{
    struct server *s = server();
    size_t len;

    s->redis.up = false;
    strcpy(s->redis.error, "ERR a\r\nredis_up:1");
    char *text = info_convproxy(s, &len);
    check_lines(text, len);
    assert_non_null(strstr(text, "\r\nredis_up:0\r\n"));
    assert_null(strstr(text, "\r\nredis_up:1\r\n"));
    assert_non_null(strstr(text, "\r\nconvproxy_healthy:0\r\n"));
    free(text);
    fake_server_free(s);
}

static void test_wants_convproxy(void **state)
{
    struct slice all[] = {NAME("ALL"), NAME("Convproxy"), NAME("memory")};

    assert_true(info_wants_convproxy(NULL, 0));
    assert_true(info_wants_convproxy(&all[0], 1));
    assert_true(info_wants_convproxy(&all[1], 1));
    assert_false(info_wants_convproxy(&all[2], 1));
    assert_true(info_wants_convproxy(&all[1], 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_sections),      cmocka_unit_test(test_some_sections),
        cmocka_unit_test(test_version_last_seen), cmocka_unit_test(test_convproxy_section),
        cmocka_unit_test(test_lines_between_the_stores),
        cmocka_unit_test(test_archive_lines),     cmocka_unit_test(test_errors_stay_on_their_line),
        cmocka_unit_test(test_wants_convproxy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
