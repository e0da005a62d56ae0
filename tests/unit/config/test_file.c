/* Reading and replacing a file: limits, and the exact errors. */
#include "config/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_read(void **state)
{
    char path[] = "/tmp/convproxy-yaml-XXXXXX", want[128];
    int fd = mkstemp(path);
    char *text = (char *)1;
    size_t len;
    bool missing;
    struct config_error err;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)FILE_MOST), 0);
    assert_int_equal(file_read(path, &text, &len, &missing, &err), ERR_NONE);
    assert_int_equal(len, FILE_MOST);
    assert_false(missing);
    free(text);
    assert_int_equal(ftruncate(fd, (off_t)FILE_MOST + 1), 0);
    assert_int_equal(file_read(path, &text, &len, &missing, &err), ERR_CONFIG);
    snprintf(want, sizeof want, "%s: the file is larger than 1048576 bytes", path);
    assert_string_equal(err.text, want);
    close(fd);
    unlink(path);
    assert_int_equal(file_read(path, &text, &len, &missing, &err), ERR_CONFIG);
    snprintf(want, sizeof want, "%s: cannot be read: No such file or directory", path);
    assert_string_equal(err.text, want);
    assert_true(missing);
    assert_int_equal(file_read("/tmp", &text, &len, NULL, &err), ERR_CONFIG);
    assert_string_equal(err.text, "/tmp: cannot be read: Is a directory");
}

static void test_replace(void **state)
{
    char folder[] = "/tmp/convproxy-file-XXXXXX", path[64], *text;
    size_t len;
    struct stat st;
    struct config_error err;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    assert_int_equal(file_replace(path, "one\n", &err), ERR_NONE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(file_replace(path, "two\n", &err), ERR_NONE);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(file_read(path, &text, &len, NULL, &err), ERR_NONE);
    assert_string_equal(text, "two\n");
    free(text);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0); /* nothing was left behind */
}

static void test_replace_fails(void **state)
{
    char folder[] = "/tmp/convproxy-file-XXXXXX", path[64], want[128];
    struct config_error err;
    assert_int_equal(file_replace("/nonexistent/f", "x", &err), ERR_CONFIG);
    assert_string_equal(err.text, "/nonexistent/f: cannot be written: No such file or directory");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/f", folder);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(file_replace(path, "x", &err), ERR_CONFIG);
    snprintf(want, sizeof want, "%s: cannot be written: Is a directory", path);
    assert_string_equal(err.text, want);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rmdir(folder), 0); /* the half-made file is gone */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_replace),
        cmocka_unit_test(test_replace_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
