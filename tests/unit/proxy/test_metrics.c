/* The page for Prometheus: its form, where each number comes from, and what happens without traffic. */
#include "fake_server.h"
#include "proxy/metrics.h"
#include "router/command.h"

#include "base/clock.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *page_of(const struct server *s)
{
    struct overview o;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    overview_take(&o, s);
    metrics_write(out, &o);
    overview_done(&o);
    fclose(out);
    return text;
}

/* The value of the sample line that starts with name_and_labels; fails when there is none. */
static double sample(const char *page, const char *name_and_labels)
{
    size_t n = strlen(name_and_labels);

    for (const char *line = page; line != NULL;
         line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
        if (strncmp(line, name_and_labels, n) == 0 && line[n] == ' ')
            return strtod(line + n, NULL);
    fail_msg("%s is not there", name_and_labels);
    return NAN;
}

static struct server *server(void)
{
    static const char *const sets[] = {"conv.match=conv:*"};
    return fake_server_new(sets, 1);
}

/* Value, then the end of the line; name, then a blank or {labels}. */
static void check_sample_line(const char *line)
{
    size_t len = strcspn(line, "\n"), name = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
    const char *blank = memrchr(line, ' ', len);
    char *end;

    assert_true(name > 0 && (line[name] == ' ' || line[name] == '{'));
    assert_non_null(blank);
    assert_true(isfinite(strtod(blank + 1, &end)));
    assert_ptr_equal(end, line + len);
    if (line[name] == '{')
        assert_true(blank[-1] == '}');
    else
        assert_ptr_equal(blank, line + name);
}

static void test_form(void **state)
{
    struct server *s = server();
    fake_stats();
    char *page = page_of(s);
    unsigned helps = 0, types = 0, samples = 0;

    for (const char *line = page; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strncmp(line, "# HELP ", 7) == 0)
            helps++;
        else if (strncmp(line, "# TYPE ", 7) == 0)
            types++;
        else {
            check_sample_line(line);
            samples++;
        }
    }
    assert_int_equal(helps, types);
    assert_true(helps > 50 && samples > helps);
    free(page);
    fake_server_free(s);
}

static void test_labels_are_escaped(void **state)
{
    struct server *s = server();
    unsigned id = stats_policy_id("a\"b\\c\nd");
    counter_add(&fake_stats()->policies[id].writes, 4);
    char *page = page_of(s);

    assert_true(sample(page, "convproxy_policy_writes_total{policy=\"a\\\"b\\\\c\\nd\"}") == 4);
    free(page);
    fake_server_free(s);
}

static void test_numbers_come_from_the_statistics(void **state)
{
    struct server *s = server();
    struct stats *stats = fake_stats();
    unsigned conv = stats_policy_id("conv");
    const struct command *get = command_find((struct slice){"get", 3});

    counter_add(&stats->clients_accepted, 5);
    counter_add(&stats->clients_closed, 2);
    counter_add(&stats->bytes_in, 12345678901);
    counter_add(&stats->commands[get->id].calls, 3);
    counter_add(&stats->commands[get->id].usec, 1500000);
    counter_add(&stats->commands[STATS_UNKNOWN].calls, 1);
    counter_add(&stats->policies[conv].persist_errors[PERSIST_OOM], 2);
    counter_add(&stats->policies[conv].reads_miss, 7);
    char *page = page_of(s);

    assert_true(sample(page, "redis_up") == 1);
    assert_true(sample(page, "convproxy_clients_connected") == 3);
    assert_non_null(strstr(page, "convproxy_bytes_in_total 12345678901\n"));
    assert_true(sample(page, "convproxy_commands_total{command=\"get\"}") == 3);
    assert_true(sample(page, "convproxy_command_seconds_total{command=\"get\"}") == 1.5);
    assert_true(sample(page, "convproxy_commands_total{command=\"unknown\"}") == 1);
    assert_null(strstr(page, "command=\"zadd\""));
    assert_true(
        sample(page, "history_persist_errors_total{policy=\"conv\",store=\"redis\",reason=\"oom\"}") == 2);
    assert_true(
        sample(page, "history_persist_errors_total{policy=\"conv\",store=\"redis\",reason=\"timeout\"}") ==
        0);
    assert_true(sample(page, "context_retrievals_total{policy=\"conv\",result=\"miss\"}") == 7);
    assert_true(sample(page, "conv_acting_primary{policy=\"conv\",store=\"redis\"}") == 1);
    assert_true(sample(page, "conv_dual_write{policy=\"conv\"}") == 0);
    assert_true(fabs(sample(page, "convproxy_uptime_seconds") - 3600) < 60);
    free(page);
    fake_server_free(s);
}

static void test_msg_count_before_is_cumulative(void **state)
{
    struct server *s = server();
    struct policy_stats *p = &fake_stats()->policies[stats_policy_id("conv")];

    counter_add(&p->msg_buckets[0], 1);  /* 0 */
    counter_add(&p->msg_buckets[3], 2);  /* 3 to 5 */
    counter_add(&p->msg_buckets[11], 4); /* more than 1000 */
    counter_add(&p->msg_sum, 5000);
    char *page = page_of(s);

    assert_true(sample(page, "msg_count_before_bucket{policy=\"conv\",le=\"0\"}") == 1);
    assert_true(sample(page, "msg_count_before_bucket{policy=\"conv\",le=\"2\"}") == 1);
    assert_true(sample(page, "msg_count_before_bucket{policy=\"conv\",le=\"5\"}") == 3);
    assert_true(sample(page, "msg_count_before_bucket{policy=\"conv\",le=\"1000\"}") == 3);
    assert_true(sample(page, "msg_count_before_bucket{policy=\"conv\",le=\"+Inf\"}") == 7);
    assert_true(sample(page, "msg_count_before_count{policy=\"conv\"}") == 7);
    assert_true(sample(page, "msg_count_before_sum{policy=\"conv\"}") == 5000);
    free(page);
    fake_server_free(s);
}

/* Without traffic the latency is that of the PINGs; the first command takes over. */
static void test_latency_of_pings_then_of_commands(void **state)
{
    struct server *s = server();
    struct stats *stats = fake_stats();

    s->redis.ping_p50_us = 150;
    s->redis.ping_p95_us = 250;
    s->redis.ping_p99_us = 350;
    char *page = page_of(s);
    assert_true(sample(page, "redis_latency_p50_ms") == 0.15);
    assert_true(sample(page, "redis_latency_p95_ms") == 0.25);
    assert_true(sample(page, "redis_latency_p99_ms") == 0.35);
    assert_true(sample(page, "convproxy_redis_latency_seconds_count") == 0);
    free(page);

    for (int i = 0; i < 100; i++) {
        hist_record(&stats->redis_latency, 2000);
        hist_window_record(&stats->redis_latency_window, 2000, clock_mono_us());
    }
    page = page_of(s);
    assert_true(fabs(sample(page, "redis_latency_p95_ms") - 2) < 0.07);
    assert_true(sample(page, "convproxy_redis_latency_seconds_bucket{le=\"0.001\"}") == 0);
    assert_true(sample(page, "convproxy_redis_latency_seconds_bucket{le=\"0.005\"}") == 100);
    assert_true(sample(page, "convproxy_redis_latency_seconds_bucket{le=\"+Inf\"}") == 100);
    assert_true(fabs(sample(page, "convproxy_redis_latency_seconds_sum") - 0.2) < 1e-9);
    free(page);
    fake_server_free(s);
}

static void test_down(void **state)
{
    struct server *s = server();

    s->redis =
        (struct probe_report){.known = true, .state = "reconnecting", .reconnects = 3, .error = "refused"};
    char *page = page_of(s);
    assert_true(sample(page, "redis_up") == 0);
    assert_true(sample(page, "convproxy_redis_reconnect_attempts") == 3);
    free(page);
    fake_server_free(s);
}

/* What Redis has told; what it has not told is missing and not 0. */
static void test_redis_info(void **state)
{
    struct server *s = server();
    char *page = page_of(s);
    assert_null(strstr(page, "\nredis_rdb_last_bgsave_ok "));
    assert_null(strstr(page, "\nconv_keys_without_ttl{"));
    assert_true(sample(page, "redis_db_keys{db=\"0\"}") == 0);
    assert_true(sample(page, "convproxy_redis_state{state=\"connected\"}") == 1);
    assert_true(sample(page, "convproxy_redis_state{state=\"failed\"}") == 0);
    free(page);

    s->redis.keys[3] = 7;
    s->redis.keys_expiring[3] = 2;
    s->redis.cpu_sys_us = 1500000;
    s->redis.cpu_user_us = 250000;
    s->redis.rdb_last_bgsave = PROBE_NOT_OK;
    s->redis.aof_last_write = PROBE_OK;
    page = page_of(s);
    assert_true(sample(page, "redis_db_keys{db=\"3\"}") == 7);
    assert_true(sample(page, "redis_db_keys_expiring{db=\"3\"}") == 2);
    assert_null(strstr(page, "db=\"1\""));
    assert_true(sample(page, "redis_cpu_seconds_total") == 1.75);
    assert_true(sample(page, "redis_rdb_last_bgsave_ok") == 0);
    assert_true(sample(page, "redis_aof_last_write_ok") == 1);
    assert_true(sample(page, "process_threads") >= 1);
    s->redis.version[0] = '\0';
    free(page);
    page = page_of(s);
    assert_null(strstr(page, "\nredis_db_keys{"));
    free(page);
    fake_server_free(s);
}

static void test_no_archive(void **state)
{
    struct server *s = server();
    char *page = page_of(s);

    assert_true(sample(page, "mongo_up") == 0);
    assert_true(sample(page, "archive_up{kind=\"none\"}") == 0);
    assert_true(sample(page, "archive_faults_active") == 0);
    assert_null(strstr(page, "\narchive_documents "));
    assert_null(strstr(page, "operation="));
    free(page);
    fake_server_free(s);
}

static void test_archive(void **state)
{
    struct server *s = server();
    struct stats *stats = fake_stats();
    struct hist took = {0};

    fake_server_archive(s, NULL);
    s->archive.executor.parked = 3;
    s->archive.executor.swept = 11;
    strcpy(s->archive.faults, "op=load hang");
    s->calls.errors[ERR_ARCHIVELOST] = 2;
    hist_record(&took, 700);
    hist_add_to(&took, &s->calls.us);
    counter_add(&stats->policies[stats_policy_id("conv")].persist_errors[PERSIST_ARCHIVE_LOST], 4);
    char *page = page_of(s);

    assert_true(sample(page, "mongo_up") == 1);
    assert_true(sample(page, "archive_up{kind=\"sqlite\"}") == 1);
    assert_true(sample(page, "archive_queue_commands{state=\"parked\"}") == 3);
    assert_true(sample(page, "archive_swept_documents_total") == 11);
    assert_true(sample(page, "archive_documents") == 7);
    assert_true(sample(page, "archive_bytes") == 4096);
    assert_true(sample(page, "archive_faults_active") == 1);
    assert_true(sample(page, "archive_operation_seconds_bucket{operation=\"commit\",le=\"0.0005\"}") == 0);
    assert_true(sample(page, "archive_operation_seconds_bucket{operation=\"commit\",le=\"0.001\"}") == 1);
    assert_true(sample(page, "archive_operation_seconds_count{operation=\"ping\"}") == 1);
    assert_true(sample(page, "archive_operation_errors_total{operation=\"load\",error=\"archivelost\"}") ==
                2);
    assert_true(sample(page, "conv_acting_primary{policy=\"conv\",store=\"archive\"}") == 1);
    assert_true(sample(page, "conv_acting_primary{policy=\"conv\",store=\"redis\"}") == 0);
    assert_true(
        sample(page, "history_persist_errors_total{policy=\"conv\",store=\"archive\",reason=\"lost\"}") == 4);
    free(page);
    fake_server_free(s);
}

static void test_between_the_stores(void **state)
{
    struct server *s = server();
    struct stats *stats = fake_stats();
    struct move_order order = {.kind = MOVE_VERIFY, .policy = "conv"};
    char why[100];

    fake_server_place(s, "conv", PLACE_CATCHUP);
    s->places.policies[0].failovers = 2;
    s->places.policies[0].held_max_us = 1500000;
    s->sync.copier.dirty = 12;
    s->sync.copier.oldest_us = clock_mono_us() - 3000000;
    s->sync.copier.copied = 5;
    s->sync.copier.tombstones = 1;
    s->sync.handoff.restored = 3;
    s->sync.handoff.merged = 4;
    s->sync.handoff.quarantined = 1;
    atomic_store(&stats->held, 9);
    counter_add(&stats->policies[stats_policy_id("conv")].unarchived, 7);
    assert_true(moves_order(s->moves, &order, why, sizeof why) == 1);
    char *page = page_of(s);

    assert_true(sample(page, "conv_phase{policy=\"conv\",phase=\"catchup\"}") == 1);
    assert_true(sample(page, "conv_phase{policy=\"conv\",phase=\"redis\"}") == 0);
    assert_true(sample(page, "conv_acting_primary{policy=\"conv\",store=\"redis\"}") == 1);
    assert_true(sample(page, "conv_dual_write{policy=\"conv\"}") == 1);
    assert_true(sample(page, "conv_failovers_total{policy=\"conv\"}") == 2);
    assert_true(sample(page, "conv_longest_pause_seconds{policy=\"conv\"}") == 1.5);
    assert_true(sample(page, "conv_guarantee{policy=\"conv\",level=\"both\"}") == 1);
    assert_true(sample(page, "conv_guarantee{policy=\"conv\",level=\"none\"}") == 0);
    assert_true(sample(page, "conv_epoch") == 257);
    assert_true(sample(page, "conv_dirty_keys") == 12);
    assert_true(fabs(sample(page, "conv_copy_lag_seconds") - 3) < 0.5);
    assert_true(sample(page, "conv_copied_total") == 6);
    assert_true(sample(page, "conv_handed_over_total") == 7);
    assert_true(sample(page, "conv_quarantined_total") == 1);
    assert_true(sample(page, "conv_held_requests") == 9);
    assert_true(sample(page, "conv_unarchived_total{policy=\"conv\"}") == 7);
    assert_true(sample(page, "conv_moves{kind=\"verify\",state=\"waiting\"}") == 1);
    assert_true(sample(page, "conv_moves{kind=\"backfill\",state=\"waiting\"}") == 0);
    assert_true(sample(page, "conv_verify_mismatches{policy=\"conv\"}") == 0);
    free(page);
    atomic_store(&stats->held, 0);
    fake_server_free(s);
}

/* Every metric of the page is in the reference, with its help. */
static void test_markdown_has_every_name(void **state)
{
    struct server *s = server();
    char *page = page_of(s), *markdown, cell[160];
    size_t len;
    FILE *out = open_memstream(&markdown, &len);

    metrics_markdown(out);
    fclose(out);
    for (const char *line = page; (line = strstr(line, "# TYPE ")) != NULL; line++) {
        char name[100], type[20];
        assert_int_equal(sscanf(line, "# TYPE %99s %19s", name, type), 2);
        snprintf(cell, sizeof cell, "| `%s` | %s |", name, type);
        assert_non_null(strstr(markdown, cell));
    }
    free(markdown);
    free(page);
    fake_server_free(s);
}

int main(void)
{
    /* In order: the statistics are the process's, and each test adds to them. */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_labels_are_escaped),
        cmocka_unit_test(test_numbers_come_from_the_statistics),
        cmocka_unit_test(test_msg_count_before_is_cumulative),
        cmocka_unit_test(test_latency_of_pings_then_of_commands),
        cmocka_unit_test(test_down),
        cmocka_unit_test(test_redis_info),
        cmocka_unit_test(test_no_archive),
        cmocka_unit_test(test_archive),
        cmocka_unit_test(test_between_the_stores),
        cmocka_unit_test(test_markdown_has_every_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
