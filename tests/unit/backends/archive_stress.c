/* One of several processes that count in the same few keys of an archive: archive_stress URL SEED MS
 * Each commit adds one to one to three of the counters "stress:0" …, and now and then makes or deletes "stress:made" with them.
 * "ok N N …" for each commit that was acknowledged, "lost N N …" for one that may have been done, and in the end
 * "end RACES LONGEST_MS". tests/system/test_archive_mongo.py compares the sums with what is stored. */
#include "backends/archive/archive.h"

#include "base/clock.h"
#include "engine/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNTERS 4
#define MADE     COUNTERS /* the number of the key that comes and goes */
#define KEYS     (COUNTERS + 1)

struct stress {
    struct archive_handle *h;
    struct arena arena;
    unsigned random;
    bool chosen[KEYS];
    unsigned races;
    int64_t longest_us;
};

static const char *const names[KEYS] = {"stress:0", "stress:1", "stress:2", "stress:3", "stress:made"};

static unsigned below(struct stress *s, unsigned n)
{
    return (unsigned)rand_r(&s->random) / 7 % n;
}

static void choose(struct stress *s)
{
    unsigned n = 1 + below(s, 3);

    memset(s->chosen, 0, sizeof s->chosen);
    while (n-- > 0)
        s->chosen[below(s, COUNTERS)] = true;
    s->chosen[MADE] = below(s, 4) == 0;
}

/* What the document counts: a value that is not that of its version loses counts. */
static long long count_of(const struct archive_found *found)
{
    bson_t doc;
    bson_iter_t it;

    if (found->version == 0)
        return 0;
    if (!bson_init_static(&doc, (const uint8_t *)found->doc.p, found->doc.len) ||
        !bson_iter_init_find(&it, &doc, "v") || !BSON_ITER_HOLDS_UTF8(&it))
        abort();
    return atoll(bson_iter_utf8(&it, NULL));
}

static struct archive_write write_of(size_t number, const struct archive_found *found)
{
    struct slice key = {names[number], strlen(names[number])};
    struct archive_write w = {.entry = {.key = key,
                                        .hash = archive_hash(key),
                                        .version = found->version + 1,
                                        .expire_ms = -1,
                                        .type = OBJECT_STRING},
                              .expected = found->version};
    char text[24];

    if (number == MADE && found->version != 0)
        return w;
    if (number == MADE)
        w.entry.version = clock_wall_us(); /* above all it ever had: processes of one machine */
    snprintf(text, sizeof text, "%lld", count_of(found) + 1);
    w.doc = BCON_NEW("_id", BCON_UTF8(names[number]), "t", "string", "v", BCON_UTF8(text));
    return w;
}

static enum err count(struct stress *s)
{
    struct slice keys[KEYS];
    size_t numbers[KEYS], n = 0;
    struct archive_found found[KEYS];
    struct archive_write writes[KEYS];

    for (size_t i = 0; i < KEYS; i++)
        if (s->chosen[i]) {
            numbers[n] = i;
            keys[n++] = (struct slice){names[i], strlen(names[i])};
        }
    arena_reset(&s->arena);
    enum err e = archive_load(s->h, keys, n, &s->arena, found);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++)
        writes[i] = write_of(numbers[i], &found[i]);
    e = archive_commit(s->h, writes, n);
    for (size_t i = 0; i < n; i++)
        bson_destroy((bson_t *)writes[i].doc);
    return e;
}

static void tell(const struct stress *s, const char *what)
{
    fputs(what, stdout);
    for (size_t i = 0; i < COUNTERS; i++)
        if (s->chosen[i])
            printf(" %zu", i);
    putchar('\n');
    fflush(stdout); /* it may be killed at any time */
}

static void run(struct stress *s, int64_t until_us)
{
    while (clock_mono_us() < until_us) {
        int64_t began = clock_mono_us();
        enum err e = ERR_RACE;

        choose(s);
        while (e == ERR_RACE && clock_mono_us() < until_us) {
            e = count(s);
            s->races += e == ERR_RACE;
        }
        if (e == ERR_NONE || e == ERR_ARCHIVELOST)
            tell(s, e == ERR_NONE ? "ok" : "lost");
        else if (e != ERR_RACE)
            printf("%s: %s\n", err_name(e), archive_why(s->h));
        int64_t took = clock_mono_us() - began;
        s->longest_us = took > s->longest_us ? took : s->longest_us;
    }
}

int main(int argc, char **argv)
{
    char why[200] = "";

    if (argc != 4)
        return 2;
    struct archive_options options = {.url = argv[1], .workers = 1, .connect_timeout = 1000, .timeout = 4000};
    struct archive *a = archive_open(&options, why, sizeof why);
    if (a == NULL) {
        puts(why);
        return 1;
    }
    struct stress s = {.h = archive_attach(a), .random = (unsigned)atoi(argv[2])};
    arena_init(&s.arena);
    run(&s, clock_mono_us() + atoll(argv[3]) * 1000);
    printf("end %u %lld\n", s.races, (long long)(s.longest_us / 1000));
    archive_detach(s.h);
    arena_done(&s.arena);
    archive_close(a);
    return 0;
}
