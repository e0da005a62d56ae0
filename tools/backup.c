#include "tools/backup.h"

#include "base/clock.h"
#include "tools/backup_list.h"
#include "tools/export.h"
#include "tools/manifest.h"
#include "tools/paint.h"
#include "tools/rdb.h"
#include "tools/screen.h"
#include "version.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYS_NAME "keys.ndjson.zst"
#define RDB_NAME  "redis.rdb"
#define SECOND_S  0.1

struct backup {
    const struct options *options;
    const char *dir, *proxy, *redis; /* redis: its address; NULL: as the proxy says */
    char name[64], folder[4096];     /* while it is not whole */
    double keep, timeout_s, rate;
    bool rdb;
    cJSON *state, *manifest, *files;
    struct export_result keys;
    int64_t rdb_bytes;
    int lock;
};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "convctl: %s: %s\n", what, why);
    return EXIT_UNHEALTHY;
}

/* ---- the folder ---- */

/* A second has room for one backup: the next one waits for the next. */
static void choose_name(struct backup *b, cJSON *manifest)
{
    char path[4096], stamp[CLOCK_TEXT], at[CLOCK_TEXT];
    int64_t now;

    do {
        now = clock_wall_us();
        clock_stamp(now, stamp);
        snprintf(b->name, sizeof b->name, "convproxy-%s", stamp);
        snprintf(path, sizeof path, "%.3900s/%s", b->dir, b->name);
    } while (access(path, F_OK) == 0 && (ctl_pause(SECOND_S), true));
    snprintf(b->folder, sizeof b->folder, "%.4000s" BACKUP_INCOMPLETE, path);
    clock_text(now, at);
    cJSON_AddStringToObject(manifest, "at", at);
}

static int begin_folder(struct backup *b)
{
    char path[4096];

    if (mkdir(b->dir, 0700) != 0 && errno != EEXIST)
        return fail(b->dir, strerror(errno));
    snprintf(path, sizeof path, "%.4000s/.lock", b->dir);
    b->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (b->lock < 0)
        return fail(path, strerror(errno));
    if (flock(b->lock, LOCK_EX | LOCK_NB) != 0)
        return fail(b->dir, "another backup works here");
    b->manifest = cJSON_CreateObject();
    cJSON_AddStringToObject(b->manifest, "format", MANIFEST_FORMAT);
    cJSON_AddNumberToObject(b->manifest, "version", 1);
    cJSON_AddStringToObject(b->manifest, "made_by", "convctl " CONVPROXY_VERSION);
    choose_name(b, b->manifest);
    b->files = cJSON_AddArrayToObject(b->manifest, "files");
    return mkdir(b->folder, 0700) == 0 ? EXIT_OK : fail(b->folder, strerror(errno));
}

static int add_file(struct backup *b, const char *name, const char *kind, cJSON **ret_row)
{
    *ret_row = manifest_row(b->folder, name, kind);
    if (*ret_row == NULL)
        return fail(name, strerror(errno));
    cJSON_AddItemToArray(b->files, *ret_row);
    return EXIT_OK;
}

/* ---- what goes in ---- */

static int export_keys(struct backup *b)
{
    char path[sizeof b->folder + 32];
    struct export_wish w = {.path = path, .proxy = b->proxy, .rate = b->rate};
    cJSON *row;

    snprintf(path, sizeof path, "%s/" KEYS_NAME, b->folder);
    int code = export_to(b->options, &w, &b->keys);
    if (code == EXIT_OK)
        code = add_file(b, KEYS_NAME, "keys", &row);
    if (code != EXIT_OK)
        return code;
    cJSON_AddNumberToObject(row, "keys", (double)b->keys.keys);
    return EXIT_OK;
}

/* Its password is not told by the proxy, but by REDIS_URL or REDIS_PASSWORD, as to the proxy itself. */
static const char *address_of_redis(const struct backup *b)
{
    const char *variable = getenv("REDIS_URL");
    const cJSON *told = paint_find(b->state, "redis.url");

    if (b->redis != NULL)
        return b->redis;
    if (variable != NULL && variable[0] != '\0')
        return variable;
    return cJSON_IsString(told) ? told->valuestring : "";
}

static int fetch_rdb(struct backup *b)
{
    char path[sizeof b->folder + 32], why[RDB_WHY], address[512];
    struct rdb_wish w = {.path = path, .patience_s = b->timeout_s};
    struct rdb_result result = {0};
    cJSON *row;

    if (strstr(address_of_redis(b), "***") != NULL)
        return fail("redis", "the proxy does not tell its password: --redis URL or REDIS_URL does (--no-rdb does without)");
    snprintf(address, sizeof address, "%s", address_of_redis(b));
    w.url = address;
    snprintf(path, sizeof path, "%s/" RDB_NAME, b->folder);
    if (!rdb_fetch(b->options, &w, &result, why))
        return unlink(path), fail("redis: no copy of its own file", why);
    int code = add_file(b, RDB_NAME, "rdb", &row);
    if (code != EXIT_OK)
        return code;
    b->rdb_bytes = (int64_t)screen_number(row, "bytes");
    cJSON_AddStringToObject(row, "how", result.how);
    cJSON_AddStringToObject(row, "redis_version", screen_text(b->state, "redis.version"));
    return EXIT_OK;
}

/* ---- the end ---- */

static int finish(struct backup *b, const char *skipped)
{
    char path[4096];

    if (skipped != NULL)
        cJSON_AddStringToObject(b->manifest, "rdb_missing", skipped);
    cJSON_AddStringToObject(b->manifest, "proxy", screen_text(b->state, "version"));
    cJSON_AddNumberToObject(b->manifest, "epoch", screen_number(b->state, "sync.epoch"));
    if (!manifest_write(b->folder, b->manifest))
        return fail(b->folder, strerror(errno));
    if (!manifest_check(b->folder, stderr))
        return EXIT_UNHEALTHY;
    snprintf(path, sizeof path, "%.3900s/%s", b->dir, b->name);
    return rename(b->folder, path) == 0 ? EXIT_OK : fail(path, strerror(errno));
}

/* So that an alert can tell that there was none for too long. */
static int tell_proxy(const struct backup *b, const char *kind, double bytes, double keys)
{
    struct options quiet = *b->options;
    cJSON *json = cJSON_CreateObject();

    quiet.json = false;
    cJSON_AddStringToObject(json, "kind", kind);
    cJSON_AddStringToObject(json, "path", b->name);
    cJSON_AddNumberToObject(json, "bytes", bytes);
    cJSON_AddNumberToObject(json, "keys", keys);
    int code = ctl_change(&quiet, "/api/v1/backups", json, NULL, NULL);
    if (code != EXIT_OK)
        fprintf(stderr, "convctl: the backup is whole, but the proxy was not told\n");
    return code;
}

static void say(const struct backup *b, int removed)
{
    if (b->options->json) {
        char path[4096];
        cJSON *doc = cJSON_CreateObject();
        snprintf(path, sizeof path, "%.3900s/%s", b->dir, b->name);
        cJSON_AddStringToObject(doc, "backup", path);
        cJSON_AddNumberToObject(doc, "removed", removed);
        cJSON_AddItemReferenceToObject(doc, "manifest", b->manifest);
        ctl_print(doc);
        cJSON_Delete(doc);
        return;
    }
    printf("%s/%s: %s keys (%s)", b->dir, b->name, paint_count((double)b->keys.keys), paint_bytes((double)b->keys.bytes));
    if (b->rdb_bytes > 0)
        printf(", Redis's file (%s)", paint_bytes((double)b->rdb_bytes));
    printf("; checked");
    if (removed > 0)
        printf("; %d older removed", removed);
    printf("\nto go back to it:  convctl restore %s/%s\n", b->dir, b->name);
}

static int work(struct backup *b)
{
    int code = export_keys(b), rdb = EXIT_OK;

    if (code == EXIT_OK && b->rdb)
        rdb = fetch_rdb(b);
    if (code == EXIT_OK && ctl_interrupted())
        code = EXIT_INTERRUPTED;
    if (code == EXIT_OK)
        code = finish(b, !b->rdb ? "not wanted" : rdb != EXIT_OK ? "Redis did not give it" : NULL);
    if (code != EXIT_OK) {
        fprintf(stderr, "convctl: not finished: %s is not a backup; the next one removes it\n", b->folder);
        return code;
    }
    int removed = backup_prune(b->dir, (size_t)b->keep);
    say(b, removed);
    code = tell_proxy(b, "keys", (double)b->keys.bytes, (double)b->keys.keys);
    if (code == EXIT_OK && b->rdb && rdb == EXIT_OK)
        code = tell_proxy(b, "rdb", (double)b->rdb_bytes, 0);
    return code != EXIT_OK ? code : rdb;
}

static int make(struct backup *b)
{
    int code = EXIT_OK;

    b->state = ctl_document(b->options, "/api/v1/state", &code);
    if (b->state == NULL)
        return code;
    code = begin_folder(b);
    if (code == EXIT_OK)
        code = work(b);
    cJSON_Delete(b->state);
    cJSON_Delete(b->manifest);
    if (b->lock >= 0)
        close(b->lock);
    return code;
}

int run_backup(struct options *o, const struct args *args)
{
    struct backup b = {.options = o,
                       .dir = args_value(args, "dir"),
                       .proxy = args_value(args, "proxy"),
                       .redis = args_value(args, "redis"),
                       .keep = 7,
                       .timeout_s = 1800,
                       .rdb = !args_flag(args, "no-rdb"),
                       .lock = -1};

    b.dir = b.dir != NULL ? b.dir : "backups";
    if (!args_number(args, "keep", 1, 100000, &b.keep) || !args_number(args, "rate", 0, 1e7, &b.rate) ||
        !args_seconds(args, "timeout", 1, 86400, &b.timeout_s))
        return EXIT_WRONG_USAGE;
    if (args_flag(args, "list"))
        return backup_list(o, b.dir);
    if (args_value(args, "check") != NULL)
        return backup_check(o, args_value(args, "check"));
    return make(&b);
}
