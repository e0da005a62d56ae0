/* What befalls the file of a SQLite archive that is whole: kill -9, other processes, locks, removal, other versions. */
#include "tests/unit/backends/archive_file.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void execute(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(file_path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void test_urls(void **state)
{
    static const char *const good[] = {"sqlite:a.db", "sqlite:/var/lib/x/a.db", "sqlite:./data/a",
                                       "sqlite:file:a?x=1"};
    static const char *const bad[] = {"sqlite:",  "sqlite:data/", "sqlite::memory:", "sqlit:a", "",
                                      "SQLITE:a", "/a.db"};
    char why[100];

    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(archive_url_ok(good[i], why, sizeof why));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        why[0] = '\0';
        assert_false(archive_url_ok(bad[i], why, sizeof why));
        assert_int_not_equal(strlen(why), 0);
        assert_null(archive_open(&(struct archive_options){.url = bad[i]}, why, sizeof why));
    }
}

static void expect_mode(const char *suffix, mode_t mode)
{
    struct stat st;
    char file[192];

    snprintf(file, sizeof file, "%s%s", file_path, suffix);
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
}

static void test_made_for_the_owner_alone(void **state)
{
    snprintf(file_path, sizeof file_path, "%s/new/dirs/a.db", file_dir);
    mode_t before = umask(0);
    struct archive_world w = file_world(2000);

    assert_int_equal(file_put(&w, 0, 0, 1), ERR_NONE);
    expect_mode("", 0600);
    expect_mode("-wal", 0600);
    expect_mode("-shm", 0600);
    file_world_close(&w);
    umask(before);
    *strrchr(file_path, '/') = '\0';
    expect_mode("", 0700);
    expect_mode("/..", 0700);
}

static void test_newer_schema(void **state)
{
    char why[200] = "";

    file_fill();
    execute("PRAGMA user_version = 2");
    assert_null(file_open(100, why, sizeof why));
    assert_non_null(strstr(why, "newer"));
    execute("PRAGMA user_version = 1");
    struct archive_world w = file_world(100);
    char buf[32];
    struct slice key = file_key(3, buf);
    struct archive_found found;
    assert_int_equal(archive_load(w.h, &key, 1, &w.arena, &found), ERR_NONE);
    assert_int_equal(found.version, 1);
    file_world_close(&w);
}

static void test_foreign_database(void **state)
{
    execute("CREATE TABLE theirs(a)");
    struct archive_world w = file_world(100);
    int64_t version;

    assert_int_equal(file_version(&w, 0, &version), ERR_ARCHIVEBAD);
    assert_non_null(strstr(archive_why(w.h), "another program"));
    assert_int_equal(file_put(&w, 0, 0, 1), ERR_ARCHIVEBAD);
    file_world_close(&w);
    execute("INSERT INTO theirs VALUES(1)");
}

static void test_locked(void **state)
{
    file_fill();
    struct archive_world w = file_world(60);
    sqlite3 *other = NULL;
    int64_t version;
    size_t swept = 0;

    assert_int_equal(file_put(&w, 0, 1, 2), ERR_NONE);
    assert_int_equal(sqlite3_open(file_path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(file_put(&w, 0, 2, 3), ERR_ARCHIVEDOWN);
    assert_non_null(strstr(archive_why(w.h), "lock"));
    assert_int_equal(archive_ping(w.h), ERR_ARCHIVEDOWN);
    assert_int_equal(archive_sweep(w.h, 1, 10, &swept), ERR_NONE); /* nothing to do needs no lock */
    assert_int_equal(file_version(&w, 0, &version), ERR_NONE);
    assert_int_equal(version, 2);
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(file_put(&w, 0, 2, 3), ERR_NONE);
    sqlite3_close(other);
    file_world_close(&w);
}

static void test_removed(void **state)
{
    file_fill();
    struct archive_world w = file_world(2000);
    int64_t version = 0;

    assert_int_equal(file_version(&w, 5, &version), ERR_NONE);
    assert_int_equal(version, 1);
    file_remove();
    assert_int_equal(file_put(&w, 5, 1, 2), ERR_ARCHIVEDOWN);
    assert_non_null(strstr(archive_why(w.h), "removed"));
    assert_int_equal(file_put(&w, 5, 1, 2), ERR_RACE); /* it is a new one, and empty */
    assert_int_equal(file_put(&w, 5, 0, 9), ERR_NONE);
    file_world_close(&w);
    w = file_world(2000);
    assert_int_equal(file_version(&w, 5, &version), ERR_NONE);
    assert_int_equal(version, 9);
    file_world_close(&w);
}

static void test_replaced(void **state)
{
    char aside[160];
    int64_t version = 0;

    file_fill();
    struct file_image image = file_read();
    struct archive_world w = file_world(2000);
    assert_int_equal(file_put(&w, 5, 1, 2), ERR_NONE);
    snprintf(aside, sizeof aside, "%s.aside", file_path);
    assert_int_equal(rename(file_path, aside), 0);
    file_remove();
    file_write(image.bytes, image.n);
    assert_int_equal(file_version(&w, 5, &version), ERR_ARCHIVEDOWN);
    assert_int_equal(file_version(&w, 5, &version), ERR_NONE);
    assert_int_equal(version, 1);
    assert_int_equal(file_put(&w, 5, 2, 3), ERR_RACE);
    assert_int_equal(file_put(&w, 5, 1, 3), ERR_NONE);
    file_world_close(&w);
    free(image.bytes);
}

static void count_up(void)
{
    struct archive_world w = file_world(20000);

    for (unsigned done = 0; done < 60;) {
        int64_t version;
        REQUIRE(file_version(&w, 0, &version) == ERR_NONE);
        enum err e = file_put(&w, 0, version, version + 1);
        REQUIRE(e == ERR_NONE || e == ERR_RACE);
        done += e == ERR_NONE;
    }
    file_world_close(&w);
}

/* They also make the file at the same time. */
static void test_several_processes(void **state)
{
    pid_t pids[4];
    int status;

    for (size_t i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            count_up();
            _exit(FILE_CHILD_OK);
        }
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == FILE_CHILD_OK);
    }
    struct archive_world w = file_world(500);
    int64_t version;
    assert_int_equal(file_version(&w, 0, &version), ERR_NONE);
    assert_int_equal(version, 4 * 60);
    file_world_close(&w);
}

struct note {
    size_t i;
    int64_t version;
};

/* Goes on from what is stored, for ever; tells of each write once it is acknowledged. */
static void write_and_tell(int to)
{
    struct archive_world w = file_world(20000);
    int64_t versions[FILE_KEYS];

    for (size_t i = 0; i < FILE_KEYS; i++)
        REQUIRE(file_version(&w, i, &versions[i]) == ERR_NONE);
    for (size_t i = 0;; i = (i + 1) % FILE_KEYS) {
        REQUIRE(file_put(&w, i, versions[i], versions[i] + 1) == ERR_NONE);
        struct note note = {i, ++versions[i]};
        REQUIRE(write(to, &note, sizeof note) == sizeof note);
    }
}

/* Kills the child some ms after its first write; fills in the last version it told of each key. */
static void one_life(unsigned ms, int64_t *told)
{
    int ends[2];
    struct note note;

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        write_and_tell(ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &note, sizeof note), sizeof note);
    told[note.i] = note.version;
    usleep(ms * 1000);
    assert_int_equal(kill(pid, SIGKILL), 0);
    while (read(ends[0], &note, sizeof note) == sizeof note)
        told[note.i] = note.version;
    close(ends[0]);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void expect_told(const int64_t *told)
{
    struct archive_world w = file_world(20000);
    char name[32], value[FILE_VALUE_CAP];
    unsigned untold = 0;

    for (size_t i = 0; i < FILE_KEYS; i++) {
        int64_t version;
        assert_int_equal(file_version(&w, i, &version), ERR_NONE);
        assert_true(version >= told[i] && version <= told[i] + 1);
        archive_expect(&w, file_key(i, name), version, file_value(i, version, value));
        untold += version > told[i];
    }
    assert_true(untold <= 1); /* the one that was under way */
    file_world_close(&w);
}

static void test_kill_9(void **state)
{
    int64_t told[FILE_KEYS] = {0};

    for (unsigned round = 0; round < 20; round++) {
        one_life(1 + round * 2, told);
        expect_told(told);
        struct archive_world w = file_world(2000); /* what was under way counts from now on */
        for (size_t i = 0; i < FILE_KEYS; i++)
            assert_int_equal(file_version(&w, i, &told[i]), ERR_NONE);
        file_world_close(&w);
    }
    assert_true(told[0] > 2);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, file_setup, file_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(urls),
        T(made_for_the_owner_alone),
        T(newer_schema),
        T(foreign_database),
        T(locked),
        T(removed),
        T(replaced),

        T(several_processes),
        T(kill_9),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
