/* The SQLite archive: the contract, by the suite; what its file lives through is in test_archive_sqlite_file.c. */
#include "backends/sqlite/sqlite.h"

#include "tests/unit/backends/archive_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static struct archive *open_archive(void)
{
    char url[128], why[200] = "";

    snprintf(url, sizeof url, "sqlite:%s/made/by/open/archive.db", dir);
    struct archive *a =
        archive_open(&(struct archive_options){.url = url, .workers = 9, .timeout = 20000}, why, sizeof why);
    if (a == NULL)
        print_error("%s\n", why);
    assert_non_null(a);
    return a;
}

static const struct archive_suite suite = {
    .name = "sqlite",
    .open = open_archive,
    .documents = 400,
    .large_bytes = 15u << 20,
    .key_bytes = 60000,
    .threads = 4,
    .increments = 100,
    .consistent_loads = true,
};

int main(void)
{
    char command[128];

    snprintf(dir, sizeof dir, "/tmp/test_archive_sqlite.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = archive_suite_run(&suite);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 1 : failed;
}
