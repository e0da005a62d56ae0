/* tests/fuzz/replay — the main of a fuzz target that is built without libFuzzer: runs every file of the given
 * files and directories once. A missing or empty directory is a failure: a corpus that vanished must not
 * pass. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Into a block of exactly the file's size, so that AddressSanitizer sees a read one byte too far. */
static int run_file(const char *path, size_t size)
{
    FILE *f = fopen(path, "rb");
    uint8_t *data = malloc(size > 0 ? size : 1);
    int ok = f != NULL && data != NULL && fread(data, 1, size, f) == size;

    if (ok)
        LLVMFuzzerTestOneInput(data, size);
    else
        fprintf(stderr, "replay: cannot read %s: %s\n", path, strerror(errno));
    free(data);
    if (f != NULL)
        fclose(f);
    return ok ? 1 : -1;
}

/* How many files ran, or -1. */
static int run_path(const char *path);

static int run_directory(const char *path)
{
    struct dirent **names = NULL;
    int n = scandir(path, &names, NULL, alphasort);
    int ran = 0;

    for (int i = 0; i < n; i++) {
        char file[4096];
        int len = snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name);
        int one = 0;
        if (names[i]->d_name[0] != '.')
            one = len < (int)sizeof file ? run_path(file) : -1;
        ran = ran < 0 || one < 0 ? -1 : ran + one;
        free(names[i]);
    }
    free(names);
    if (ran == 0)
        fprintf(stderr, "replay: %s has no files\n", path);
    return ran > 0 ? ran : -1;
}

static int run_path(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        fprintf(stderr, "replay: %s: %s\n", path, strerror(errno));
        return -1;
    }
    return S_ISDIR(st.st_mode) ? run_directory(path) : run_file(path, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
    int ran = 0;

    for (int i = 1; i < argc; i++) {
        int one = run_path(argv[i]);
        ran = ran < 0 || one < 0 ? -1 : ran + one;
    }
    if (ran <= 0) {
        fprintf(stderr, "replay: failed; usage: %s FILE|DIRECTORY...\n", argv[0]);
        return 1;
    }
    printf("replay: %d inputs ran\n", ran);
    return 0;
}
