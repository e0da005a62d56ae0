#include "tools/dumpfile.h"

#include "tools/dump.h"
#include "tools/dumpbytes.h"
#include "tools/item.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define FRAME_BYTES (1u << 20) /* uncompressed, of a frame: what an interrupted export may have to read again */
#define PATH_ROOM   4096

struct dumpfile {
    char path[PATH_ROOM], part[PATH_ROOM];
    bool to_stdout;
    FILE *file;
    ZSTD_CCtx *zstd; /* NULL: not compressed */
    EVP_MD_CTX *sha;
    uint64_t keys, bytes, framed; /* framed: bytes at the end of the last frame */
    bool broken;
    char why[DUMP_WHY];
};

static struct dumpfile *new_file(const char *path)
{
    struct dumpfile *f = calloc(1, sizeof *f);

    if (f == NULL)
        abort();
    f->to_stdout = strcmp(path, "-") == 0;
    snprintf(f->path, sizeof f->path, "%s", path);
    snprintf(f->part, sizeof f->part, f->to_stdout ? "standard output" : "%.4000s.part", path);
    f->sha = sha_new();
    if (dump_is_compressed(path))
        f->zstd = ZSTD_createCCtx();
    return f;
}

static void fail(struct dumpfile *f, const char *what)
{
    if (!f->broken)
        snprintf(f->why, sizeof f->why, "%.150s: %s", what, strerror(errno));
    f->broken = true;
}

/* ---- bytes out ---- */

static void put_raw(struct dumpfile *f, const void *p, size_t n)
{
    if (!f->broken && fwrite(p, 1, n, f->file) != n)
        fail(f, f->part);
}

static void put_zstd(struct dumpfile *f, const char *p, size_t n, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {p, n, 0};
    char room[65536];
    size_t left;

    do {
        ZSTD_outBuffer out = {room, sizeof room, 0};
        left = ZSTD_compressStream2(f->zstd, &out, &in, how);
        if (ZSTD_isError(left))
            abort(); /* its memory only */
        put_raw(f, room, out.pos);
    } while (how == ZSTD_e_end ? left > 0 : in.pos < in.size);
}

static void end_frame(struct dumpfile *f)
{
    if (f->zstd != NULL && f->bytes > f->framed)
        put_zstd(f, "", 0, ZSTD_e_end);
    f->framed = f->bytes;
}

/* text ends with its line feed. */
static void put_line(struct dumpfile *f, const char *text, size_t n)
{
    EVP_DigestUpdate(f->sha, text, n);
    f->bytes += n;
    if (f->zstd == NULL) {
        put_raw(f, text, n);
        return;
    }
    put_zstd(f, text, n, ZSTD_e_continue);
    if (f->bytes - f->framed >= FRAME_BYTES)
        end_frame(f);
}

void dumpfile_put(struct dumpfile *f, const struct object *o)
{
    char *own_text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&own_text, &len);

    if (out == NULL)
        abort();
    item_write(out, o);
    putc('\n', out);
    fclose(out);
    put_line(f, own_text, len);
    free(own_text);
    f->keys++;
}

void dumpfile_flush(struct dumpfile *f)
{
    if (f->broken)
        return;
    end_frame(f);
    if (fflush(f->file) != 0)
        fail(f, f->part);
}

/* ---- beginning, going on ---- */

static void put_header(struct dumpfile *f, const cJSON *header)
{
    cJSON *doc = cJSON_CreateObject();
    char *own_text;

    cJSON_AddStringToObject(doc, "format", DUMP_FORMAT);
    cJSON_AddNumberToObject(doc, "version", DUMP_VERSION);
    for (const cJSON *item = header->child; item != NULL; item = item->next)
        cJSON_AddItemToObject(doc, item->string, cJSON_Duplicate(item, true));
    own_text = cJSON_PrintUnformatted(doc);
    if (own_text == NULL)
        abort();
    size_t n = strlen(own_text);
    own_text[n] = '\n'; /* its NUL is not needed */
    put_line(f, own_text, n + 1);
    cJSON_Delete(doc);
    free(own_text);
}

struct dumpfile *dumpfile_new(const char *path, const cJSON *header, char *why)
{
    struct dumpfile *f = new_file(path);
    int fd = f->to_stdout ? dup(STDOUT_FILENO) : open(f->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    f->file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f->file == NULL) {
        snprintf(why, DUMP_WHY, "%.150s: %s", f->part, strerror(errno));
        dumpfile_free(f);
        return NULL;
    }
    put_header(f, header);
    return f;
}

/* Cuts away what is not whole. */
static bool settle(struct dumpfile *f, char *why)
{
    struct dumpbytes *b = dumpbytes_open(f->part);
    struct slice line;

    if (b == NULL) {
        snprintf(why, DUMP_WHY, "%.150s: %s", f->part, strerror(errno));
        return false;
    }
    while (dumpbytes_line(b, &line) == BYTES_LINE)
        ;
    int64_t settled = dumpbytes_settled(b);
    dumpbytes_close(b);
    if (truncate(f->part, settled) == 0)
        return true;
    snprintf(why, DUMP_WHY, "%.150s: %s", f->part, strerror(errno));
    return false;
}

static bool is_alike(const cJSON *a, const cJSON *b, const char *const *same)
{
    for (; *same != NULL; same++) {
        const cJSON *its = cJSON_GetObjectItemCaseSensitive(a, *same), *other = cJSON_GetObjectItemCaseSensitive(b, *same);
        if ((its != NULL || other != NULL) && !cJSON_Compare(its, other, true))
            return false;
    }
    return true;
}

/* Whether it is what is wished for. */
static bool fits(struct dumpfile *f, const cJSON *header, const char *const *same, char *why)
{
    struct dump *d = dump_open(f->part, true, why);

    if (d == NULL)
        return false;
    bool ok = is_alike(dump_header(d), header, same);
    dump_close(d);
    if (!ok)
        snprintf(why, DUMP_WHY, "%.150s was begun with other keys (--match, --policy, --all)", f->part);
    return ok;
}

/* Tells the keys and counts the lines again. */
static bool recall(struct dumpfile *f, void (*each)(void *ctx, struct slice key), void *ctx, char *why)
{
    struct dump *d = dump_open(f->part, true, why);
    struct object object;
    struct arena a;
    enum dump_step step;

    if (d == NULL)
        return false;
    arena_init(&a);
    while ((step = dump_next(d, &a, &object)) == DUMP_KEY) {
        each(ctx, object.key);
        arena_reset(&a);
    }
    arena_done(&a);
    f->keys = dump_facts(d)->keys;
    bool whole = dump_facts(d)->whole;
    if (whole)
        snprintf(why, DUMP_WHY, "%.150s is whole already: give it its name", f->part);
    else
        snprintf(why, DUMP_WHY, "%s", dump_why(d));
    dump_close(d);
    return step == DUMP_END && !whole;
}

static bool hash_again(struct dumpfile *f)
{
    struct dumpbytes *b = dumpbytes_open(f->part);
    struct slice line;

    while (b != NULL && dumpbytes_line(b, &line) == BYTES_LINE) {
        EVP_DigestUpdate(f->sha, line.p, line.len);
        EVP_DigestUpdate(f->sha, "\n", 1);
        f->bytes += line.len + 1;
    }
    dumpbytes_close(b);
    f->framed = f->bytes;
    return b != NULL;
}

struct dumpfile *dumpfile_resume(const char *path, const cJSON *header, const char *const *same, void (*each)(void *ctx, struct slice key), void *ctx, char *why)
{
    struct dumpfile *f = new_file(path);

    bool ok = fits(f, header, same, why) && settle(f, why) && recall(f, each, ctx, why);
    if (ok && (!hash_again(f) || (f->file = fopen(f->part, "ae")) == NULL))
        snprintf(why, DUMP_WHY, "%.150s: %s", f->part, strerror(errno));
    if (ok && f->file != NULL)
        return f;
    dumpfile_free(f);
    return NULL;
}

/* ---- the end ---- */

/* The name itself is on the disk, too. */
static void sync_folder(const char *path)
{
    char copy[PATH_ROOM];

    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd); /* not every file system can */
    close(fd);
}

bool dumpfile_finish(struct dumpfile *f)
{
    char line[256], sha[SHA_HEX + 1];

    sha_end(f->sha, sha);
    int at = snprintf(line, sizeof line, "{\"end\":true,\"keys\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"sha256\":\"%s\"}\n", f->keys, f->bytes, sha);
    put_line(f, line, (size_t)at);
    dumpfile_flush(f);
    if (!f->broken && !f->to_stdout && fsync(fileno(f->file)) != 0)
        fail(f, f->part);
    if (!f->broken && !f->to_stdout && rename(f->part, f->path) != 0)
        fail(f, f->path);
    if (!f->broken && !f->to_stdout)
        sync_folder(f->path);
    return !f->broken;
}

void dumpfile_free(struct dumpfile *own_f)
{
    if (own_f == NULL)
        return;
    if (own_f->file != NULL)
        fclose(own_f->file);
    ZSTD_freeCCtx(own_f->zstd);
    EVP_MD_CTX_free(own_f->sha);
    free(own_f);
}

bool dumpfile_is_well(const struct dumpfile *f)
{
    return !f->broken;
}

const char *dumpfile_why(const struct dumpfile *f)
{
    return f->why;
}

uint64_t dumpfile_keys(const struct dumpfile *f)
{
    return f->keys;
}

uint64_t dumpfile_bytes(const struct dumpfile *f)
{
    return f->bytes;
}
