#include "tests/unit/backends/archive_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

char file_dir[64], file_path[128];

struct archive *file_open(int64_t timeout, char *why, size_t why_cap)
{
    char url[192];

    snprintf(url, sizeof url, "sqlite:%s", file_path);
    return archive_open(&(struct archive_options){.url = url, .workers = 4, .timeout = timeout}, why,
                        why_cap);
}

struct archive_world file_world(int64_t timeout)
{
    char why[200] = "";
    struct archive_world w = {.archive = file_open(timeout, why, sizeof why)};

    if (w.archive == NULL) {
        fprintf(stderr, "%s\n", why);
        abort();
    }
    w.h = archive_attach(w.archive);
    arena_init(&w.arena);
    return w;
}

void file_world_close(struct archive_world *w)
{
    arena_done(&w->arena);
    archive_detach(w->h);
    archive_close(w->archive);
}

int file_setup(void **state)
{
    snprintf(file_dir, sizeof file_dir, "/tmp/test_archive_file.XXXXXX");
    if (mkdtemp(file_dir) == NULL)
        return -1;
    snprintf(file_path, sizeof file_path, "%s/a.db", file_dir);
    return 0;
}

int file_teardown(void **state)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf %s", file_dir);
    return system(command);
}

struct slice file_key(size_t i, char buf[32])
{
    return (struct slice){buf, (size_t)snprintf(buf, 32, "conv:%zu", i)};
}

const char *file_value(size_t i, int64_t version, char buf[FILE_VALUE_CAP])
{
    size_t n = (size_t)snprintf(buf, FILE_VALUE_CAP, "%zu at %lld", i, (long long)version);

    memset(buf + n, 'x', FILE_VALUE_CAP - n);
    buf[n + (i * 700 + (size_t)version * 13) % (FILE_VALUE_CAP - 100)] = '\0';
    return buf;
}

enum err file_put(struct archive_world *w, size_t i, int64_t expected, int64_t version)
{
    char buf[32], value[FILE_VALUE_CAP];

    return archive_put(w, file_key(i, buf), expected, version, file_value(i, version, value));
}

enum err file_version(struct archive_world *w, size_t i, int64_t *ret_version)
{
    char buf[32];
    struct slice key = file_key(i, buf);
    struct archive_found found = {0};
    enum err e = archive_load(w->h, &key, 1, &w->arena, &found);

    *ret_version = found.version;
    return e;
}

void file_fill(void)
{
    struct archive_world w = file_world(2000);

    for (size_t i = 0; i < FILE_KEYS; i++)
        assert_int_equal(file_put(&w, i, 0, 1), ERR_NONE);
    file_world_close(&w);
}

void file_in_child(void (*run)(void))
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        run();
        _exit(FILE_CHILD_OK);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == FILE_CHILD_SKIPPED)
        skip();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), FILE_CHILD_OK);
}

void file_remove(void)
{
    const char *const suffixes[] = {"", "-wal", "-shm"};
    char file[192];

    for (size_t i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s%s", file_path, suffixes[i]);
        unlink(file);
    }
}

struct file_image file_read(void)
{
    int fd = open(file_path, O_RDONLY);
    struct stat st;

    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    struct file_image image = {malloc((size_t)st.st_size), (size_t)st.st_size};
    assert_int_equal(read(fd, image.bytes, image.n), image.n);
    close(fd);
    return image;
}

void file_write(const unsigned char *bytes, size_t n)
{
    int fd = open(file_path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, n), n);
    close(fd);
}
