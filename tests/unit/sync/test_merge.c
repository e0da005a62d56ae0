#include "sync/merge.h"

#include "base/version.h"
#include "engine/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION(epoch, counter) ((int64_t)(epoch) << VERSION_COUNTER_BITS | (counter)) /* a constant */
#define EPOCH 300 /* of the hand-over */
#define V0    VERSION(256, 1000)
#define V9    VERSION(299, 1000) /* the archive has written in its own epoch */

/* ---- the table, case by case ---- */

enum { NONE = MERGE_LOSES_NONE, REDIS = MERGE_LOSES_REDIS, ARCHIVE = MERGE_LOSES_ARCHIVE };

static const struct write_id executed_ids[] = {{"a", 7}, {"b", 3}};

static struct record_write write_of(const char *session, int64_t seq)
{
    struct record_write w = {.id.seq = seq};
    snprintf(w.id.session, sizeof w.id.session, "%s", session);
    return w;
}

struct row {
    const char *name;
    struct merge_case c;
    struct record r;
    enum merge_action action;
    int loss;
};

/* Journals have two writes: a:7, which Redis has executed, and z:1, which it has not. */
#define HAS(v)       .in_redis = true, .redis = (v)
#define GONE(v)      .redis = (v)
#define JOURNAL(b)   .journalled = true, .base = (b), .nwrites = 2
#define OVERFLOWN(b) .journalled = true, .base = (b), .overflowed = true
#define RESTORED     VERSION(EPOCH, 5)

static const struct row rows[] = {
    {"nothing anywhere", {0}, {0}, MERGE_NOTHING, NONE},
    {"only Redis has it", {HAS(V0)}, {0}, MERGE_NOTHING, NONE},
    {"a copy, equal", {.document = V0, HAS(V0)}, {.redis = true}, MERGE_NOTHING, NONE},
    {"a copy, Redis newer", {.document = V0, HAS(V0 + 3)}, {.redis = true}, MERGE_NOTHING, NONE},
    {"a copy, deleted in Redis", {.document = V0, GONE(V0 + 3)}, {.redis = true}, MERGE_NOTHING, NONE},
    {"a copy, Redis empty", {.document = V0}, {.redis = true}, MERGE_ARCHIVE, NONE},
    {"a copy, Redis older", {.document = V0 + 3, HAS(V0)}, {.redis = true}, MERGE_ARCHIVE, NONE},
    {"a copy, no version in Redis", {.document = V0, HAS(0)}, {.redis = true}, MERGE_ARCHIVE, REDIS},
    {"a copy's tombstone, Redis empty", {.document = V0, .dead = true}, {.redis = true}, MERGE_NOTHING, NONE},
    {"a copy's tombstone, Redis has it still", {.document = V0 + 3, .dead = true, HAS(V0)}, {.redis = true}, MERGE_ARCHIVE, NONE},
    {"of a later epoch", {.document = VERSION(EPOCH + 1, 0), HAS(V0)}, {.redis = true}, MERGE_STALE, NONE},
    {"restored, not confirmed", {.document = RESTORED, .dirty = true, HAS(RESTORED)}, {.redis = true, JOURNAL(V0)}, MERGE_CONFIRM, NONE},
    {"restored, not confirmed, written since", {.document = RESTORED, .dirty = true, HAS(RESTORED + 2)}, {.redis = true, OVERFLOWN(V0)}, MERGE_CONFIRM, NONE},
    {"dirty without a journal, restored", {.document = RESTORED, .dirty = true, HAS(RESTORED)}, {.redis = true}, MERGE_CONFIRM, NONE},
    {"committed, not restored", {.document = RESTORED, .dirty = true, HAS(V0)}, {.redis = true, JOURNAL(V0)}, MERGE_RESTORE, NONE},
    {"committed over nothing", {.document = RESTORED, .dirty = true}, {.redis = true, JOURNAL(0)}, MERGE_RESTORE, NONE},
    {"committed in another epoch, not restored", {.document = V9, .dirty = true, HAS(V0)}, {.redis = true, JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"committed, Redis lost what was merged", {.document = RESTORED, .dirty = true, HAS(V0 - 1)}, {.redis = true, JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"committed, Redis' value has lost its version", {.document = RESTORED, .dirty = true, HAS(0)}, {.redis = true, JOURNAL(V0)}, MERGE_ARCHIVE, REDIS},
    {"committed, Redis emptied", {.document = RESTORED, .dirty = true}, {.redis = true, JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"committed over a value without version", {.document = RESTORED, .dirty = true, HAS(0)}, {.redis = true, JOURNAL(0)}, MERGE_RESTORE, NONE},
    {"committed, Redis written since", {.document = RESTORED, .dirty = true, HAS(V0 + 1)}, {.redis = true, JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"committed without a journal, Redis written since", {.document = RESTORED, .dirty = true, HAS(V0 + 1)}, {.redis = true, OVERFLOWN(V0)}, MERGE_ARCHIVE, REDIS},
    {"journal, Redis empty", {.document = V9}, {JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"journal, Redis at base", {.document = V9, HAS(V0)}, {JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"journal, Redis older than base", {.document = V9, HAS(V0 - 2)}, {JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"journal, the tail is in it", {.document = V9, HAS(V0 + 1)}, {JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"journal, one more in the tail", {.document = V9, HAS(V0 + 2)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"journal, deleted in Redis' tail", {.document = V9, GONE(V0 + 2)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"journal, of a key that was new", {.document = V9, HAS(V0 + 1)}, {JOURNAL(0)}, MERGE_REPLAY, NONE},
    {"journal, written into a Redis that was emptied", {.document = V9, HAS(0)}, {JOURNAL(0)}, MERGE_ARCHIVE, REDIS},
    {"journal, Redis' value has lost its version", {.document = V9, HAS(0)}, {JOURNAL(V0)}, MERGE_ARCHIVE, REDIS},
    {"journal of what expired, a tail", {.document = V9, .dead = true, HAS(V0 + 2)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"deleted, Redis at base", {.document = V9, .dead = true, HAS(V0)}, {JOURNAL(V0)}, MERGE_ARCHIVE, NONE},
    {"overflow, Redis at base", {.document = V9, HAS(V0)}, {OVERFLOWN(V0)}, MERGE_ARCHIVE, NONE},
    {"overflow, a tail", {.document = V9, HAS(V0 + 1)}, {OVERFLOWN(V0)}, MERGE_ARCHIVE, REDIS},
    {"overflow, deleted in Redis' tail", {.document = V9, GONE(V0 + 1)}, {OVERFLOWN(V0)}, MERGE_ARCHIVE, NONE},
    {"no journal, Redis empty", {.document = V9}, {0}, MERGE_ARCHIVE, NONE},
    {"no journal, Redis older", {.document = V9, HAS(V0)}, {0}, MERGE_ARCHIVE, NONE},
    {"no journal, equal", {.document = V9, HAS(V9)}, {0}, MERGE_CONFIRM, NONE},
    {"no journal, Redis newer", {.document = V9, HAS(V9 + 1)}, {0}, MERGE_REPLAY, ARCHIVE},
    {"no journal, expired, Redis newer", {.document = V9, .dead = true, HAS(V9 + 1)}, {0}, MERGE_REPLAY, NONE},
    {"no journal, no version in Redis", {.document = V9, HAS(0)}, {0}, MERGE_ARCHIVE, REDIS},
    {"expired, owed to nobody, Redis empty", {.document = V9, .dead = true}, {0}, MERGE_NOTHING, NONE},
    {"deleted, owed to Redis, which is empty", {.document = V9, .dead = true, .dirty = true}, {0}, MERGE_ARCHIVE, NONE},
    {"expired, Redis has it still", {.document = V9, .dead = true, HAS(V0)}, {0}, MERGE_ARCHIVE, NONE},
    {"expired in this epoch, Redis empty", {.document = VERSION(EPOCH, 9), .dead = true}, {0}, MERGE_ARCHIVE, NONE},
};

/* The same where Redis' versions say only what it was given. */
static const struct row unversioned[] = {
    {"equal", {.document = V0, HAS(V0)}, {.redis = true}, MERGE_NOTHING, NONE},
    {"Redis empty", {.document = V0}, {.redis = true}, MERGE_ARCHIVE, NONE},
    {"Redis has lost what it was given", {.document = V0, HAS(V0 - 1)}, {.redis = true}, MERGE_ARCHIVE, REDIS},
    {"restored, not confirmed", {.document = RESTORED, HAS(RESTORED)}, {.redis = true, JOURNAL(V0)}, MERGE_CONFIRM, NONE},
    {"committed, not restored", {.document = RESTORED, .dirty = true, HAS(V0)}, {.redis = true, JOURNAL(V0)}, MERGE_RESTORE, NONE},
    {"committed over no version", {.document = RESTORED, .dirty = true, HAS(0)}, {.redis = true, JOURNAL(0)}, MERGE_RESTORE, NONE},
    {"journal, Redis as it was given", {.document = V9, HAS(V0)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"journal, Redis never had a version", {.document = V9, HAS(0)}, {JOURNAL(0)}, MERGE_REPLAY, NONE},
    {"journal, Redis empty", {.document = V9}, {JOURNAL(0)}, MERGE_ARCHIVE, NONE},
    {"journal, deleted in Redis", {.document = V9, GONE(V0)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"journal, its tail can't be counted", {.document = V9, HAS(V0 + 1)}, {JOURNAL(V0)}, MERGE_REPLAY, NONE},
    {"journal, Redis is older than base", {.document = V9, HAS(V0 - 1)}, {JOURNAL(V0)}, MERGE_ARCHIVE, REDIS},
    {"overflow", {.document = V9, HAS(V0)}, {OVERFLOWN(V0)}, MERGE_ARCHIVE, REDIS},
    {"no journal", {.document = V9, HAS(V0)}, {0}, MERGE_ARCHIVE, NONE},
    {"no journal, no version", {.document = V9, HAS(0)}, {0}, MERGE_ARCHIVE, REDIS},
};

static void check_rows(const struct row *row, size_t n, bool versions_count)
{
    struct record_write writes[2] = {write_of("a", 7), write_of("z", 1)};

    for (size_t i = 0; i < n; i++, row++) {
        struct record r = row->r;
        struct merge_case c = row->c;
        r.writes = writes;
        c.record = &r;
        c.epoch = EPOCH;
        c.versions_count = versions_count;
        c.executed = (struct merge_ids){executed_ids, 2};
        struct merge_verdict v = merge_decide(&c);
        if (v.action != row->action || (int)v.loss != row->loss)
            fail_msg("%s: action %d, loss %d, by \"%s\"", row->name, v.action, v.loss, v.why);
    }
}

static void test_rules(void **state)
{
    check_rows(rows, sizeof rows / sizeof *rows, true);
}

static void test_rules_without_versions(void **state)
{
    check_rows(unversioned, sizeof unversioned / sizeof *unversioned, false);
}

/* Whatever the facts are: a live value is given up silently only where the one that stays is known to contain it, and a document that is
 * the archive's never ends as "nothing to do" while it lives. */
static void check_combination(const struct merge_case *c)
{
    struct merge_verdict v = merge_decide(c);
    const struct record *r = c->record;

    assert_non_null(v.why);
    if (v.action == MERGE_NOTHING && c->document != 0 && !c->dead)
        assert_true(r->redis && c->redis >= c->document);
    if (v.action == MERGE_ARCHIVE && c->in_redis && v.loss == MERGE_LOSES_NONE && c->versions_count)
        assert_true(c->redis <= c->document);
    if (v.action == MERGE_ARCHIVE && c->in_redis && c->redis == 0 && v.loss == MERGE_LOSES_NONE)
        assert_true(r->journalled && r->redis && r->base == 0);
    if (v.action == MERGE_REPLAY && !c->dead && v.loss == MERGE_LOSES_NONE)
        assert_true(r->journalled && !r->overflowed);
}

static void test_every_combination(void **state)
{
    static const int64_t versions[] = {0, V0 - 1, V0, V0 + 1, V9, RESTORED, RESTORED + 1};
    struct record_write writes[2] = {write_of("a", 7), write_of("z", 1)};
    size_t n = sizeof versions / sizeof *versions;

    for (unsigned bits = 0; bits < 128; bits++)
        for (size_t d = 0; d < n; d++)
            for (size_t x = 0; x < n; x++)
                for (size_t b = 0; b < 3; b++) {
                    struct record r = {.redis = bits & 1, .journalled = bits & 2, .overflowed = (bits & 6) == 6,
                                       .base = versions[b] < versions[d] ? versions[b] : 0, .writes = writes};
                    r.nwrites = r.journalled && !r.overflowed ? 2 : 0;
                    check_combination(&(struct merge_case){
                        .epoch = EPOCH, .versions_count = bits & 8, .document = versions[d],
                        .dead = (bits & 16) || versions[d] == 0, .dirty = bits & 32, .record = &r,
                        .in_redis = bits & 64, .redis = versions[x], .executed = {executed_ids, 2}});
                }
}

/* ---- lists, against a model ---- */

#define WRITES   24
#define SESSIONS 3 /* two connections to Redis, and the archive's side */
#define BASE     3 /* elements of both before anything went wrong */

/* An append. Its element is its name, session and seq. */
struct append {
    char element[16], request[64];
    struct write_id id;
    bool in_redis, in_journal;
};

struct world {
    unsigned seed;
    struct arena arena;
    struct append appends[WRITES]; /* in the order in which Redis has, or would have, executed them; then the archive's own */
    size_t n;
    struct record record;
    struct object document, redis; /* lists */
    int64_t document_version, redis_version;
    struct write_id executed[SESSIONS];
    bool versions_count;
};

static unsigned draw(struct world *w, unsigned n)
{
    return (unsigned)rand_r(&w->seed) % n;
}

static void push(struct world *w, struct object *o, const char *element)
{
    list_push(list_make(&w->arena, o), (struct slice){element, strlen(element)}, false);
}

static struct append *add(struct world *w, unsigned session)
{
    struct append *a = &w->appends[w->n++];
    int64_t seq = 1;

    for (size_t i = 0; i + 1 < w->n; i++)
        seq += w->appends[i].id.session[0] == (char)('a' + session);
    a->id = (struct write_id){{(char)('a' + session)}, seq};
    snprintf(a->element, sizeof a->element, "%c%02d", 'a' + session, (int)seq);
    snprintf(a->request, sizeof a->request, "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$3\r\n%c%02d\r\n", 'a' + session, (int)seq);
    return a;
}

/* Redis executes what came to it, in order, and then something is lost: the rest of each session. Acknowledged writes that
 * the archive lacks are Redis' alone; those in doubt are in the journal, too, whether Redis has executed them or not. */
static void break_down(struct world *w)
{
    size_t tail = draw(w, 5), doubt = draw(w, 7);
    bool stopped[2] = {false, false};

    for (size_t i = 0; i < tail; i++)
        add(w, draw(w, 2))->in_redis = true;
    for (size_t i = 0; i < doubt; i++) {
        unsigned session = draw(w, 2);
        struct append *a = add(w, session);
        stopped[session] |= draw(w, 3) == 0;
        a->in_redis = !stopped[session];
        a->in_journal = true;
    }
    for (size_t i = draw(w, 5); i > 0; i--)
        add(w, 2)->in_journal = true;
}

static void fill(struct world *w)
{
    static const char *const old[BASE] = {"0", "1", "2"};
    bool fresh = draw(w, 4) == 0;
    int64_t base = fresh ? 0 : V0;

    w->document = w->redis = (struct object){.key = {"k", 1}, .expire_ms = -1};
    w->redis_version = w->versions_count ? (fresh ? V0 : base) : base;
    for (size_t i = 0; !fresh && i < BASE; i++) {
        push(w, &w->document, old[i]);
        push(w, &w->redis, old[i]);
    }
    for (size_t i = 0; i < w->n; i++) {
        struct append *a = &w->appends[i];
        if (a->in_redis) {
            push(w, &w->redis, a->element);
            w->redis_version += w->versions_count;
            w->executed[a->id.session[0] - 'a'] = a->id;
        }
        if (a->in_journal) {
            struct record_write write = {a->id, 5, {a->request, strlen(a->request)}};
            record_journal(&w->record, &w->arena, base, &write);
            push(w, &w->document, a->element);
        }
    }
    w->document_version = w->record.journalled ? V9 : base;
    w->record.redis = !w->record.journalled && base != 0;
    if (fresh && w->redis.type == OBJECT_NONE)
        w->redis_version = 0;
}

static const struct object *merge(struct world *w)
{
    struct merge_case c = {.epoch = EPOCH,
                           .versions_count = w->versions_count,
                           .document = w->document_version,
                           .dead = w->document.type == OBJECT_NONE,
                           .record = &w->record,
                           .in_redis = w->redis.type != OBJECT_NONE,
                           .redis = w->redis_version,
                           .executed = {w->executed, 2}};
    struct merge_verdict v = merge_decide(&c);

    assert_int_equal(v.loss, MERGE_LOSES_NONE);
    if (v.action == MERGE_ARCHIVE)
        return &w->document;
    if (v.action == MERGE_REPLAY)
        assert_true(merge_replay(&w->record, &c.executed, &w->redis, &w->arena));
    return &w->redis;
}

static size_t place_of(const struct object *o, const char *element, size_t *ret_times)
{
    size_t place = 0;

    *ret_times = 0;
    for (size_t i = 0; o->type == OBJECT_LIST && i < o->v.list->count; i++)
        if (slice_is(*list_at(o->v.list, i), element)) {
            place = i;
            ++*ret_times;
        }
    return place;
}

static void check_result(const struct world *w, unsigned seed, const struct object *o)
{
    size_t times, last[SESSIONS] = {0}, own = 0;
    size_t count = o->type == OBJECT_LIST ? o->v.list->count : 0;

    for (size_t i = 0; i < w->n; i++) {
        const struct append *a = &w->appends[i];
        size_t at = place_of(o, a->element, &times);
        if (times != 1)
            fail_msg("seed %u: %s is there %zu times", seed, a->element, times);
        size_t *before = &last[a->id.session[0] - 'a'];
        if (*before > at + 1 || (!a->in_journal && own > at + 1))
            fail_msg("seed %u: %s stands before what came earlier", seed, a->element);
        *before = at + 1;
        if (a->id.session[0] == 'c' && (own == 0 || at + 1 < own))
            own = at + 1;
    }
    for (size_t i = 0; i < w->n; i++)
        if (own != 0 && w->appends[i].in_redis && place_of(o, w->appends[i].element, &times) + 1 > own)
            fail_msg("seed %u: %s stands behind what the archive did later", seed, w->appends[i].element);
    if (count != w->n && count != w->n + BASE)
        fail_msg("seed %u: %zu elements", seed, count);
}

static void test_lists_against_a_model(void **state)
{
    unsigned seed = (unsigned)time(NULL);

    print_message("seed %u\n", seed);
    for (unsigned i = 0; i < 20000; i++) {
        struct world w = {.seed = seed + i, .versions_count = i % 3 != 0};
        arena_init(&w.arena);
        break_down(&w);
        fill(&w);
        check_result(&w, seed + i, merge(&w));
        arena_done(&w.arena);
    }
}

static void test_a_damaged_journal_is_told(void **state)
{
    struct record_write write = {.id = {"z", 1}, .requests = {"*3\r\n$5\r\nRPU", 12}};
    struct record r = {.journalled = true, .writes = &write, .nwrites = 1};
    struct object o = {.key = {"k", 1}, .expire_ms = -1};
    struct merge_ids executed = {executed_ids, 2};
    struct arena a;

    arena_init(&a);
    assert_false(merge_replay(&r, &executed, &o, &a));
    arena_done(&a);
}

static void test_sessions_are_executed_in_order(void **state)
{
    struct merge_ids executed = {executed_ids, 2};

    assert_true(merge_executed(&executed, &(struct write_id){"a", 7}));
    assert_true(merge_executed(&executed, &(struct write_id){"a", 6}));
    assert_false(merge_executed(&executed, &(struct write_id){"a", 8}));
    assert_false(merge_executed(&executed, &(struct write_id){"c", 1}));
    assert_false(merge_executed(&executed, &(struct write_id){"a", 0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_rules_without_versions),
        cmocka_unit_test(test_every_combination),
        cmocka_unit_test(test_lists_against_a_model),
        cmocka_unit_test(test_a_damaged_journal_is_told),
        cmocka_unit_test(test_sessions_are_executed_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
