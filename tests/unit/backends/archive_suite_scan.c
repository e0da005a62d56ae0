/* Scans and sweeps of the conformance suite. */
#include "tests/unit/backends/archive_suite.h"

#include "engine/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH    50
#define NAME_CAP 32

/* What a scan has shown. */
struct seen {
    int64_t last;   /* hash */
    size_t n, same; /* entries; keys that had the hash of the one before */
    size_t *times;  /* of key number i; NULL: not counted */
};

static void name_of(size_t i, char *buf)
{
    snprintf(buf, NAME_CAP, "key:%zu", i);
}

/* Key i is dirty when it is odd, has version i + 1, and expires at i * 10000 unless it is a multiple of 4. */
static struct archive_entry entry_of(size_t i, const char *name)
{
    struct archive_entry e = archive_entry_of(archive_text(name), (int64_t)i + 1);

    e.dirty = i % 2 == 1;
    e.expire_ms = i % 4 == 0 ? -1 : (int64_t)i * 10000;
    e.type = i % 5 == 0 ? OBJECT_NONE : OBJECT_STRING;
    return e;
}

static void fill(struct archive_world *w)
{
    char names[BATCH][NAME_CAP];
    struct archive_write writes[BATCH];

    for (size_t i = 0; i < w->suite->documents; i += BATCH) {
        size_t n = 0;
        for (; n < BATCH && i + n < w->suite->documents; n++) {
            name_of(i + n, names[n]);
            writes[n] = (struct archive_write){entry_of(i + n, names[n]), 0,
                                               archive_document(archive_text(names[n]), "v", 1)};
        }
        assert_int_equal(archive_commit(w->h, writes, n), ERR_NONE);
        while (n > 0)
            bson_destroy((bson_t *)writes[--n].doc);
    }
}

static void see(void *ctx, const struct archive_entry *e)
{
    struct seen *s = ctx;
    char name[NAME_CAP];

    assert_int_equal(e->hash, archive_hash(e->key));
    assert_true(e->hash >= s->last);
    s->same += s->n > 0 && e->hash == s->last;
    s->last = e->hash;
    s->n++;
    if (s->times == NULL)
        return;
    assert_true(e->key.len > 4 && e->key.len < NAME_CAP);
    snprintf(name, sizeof name, "%.*s", (int)e->key.len, e->key.p);
    s->times[strtoul(name + 4, NULL, 10)]++;
}

/* All pages from a hash on; calls between() after each. Returns how many entries there were. */
static size_t scan_all(struct archive_world *w, enum archive_filter filter, size_t limit, size_t *times,
                       void (*between)(struct archive_world *w, size_t page))
{
    struct seen s = {.last = -1, .times = times};

    for (size_t page = 0, before = 0;; page++, before = s.n) {
        assert_int_equal(archive_scan(w->h, filter, s.last + 1, limit, see, &s), ERR_NONE);
        if (s.n - before < limit)
            return s.n;
        if (between != NULL)
            between(w, page);
    }
}

void test_scan_pages(void **state)
{
    struct archive_world *w = *state;
    size_t n = w->suite->documents, limits[] = {n / 10, n / 3, n - 1, n, n + 1, 100 * n};
    size_t *times = calloc(n, sizeof *times);

    fill(w);
    for (size_t k = 0; k < sizeof limits / sizeof limits[0]; k++) {
        memset(times, 0, n * sizeof *times);
        assert_int_equal(scan_all(w, ARCHIVE_ALL, limits[k], times, NULL), n);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(times[i], 1);
    }
    free(times);
}

/* Eight keys of one hash: FNV-1a comes to the same state after either string of a row, whichever of the row before was used. */
static size_t colliding_key(unsigned which, char buf[32])
{
    static const char rows[3][2][11] = {
        {"\x29\xd1\x19\x0a\x56\x0d\xfb\xa6\xff\xa3", "\x11\xc2\xf2\x01\xe4\x61\x03\xb7\x12\xbe"},
        {"\x05\xd8\xde\xbe\x05\x96\xd7\xb9\x20\xdd", "\x2d\x3b\xe1\x97\x11\xac\x5f\x92\x5b\xc6"},
        {"\x94\x4f\x5d\xf4\x18\x47\x0f\xfb\xae\xd0", "\xfc\x6e\x3c\x69\x2a\x1f\x07\x50\x55\xd7"},
    };
    for (unsigned row = 0; row < 3; row++)
        memcpy(buf + (size_t)row * 10, rows[row][(which >> row) & 1], 10);
    return 30;
}

static void put_colliding(struct archive_world *w, bool there)
{
    char keys[8][32];
    char value[2] = "0";

    for (unsigned i = 0; i < 8; i++) {
        struct slice key = {keys[i], colliding_key(i, keys[i])};
        assert_int_equal(archive_hash(key), archive_hash((struct slice){keys[0], 30}));
        value[0] = (char)('0' + i);
        if (!there)
            assert_int_equal(archive_put(w, key, 0, 1, value), ERR_NONE);
        assert_int_equal(archive_put(w, key, 0, 9, "x"), ERR_RACE);
        archive_expect(w, key, 1, value);
    }
}

static struct slice colliding(unsigned which, char buf[32])
{
    size_t n = colliding_key(which, buf);
    return (struct slice){buf, n};
}

void test_scan_one_hash(void **state)
{
    struct archive_world *w = *state;
    struct seen s = {.last = -1};
    char buf[32];

    fill(w);
    put_colliding(w, false);
    put_colliding(w, true);
    int64_t hash = archive_hash(colliding(0, buf));
    for (size_t limit = 1; limit <= 8; limit++) {
        s = (struct seen){.last = hash};
        assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, hash, limit, see, &s), ERR_NONE);
        assert_int_equal(s.n, 8);
        assert_int_equal(s.same, 7);
    }
    assert_int_equal(scan_all(w, ARCHIVE_ALL, 3, NULL, NULL), w->suite->documents + 8);
    assert_int_equal(archive_put(w, colliding(2, buf), 1, 0, NULL), ERR_NONE);
    assert_int_equal(archive_put(w, colliding(5, buf), 1, 2, "other"), ERR_NONE);
    archive_expect(w, colliding(2, buf), 0, NULL);
    archive_expect(w, colliding(5, buf), 2, "other");
    archive_expect(w, colliding(7, buf), 1, "7");
    assert_int_equal(archive_put(w, colliding(2, buf), 0, 3, "again"), ERR_NONE);
    archive_expect(w, colliding(2, buf), 3, "again");
    archive_expect(w, colliding(3, buf), 1, "3");
}

void test_scan_dirty(void **state)
{
    struct archive_world *w = *state;
    size_t n = w->suite->documents;
    size_t *times = calloc(n, sizeof *times);
    char name[NAME_CAP];

    fill(w);
    assert_int_equal(scan_all(w, ARCHIVE_DIRTY, 7, times, NULL), n / 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(times[i], i % 2);
    for (size_t i = 0; i < 6; i++) { /* each changes its mark */
        name_of(i, name);
        struct archive_entry e = entry_of(i, name);
        e.version += 1000;
        e.dirty = !e.dirty;
        assert_int_equal(archive_put_entry(w->h, &e, (int64_t)i + 1, i == 5 ? NULL : "v"), ERR_NONE);
    }
    memset(times, 0, n * sizeof *times);
    assert_int_equal(scan_all(w, ARCHIVE_DIRTY, n, times, NULL), n / 2);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(times[i], i < 6 ? i % 2 == 0 : i % 2);
    free(times);
}

void test_scan_ends(void **state)
{
    struct archive_world *w = *state;
    struct seen s = {.last = 0};
    int64_t end = (int64_t)1 << ARCHIVE_HASH_BITS;

    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, 0, 10, see, &s), ERR_NONE);
    assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, 0, 10, see, &s), ERR_NONE);
    fill(w);
    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, end, 10, see, &s), ERR_NONE);
    assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, end, 10, see, &s), ERR_NONE);
    assert_int_equal(s.n, 0);
    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, 0, 1, see, &s), ERR_NONE);
    assert_int_equal(s.n, 1);
    int64_t first = s.last;
    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, first, 1, see, &s), ERR_NONE);
    assert_int_equal(s.n, 2);
    assert_int_equal(s.last, first);
    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, first + 1, 1, see, &s), ERR_NONE);
    assert_true(s.last > first);
    s = (struct seen){.last = 0};
    assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, 0, 1, see, &s), ERR_NONE);
    first = s.last;
    assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, first, 1, see, &s), ERR_NONE);
    assert_int_equal(s.last, first);
    assert_int_equal(s.n, 2);
}

/* Keys 0 to 9 come and go, 10 to 19 are written to: all but the first ten are there all the time. */
static void disturb(struct archive_world *w, size_t page)
{
    char name[NAME_CAP];
    struct archive_found found;

    name_of(page % 20, name);
    struct archive_entry e = entry_of(page % 20, name);
    assert_int_equal(archive_load(w->h, &e.key, 1, &w->arena, &found), ERR_NONE);
    e.version = 5000 + (int64_t)page;
    e.dirty = page % 3 == 0;
    const char *value = page % 20 < 10 && found.version != 0 ? NULL : "changed";
    assert_int_equal(archive_put_entry(w->h, &e, found.version, value), ERR_NONE);
}

void test_scan_under_writes(void **state)
{
    struct archive_world *w = *state;
    size_t n = w->suite->documents;
    size_t *times = calloc(n, sizeof *times);

    fill(w);
    scan_all(w, ARCHIVE_ALL, 3, times, disturb);
    for (size_t i = 0; i < n; i++)
        assert_true(times[i] <= 1 && (times[i] == 1 || i < 10));
    free(times);
}

struct one {
    struct archive_entry want;
    size_t n;
};

static void compare(void *ctx, const struct archive_entry *e)
{
    struct one *one = ctx;

    assert_int_equal(e->key.len, one->want.key.len);
    assert_memory_equal(e->key.p, one->want.key.p, e->key.len);
    assert_int_equal(e->hash, one->want.hash);
    assert_int_equal(e->version, one->want.version);
    assert_int_equal(e->expire_ms, one->want.expire_ms);
    assert_int_equal(e->type, one->want.type);
    assert_int_equal(e->dirty, one->want.dirty);
    one->n++;
}

/* Each row changes what the archive must find again; a scan shows it as it is now. */
void test_scan_tells_all(void **state)
{
    static const struct {
        int64_t version, expire_ms;
        uint8_t type;
        bool dirty;
    } rows[] = {
        {1, -1, OBJECT_STRING, false},
        {2, 0, OBJECT_STREAM, false},
        {3, 1700000000123, OBJECT_STREAM, false},
        {4, 1700000000124, OBJECT_STREAM, false},
        {5, 1900000000000, OBJECT_LIST, true},
        {6, 1900000000000, OBJECT_NONE, true},
        {7, (int64_t)1 << 50, OBJECT_ZSET, false},
        {(int64_t)1 << 62, -1, OBJECT_HASH, true},
    };
    struct archive_world *w = *state;
    struct one one = {.want = archive_entry_of((struct slice){"a\0\xff", 3}, 0)};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t before = one.want.version;
        one.want.version = rows[i].version;
        one.want.expire_ms = rows[i].expire_ms;
        one.want.type = rows[i].type;
        one.want.dirty = rows[i].dirty;
        one.n = 0;
        assert_int_equal(archive_put_entry(w->h, &one.want, before, "v"), ERR_NONE);
        assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, 0, 10, compare, &one), ERR_NONE);
        assert_int_equal(one.n, 1);
        assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, 0, 10, compare, &one), ERR_NONE);
        assert_int_equal(one.n, rows[i].dirty ? 2 : 1);
        struct archive_found found = {.dirty = !rows[i].dirty};
        assert_int_equal(archive_load(w->h, &one.want.key, 1, &w->arena, &found), ERR_NONE);
        assert_int_equal(found.dirty, rows[i].dirty);
    }
}

static bool is_expired(size_t i, int64_t now_ms)
{
    return i % 4 != 0 && i % 2 == 0 && (int64_t)i * 10000 < now_ms;
}

static size_t expired(size_t n, int64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += is_expired(i, now_ms);
    return count;
}

static void expect_kept(struct archive_world *w, int64_t now_ms)
{
    size_t n = w->suite->documents;
    size_t *times = calloc(n, sizeof *times);

    scan_all(w, ARCHIVE_ALL, n, times, NULL);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(times[i], !is_expired(i, now_ms));
    free(times);
}

void test_sweep_takes_expired(void **state)
{
    struct archive_world *w = *state;
    size_t n = w->suite->documents, swept = 99;
    int64_t half = (int64_t)(n / 8 * 4 + 2) * 10000; /* the moment one of them expires */

    fill(w);
    assert_int_equal(archive_sweep(w->h, 0, 100 * n, &swept), ERR_NONE);
    assert_int_equal(swept, 0);
    assert_int_equal(archive_sweep(w->h, half, 100 * n, &swept), ERR_NONE);
    assert_int_equal(swept, expired(n, half));
    expect_kept(w, half);
    assert_int_equal(archive_sweep(w->h, half, 100 * n, &swept), ERR_NONE);
    assert_int_equal(swept, 0);
    assert_int_equal(archive_sweep(w->h, half + 1, 100 * n, &swept), ERR_NONE);
    assert_int_equal(swept, expired(n, half + 1) - expired(n, half));
    assert_int_equal(archive_sweep(w->h, INT64_MAX, 100 * n, &swept), ERR_NONE);
    expect_kept(w, INT64_MAX);
    struct archive_stats stats;
    assert_int_equal(archive_stats(w->h, &stats), ERR_NONE);
    assert_true(stats.documents == -1 || stats.documents == (int64_t)(n - expired(n, INT64_MAX)));
}

/* Also: what became clean, got or lost an expiry since it was written first. */
void test_sweep_limit(void **state)
{
    struct archive_world *w = *state;
    size_t total = 0, swept = 0, want = expired(w->suite->documents, INT64_MAX);
    char name[NAME_CAP];

    fill(w);
    for (size_t i = 0; i < 4; i++) {
        name_of(i, name);
        struct archive_entry e = entry_of(i, name);
        want -= is_expired(i, INT64_MAX);
        want += i == 0 || i == 1; /* 0 gets an expiry, 1 and 3 are clean now, 2 and 3 lose theirs */
        e.version += 100;
        e.dirty = false;
        e.expire_ms = i < 2 ? 5 : -1;
        assert_int_equal(archive_put_entry(w->h, &e, (int64_t)i + 1, "v"), ERR_NONE);
    }
    do {
        assert_int_equal(archive_sweep(w->h, INT64_MAX, 3, &swept), ERR_NONE);
        assert_true(swept <= 3);
        total += swept;
    } while (swept > 0);
    assert_int_equal(total, want);
    name_of(0, name);
    archive_expect(w, archive_text(name), 0, NULL);
    name_of(2, name);
    archive_expect(w, archive_text(name), 103, "v");
}
