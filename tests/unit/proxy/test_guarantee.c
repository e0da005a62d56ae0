/* What is promised under which facts, row by row. */
#include "proxy/guarantee.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* All is well: Redis acts, and writes are in both stores before they are acknowledged. */
static const struct guarantee_facts well = {.phase = PHASE_REDIS,
                                            .dual_write = true,
                                            .ack_both = true,
                                            .redis_up = true,
                                            .archive_present = true,
                                            .archive_up = true};

struct heard {
    unsigned lowering, warnings;
    char last[200];
};

static void hear(void *ctx, const char *sentence, bool lowers)
{
    struct heard *h = ctx;
    if (lowers)
        h->lowering++;
    else
        h->warnings++;
    snprintf(h->last, sizeof h->last, "%s", sentence);
}

/* words: of the last reason; NULL: there is none. */
static void expect(const struct guarantee_facts *f, const char *what, const char *level, bool lowers,
                   const char *words)
{
    struct guarantee g;
    struct heard h = {0};

    guarantee_of(f, &g);
    guarantee_each(&g, hear, &h);
    if (strcmp(guarantee_name(g.level), level) != 0)
        fail_msg("%s: %s, expected %s", what, guarantee_name(g.level), level);
    if (h.lowering + h.warnings != (words != NULL) || (h.lowering > 0) != lowers)
        fail_msg("%s: %u reasons, %u warnings", what, h.lowering, h.warnings);
    if (words != NULL && strstr(h.last, words) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", what, h.last, words);
    assert_true(strchr(h.last, '%') == NULL && strlen(guarantee_promise(g.level)) > 20);
}

#define CASE(base, change, level, lowers, words)                                                             \
    do {                                                                                                     \
        struct guarantee_facts f = base;                                                                     \
        change;                                                                                              \
        expect(&f, #change, level, lowers, words);                                                           \
    } while (0)

static void test_what_lowers_it(void **state)
{
    CASE(well, (void)f, "both", false, NULL);
    CASE(well, f.phase = PHASE_HOLD, "none", true, "changing places");
    CASE(well, f.redis_up = false, "none", true, "Redis, which acts, is down");
    CASE(well, strcpy(f.evicts, "allkeys-lru"), "none", true,
         "maxmemory-policy is allkeys-lru, expected noeviction");
    CASE(well, f.replica = true, "none", true, "its master overwrites");
    CASE(well, f.replica = f.read_only = true, "none", true, "refuses writes");
    CASE(well, f.archive_racy = true, "none", true, "not atomic");
    CASE(well, f.archive_present = f.archive_up = false, "redis", true, "there is no archive");
    CASE(well, f.dual_write = false, "redis", true, "dual_write is off");
    CASE(well, f.archive_up = false, "redis", true, "the archive is down");
    CASE(well, f.ack_both = false, "archived", true, "ack is primary");
    CASE(well, f.marks = 7;
         f.marks_age_s = 10, "archived", true, "7 keys, some since 10 s, are not archived yet");
    CASE(well, f.clock_offset_ms = 501, "archived", true, "differ by 501 ms, more than");
    CASE(well, f.clock_offset_ms = -501, "archived", true, "differ by 501 ms, more than");
    CASE(well, f.mismatches = 3, "archived", true, "has found 3 keys that differ");
}

static void test_what_only_warns(void **state)
{
    CASE(well, f.marks = 100000; f.marks_age_s = 9, "both", false, NULL);
    CASE(well, f.clock_offset_ms = 399, "both", false, NULL);
    CASE(well, f.clock_offset_ms = 400, "both", false, "differ by 400 ms; at 500 ms");
    CASE(well, f.clock_offset_ms = -500, "both", false, "differ by 500 ms; at 500 ms");
    CASE(well, f.no_aof = true, "both", false, "appendonly no");
}

/* While the archive acts, nothing about Redis matters; while keys are handed back, Redis acts. */
static void test_phases(void **state)
{
    struct guarantee_facts archive = well, catchup = well;

    archive.phase = PHASE_ARCHIVE;
    catchup.phase = PHASE_CATCHUP;
    CASE(archive, (void)f, "archive", false, NULL);
    CASE(archive, f.redis_up = f.dual_write = f.ack_both = false, "archive", false, NULL);
    CASE(archive, f.replica = f.no_aof = true; f.clock_offset_ms = 9999; f.marks = 5;
         f.marks_age_s = 99, "archive", false, NULL);
    CASE(archive, f.archive_up = false, "none", true, "the archive, which acts, is down");
    CASE(catchup, (void)f, "both", false, NULL);
    CASE(catchup, f.archive_up = false, "redis", true, "the archive is down");
}

/* The least of what the reasons allow, whatever their order. */
static void test_the_least_counts(void **state)
{
    struct guarantee_facts f = well;
    struct guarantee g;
    struct heard h = {0};

    f.ack_both = f.archive_up = false;
    f.no_aof = true;
    guarantee_of(&f, &g);
    guarantee_each(&g, hear, &h);
    assert_string_equal(guarantee_name(g.level), "redis");
    assert_int_equal(h.lowering, 2);
    assert_int_equal(h.warnings, 1);
}

static char logged[4096];

static void take_log(void **state)
{
    char path[] = "/tmp/guarantee-XXXXXX";
    struct guarantee_log *log = guarantee_log_new();
    struct guarantee both, redis;
    struct guarantee_facts f = well;
    int saved = dup(STDERR_FILENO), fd = mkstemp(path);

    guarantee_of(&f, &both);
    f.dual_write = false;
    guarantee_of(&f, &redis);
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    for (int i = 0; i < 3; i++)
        guarantee_log_tell(log, "conv", &both);
    for (int i = 0; i < 3; i++)
        guarantee_log_tell(log, "conv", &redis);
    guarantee_log_tell(log, "other", &redis);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    ssize_t n = pread(fd, logged, sizeof logged - 1, 0);
    logged[n > 0 ? n : 0] = '\0';
    close(saved);
    close(fd);
    unlink(path);
    guarantee_log_free(log);
}

static void test_a_change_is_logged_once(void **state)
{
    int lines = 0;

    take_log(state);
    for (const char *p = logged; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_int_equal(lines, 3);
    assert_non_null(strstr(logged, "level=info event=guarantee policy=conv now=both before=-"));
    assert_non_null(strstr(logged, "level=warn event=guarantee policy=conv now=redis before=both"));
    assert_non_null(strstr(logged, "dual_write is off"));
    assert_non_null(strstr(logged, "policy=other now=redis before=-"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_lowers_it),
        cmocka_unit_test(test_what_only_warns),
        cmocka_unit_test(test_phases),
        cmocka_unit_test(test_the_least_counts),
        cmocka_unit_test(test_a_change_is_logged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
