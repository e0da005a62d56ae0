#include "tools/backup_list.h"

#include "tools/manifest.h"
#include "tools/paint.h"
#include "tools/screen.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_incomplete(const char *name)
{
    size_t len = strlen(name), tail = strlen(BACKUP_INCOMPLETE);
    return len > tail && strcmp(name + len - tail, BACKUP_INCOMPLETE) == 0;
}

/* "convproxy-20261121-224529", with or without the tail. */
static bool is_ours(const char *name)
{
    static const char form[] = BACKUP_PREFIX "dddddddd-dddddd";
    size_t i = 0;

    for (; form[i] != '\0'; i++)
        if (form[i] == 'd' && i >= strlen(BACKUP_PREFIX) ? name[i] < '0' || name[i] > '9' : name[i] != form[i])
            return false;
    return name[i] == '\0' || strcmp(name + i, BACKUP_INCOMPLETE) == 0;
}

static int is_wanted(const struct dirent *entry)
{
    return is_ours(entry->d_name);
}

/* By name, so the newest last. -1: errno. */
static int find_all(const char *dir, struct dirent ***ret)
{
    return scandir(dir, ret, is_wanted, alphasort);
}

static void done(struct dirent **own_found, int n)
{
    for (int i = 0; i < n; i++)
        free(own_found[i]);
    free(own_found);
}

/* ---- removing ---- */

/* A folder of plain files, as ours are; anything else in it stays, and so does the folder. */
static bool remove_folder(const char *folder)
{
    char path[4096];
    DIR *d = opendir(folder);
    const struct dirent *entry;

    if (d == NULL)
        return false;
    while ((entry = readdir(d)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof path, "%.3500s/%.500s", folder, entry->d_name);
        (void)unlink(path); /* rmdir says whether all went */
    }
    closedir(d);
    if (rmdir(folder) == 0)
        return true;
    fprintf(stderr, "convctl: %s: it can't be removed: %s\n", folder, strerror(errno));
    return false;
}

int backup_prune(const char *dir, size_t keep)
{
    struct dirent **found = NULL;
    char path[4096];
    size_t whole = 0;
    int removed = 0, n = find_all(dir, &found);

    for (int i = n; i-- > 0;) {
        snprintf(path, sizeof path, "%.3800s/%s", dir, found[i]->d_name);
        if (is_incomplete(found[i]->d_name)) {
            (void)remove_folder(path); /* it has said why not */
            continue;
        }
        cJSON *manifest = manifest_read(path);
        if (manifest != NULL && ++whole > keep)
            removed += remove_folder(path);
        cJSON_Delete(manifest);
    }
    done(found, n);
    return removed;
}

/* ---- showing ---- */

static double total(const cJSON *manifest, const char *member)
{
    const cJSON *row;
    double sum = 0;

    cJSON_ArrayForEach(row, paint_find(manifest, "files"))
    {
        sum += screen_number(row, member);
    }
    return sum;
}

static void show(const struct options *o, const char *name, const cJSON *manifest, bool first)
{
    if (o->json) {
        char *own_text = manifest != NULL ? cJSON_PrintUnformatted(manifest) : NULL;
        printf("%s{\"name\":\"%s\",\"complete\":%s,\"manifest\":%s}", first ? "" : ",", name, manifest != NULL ? "true" : "false",
               own_text != NULL ? own_text : "null");
        free(own_text);
    } else if (manifest != NULL) {
        printf("%s  %10s keys  %10s  %s\n", name, paint_count(total(manifest, "keys")), paint_bytes(total(manifest, "bytes")),
               paint_row(paint_find(manifest, "files"), "kind", "rdb") != NULL ? "keys, rdb" : "keys");
    } else {
        printf("%s  not complete\n", name);
    }
}

int backup_list(const struct options *o, const char *dir)
{
    struct dirent **found = NULL;
    char path[4096];
    int n = find_all(dir, &found);

    if (n < 0) {
        fprintf(stderr, "convctl: %s: %s\n", dir, strerror(errno));
        return EXIT_UNHEALTHY;
    }
    fputs(o->json ? "[" : "", stdout);
    for (int i = 0; i < n; i++) {
        const char *name = found[i]->d_name;
        snprintf(path, sizeof path, "%.3800s/%s", dir, name);
        cJSON *manifest = is_incomplete(name) ? NULL : manifest_read(path);
        show(o, name, manifest, i == 0);
        cJSON_Delete(manifest);
    }
    if (o->json)
        puts("]");
    else if (n == 0)
        puts("no backups");
    done(found, n);
    return EXIT_OK;
}

int backup_check(const struct options *o, const char *folder)
{
    if (!manifest_check(folder, stderr))
        return EXIT_UNHEALTHY;
    if (!o->json) {
        printf("%s: all files are as they were\n", folder);
        return EXIT_OK;
    }
    cJSON *doc = cJSON_CreateObject();
    cJSON_AddStringToObject(doc, "backup", folder);
    cJSON_AddTrueToObject(doc, "ok");
    ctl_print(doc);
    cJSON_Delete(doc);
    return EXIT_OK;
}
