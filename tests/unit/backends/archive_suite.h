/* tests/unit/backends/archive_suite — the contract of backends/archive/archive.h as tests: every archive must pass them.
 * Owns:    one archive, one handle and one arena for each test; each begins with an empty archive.
 * Threads: the races make their own. */
#ifndef TESTS_UNIT_BACKENDS_ARCHIVE_SUITE_H
#define TESTS_UNIT_BACKENDS_ARCHIVE_SUITE_H

#include "backends/archive/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* What is run, and how much of it: slow servers take less. */
struct archive_suite {
    const char *name;
    struct archive *(*open)(
        void);             /* the same archive each time, never NULL; may be called while it is open */
    size_t documents;      /* of scans and sweeps: hundreds; 20 or more */
    size_t large_bytes;    /* of the largest value */
    size_t key_bytes;      /* of the longest key */
    unsigned threads;      /* of the races; the archive must allow so many handles and one more */
    unsigned increments;   /* of each thread */
    bool consistent_loads; /* a load never shows half of a commit */
};

/* The number of tests that failed: a main may return it. */
int archive_suite_run(const struct archive_suite *suite);

/* What the files of the suite share. */
struct archive_world {
    const struct archive_suite *suite;
    struct archive *archive;
    struct archive_handle *h;
    struct arena arena;
};

/* The tests of other files; each takes a struct archive_world in *state. */
void test_scan_pages(void **state);
void test_scan_one_hash(void **state);
void test_scan_dirty(void **state);
void test_scan_ends(void **state);
void test_scan_under_writes(void **state);
void test_scan_tells_all(void **state);
void test_sweep_takes_expired(void **state);
void test_sweep_limit(void **state);
void test_race_counter(void **state);
void test_race_pairs(void **state);
void test_race_inserts(void **state);
void test_control(void **state);
void test_control_is_apart(void **state);
void test_clear(void **state);
void test_stats(void **state);

struct slice archive_text(const char *s);
/* A document of key with these bytes as its value: to be freed with bson_destroy. */
bson_t *archive_document(struct slice key, const char *value, size_t n);
/* One write in a commit of its own; value NULL: the document goes. */
MUST_USE enum err archive_put(struct archive_world *w, struct slice key, int64_t expected, int64_t version,
                              const char *value);
MUST_USE enum err archive_put_entry(struct archive_handle *h, const struct archive_entry *e, int64_t expected,
                                    const char *value);
struct archive_entry archive_entry_of(struct slice key, int64_t version);
/* Fails unless every field of doc is in what is stored; an archive may keep fields of its own beside them. */
void archive_expect_fields(struct slice stored, const bson_t *doc);
/* How many entries a scan shows; at most 10,000. */
size_t archive_count(struct archive_world *w);
/* Fails unless exactly this is stored; version 0: nothing. */
void archive_expect(struct archive_world *w, struct slice key, int64_t version, const char *value);

#endif
