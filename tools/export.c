#include "tools/export.h"

#include "base/clock.h"
#include "tools/dump.h"
#include "tools/dumpfile.h"
#include "tools/item.h"
#include "tools/keypage.h"
#include "tools/keyset.h"
#include "tools/manifest.h"
#include "tools/paint.h"
#include "tools/progress.h"
#include "tools/screen.h"
#include "tools/store.h"
#include "version.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES    60 /* of a step that the stores refuse, or can't be asked */
#define RETRY_S  1.0
#define FLUSH_US 1000000
#define SCANS    10 /* that may be begun because the stores changed places */

struct export {
    const struct export_wish *wish;
    struct store store;
    struct dumpfile *file;
    struct keyset seen;
    struct progress progress;
    struct arena arena;
    struct keypage page;
    const cJSON *policy; /* whose keys are scanned; NULL: those of a pattern */
    uint64_t skipped;
    int64_t flushed_us;
    int code;
};

/* ---- what the header says ---- */

static void add_time(cJSON *doc)
{
    char text[CLOCK_TEXT];

    clock_text(clock_wall_us(), text);
    cJSON_AddStringToObject(doc, "at", text);
}

static cJSON *header_of(const struct export *e)
{
    cJSON *doc = cJSON_CreateObject(), *list;
    const cJSON *p;

    cJSON_AddStringToObject(doc, "made_by", "convctl " CONVPROXY_VERSION);
    add_time(doc);
    cJSON_AddStringToObject(doc, "proxy", screen_text(e->store.state, "version"));
    cJSON_AddNumberToObject(doc, "epoch", screen_number(e->store.state, "sync.epoch"));
    if (e->wish->pattern != NULL)
        cJSON_AddStringToObject(doc, "match", e->wish->pattern);
    if (e->wish->policy != NULL)
        cJSON_AddStringToObject(doc, "policy", e->wish->policy);
    if (e->wish->all)
        cJSON_AddTrueToObject(doc, "all");
    list = cJSON_AddArrayToObject(doc, "policies");
    cJSON_ArrayForEach(p, store_policies(&e->store))
    {
        cJSON *row = cJSON_Duplicate(paint_find(p, "settings"), true);
        cJSON_AddStringToObject(row, "name", screen_text(p, "name"));
        cJSON_AddStringToObject(row, "acting", screen_text(p, "acting"));
        cJSON_AddItemToArray(list, row);
    }
    return doc;
}

/* ---- the pages ---- */

static void take_key(void *ctx, struct slice key)
{
    struct export *e = ctx;

    bool wanted = e->policy == NULL || store_policy_of(&e->store, key) == e->policy;
    if (wanted && keyset_add(&e->seen, key))
        keypage_add(&e->page, key);
}

static void skip(struct export *e, struct slice key, const char *why)
{
    fprintf(stderr, "convctl: skipped: ");
    item_write_text(stderr, key);
    fprintf(stderr, ": %s\n", why);
    e->skipped++;
}

/* True: try again, after a while. False: e->code is set. */
static bool may_try_again(struct export *e, int *tries)
{
    if (ctl_interrupted())
        return false;
    if (++*tries == 1 && store_may_pass(&e->store) && !e->store.options->quiet)
        fprintf(stderr, "convctl: %s; it is tried again for a minute\n", e->store.why);
    if (*tries >= TRIES || !store_may_pass(&e->store)) {
        fprintf(stderr, "convctl: %s\n", e->store.why);
        e->code = EXIT_UNHEALTHY;
        return false;
    }
    ctl_pause(RETRY_S);
    return true;
}

static bool put_piece(struct export *e, const struct slice *keys, size_t n)
{
    struct object objects[STORE_PIECE];
    const char *bad[STORE_PIECE];
    int tries = 0;

    while (!store_read(&e->store, keys, n, false, &e->arena, objects, bad))
        if (!may_try_again(e, &tries))
            return false;
    for (size_t i = 0; i < n; i++) {
        if (bad[i] != NULL)
            skip(e, keys[i], bad[i]);
        else if (objects[i].type != OBJECT_NONE)
            dumpfile_put(e->file, &objects[i]);
    }
    arena_reset(&e->arena);
    int64_t now = clock_mono_us();
    if (now - e->flushed_us > FLUSH_US) {
        dumpfile_flush(e->file);
        e->flushed_us = now;
    }
    if (!dumpfile_is_well(e->file)) {
        fprintf(stderr, "convctl: %s\n", dumpfile_why(e->file));
        e->code = EXIT_UNHEALTHY;
        return false;
    }
    return progress_step(&e->progress, dumpfile_keys(e->file), dumpfile_bytes(e->file));
}

static bool put_page(struct export *e)
{
    bool ok = true;

    for (size_t at = 0; ok && at < e->page.n; at += STORE_PIECE)
        ok = put_piece(e, e->page.keys + at, e->page.n - at < STORE_PIECE ? e->page.n - at : STORE_PIECE);
    keypage_clear(&e->page);
    return ok;
}

static bool scan_page(struct export *e, uint64_t *cursor, const char *pattern)
{
    return e->policy != NULL ? store_scan_policy(&e->store, cursor, e->policy, take_key, e)
                             : store_scan(&e->store, cursor, pattern, take_key, e);
}

/* Keys of e->policy, or of the pattern. */
static bool scan(struct export *e, const char *pattern)
{
    uint64_t cursor = 0;

    do {
        int tries = 0;
        while (!scan_page(e, &cursor, pattern)) {
            cursor = 0; /* it may be one of a store that is gone */
            if (!may_try_again(e, &tries))
                return false;
        }
        if (!put_page(e))
            return false;
    } while (cursor != 0);
    return true;
}

static bool scan_policies(struct export *e)
{
    const cJSON *p;

    cJSON_ArrayForEach(p, store_policies(&e->store))
    {
        bool wanted = e->wish->policy == NULL || p == paint_row(store_policies(&e->store), "name", e->wish->policy);
        e->policy = p;
        if (wanted && !scan(e, NULL))
            return false;
    }
    return true;
}

/* The epoch grows with every change of who acts. -1: the proxy can't be asked; where it refuses that, e->code is set, too. */
static double epoch_now(struct export *e)
{
    int code;
    cJSON *state = ctl_document(e->store.options, "/api/v1/state", &code);
    double epoch = state != NULL ? screen_number(state, "sync.epoch") : -1;

    if (state == NULL && code != EXIT_UNREACHABLE)
        e->code = code;
    cJSON_Delete(state);
    return epoch;
}

/* A cursor of one store says nothing to the other: after a change all are scanned again, and what is in the file is passed over. */
static bool scan_all(struct export *e)
{
    const char *pattern = e->wish->all ? "*" : e->wish->pattern;
    bool moved = false;

    for (int n = 0; n < SCANS; n++) {
        double before = epoch_now(e);
        if (e->code != EXIT_OK || !(pattern != NULL ? scan(e, pattern) : scan_policies(e)))
            return false;
        double after = epoch_now(e);
        if (e->code != EXIT_OK || (before >= 0 && after == before))
            return e->code == EXIT_OK;
        moved = moved || (before >= 0 && after >= 0);
        ctl_pause(RETRY_S);
    }
    fprintf(stderr, "convctl: %s: some keys may not have been seen\n",
            moved ? "the stores change places all the time" : "the proxy does not tell whether the stores have changed places");
    e->code = EXIT_UNHEALTHY;
    return false;
}

/* ---- the whole ---- */

static bool has_policy(const struct export *e)
{
    if (e->wish->policy == NULL || paint_row(store_policies(&e->store), "name", e->wish->policy) != NULL)
        return true;
    fprintf(stderr, "convctl: there is no policy %s\n", e->wish->policy);
    return false;
}

static void recall_key(void *ctx, struct slice key)
{
    (void)keyset_add(&((struct export *)ctx)->seen, key);
}

static bool open_file(struct export *e)
{
    static const char *const same[] = {"match", "policy", "all", NULL};
    char why[DUMP_WHY], part[4096];

    snprintf(part, sizeof part, "%.4000s.part", e->wish->path);
    bool there = access(part, F_OK) == 0, resume = e->wish->resume && there;
    if (manifest_is_folder(e->wish->path))
        return fprintf(stderr, "convctl: %s: %s\n", e->wish->path, strerror(EISDIR)) < 0;
    if (there && !resume)
        fprintf(stderr, "convctl: an earlier export to %s was interrupted, and is begun anew (--resume goes on)\n", part);
    cJSON *header = header_of(e);
    e->file = resume ? dumpfile_resume(e->wish->path, header, same, recall_key, e, why) : dumpfile_new(e->wish->path, header, why);
    cJSON_Delete(header);
    if (e->file == NULL)
        fprintf(stderr, "convctl: %s\n", why);
    return e->file != NULL;
}

static void say_interrupted(const struct export *e)
{
    if (strcmp(e->wish->path, "-") == 0)
        fprintf(stderr, "convctl: interrupted: what was printed is not whole\n");
    else
        fprintf(stderr, "convctl: interrupted: %" PRIu64 " keys are in %s.part; the same command with --resume goes on\n",
                dumpfile_keys(e->file), e->wish->path);
}

static void work(struct export *e)
{
    progress_begin(&e->progress, e->store.options, "export", store_count(&e->store), e->wish->rate);
    e->progress.keys_before = dumpfile_keys(e->file);
    bool ok = scan_all(e);
    progress_end(&e->progress);
    dumpfile_flush(e->file);
    if (!ok) {
        e->code = e->code == EXIT_OK ? EXIT_INTERRUPTED : e->code;
        say_interrupted(e);
    } else if (!dumpfile_finish(e->file)) {
        fprintf(stderr, "convctl: %s\n", dumpfile_why(e->file));
        e->code = EXIT_UNHEALTHY;
    }
}

int export_to(const struct options *o, const struct export_wish *w, struct export_result *ret)
{
    struct export e = {.wish = w};
    int64_t began_us = clock_mono_us();

    ctl_catch_interrupts(); /* from before there is a file that --resume could go on with */
    e.code = store_open(&e.store, o, w->proxy);
    if (e.code != EXIT_OK)
        return e.code;
    keyset_init(&e.seen);
    arena_init(&e.arena);
    keypage_init(&e.page);
    if (!has_policy(&e))
        e.code = EXIT_WRONG_USAGE;
    else if (!open_file(&e))
        e.code = EXIT_UNHEALTHY;
    else
        work(&e);
    if (e.file != NULL)
        *ret = (struct export_result){dumpfile_keys(e.file), dumpfile_bytes(e.file), e.skipped,
                                      (double)(clock_mono_us() - began_us) / 1e6};
    if (e.code == EXIT_OK && e.skipped > 0)
        e.code = EXIT_UNHEALTHY;
    dumpfile_free(e.file);
    arena_done(&e.arena);
    keypage_done(&e.page);
    keyset_done(&e.seen);
    store_done(&e.store);
    return e.code;
}

static void tell(const struct options *o, const struct export_wish *w, const struct export_result *r)
{
    FILE *out = strcmp(w->path, "-") == 0 ? stderr : stdout;

    if (o->json) {
        fprintf(out, "{\"keys\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"skipped\":%" PRIu64 ",\"seconds\":%.3f,\"file\":", r->keys,
                r->bytes, r->skipped, r->seconds);
        item_write_text(out, (struct slice){w->path, strlen(w->path)});
        fputs("}\n", out);
        return;
    }
    fprintf(out, "%s: %s keys, %s in %s\n", w->path, paint_count((double)r->keys), paint_bytes((double)r->bytes),
            paint_duration(r->seconds));
}

int run_export(struct options *o, const struct args *args)
{
    char usual[64], stamp[CLOCK_TEXT];
    struct export_result result = {0};
    struct export_wish w = {.path = args_value(args, "out"),
                            .proxy = args_value(args, "proxy"),
                            .policy = args_value(args, "policy"),
                            .pattern = args_value(args, "match"),
                            .all = args_flag(args, "all"),
                            .resume = args_flag(args, "resume")};

    if (!args_number(args, "rate", 0, 1e7, &w.rate))
        return EXIT_WRONG_USAGE;
    if ((w.policy != NULL) + (w.pattern != NULL) + w.all > 1)
        return ctl_usage_error("export takes one of --policy, --match and --all", "");
    clock_stamp(clock_wall_us(), stamp);
    snprintf(usual, sizeof usual, "convproxy-export-%s.ndjson.zst", stamp);
    if (w.path == NULL && w.resume)
        return ctl_usage_error("export --resume needs --out FILE: the one that was interrupted", "");
    if (w.resume && strcmp(w.path, "-") == 0)
        return ctl_usage_error("export --resume can't go on with what is on standard output", "");
    w.path = w.path != NULL ? w.path : usual;
    int code = export_to(o, &w, &result);
    if (code == EXIT_OK || (code == EXIT_UNHEALTHY && result.skipped > 0))
        tell(o, &w, &result);
    return code;
}
