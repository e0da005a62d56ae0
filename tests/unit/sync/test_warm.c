#include "sync/warm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct warm *w;

static int set_up(void **state)
{
    (void)state;
    w = warm_new();
    warm_want(w, true);
    warm_scan_begin(w);
    warm_scan_end(w);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    warm_free(w);
    return 0;
}

static struct slice slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static struct warm_key warm_of(const char *key, size_t bytes)
{
    return (struct warm_key){.key = slice(key), .policy = "conv", .tier = RECORD_WARM, .expire_ms = -1, .bytes = bytes};
}

static void leave(const char *key)
{
    assert_true(warm_announce(w, slice(key)));
    assert_true(warm_leave(w, slice(key)));
}

static void settle(const char *key, bool away)
{
    struct warm_key k = warm_of(key, 100);
    warm_settle(w, &k, away);
}

static bool take(const char *key)
{
    bool leaving;
    bool taken = warm_take(w, slice(key), &leaving);

    assert_false(leaving);
    return taken;
}

static void expect(int64_t warm, int64_t cold)
{
    struct warm_count counts[4] = {{.policy = "conv"}};
    size_t n = warm_counts(w, counts, 4);

    assert_true(n <= 1);
    assert_string_equal(counts[0].policy, "conv");
    assert_int_equal(counts[0].keys[RECORD_WARM], warm);
    assert_int_equal(counts[0].keys[RECORD_COLD], cold);
    assert_int_equal(warm_away(w), warm + cold);
}

/* ---- one key's ways ---- */

static void test_out_and_back(void **state)
{
    (void)state;
    assert_true(warm_is_home(w, slice("k")));
    leave("k");
    assert_false(warm_is_home(w, slice("k")));
    settle("k", true);
    expect(1, 0);
    assert_true(warm_shows(w, slice("k")));
    assert_int_equal(warm_tier(w, slice("k")), RECORD_WARM);
    assert_false(warm_announce(w, slice("k")));
    assert_true(take("k"));
    assert_false(take("k"));
    assert_false(warm_is_home(w, slice("k")));
    warm_came(w, slice("k"), false);
    assert_false(warm_is_home(w, slice("k")));
    assert_true(take("k"));
    warm_came(w, slice("k"), true);
    assert_true(warm_is_home(w, slice("k")));
    assert_true(warm_shows(w, slice("k"))); /* a list that was begun before may need it */
    expect(0, 0);
    leave("k");
    settle("k", true);
    expect(1, 0);
}

static void test_who_asks_calls_it_off(void **state)
{
    (void)state;
    assert_true(warm_announce(w, slice("k")));
    assert_true(warm_is_home(w, slice("k")));
    assert_false(warm_leave(w, slice("k")));
    assert_true(warm_announce(w, slice("k")));
    warm_call_off(w, slice("k"));
    assert_false(warm_leave(w, slice("k")));
    leave("k");
    settle("k", false);
    assert_true(warm_is_home(w, slice("k")));
    assert_int_equal(warm_tier(w, slice("k")), RECORD_WORKING);
    expect(0, 0);
}

static void test_who_takes_waits_for_it_to_leave(void **state)
{
    bool leaving;

    (void)state;
    leave("k");
    assert_false(warm_take(w, slice("k"), &leaving));
    assert_true(leaving);
    settle("k", true);
    assert_true(take("k"));
}

/* ---- deleted ---- */

static void test_hidden_on_its_way_out(void **state)
{
    (void)state;
    assert_true(warm_announce(w, slice("moving")));
    warm_hide(w);
    assert_false(warm_leave(w, slice("moving")));
    expect(0, 0);
    leave("leaving");
    warm_hide(w);
    settle("leaving", false);
    expect(0, 0);
    leave("late");
    warm_hide(w);
    settle("late", true);
    assert_false(warm_shows(w, slice("late")));
    expect(0, 0);
    warm_forget(w, slice("late"));
    expect(0, 0);
}

static void test_hidden_while_it_is_away(void **state)
{
    (void)state;
    leave("away");
    settle("away", true);
    leave("coming");
    settle("coming", true);
    assert_true(take("coming"));
    warm_hide(w);
    expect(0, 0);
    assert_false(warm_shows(w, slice("away")));
    assert_false(warm_is_home(w, slice("away")));
    warm_came(w, slice("coming"), true);
    assert_true(take("away"));
    warm_came(w, slice("away"), true);
    expect(0, 0);
    leave("away"); /* it was made anew */
    settle("away", true);
    assert_true(warm_shows(w, slice("away")));
    expect(1, 0);
}

/* ---- what the archive says ---- */

static void test_a_look_through_the_archive(void **state)
{
    (void)state;
    struct warm_key seen = warm_of("seen", 0), cold = warm_of("cold", 50);

    cold.tier = RECORD_COLD;
    leave("gone");
    settle("gone", true);
    leave("new");
    warm_scan_begin(w);
    warm_add(w, &seen);
    warm_add(w, &cold);
    settle("new", true);
    warm_scan_end(w);
    expect(2, 1);
    assert_true(warm_is_home(w, slice("gone")));
    assert_false(warm_is_home(w, slice("new")));
}

static void test_what_documents_say_of_use(void **state)
{
    (void)state;
    struct record_tier said = {.level = RECORD_WARM, .importance = 40, .seen_ms = 1700000000000, .accesses = 7}, t;
    struct warm_key k = warm_of("k", 10);

    assert_false(warm_facts(w, slice("k"), &t));
    warm_add(w, &k);
    assert_false(warm_facts(w, slice("k"), &t));
    warm_learn(w, slice("k"), &said);
    assert_true(warm_facts(w, slice("k"), &t));
    assert_int_equal(t.level, RECORD_WARM);
    assert_int_equal(t.importance, 40);
    assert_int_equal(t.seen_ms, 1700000000000);
    assert_int_equal(t.accesses, 7);
    said.accesses = 100000; /* more than can be kept */
    k.facts = &said;
    warm_add(w, &k);
    assert_true(warm_facts(w, slice("k"), &t));
    assert_int_equal(t.accesses, 255);
    assert_true(take("k"));
    warm_came(w, slice("k"), true);
    assert_false(warm_facts(w, slice("k"), &t));
    warm_learn(w, slice("k"), &said);
    k.facts = NULL;
    warm_add(w, &k); /* out again: what was said then counts for nothing */
    assert_false(warm_facts(w, slice("k"), &t));
}

static void test_what_has_expired_is_dropped(void **state)
{
    (void)state;
    char name[16];
    int64_t now_ms = 5000000;

    for (int i = 0; i < 6000; i++) {
        snprintf(name, sizeof name, "k%d", i);
        struct warm_key k = warm_of(name, 10);
        k.expire_ms = i % 2 == 0 ? now_ms : -1;
        warm_add(w, &k);
    }
    struct warm_count c;
    for (int i = 0; i < 100; i++)
        warm_prune(w, now_ms + 500); /* a moment later it may still be asked for */
    assert_int_equal(warm_counts(w, &c, 1), 1);
    assert_int_equal(c.keys[RECORD_WARM], 6000);
    for (int i = 0; i < 100; i++)
        warm_prune(w, now_ms + 2000);
    assert_int_equal(warm_counts(w, &c, 1), 1);
    assert_int_equal(c.keys[RECORD_WARM], 3000);
    assert_int_equal(c.bytes[RECORD_WARM], 30000);
    assert_false(warm_is_home(w, slice("k1")));
    assert_true(warm_is_home(w, slice("k2")));
}

static void test_it_is_active_while_anything_is_away(void **state)
{
    (void)state;
    warm_want(w, false);
    assert_false(warm_active(w));
    leave("k");
    assert_true(warm_active(w));
    settle("k", true);
    assert_true(warm_active(w));
    warm_forget(w, slice("k"));
    assert_false(warm_active(w));
}

/* ---- the tallies are what a walk would count ---- */

#define KEYS  400
#define STEPS 200000

/* What a key is, told by a simpler book-keeper. */
struct told {
    enum { HOME, MOVING, LEAVING, AWAY, COMING } at;
    bool hidden;
    int tier, policy;
    size_t bytes;
};

static const char *const policies[] = {"conv", "notes", "mem"};

static struct warm_key key_like(const char *name, struct told *k)
{
    k->tier = 1 + rand() % 2;
    k->policy = rand() % 3;
    k->bytes = 1 + (size_t)(rand() % 5000);
    return (struct warm_key){slice(name), policies[k->policy], (uint8_t)k->tier, -1, k->bytes, NULL};
}

static void do_settle(const char *name, struct told *k)
{
    bool away = rand() % 2, hidden = k->hidden;
    struct warm_key key = key_like(name, k);

    warm_settle(w, &key, away);
    k->at = away ? AWAY : HOME;
    k->hidden = hidden && away;
}

static void do_add(const char *name, struct told *k)
{
    if (k->at != HOME && k->at != AWAY)
        return;
    struct warm_key key = key_like(name, k);
    warm_add(w, &key);
    k->at = AWAY;
    k->hidden = false;
}

/* The next thing that happens to it. */
static void happen(const char *name, struct told *k)
{
    switch (k->at) {
    case HOME:
        if (rand() % 4 == 0)
            do_add(name, k);
        else if (warm_announce(w, slice(name)))
            *k = (struct told){.at = MOVING};
        return;
    case MOVING:
        if (rand() % 3 == 0)
            assert_true(warm_is_home(w, slice(name)));
        else
            assert_true(warm_leave(w, slice(name)));
        k->at = warm_is_home(w, slice(name)) ? HOME : LEAVING;
        return;
    case LEAVING:
        do_settle(name, k);
        return;
    case AWAY:
        if (rand() % 4 == 0) {
            do_add(name, k);
        } else if (rand() % 4 == 0) {
            warm_forget(w, slice(name));
            k->at = HOME;
        } else {
            assert_true(take(name));
            k->at = COMING;
        }
        return;
    case COMING:
        k->at = rand() % 2 ? HOME : AWAY;
        warm_came(w, slice(name), k->at == HOME);
        k->hidden &= k->at == AWAY;
        return;
    }
}

static void hide_all(struct told *all)
{
    warm_hide(w);
    for (int i = 0; i < KEYS; i++)
        if (all[i].at == MOVING)
            all[i].at = HOME;
        else
            all[i].hidden = all[i].at != HOME;
}

static void compare(const struct told *all)
{
    struct warm_count got[4];
    int64_t keys[3][3] = {{0}}, bytes[3][3] = {{0}}, away = 0;
    size_t n = warm_counts(w, got, 4);

    for (int i = 0; i < KEYS; i++) {
        const struct told *k = &all[i];
        if (k->hidden || k->at == HOME || k->at == MOVING)
            continue;
        away++;
        if (k->at == LEAVING)
            continue; /* its tier is told when it has left */
        keys[k->policy][k->tier]++;
        bytes[k->policy][k->tier] += (int64_t)k->bytes;
    }
    assert_int_equal(warm_away(w), away);
    for (size_t i = 0; i < n; i++) {
        size_t policy = got[i].policy[0] == 'c' ? 0 : got[i].policy[0] == 'n' ? 1 : 2;
        for (int tier = 1; tier <= 2; tier++) {
            assert_int_equal(got[i].keys[tier], keys[policy][tier]);
            assert_int_equal(got[i].bytes[tier], bytes[policy][tier]);
        }
    }
}

static void test_tallies(void **state)
{
    static struct told all[KEYS];
    char name[16];

    (void)state;
    srand(20);
    for (int step = 0; step < STEPS; step++) {
        int i = rand() % KEYS;
        snprintf(name, sizeof name, "k%d", i);
        happen(name, &all[i]);
        if (step % 20011 == 20010)
            hide_all(all);
        if (step % 97 == 0)
            compare(all);
    }
    compare(all);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_out_and_back),
        TEST(test_who_asks_calls_it_off),
        TEST(test_who_takes_waits_for_it_to_leave),
        TEST(test_hidden_on_its_way_out),
        TEST(test_hidden_while_it_is_away),
        TEST(test_a_look_through_the_archive),
        TEST(test_what_documents_say_of_use),
        TEST(test_what_has_expired_is_dropped),
        TEST(test_it_is_active_while_anything_is_away),
        TEST(test_tallies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
