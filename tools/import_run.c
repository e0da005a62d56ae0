#include "tools/import_run.h"

#include "base/clock.h"
#include "tools/import.h"
#include "tools/item.h"
#include "tools/manifest.h"
#include "tools/paint.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_ROOM 4096

/* ---- what is said ---- */

static const struct {
    const char *name, *text;
    size_t offset;
} rows[] = {
    {"written", "written", offsetof(struct import_result, written)},
    {"same", "there already, the same", offsetof(struct import_result, same)},
    {"differ", "there with another value", offsetof(struct import_result, differ)},
    {"absent", "not there", offsetof(struct import_result, absent)},
    {"expired", "expired since, passed over", offsetof(struct import_result, expired)},
    {"trimmed", "of those written: shortened by their policy", offsetof(struct import_result, trimmed)},
    {"failed", "refused by the store, or of a type that can't be read", offsetof(struct import_result, failed)},
};
#define ROWS (sizeof rows / sizeof rows[0])

static uint64_t count_of(const struct import_result *r, size_t row)
{
    return *(const uint64_t *)((const char *)r + rows[row].offset);
}

static void say_text(const char *title, const struct dump_facts *facts, const struct import_result *r)
{
    printf("%s: %s keys in the file\n", title, paint_count((double)facts->keys));
    for (size_t i = 0; i < ROWS; i++)
        if (count_of(r, i) > 0)
            printf("  %10s  %s\n", paint_count((double)count_of(r, i)), rows[i].text);
}

static void say_json(const char *title, const struct dump_facts *facts, const struct import_result *r, const char *undo)
{
    printf("{\"work\":\"%s\",\"keys\":%" PRIu64, title, facts->keys);
    for (size_t i = 0; i < ROWS; i++)
        printf(",\"%s\":%" PRIu64, rows[i].name, count_of(r, i));
    if (r->undo_keys > 0) {
        fputs(",\"undo\":", stdout);
        item_write_text(stdout, (struct slice){undo, strlen(undo)});
    }
    puts("}");
}

static void say(const struct options *o, const char *title, const struct dump_facts *facts, const struct import_result *r,
                const char *undo)
{
    if (o->json)
        say_json(title, facts, r, undo);
    else
        say_text(title, facts, r);
    if (!o->json && r->undo_keys > 0)
        printf("to undo it:  convctl import --replace %s\n", undo);
}

static void say_interrupted(const struct import_wish *w, const struct import_result *r)
{
    fprintf(stderr, "convctl: interrupted after line %" PRIu64 "; the same command with --resume goes on there\n", r->lines);
}

/* ---- checking a file ---- */

static bool check(const char *path, bool partial, struct dump_facts *facts)
{
    char why[DUMP_WHY];

    if (dump_check(path, partial, facts, why))
        return true;
    fprintf(stderr, "convctl: %s: %s; nothing was done\n", path, why);
    return false;
}

static bool is_taken(const char *path)
{
    char part[PATH_ROOM + 8];

    snprintf(part, sizeof part, "%s.part", path);
    return access(path, F_OK) == 0 || access(part, F_OK) == 0;
}

static void usual_undo(const char *path, char *undo)
{
    char when[CLOCK_TEXT];

    clock_stamp(clock_wall_us(), when);
    snprintf(undo, PATH_ROOM, "%.3900s.undo-%s.ndjson", path, when);
    for (int n = 2; is_taken(undo); n++) /* a second has room for two imports */
        snprintf(undo, PATH_ROOM, "%.3900s.undo-%s-%d.ndjson", path, when, n);
}

/* ---- import ---- */

static bool read_mode(const struct args *args, enum import_mode *ret)
{
    bool replace = args_flag(args, "replace"), missing = args_flag(args, "missing");

    *ret = replace ? IMPORT_REPLACE : missing ? IMPORT_MISSING : IMPORT_REFUSE;
    if (replace && missing)
        return ctl_usage_error("import takes one of --replace and --missing", ""), false;
    return true;
}

/* Beside a folder, not in it: "backups/x/" is how shells complete its name. */
static void without_slash(const char *path, char *name)
{
    size_t len = strlen(path);

    while (len > 1 && path[len - 1] == '/')
        len--;
    snprintf(name, PATH_ROOM, "%.*s", (int)len, path);
}

/* EXIT_OK, or another after a message. */
static int read_wish(const struct args *args, struct import_wish *w, char *undo)
{
    char name[PATH_ROOM];

    *w = (struct import_wish){.path = args->words[0],
                              .proxy = args_value(args, "proxy"),
                              .match = args_value(args, "match"),
                              .undo = undo,
                              .partial = args_flag(args, "partial"),
                              .resume = args_flag(args, "resume"),
                              .what = args->command};
    without_slash(w->path, name);
    usual_undo(name, undo);
    if (args_value(args, "undo") != NULL)
        snprintf(undo, PATH_ROOM, "%s", args_value(args, "undo"));
    if (is_taken(undo))
        return fprintf(stderr, "convctl: %s: it is there already, and may be what undoes something else; nothing was done\n", undo), EXIT_UNHEALTHY;
    if (args_flag(args, "no-undo"))
        w->undo = NULL;
    return args_number(args, "rate", 0, 1e7, &w->rate) ? EXIT_OK : EXIT_WRONG_USAGE;
}

/* Compares with the stores; what: as the progress and the result call it. */
static int compare(const struct options *o, const struct import_wish *like, const struct dump_facts *facts,
                   const char *what, struct import_result *r)
{
    struct import_wish w = *like;

    w.mode = IMPORT_COMPARE;
    w.undo = NULL;
    w.resume = false;
    w.what = what;
    int code = import_file(o, &w, facts, r);
    if (code == EXIT_INTERRUPTED)
        fprintf(stderr, "convctl: interrupted while it was compared\n");
    return code;
}

/* After an import that wrote: all keys of the file are there now as the file has them. */
static int verify_after(const struct options *o, const struct import_wish *like, const struct dump_facts *facts)
{
    struct import_result r;
    struct import_wish w = *like;

    w.show = true;
    int code = compare(o, &w, facts, "verify", &r);
    if (code != EXIT_OK)
        return code;
    say(o, "verified", facts, &r, "");
    if (r.differ + r.absent + r.failed == 0)
        return EXIT_OK;
    fprintf(stderr, "convctl: %" PRIu64 " keys are not as the file has them: clients have written or deleted them since, a policy has shortened them, "
                    "or they were left as they were\n", r.differ + r.absent + r.failed);
    return EXIT_UNHEALTHY;
}

static int bring_in(const struct options *o, struct import_wish *w, const struct dump_facts *facts, bool verify)
{
    struct import_result r;
    int code = import_file(o, w, facts, &r);

    if (code == EXIT_OK || r.written + r.same + r.differ + r.failed > 0)
        say(o, w->what, facts, &r, w->undo != NULL ? w->undo : "");
    if (code == EXIT_INTERRUPTED)
        say_interrupted(w, &r);
    if (code != EXIT_OK)
        return code;
    bool refused = r.failed > 0 || (w->mode == IMPORT_REFUSE && r.differ > 0);
    if (w->mode == IMPORT_REFUSE && r.differ > 0)
        fprintf(stderr, "convctl: keys that are there with another value were left: --replace replaces them, --missing does not mind\n");
    code = verify ? verify_after(o, w, facts) : EXIT_OK;
    return refused ? EXIT_UNHEALTHY : code;
}

int run_import(struct options *o, const struct args *args)
{
    char undo[PATH_ROOM], question[200];
    struct import_wish w;
    struct dump_facts facts;
    struct import_result r;
    enum import_mode mode;

    int code = read_wish(args, &w, undo);
    if (code != EXIT_OK || !read_mode(args, &mode))
        return code != EXIT_OK ? code : EXIT_WRONG_USAGE;
    w.mode = mode;
    w.show = mode == IMPORT_REFUSE;
    if (!check(w.path, w.partial, &facts))
        return EXIT_UNHEALTHY;
    if (args_flag(args, "dry-run")) {
        code = compare(o, &w, &facts, "dry-run", &r);
        if (code == EXIT_OK)
            say(o, "dry-run", &facts, &r, "");
        return code;
    }
    snprintf(question, sizeof question, "Keys that are there with another value are replaced by those of the file (%s keys). Go on?",
             paint_count((double)facts.keys));
    code = mode == IMPORT_REPLACE ? ctl_confirm(o->yes, "import --replace", question) : EXIT_OK;
    return code == EXIT_OK ? bring_in(o, &w, &facts, args_flag(args, "verify")) : code;
}

/* ---- verify-export ---- */

int run_verify_export(struct options *o, const struct args *args)
{
    struct import_wish w = {.path = args->words[0], .proxy = args_value(args, "proxy"), .match = args_value(args, "match"), .show = true};
    struct dump_facts facts;
    struct import_result r;

    w.partial = args_flag(args, "partial");
    if (!args_number(args, "rate", 0, 1e7, &w.rate))
        return EXIT_WRONG_USAGE;
    if (!check(w.path, w.partial, &facts))
        return EXIT_UNHEALTHY;
    if (!args_flag(args, "compare")) {
        printf(o->json ? "{\"keys\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"whole\":%s}\n"
                       : "%" PRIu64 " keys, %" PRIu64 " bytes: %s\n",
               facts.keys, facts.bytes, o->json ? (facts.whole ? "true" : "false") : facts.whole ? "whole" : "cut");
        return EXIT_OK;
    }
    int code = compare(o, &w, &facts, "verify", &r);
    if (code != EXIT_OK)
        return code;
    say(o, "compared", &facts, &r, "");
    return r.differ + r.absent + r.failed == 0 ? EXIT_OK : EXIT_UNHEALTHY;
}

/* ---- restore ---- */

/* A folder of convctl backup is checked whole; keys becomes the path of its export. */
static bool find_keys(const char *path, char *keys)
{
    if (!manifest_is_folder(path)) {
        snprintf(keys, PATH_ROOM, "%s", path);
        return true;
    }
    return manifest_check(path, stderr) && manifest_keys_file(path, keys, PATH_ROOM);
}

static void say_plan(const struct options *o, const struct dump_facts *facts, const struct import_result *r)
{
    if (o->json) {
        say_json("plan", facts, r, "");
        return;
    }
    printf("plan: %s keys in the backup\n", paint_count((double)facts->keys));
    printf("  %10s  are not there, and come back\n", paint_count((double)r->absent));
    printf("  %10s  are there with another value, and are replaced\n", paint_count((double)r->differ));
    printf("  %10s  are there already, the same\n", paint_count((double)r->same));
    if (r->failed > 0)
        printf("  %10s  are there with a type that can't be read, and are left\n", paint_count((double)r->failed));
    if (r->expired > 0)
        printf("  %10s  have expired since, and stay away\n", paint_count((double)r->expired));
    printf("Keys that the backup does not have stay as they are.\n");
}

int run_restore(struct options *o, const struct args *args)
{
    char undo[PATH_ROOM], keys[PATH_ROOM];
    struct import_wish w;
    struct dump_facts facts;
    struct import_result r;

    int code = read_wish(args, &w, undo);
    if (code != EXIT_OK)
        return code;
    if (!find_keys(w.path, keys))
        return EXIT_UNHEALTHY;
    w.path = keys;
    w.mode = args_flag(args, "missing") ? IMPORT_MISSING : IMPORT_REPLACE;
    if (!check(w.path, w.partial, &facts))
        return EXIT_UNHEALTHY;
    code = compare(o, &w, &facts, "plan", &r);
    if (code != EXIT_OK)
        return code;
    say_plan(o, &facts, &r);
    if (args_flag(args, "dry-run"))
        return EXIT_OK;
    if (r.absent + r.differ == 0) {
        if (!o->json)
            puts("There is nothing to restore.");
        return r.failed > 0 ? EXIT_UNHEALTHY : EXIT_OK;
    }
    code = ctl_confirm(o->yes, "a restore", "Restore?");
    if (code == EXIT_OK)
        code = bring_in(o, &w, &facts, true);
    if (code == EXIT_OK && !o->json && manifest_is_folder(args->words[0]))
        puts("Keys of no policy are not touched; docs/operations.md (Backups) says how to put Redis's own file back.");
    return code;
}
