/* The file of a SQLite archive goes bad: flipped bits, cut off, read-only, full disk, I/O errors. Nothing crashes, nothing that was
 * acknowledged is lost, and what was mended works without a restart. */
#include "tests/unit/backends/archive_file.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define NOBODY 65534

static void ignore_entry(void *ctx, const struct archive_entry *e)
{
    assert_true(e->version > 0 && e->hash >= 0);
    *(size_t *)ctx += e->key.len;
}

static unsigned is_failure(enum err e)
{
    assert_true(e == ERR_NONE || e == ERR_RACE || e == ERR_ARCHIVEBAD || e == ERR_ARCHIVEDOWN ||
                e == ERR_ARCHIVELOST);
    return e != ERR_NONE && e != ERR_RACE;
}

/* Every call, whatever the file is like; how many failed. */
static unsigned use_all(void)
{
    char why[200];
    struct archive_world w = {.archive = file_open(100, why, sizeof why)};
    unsigned failures = 0;
    size_t n = 0;
    int64_t version;
    struct archive_stats stats;
    struct archive_found found;

    if (w.archive == NULL)
        return 1;
    w.h = archive_attach(w.archive);
    arena_init(&w.arena);
    for (size_t i = 0; i < FILE_KEYS; i++)
        failures += is_failure(file_version(&w, i, &version));
    failures += is_failure(archive_scan(w.h, ARCHIVE_ALL, 0, 1000, ignore_entry, &n));
    failures += is_failure(archive_scan(w.h, ARCHIVE_DIRTY, 0, 1000, ignore_entry, &n));
    for (size_t i = 0; i < FILE_KEYS; i += 7)
        failures += is_failure(file_put(&w, i, 1, 2));
    failures += is_failure(file_put(&w, FILE_KEYS, 0, 1));
    failures += is_failure(archive_sweep(w.h, INT64_MAX, 100, &n));
    failures += is_failure(archive_control_get(w.h, "a", &w.arena, &found));
    failures += is_failure(archive_stats(w.h, &stats));
    failures += is_failure(archive_ping(w.h));
    failures += is_failure(archive_clear(w.h));
    file_world_close(&w);
    return failures;
}

static void test_flipped_bits(void **state)
{
    unsigned random = 12345, damaged = 0;

    file_fill();
    struct file_image image = file_read();
    unsigned char *copy = malloc(image.n);
    assert_int_equal(use_all(), 0);
    for (unsigned round = 0; round < 300; round++) {
        memcpy(copy, image.bytes, image.n);
        for (unsigned k = 0; k < 1 + round % 40; k++) {
            random = random * 1664525u + 1013904223u;
            /* half of them where pages and cells are described */
            size_t at = (random >> 8) % image.n;
            at = round % 2 == 0 ? at / 4096 * 4096 + at % 64 : at;
            copy[at] ^= (unsigned char)(1u << (random >> 29));
        }
        file_remove();
        file_write(copy, image.n);
        damaged += use_all() > 0;
    }
    assert_true(damaged > 50);
    free(copy);
    free(image.bytes);
}

static void test_truncated(void **state)
{
    unsigned damaged = 0;

    file_fill();
    struct file_image image = file_read();
    for (size_t n = 1; n < image.n; n += image.n / 40) {
        file_remove();
        file_write(image.bytes, n);
        damaged += use_all() > 0;
    }
    assert_true(damaged >= 35);
    free(image.bytes);
}

/* Damaged while it is open, then mended, all in place: the same handle works again. In a child, for closing a descriptor of the
 * file drops SQLite's locks of this process. */
static void damage_and_mend(void)
{
    int64_t version = 0;
    struct file_image image = file_read();
    struct archive_world w = file_world(500);
    unsigned char *zeros = calloc(1, image.n);

    REQUIRE(file_version(&w, 5, &version) == ERR_NONE && version == 1);
    memset(zeros, 0x5a, image.n);
    file_write(zeros, image.n);
    struct archive_world other = {.archive = w.archive, .h = archive_attach(w.archive)};
    REQUIRE(file_version(&other, 5, &version) == ERR_ARCHIVEBAD);
    REQUIRE(strlen(archive_why(other.h)) > 0);
    REQUIRE(file_put(&other, 5, 1, 2) == ERR_ARCHIVEBAD);
    file_write(image.bytes, image.n);
    REQUIRE(file_version(&other, 5, &version) == ERR_NONE && version == 1);
    REQUIRE(file_put(&other, 5, 1, 2) == ERR_NONE);
}

static void test_mended(void **state)
{
    file_fill();
    file_in_child(damage_and_mend);
}

static void write_read_only(void)
{
    int64_t version = 0;

    REQUIRE(setgid(NOBODY) == 0 && setuid(NOBODY) == 0);
    REQUIRE(chmod(file_path, 0400) == 0);
    struct archive_world w = file_world(100);
    struct archive_world reader = {.archive = w.archive, .h = archive_attach(w.archive)};
    REQUIRE(file_version(&w, 5, &version) == ERR_ARCHIVEBAD);
    REQUIRE(file_put(&w, 5, 1, 2) == ERR_ARCHIVEBAD);
    REQUIRE(strstr(archive_why(w.h), "Permission denied") != NULL);
    REQUIRE(archive_ping(w.h) == ERR_ARCHIVEBAD);
    REQUIRE(file_version(&reader, 5, &version) == ERR_ARCHIVEBAD);
    REQUIRE(chmod(file_path, 0600) == 0); /* from now on it works, also beside a handle that does nothing */
    REQUIRE(file_put(&w, 5, 1, 2) == ERR_NONE);
    REQUIRE(file_version(&reader, 5, &version) == ERR_NONE && version == 2);
    arena_done(&reader.arena);
    archive_detach(reader.h);
    file_world_close(&w);
}

/* As someone other than root, who may write everything. */
static void test_read_only(void **state)
{
    if (getuid() != 0)
        skip();
    file_fill();
    assert_int_equal(chown(file_dir, NOBODY, NOBODY), 0);
    assert_int_equal(chown(file_path, NOBODY, NOBODY), 0);
    file_in_child(write_read_only);
}

/* Writes keys until it fails; returns how many were acknowledged. */
static size_t write_until_failure(struct archive_world *w, size_t most, enum err *ret_e)
{
    size_t n = 0;

    *ret_e = ERR_NONE;
    while (n < most && (*ret_e = file_put(w, n, 0, 1)) == ERR_NONE)
        n++;
    return n;
}

static void require_stored(struct archive_world *w, size_t n)
{
    int64_t version;

    for (size_t i = 0; i < n; i++)
        REQUIRE(file_version(w, i, &version) == ERR_NONE && version == 1);
}

static void fill_disk(void)
{
    char filler[160];
    enum err e;

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", file_dir, "tmpfs", 0, "size=2m") != 0)
        _exit(FILE_CHILD_SKIPPED);
    snprintf(filler, sizeof filler, "%s/filler", file_dir);
    int fd = open(filler, O_CREAT | O_WRONLY, 0600);
    REQUIRE(fd >= 0 && posix_fallocate(fd, 0, 1 << 20) == 0);
    close(fd);
    struct archive_world w = file_world(500);
    size_t n = write_until_failure(&w, 2000, &e);
    REQUIRE(n > 5 && n < 2000 && e == ERR_ARCHIVEBAD);
    REQUIRE(strstr(archive_why(w.h), "full") != NULL);
    REQUIRE(file_put(&w, n, 0, 1) == ERR_ARCHIVEBAD);
    require_stored(&w, n);
    REQUIRE(unlink(filler) == 0);
    REQUIRE(file_put(&w, n, 0, 1) == ERR_NONE);
    file_world_close(&w);
    w = file_world(500);
    require_stored(&w, n + 1);
    file_world_close(&w);
}

static void test_disk_full(void **state)
{
    file_in_child(fill_disk);
}

/* The kernel refuses writes past a limit with an error that is not "full": what a bad disk looks like. */
static void limit_writes(void)
{
    struct rlimit limit = {300000, RLIM_INFINITY};
    enum err e;

    signal(SIGXFSZ, SIG_IGN);
    struct archive_world w = file_world(500);
    REQUIRE(archive_ping(w.h) == ERR_NONE);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    size_t n = write_until_failure(&w, 2000, &e);
    REQUIRE(n > 5 && n < 2000 && (e == ERR_ARCHIVEDOWN || e == ERR_ARCHIVELOST));
    REQUIRE(strstr(archive_why(w.h), "writing failed") != NULL);
    require_stored(&w, n);
    limit.rlim_cur = RLIM_INFINITY;
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    int64_t version;
    REQUIRE(file_version(&w, n, &version) == ERR_NONE);
    REQUIRE(file_put(&w, n, version, 1 + version) == ERR_NONE);
    require_stored(&w, n);
    file_world_close(&w);
}

static void test_io_error(void **state)
{
    file_in_child(limit_writes);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(flipped_bits), T(truncated), T(mended), T(read_only), T(disk_full), T(io_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
