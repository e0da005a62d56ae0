/* An archive by lines, for tests that do things to its server: archive_cli URL CONNECT_MS TIMEOUT_MS
 *   load KEY · put KEY EXPECTED VERSION VALUE · pair KEY KEY EXPECTED VERSION VALUE · sweep · ping
 * answers "NAME MS WORDS": "ok", or the error's name and why; load says "VERSION VALUE". Two handles, "2 " before a line is the
 * second one's. */
#include "backends/archive/archive.h"

#include "base/clock.h"
#include "engine/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 6

struct cli {
    struct archive_handle *h;
    struct arena arena;
    char words[WORDS][256];
    char answer[512];
};

static struct slice word(struct cli *c, size_t i)
{
    return (struct slice){c->words[i], strlen(c->words[i])};
}

static enum err load(struct cli *c)
{
    struct slice key = word(c, 1);
    struct archive_found found;
    bson_t doc;
    bson_iter_t it;

    enum err e = archive_load(c->h, &key, 1, &c->arena, &found);
    if (e != ERR_NONE)
        return e;
    const char *value = found.version == 0 ? "-" : "?";
    if (found.version != 0 && bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len) &&
        bson_iter_init_find(&it, &doc, "v") && BSON_ITER_HOLDS_UTF8(&it))
        value = bson_iter_utf8(&it, NULL);
    snprintf(c->answer, sizeof c->answer, "%lld %s", (long long)found.version, value);
    return ERR_NONE;
}

/* n keys from word 1 on, then: expected version, version, value. */
static enum err write_keys(struct cli *c, size_t n)
{
    struct archive_write writes[2];
    bson_t *docs[2];

    for (size_t i = 0; i < n; i++) {
        struct slice key = word(c, 1 + i);
        struct archive_entry e = {.key = key,
                                  .hash = archive_hash(key),
                                  .version = atoll(c->words[n + 2]),
                                  .expire_ms = -1,
                                  .type = OBJECT_STRING};
        docs[i] = BCON_NEW("_id", BCON_UTF8(c->words[1 + i]), "t", "string", "v", BCON_UTF8(c->words[n + 3]));
        writes[i] = (struct archive_write){e, atoll(c->words[n + 1]), docs[i]};
    }
    enum err e = archive_commit(c->h, writes, n);
    for (size_t i = 0; i < n; i++)
        bson_destroy(docs[i]);
    return e;
}

static enum err put(struct cli *c)
{
    return write_keys(c, 1);
}

static enum err pair(struct cli *c)
{
    return write_keys(c, 2);
}

static enum err sweep(struct cli *c)
{
    size_t n;
    enum err e = archive_sweep(c->h, clock_wall_us() / 1000, 100, &n);
    snprintf(c->answer, sizeof c->answer, "%zu", n);
    return e;
}

static enum err ping(struct cli *c)
{
    return archive_ping(c->h);
}

static const struct {
    const char *name;
    int words;
    enum err (*run)(struct cli *c);
} commands[] = {
    {"load", 2, load}, {"put", 5, put}, {"pair", 6, pair}, {"sweep", 1, sweep}, {"ping", 1, ping}};

static void answer(struct cli *c, const char *line)
{
    int n = sscanf(line, "%255s %255s %255s %255s %255s %255s", c->words[0], c->words[1], c->words[2],
                   c->words[3], c->words[4], c->words[5]);

    c->answer[0] = '\0';
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, c->words[0]) != 0 || n != commands[i].words)
            continue;
        int64_t began = clock_mono_us();
        enum err e = commands[i].run(c);
        printf("%s %lld %s\n", e == ERR_NONE ? "ok" : err_name(e),
               (long long)((clock_mono_us() - began) / 1000), e == ERR_NONE ? c->answer : archive_why(c->h));
        return;
    }
    printf("what 0 %s\n", line);
}

int main(int argc, char **argv)
{
    char why[200] = "", line[2048];
    struct cli clis[2];

    if (argc != 4)
        return 2;
    struct archive *a = archive_open(
        &(struct archive_options){
            .url = argv[1], .workers = 2, .connect_timeout = atoll(argv[2]), .timeout = atoll(argv[3])},
        why, sizeof why);
    if (a == NULL) {
        printf("bad 0 %s\n", why);
        return 1;
    }
    for (size_t i = 0; i < 2; i++) {
        clis[i].h = archive_attach(a);
        arena_init(&clis[i].arena);
    }
    while (fgets(line, sizeof line, stdin) != NULL) {
        bool second = strncmp(line, "2 ", 2) == 0;
        answer(&clis[second], second ? line + 2 : line);
        fflush(stdout);
    }
    for (size_t i = 0; i < 2; i++) {
        archive_detach(clis[i].h);
        arena_done(&clis[i].arena);
    }
    archive_close(a);
    return 0;
}
