/* tests/unit/backends/archive_file — a SQLite archive in a directory of its own, for the tests of what befalls its file.
 * Owns:    the directory, from file_setup to file_teardown; FILE_KEYS keys whose values tell their versions.
 * Threads: one. */
#ifndef TESTS_UNIT_BACKENDS_ARCHIVE_FILE_H
#define TESTS_UNIT_BACKENDS_ARCHIVE_FILE_H

#include "tests/unit/backends/archive_suite.h"

#include <stdio.h>
#include <unistd.h>

#define FILE_KEYS          60
#define FILE_VALUE_CAP     9000 /* some values are longer than a page */
#define FILE_CHILD_OK      7
#define FILE_CHILD_SKIPPED 77

/* For children, where cmocka's assertions would go on in the wrong process. */
#define REQUIRE(condition)                                                                                   \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

struct file_image {
    unsigned char *bytes; /* malloc'ed */
    size_t n;
};

extern char file_dir[64], file_path[128];

int file_setup(void **state);
int file_teardown(void **state);

/* timeout: ms to wait for a lock. */
struct archive *file_open(int64_t timeout, char *why, size_t why_cap);
struct archive_world file_world(int64_t timeout);
void file_world_close(struct archive_world *w);

struct slice file_key(size_t i, char buf[32]);
/* Tells key and version, so that a torn document shows. */
const char *file_value(size_t i, int64_t version, char buf[FILE_VALUE_CAP]);
MUST_USE enum err file_put(struct archive_world *w, size_t i, int64_t expected, int64_t version);
MUST_USE enum err file_version(struct archive_world *w, size_t i, int64_t *ret_version);
/* All keys, with version 1. */
void file_fill(void);

/* Also -wal and -shm. */
void file_remove(void);
struct file_image file_read(void);
/* In place: the archive may have it open. */
void file_write(const unsigned char *bytes, size_t n);

/* What spoils the process, or must die in the middle, spoils no other test. */
void file_in_child(void (*run)(void));

#endif
