/* Every pair of a place and a set of facts that can be true together: where it leads, and what must hold on the way. */
#include "router/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include <string.h>

static bool has(uint32_t facts, uint32_t bits)
{
    return (facts & bits) == bits;
}

/* What follows from what: combinations that can't be are not asked. */
static bool is_possible(uint32_t f)
{
    static const struct {
        uint32_t is, so;
    } implied[] = {
        {FACT_REDIS, FACT_ASKED | FACT_THERE}, {FACT_OURS, FACT_REDIS}, {FACT_WELL, FACT_REDIS},
        {FACT_CLEAN, FACT_NEARLY_CLEAN},       {FACT_NEW, FACT_KNOWN},  {FACT_LAST_REDIS, FACT_KNOWN},
        {FACT_LAST_ARCHIVE, FACT_KNOWN},
    };
    unsigned last = has(f, FACT_NEW) + has(f, FACT_LAST_REDIS) + has(f, FACT_LAST_ARCHIVE);

    for (size_t i = 0; i < sizeof implied / sizeof implied[0]; i++)
        if (has(f, implied[i].is) && !has(f, implied[i].so))
            return false;
    return last == has(f, FACT_KNOWN);
}

static void each(void (*fn)(enum place from, enum place to, uint32_t facts))
{
    for (uint32_t f = 0; f < 1u << FACTS; f++) {
        if (!is_possible(f))
            continue;
        for (enum place p = 0; p < PLACES; p++)
            fn(p, place_next(p, f), f);
    }
}

/* The acting store never changes but by way of HOLD. */
static void check_hold(enum place from, enum place to, uint32_t facts)
{
    enum phase a = place_phase(from), b = place_phase(to);

    if (a == PHASE_ARCHIVE)
        assert_true(b == PHASE_ARCHIVE || b == PHASE_HOLD);
    if (a == PHASE_REDIS || a == PHASE_CATCHUP)
        assert_true(b != PHASE_ARCHIVE);
    if (b == PHASE_CATCHUP && a != b)
        assert_int_equal(a, PHASE_HOLD);
}

/* The archive acts only when nothing is on its way any more, or when Redis has never acted. */
static void check_archive(enum place from, enum place to, uint32_t facts)
{
    if (to != PLACE_ARCHIVE || from == to || place_phase(from) == PHASE_ARCHIVE)
        return;
    if (from == PLACE_LEAVE)
        assert_true(has(facts, FACT_QUIET | FACT_COPIED | FACT_ARCHIVE));
    if (from == PLACE_LEAVE)
        assert_true(has(facts, FACT_CLEAN));
    assert_int_not_equal(from, PLACE_LOSE);
    if (from == PLACE_SETTLE)
        assert_true(has(facts, FACT_LATE) || has(facts, FACT_QUIET | FACT_COPIED | FACT_ARCHIVE));
    if (from == PLACE_START)
        assert_true(has(facts, FACT_KNOWN) && !has(facts, FACT_LAST_REDIS));
}

/* The archive does what it lacks when nothing is on its way any more. */
static void check_settle(enum place from, enum place to, uint32_t facts)
{
    if (to == PLACE_SETTLE && from != to)
        assert_true(from == PLACE_LOSE && has(facts, FACT_QUIET | FACT_COPIED | FACT_ARCHIVE));
}

/* Redis acts only when it is ours, and when every key is its own. */
static void check_redis(enum place from, enum place to, uint32_t facts)
{
    if (to == PLACE_CATCHUP && from == PLACE_FIRST)
        assert_true(has(facts, FACT_CLAIMED));
    if (to == PLACE_CATCHUP && from == PLACE_RETURN)
        assert_true(has(facts, FACT_OURS | FACT_QUIET));
    if (to == PLACE_REDIS && from == PLACE_CATCHUP)
        assert_true(has(facts, FACT_CAUGHT_UP));
    if (to == PLACE_REDIS && from == PLACE_LOSE)
        assert_true(has(facts, FACT_OURS));
    if (to == PLACE_REDIS && from == PLACE_START)
        assert_true(has(facts, FACT_LAST_REDIS) ||
                    (has(facts, FACT_LATE | FACT_REDIS) && !has(facts, FACT_KNOWN)));
}

/* Without an archive that answers nothing is taken from Redis, and what the archive has is not given away. */
static void check_archive_down(enum place from, enum place to, uint32_t facts)
{
    if (has(facts, FACT_ARCHIVE))
        return;
    assert_true(to != PLACE_LEAVE || from == PLACE_LEAVE);
    assert_true(to != PLACE_LOSE || from == PLACE_LOSE || from == PLACE_LEAVE || from == PLACE_START);
    assert_true(to != PLACE_CLAIM || from == PLACE_CLAIM);
}

/* Facts that stay as they are lead somewhere and stay there: no circles. A place that is entered is not late, and a new epoch is
 * not claimed. */
static void check_settles(enum place from, enum place to, uint32_t facts)
{
    enum place at = from;

    for (int i = 0; i <= PLACES; i++) {
        enum place next = place_next(at, facts);
        if (next == at)
            return;
        facts &= ~(uint32_t)FACT_LATE;
        if (next == PLACE_CLAIM || next == PLACE_FIRST)
            facts &= ~(uint32_t)FACT_CLAIMED;
        at = next;
    }
    fail_msg("%s with facts %x never settles", place_name(from), facts);
}

static void test_hold(void **state)
{
    each(check_hold);
}

static void test_archive(void **state)
{
    each(check_archive);
    each(check_settle);
}

static void test_redis(void **state)
{
    each(check_redis);
}

static void test_archive_down(void **state)
{
    each(check_archive_down);
}

static void test_settles(void **state)
{
    each(check_settles);
}

#define WELL (FACT_KNOWN | FACT_ARCHIVE | FACT_ASKED | FACT_THERE | FACT_REDIS | FACT_AUTOMATIC)

/* The stories, step by step. */
static void test_stories(void **state)
{
    static const struct {
        enum place from, to;
        uint32_t facts;
    } rows[] = {
        {PLACE_START, PLACE_START, 0},
        {PLACE_START, PLACE_FIRST, WELL | FACT_NEW},
        {PLACE_FIRST, PLACE_CATCHUP, WELL | FACT_NEW | FACT_CLAIMED},
        {PLACE_CATCHUP, PLACE_REDIS, WELL | FACT_NEW | FACT_OURS | FACT_CAUGHT_UP},
        {PLACE_START, PLACE_REDIS, WELL | FACT_LAST_REDIS | FACT_OURS},
        {PLACE_START, PLACE_LOSE, WELL | FACT_LAST_REDIS}, /* a stranger */
        {PLACE_START, PLACE_ARCHIVE, FACT_KNOWN | FACT_NEW | FACT_ASKED | FACT_ARCHIVE},
        {PLACE_REDIS, PLACE_LOSE, FACT_KNOWN | FACT_LAST_REDIS | FACT_ARCHIVE | FACT_ASKED | FACT_AUTOMATIC},
        {PLACE_REDIS, PLACE_REDIS,
         FACT_KNOWN | FACT_LAST_REDIS | FACT_ASKED | FACT_AUTOMATIC}, /* both are down */
        {PLACE_REDIS, PLACE_REDIS, FACT_KNOWN | FACT_LAST_REDIS | FACT_ARCHIVE | FACT_ASKED}, /* not wanted */
        {PLACE_LOSE, PLACE_SETTLE,
         FACT_KNOWN | FACT_LAST_REDIS | FACT_ARCHIVE | FACT_ASKED | FACT_AUTOMATIC | FACT_QUIET |
             FACT_COPIED},
        {PLACE_SETTLE, PLACE_SETTLE, FACT_KNOWN | FACT_LAST_ARCHIVE | FACT_ARCHIVE | FACT_AUTOMATIC | FACT_QUIET},
        {PLACE_SETTLE, PLACE_ARCHIVE, FACT_KNOWN | FACT_LAST_ARCHIVE | FACT_ARCHIVE | FACT_QUIET | FACT_COPIED},
        {PLACE_SETTLE, PLACE_ARCHIVE, FACT_KNOWN | FACT_LAST_ARCHIVE | FACT_LATE},
        {PLACE_LOSE, PLACE_LOSE, FACT_KNOWN | FACT_LAST_REDIS | FACT_ASKED | FACT_AUTOMATIC | FACT_QUIET | FACT_COPIED},
        {PLACE_LOSE, PLACE_REDIS, (WELL & ~FACT_ARCHIVE) | FACT_LAST_REDIS | FACT_OURS},
        {PLACE_ARCHIVE, PLACE_ARCHIVE, WELL | FACT_LAST_ARCHIVE}, /* not for long enough */
        {PLACE_ARCHIVE, PLACE_CLAIM, WELL | FACT_LAST_ARCHIVE | FACT_WELL},
        {PLACE_CLAIM, PLACE_RETURN, WELL | FACT_LAST_ARCHIVE | FACT_WELL | FACT_CLAIMED | FACT_OURS},
        {PLACE_RETURN, PLACE_CATCHUP, WELL | FACT_LAST_ARCHIVE | FACT_OURS | FACT_QUIET},
        {PLACE_CATCHUP, PLACE_LOSE,
         FACT_KNOWN | FACT_LAST_ARCHIVE | FACT_ARCHIVE | FACT_ASKED | FACT_AUTOMATIC},
        {PLACE_REDIS, PLACE_DRAIN, WELL | FACT_LAST_REDIS | FACT_OURS | FACT_WANT_ARCHIVE},
        {PLACE_DRAIN, PLACE_LEAVE,
         WELL | FACT_LAST_REDIS | FACT_OURS | FACT_WANT_ARCHIVE | FACT_NEARLY_CLEAN},
        {PLACE_DRAIN, PLACE_REDIS, WELL | FACT_LAST_REDIS | FACT_OURS | FACT_NEARLY_CLEAN}, /* called off */
        {PLACE_LEAVE, PLACE_ARCHIVE,
         WELL | FACT_LAST_REDIS | FACT_OURS | FACT_WANT_ARCHIVE | FACT_NEARLY_CLEAN | FACT_CLEAN |
             FACT_QUIET | FACT_COPIED},
        {PLACE_LEAVE, PLACE_DRAIN, WELL | FACT_LAST_REDIS | FACT_OURS | FACT_WANT_ARCHIVE | FACT_LATE},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_string_equal(place_name(place_next(rows[i].from, rows[i].facts)), place_name(rows[i].to));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hold),         cmocka_unit_test(test_archive), cmocka_unit_test(test_redis),
        cmocka_unit_test(test_archive_down), cmocka_unit_test(test_settles), cmocka_unit_test(test_stories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
