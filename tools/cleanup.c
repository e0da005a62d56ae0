#include "tools/cleanup.h"

#include "tools/item.h"
#include "tools/keypage.h"
#include "tools/paint.h"
#include "tools/progress.h"
#include "tools/screen.h"
#include "tools/store.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define EXAMPLES 5
#define RATE     10000.0
#define WORD(w)  ((struct slice){w, sizeof(w) - 1})

struct cleanup {
    const struct options *options;
    const char *pattern;
    struct store store;
    struct progress progress;
    uint64_t matched, deleted, refused;
    char examples[EXAMPLES][100];
    struct keypage page;
    bool ended; /* somebody has interrupted it */
};

/* ---- counting ---- */

static void count(void *ctx, struct slice key)
{
    struct cleanup *c = ctx;

    if (c->matched < EXAMPLES) {
        char *text = c->examples[c->matched];
        snprintf(text, sizeof c->examples[0], "%.*s", (int)(key.len < 99 ? key.len : 99), key.p);
        for (; *text != '\0'; text++)
            *text = (unsigned char)*text < ' ' || *text == 127 ? '?' : *text;
    }
    c->matched++;
}

static bool failed(const struct cleanup *c)
{
    fprintf(stderr, "convctl: cleanup: %s\n", c->store.why);
    return false;
}

static bool look(struct cleanup *c)
{
    uint64_t cursor = 0;

    progress_begin(&c->progress, c->options, "count", -1, 0);
    do {
        if (!store_scan(&c->store, &cursor, c->pattern, count, c))
            return failed(c);
        c->ended = !progress_step(&c->progress, c->matched, 0);
    } while (cursor != 0 && !c->ended);
    progress_end(&c->progress);
    return true;
}

/* ---- deleting ---- */

static void keep(void *ctx, struct slice key)
{
    keypage_add(&((struct cleanup *)ctx)->page, key);
}

static void refused(struct cleanup *c, struct slice key, const char *why)
{
    if (c->refused++ >= EXAMPLES)
        return;
    fprintf(stderr, "convctl: cleanup: refused: ");
    item_write_text(stderr, key);
    fprintf(stderr, ": %s\n", why);
}

/* One command a key: one that is refused takes no others along. False: nothing was deleted of a page that has keys. */
static bool unlink_page(struct cleanup *c)
{
    struct link *l = c->store.link;
    uint64_t before = c->refused;

    for (size_t i = 0; i < c->page.n; i++)
        link_put(l, (struct slice[]){WORD("UNLINK"), c->page.keys[i]}, 2);
    for (size_t i = 0; i < c->page.n; i++) {
        const redisReply *r = link_get(l);
        if (r == NULL)
            return store_failed(&c->store, NULL) || failed(c);
        if (r->type == REDIS_REPLY_ERROR)
            refused(c, c->page.keys[i], r->str);
        else
            c->deleted += r->type == REDIS_REPLY_INTEGER ? (uint64_t)r->integer : 0;
    }
    link_done(l);
    return c->page.n == 0 || c->refused - before < c->page.n;
}

static bool erase(struct cleanup *c, double rate)
{
    uint64_t cursor = 0;
    bool ok;

    progress_begin(&c->progress, c->options, "cleanup", (int64_t)c->matched, rate);
    do {
        ok = (store_scan(&c->store, &cursor, c->pattern, keep, c) || failed(c)) && unlink_page(c);
        keypage_clear(&c->page);
        c->ended = !progress_step(&c->progress, c->deleted, 0);
    } while (ok && cursor != 0 && !c->ended);
    progress_end(&c->progress);
    return ok && c->refused == 0;
}

/* ---- telling ---- */

static void say_plan(const struct cleanup *c)
{
    printf("%s keys match %s\n", paint_count((double)c->matched), c->pattern);
    for (size_t i = 0; i < c->matched && i < EXAMPLES; i++)
        printf("  %s\n", c->examples[i]);
    if (c->matched > EXAMPLES)
        printf("  ...\n");
}

static void say_end(const struct cleanup *c, bool dry, bool ok)
{
    cJSON *doc;

    if (!c->options->json && dry)
        return;
    if (!c->options->json) {
        printf("deleted    %s keys%s\n", paint_count((double)c->deleted),
               c->ended ? ": interrupted; the same command goes on" : ok ? "" : "; the same command goes on");
        if (c->refused > 0)
            printf("refused    %s keys\n", paint_count((double)c->refused));
        return;
    }
    doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "pattern", c->pattern);
    cJSON_AddNumberToObject(doc, "matched", (double)c->matched);
    cJSON_AddNumberToObject(doc, "deleted", (double)c->deleted);
    cJSON_AddNumberToObject(doc, "refused", (double)c->refused);
    cJSON_AddBoolToObject(doc, "interrupted", c->ended);
    ctl_print(doc);
    cJSON_Delete(doc);
}

static int confirm(const struct cleanup *c)
{
    char question[400];

    if (!c->options->json)
        printf("To be able to undo it: convctl export --match '%s' --out before-cleanup.ndjson, and later convctl import that file.\n",
               c->pattern);
    snprintf(question, sizeof question, "Delete %s keys that match %s, in both stores?", paint_count((double)c->matched), c->pattern);
    return ctl_confirm(c->options->yes, "a cleanup", question);
}

static int cleanup(struct cleanup *c, bool dry, double rate)
{
    if (!look(c))
        return EXIT_UNHEALTHY;
    if (!c->options->json)
        say_plan(c);
    if (c->matched == 0 || dry || c->ended) {
        say_end(c, true, true);
        return c->ended ? EXIT_INTERRUPTED : EXIT_OK;
    }
    int code = confirm(c);
    if (code != EXIT_OK)
        return code;
    bool ok = erase(c, rate);
    say_end(c, false, ok);
    return !ok ? EXIT_UNHEALTHY : c->ended ? EXIT_INTERRUPTED : EXIT_OK;
}

int run_cleanup(struct options *o, const struct args *args)
{
    struct cleanup *c = calloc(1, sizeof *c);
    double rate = RATE;

    if (c == NULL)
        abort();
    *c = (struct cleanup){.options = o, .pattern = args->words[0]};
    keypage_init(&c->page);
    int code = EXIT_WRONG_USAGE;
    if (c->pattern[strspn(c->pattern, "*")] == '\0')
        ctl_usage_error("a cleanup of everything is a FLUSHALL; expected a pattern like governance:acme:session:*, not ", c->pattern);
    else if (args_number(args, "rate", 0, 1e7, &rate))
        code = store_open(&c->store, o, args_value(args, "proxy"));
    if (code == EXIT_OK) {
        code = cleanup(c, args_flag(args, "dry-run"), rate);
        store_done(&c->store);
    }
    keypage_done(&c->page);
    free(c);
    return code;
}
