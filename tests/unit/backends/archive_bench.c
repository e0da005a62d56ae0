/* What an archive does in a second, by itself: 4 KB documents, loads and commits in groups. Prints a table.
 * archive_bench [keys [url [seconds for each row]]]; without a url an SQLite file in the working directory, deleted at the end. */
#include "backends/archive/archive.h"
#include "engine/document.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define VALUE_BYTES 4000 /* 4 KB with the rest of the document */
#define GROUP_MAX   512

struct bench {
    struct archive_handle *h;
    size_t keys;
    double seconds;
    int64_t *versions; /* of each key */
    char (*names)[32];
    bson_t *docs[GROUP_MAX];
    struct arena arena;
    unsigned random;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* User and system: what a document costs, however many others share the machine. */
static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void check(struct bench *b, enum err e)
{
    if (e == ERR_NONE)
        return;
    fprintf(stderr, "archive_bench: %s (%s)\n", archive_why(b->h), err_name(e));
    exit(1);
}

static struct slice name_of(struct bench *b, size_t i)
{
    return (struct slice){b->names[i], strlen(b->names[i])};
}

static bson_t *document_of(struct slice key, unsigned seed)
{
    char value[VALUE_BYTES + 1];
    bson_t *doc = BCON_NEW("_id", BCON_UTF8(key.p), "t", "string");

    for (size_t i = 0; i < VALUE_BYTES; i++)
        value[i] = (char)('a' + (seed + i * 7) % 26);
    bson_append_utf8(doc, "v", 1, value,
                     (int)(VALUE_BYTES - seed % 64)); /* lengths change, as those of conversations do */
    return doc;
}

static size_t any_key(struct bench *b)
{
    b->random = b->random * 1664525u + 1013904223u;
    return (size_t)(((uint64_t)b->random * b->keys) >> 32);
}

/* n different keys: a random first one, then others some way apart. */
static void load_group(struct bench *b, size_t n)
{
    struct slice keys[GROUP_MAX];
    struct archive_found found[GROUP_MAX];

    for (size_t i = 0; i < n; i++)
        keys[i] = name_of(b, any_key(b));
    arena_reset(&b->arena);
    check(b, archive_load(b->h, keys, n, &b->arena, found));
}

static void commit_keys(struct bench *b, size_t first, size_t step, size_t n)
{
    struct archive_write writes[GROUP_MAX];

    for (size_t i = 0; i < n; i++) {
        size_t k = (first + i * step) % b->keys;
        struct slice key = name_of(b, k);
        writes[i] = (struct archive_write){.entry = {.key = key,
                                                     .hash = archive_hash(key),
                                                     .version = b->versions[k] + 1,
                                                     .expire_ms = 2000000000000,
                                                     .type = OBJECT_STRING},
                                           .expected = b->versions[k],
                                           .doc = b->docs[i]};
        b->versions[k]++;
    }
    check(b, archive_commit(b->h, writes, n));
}

static void commit_group(struct bench *b, size_t n)
{
    commit_keys(b, any_key(b), b->keys / n, n);
}

static void row(struct bench *b, const char *what, void (*group)(struct bench *b, size_t n), size_t n)
{
    double start = now_s(), cpu = cpu_s(), longest = 0, last = start;
    size_t groups = 0;

    do {
        group(b, n);
        double t = now_s();
        longest = t - last > longest ? t - last : longest;
        last = t;
        groups++;
    } while (last - start < b->seconds);
    double s = last - start;
    printf("%-14s groups of %3zu  %9.0f documents/s  %6.2f us CPU each  %8.3f ms a group, longest %8.3f ms\n",
           what, n, (double)(groups * n) / s, (cpu_s() - cpu) / (double)(groups * n) * 1e6,
           s / (double)groups * 1e3, longest * 1e3);
}

static void fill(struct bench *b)
{
    double start = now_s(), cpu = cpu_s();

    for (size_t i = 0; i < b->keys; i += GROUP_MAX)
        commit_keys(b, i, 1, b->keys - i < GROUP_MAX ? b->keys - i : GROUP_MAX);
    printf("%-14s groups of %3d  %9.0f documents/s  %6.2f us CPU each\n", "insert", GROUP_MAX,
           (double)b->keys / (now_s() - start), (cpu_s() - cpu) / (double)b->keys * 1e6);
}

/* What one fsync of some pages costs here: the least that a commit takes. */
static void fsync_row(const char *path, double seconds)
{
    static char pages[16 * 4096];
    int fd = open(path, O_CREAT | O_RDWR | O_TRUNC, 0600);
    double start = now_s();
    size_t n = 0;

    while (fd >= 0 && now_s() - start < seconds &&
           pwrite(fd, pages, sizeof pages, (off_t)(n % 64 * sizeof pages)) > 0 && fdatasync(fd) == 0)
        n++;
    if (fd >= 0)
        close(fd);
    unlink(path);
    if (n > 0)
        printf("64 KB and fdatasync: %.3f ms\n", seconds / (double)n * 1e3);
}

struct writer {
    struct bench bench;
    atomic_bool stop;
    size_t groups;
};

static void *write_on(void *writer)
{
    struct writer *w = writer;

    for (; !atomic_load(&w->stop); w->groups++)
        commit_group(&w->bench, 128);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Loads of one key while another handle commits groups of 128: what a reader waits. */
static void beside_writer(struct bench *b)
{
    enum { MOST = 1000000 };
    struct writer w = {.bench = *b};
    double *took = malloc(MOST * sizeof *took), start = now_s(), last = start;
    size_t n = 0;
    pthread_t thread;

    w.bench.h = archive_attach(b->h->archive);
    if (took == NULL || pthread_create(&thread, NULL, write_on, &w) != 0)
        exit(1);
    for (; n < MOST && last - start < 2 * b->seconds; n++) {
        load_group(b, 1);
        took[n] = now_s() - last;
        last += took[n];
    }
    atomic_store(&w.stop, true);
    pthread_join(thread, NULL);
    archive_detach(w.bench.h);
    qsort(took, n, sizeof *took, by_value);
    printf("load beside a writer of %.0f documents/s: %.0f documents/s, P50 %.3f ms, P99 %.3f ms, P99.9 %.3f "
           "ms, longest %.3f ms\n",
           (double)w.groups * 128 / (last - start), (double)n / (last - start), took[n / 2] * 1e3,
           took[n * 99 / 100] * 1e3, took[n * 999 / 1000] * 1e3, took[n - 1] * 1e3);
    free(took);
}

static void run(struct bench *b)
{
    static const size_t loads[] = {1, 16, 128}, commits[] = {1, 16, 128, 256, 512};

    fill(b);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        row(b, "load", load_group, loads[i]);
    for (size_t i = 0; i < sizeof commits / sizeof commits[0]; i++)
        row(b, "commit", commit_group, commits[i]);
    for (size_t i = 0; i < sizeof loads / sizeof loads[0]; i++)
        row(b, "load, long WAL", load_group, loads[i]);
    beside_writer(b);
}

int main(int argc, char **argv)
{
    char why[200], file[] = "archive_bench.db", url[64];
    struct bench b = {.keys = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000,
                      .seconds = argc > 3 ? strtod(argv[3], NULL) : 1.0};

    if (b.keys < GROUP_MAX)
        return 2;
    snprintf(url, sizeof url, "sqlite:%s", file);
    struct archive_options options = {.url = argc > 2 ? argv[2] : url, .workers = 1, .timeout = 5000};
    struct archive *a = archive_open(&options, why, sizeof why);
    if (a == NULL) {
        fprintf(stderr, "archive_bench: %s\n", why);
        return 1;
    }
    b.h = archive_attach(a);
    b.versions = calloc(b.keys, sizeof *b.versions);
    b.names = calloc(b.keys, sizeof *b.names);
    for (size_t i = 0; i < b.keys; i++)
        snprintf(b.names[i], sizeof b.names[i], "conv:%zu", i);
    for (unsigned i = 0; i < GROUP_MAX; i++)
        b.docs[i] = document_of(name_of(&b, i), i);
    arena_init(&b.arena);
    printf("%s, %zu keys of %u bytes\n", archive_kind(a), b.keys, b.docs[0]->len);
    fsync_row("archive_bench.sync", 0.5);
    check(&b, archive_clear(b.h));
    run(&b);
    arena_done(&b.arena);
    for (unsigned i = 0; i < GROUP_MAX; i++)
        bson_destroy(b.docs[i]);
    free(b.names);
    free(b.versions);
    archive_detach(b.h);
    archive_close(a);
    if (argc <= 2)
        unlink(file);
    return 0;
}
