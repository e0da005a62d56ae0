/* What is known about Redis: INFO's fields, when up changes, and how often that is logged. */
#include "backends/redis/health.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_info_fields(void **state)
{
    static const char info[] = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\nrun_id:abc\r\n"
                               "uptime_in_seconds:17\r\n\r\n# Clients\r\nconnected_clients:5\r\n"
                               "# Memory\r\nused_memory:1234567890123\r\nused_memory_human:1.2T\r\n"
                               "maxmemory:99\r\nmaxmemory_policy:noeviction\r\n"
                               "# Stats\r\nevicted_keys:3\r\nkeyspace_hits:4\r\nkeyspace_misses:6\r\n"
                               "# Persistence\r\naof_enabled:1\r\n"
                               "# Replication\r\nrole:slave\r\nslave_read_only:1\r\n";
    struct health h;
    struct probe_report r;

    health_init(&h);
    health_info(&h, info);
    health_report(&h, &r);
    assert_string_equal(r.version, "7.0.15");
    assert_string_equal(r.mode, "standalone");
    assert_string_equal(r.run_id, "abc");
    assert_string_equal(r.role, "slave");
    assert_string_equal(r.maxmemory_policy, "noeviction");
    assert_true(r.used_memory == 1234567890123 && r.maxmemory == 99 && r.uptime_s == 17);
    assert_true(r.evicted_keys == 3 && r.keyspace_hits == 4 && r.keyspace_misses == 6);
    assert_true(r.connected_clients == 5 && r.replica_read_only == 1);
    assert_true(r.aof_enabled == 1);
    health_done(&h);
}

/* Words, seconds, and databases: one that is empty has no line any more. */
static void test_info_of_persistence_and_keys(void **state)
{
    struct health h;

    health_init(&h);
    assert_int_equal(h.report.rdb_last_bgsave, PROBE_UNKNOWN);
    health_info(&h, "maxclients:10000\r\nblocked_clients:2\r\nrejected_connections:7\r\nexpired_keys:8\r\n"
                    "used_memory_rss:99\r\nrdb_last_save_time:1700000000\r\nrdb_changes_since_last_save:5\r\n"
                    "rdb_last_bgsave_status:err\r\naof_last_write_status:ok\r\n"
                    "used_cpu_sys:1.250000\r\nused_cpu_user:0.001935\r\n"
                    "db0:keys=12,expires=9,avg_ttl=1000\r\ndb15:keys=3,expires=0,avg_ttl=0\r\n"
                    "db16:keys=1,expires=1,avg_ttl=0\r\ndbx:keys=1\r\n");
    const struct probe_report *r = &h.report;
    assert_true(r->maxclients == 10000 && r->blocked_clients == 2 && r->rejected_connections == 7);
    assert_true(r->expired_keys == 8 && r->used_memory_rss == 99);
    assert_true(r->rdb_last_save_s == 1700000000 && r->rdb_changes == 5);
    assert_int_equal(r->rdb_last_bgsave, PROBE_NOT_OK);
    assert_int_equal(r->aof_last_write, PROBE_OK);
    assert_true(r->cpu_sys_us == 1250000 && r->cpu_user_us == 1935);
    assert_true(r->keys[0] == 12 && r->keys_expiring[0] == 9 && r->keys[15] == 3);
    health_info(&h, "rdb_last_bgsave_status:ok\r\ndb15:keys=4,expires=4,avg_ttl=0\r\n");
    assert_int_equal(r->rdb_last_bgsave, PROBE_OK);
    assert_true(r->keys[0] == 0 && r->keys_expiring[0] == 0 && r->keys[15] == 4 && r->keys_expiring[15] == 4);
    health_done(&h);
}

/* A replica that was promoted has no line slave_read_only any more. */
static void test_promotion(void **state)
{
    struct health h;

    health_init(&h);
    health_info(&h, "role:slave\r\nslave_read_only:1\r\n");
    health_info(&h, "role:master\r\n");
    assert_string_equal(h.report.role, "master");
    assert_true(h.report.replica_read_only == 0);
    health_done(&h);
}

static void test_odd_info(void **state)
{
    char text[4096];
    struct health h;

    health_init(&h);
    health_info(&h, "");
    health_info(&h, "\r\n:\r\nrole\r\nused_memory:\r\nredis_version_x:1\r\nused_memory:12x");
    assert_true(h.report.used_memory == 12);
    assert_string_equal(h.report.version, "");
    memset(text, 'x', sizeof text);
    memcpy(text, "redis_version:", 14);
    text[sizeof text - 1] = '\0';
    health_info(&h, text);
    assert_int_equal(strlen(h.report.version), sizeof h.report.version - 1);
    health_done(&h);
}

static unsigned lines_with(const char *text, const char *word)
{
    unsigned n = 0;

    for (const char *p = text; (p = strstr(p, word)) != NULL; p++)
        n++;
    return n;
}

/* A change is told once; the same state with the same or another reason soon after is not. */
static void test_settle_logs_changes(void **state)
{
    struct health h;
    char text[4096] = "";
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    log_setup(LOG_INFO, LOG_LOGFMT, fds[1]);
    health_init(&h);
    assert_false(h.report.known);
    assert_true(health_settle(&h, "refused"));
    assert_true(h.report.known && !h.report.up);
    assert_false(health_settle(&h, "refused"));
    assert_false(health_settle(&h, "LOADING"));
    assert_string_equal(h.report.error, "LOADING");
    int64_t down_since = h.report.since_us;
    assert_true(health_settle(&h, ""));
    assert_true(h.report.up && h.report.since_us >= down_since);
    assert_string_equal(h.report.error, "");
    assert_false(health_settle(&h, ""));
    assert_true(health_settle(&h, "lost"));
    log_setup(LOG_INFO, LOG_LOGFMT, 2);
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);

    assert_int_equal(lines_with(text, "event=redis_error"), 2);
    assert_int_equal(lines_with(text, "event=redis_up"), 1);
    assert_int_equal(lines_with(text, "reason=refused"), 1);
    assert_int_equal(lines_with(text, "reason=lost"), 1);
    health_done(&h);
}

static void test_first_probe_good(void **state)
{
    struct health h;

    health_init(&h);
    log_setup(LOG_ERROR, LOG_LOGFMT, 2);
    assert_true(health_settle(&h, ""));
    assert_true(h.report.known && h.report.up);
    health_done(&h);
}

static void test_pings(void **state)
{
    struct health h;

    health_init(&h);
    for (int i = 0; i < 98; i++)
        health_ping(&h, 100);
    health_ping(&h, 9000);
    health_ping(&h, 9000);
    assert_true(h.report.latency_us == 9000);
    assert_true(h.report.ping_p50_us >= 96 && h.report.ping_p50_us <= 104);
    assert_true(h.report.ping_p99_us >= 8700 && h.report.ping_p99_us <= 9300);
    health_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_info_fields),
        cmocka_unit_test(test_info_of_persistence_and_keys),      cmocka_unit_test(test_promotion),
        cmocka_unit_test(test_odd_info),         cmocka_unit_test(test_settle_logs_changes),
        cmocka_unit_test(test_first_probe_good), cmocka_unit_test(test_pings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
