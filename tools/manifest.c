#include "tools/manifest.h"

#include "tools/dump.h"
#include "tools/paint.h"
#include "tools/rdb.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 4096
#define TEXT_MAX  (1u << 20)
#define WHY_ROOM  (RDB_WHY > DUMP_WHY ? RDB_WHY : DUMP_WHY) /* of whoever checks a file */

static void join(char path[PATH_ROOM], const char *folder, const char *name)
{
    snprintf(path, PATH_ROOM, "%.3500s/%.500s", folder, name);
}

bool manifest_is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- files ---- */

static bool hash_file(const char *path, char hex[SHA_HEX + 1], int64_t *ret_bytes)
{
    unsigned char room[65536];
    size_t n;
    FILE *in = fopen(path, "re");
    EVP_MD_CTX *sha = sha_new();

    *ret_bytes = 0;
    while (in != NULL && (n = fread(room, 1, sizeof room, in)) > 0) {
        EVP_DigestUpdate(sha, room, n);
        *ret_bytes += (int64_t)n;
    }
    bool ok = in != NULL && !ferror(in);
    if (in != NULL)
        fclose(in);
    sha_end(sha, hex);
    EVP_MD_CTX_free(sha);
    return ok;
}

cJSON *manifest_row(const char *folder, const char *name, const char *kind)
{
    char path[PATH_ROOM], hex[SHA_HEX + 1];
    int64_t bytes;

    join(path, folder, name);
    if (!hash_file(path, hex, &bytes))
        return NULL;
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "name", name);
    cJSON_AddStringToObject(row, "kind", kind);
    cJSON_AddNumberToObject(row, "bytes", (double)bytes);
    cJSON_AddStringToObject(row, "sha256", hex);
    return row;
}

/* ---- the manifest ---- */

static bool sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);

    if (fd < 0)
        return false;
    bool ok = fsync(fd) == 0 || (flags & O_DIRECTORY) != 0; /* not every file system can sync a folder */
    close(fd);
    return ok;
}

bool manifest_write(const char *folder, const cJSON *manifest)
{
    char path[PATH_ROOM], other[PATH_ROOM];
    char *own_text = cJSON_Print(manifest);
    FILE *out;

    join(path, folder, MANIFEST_FILE);
    join(other, folder, MANIFEST_FILE ".new");
    out = fopen(other, "we");
    bool ok = out != NULL && own_text != NULL && fprintf(out, "%s\n", own_text) > 0;
    ok = (out == NULL || fclose(out) == 0) && ok;
    free(own_text);
    return ok && sync_path(other, O_RDONLY) && rename(other, path) == 0 && sync_path(folder, O_RDONLY | O_DIRECTORY);
}

cJSON *manifest_read(const char *folder)
{
    char path[PATH_ROOM], *text = malloc(TEXT_MAX);
    FILE *in;

    join(path, folder, MANIFEST_FILE);
    in = fopen(path, "re");
    if (text == NULL)
        abort();
    size_t n = in != NULL ? fread(text, 1, TEXT_MAX, in) : 0;
    if (in != NULL)
        fclose(in);
    cJSON *doc = cJSON_ParseWithLength(text, n);
    free(text);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(doc, "format");
    if (cJSON_IsString(format) && strcmp(format->valuestring, MANIFEST_FORMAT) == 0)
        return doc;
    cJSON_Delete(doc);
    return NULL;
}

static const char *text_of(const cJSON *row, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(row, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* The content by its own rules, beyond the hash: that it was right when it was written. why: WHY_ROOM bytes. */
static bool check_content(const char *path, const char *kind, char *why)
{
    struct dump_facts facts;

    if (strcmp(kind, "keys") == 0)
        return dump_check(path, false, &facts, why);
    return strcmp(kind, "rdb") != 0 || rdb_check(path, why);
}

static bool check_row(const char *folder, const cJSON *row, FILE *complaints)
{
    char path[PATH_ROOM], hex[SHA_HEX + 1], why[WHY_ROOM] = "";
    const char *name = text_of(row, "name");
    int64_t bytes;

    if (name[0] == '\0' || strchr(name, '/') != NULL)
        snprintf(why, sizeof why, "the manifest names no file in this folder");
    join(path, folder, name);
    if (why[0] == '\0' && !hash_file(path, hex, &bytes))
        snprintf(why, sizeof why, "%.200s", strerror(errno));
    else if (why[0] == '\0' && (double)bytes != screen_number(row, "bytes"))
        snprintf(why, sizeof why, "it has %lld bytes, and had %.0f", (long long)bytes, screen_number(row, "bytes"));
    else if (why[0] == '\0' && strcmp(hex, text_of(row, "sha256")) != 0)
        snprintf(why, sizeof why, "its hash is not the manifest's: it was changed");
    bool ok = why[0] == '\0' && check_content(path, text_of(row, "kind"), why);
    if (!ok)
        fprintf(complaints, "convctl: %s: %s\n", path, why);
    return ok;
}

bool manifest_check(const char *folder, FILE *complaints)
{
    cJSON *doc = manifest_read(folder);
    const cJSON *row;
    int n = 0;
    bool ok = true;

    if (doc == NULL) {
        fprintf(complaints, "convctl: %s: it has no %s: this is no backup, or one that has not come to its end\n", folder, MANIFEST_FILE);
        return false;
    }
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(doc, "files"))
    {
        ok = check_row(folder, row, complaints) && ok;
        n++;
    }
    if (n == 0)
        fprintf(complaints, "convctl: %s: its manifest names no files\n", folder);
    cJSON_Delete(doc);
    return ok && n > 0;
}

bool manifest_keys_file(const char *folder, char *path, size_t cap)
{
    cJSON *doc = manifest_read(folder);
    const cJSON *row = paint_row(paint_find(doc, "files"), "kind", "keys");

    if (row != NULL)
        snprintf(path, cap, "%.3500s/%.500s", folder, text_of(row, "name"));
    else
        fprintf(stderr, "convctl: %s: it has no export of the keys\n", folder);
    bool found = row != NULL;
    cJSON_Delete(doc);
    return found;
}
