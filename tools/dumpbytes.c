#include "tools/dumpbytes.h"

#include "tools/dump.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>

#define READ_BYTES 131072

struct dumpbytes {
    FILE *file;
    ZSTD_DStream *zstd; /* NULL: not compressed */
    char raw[READ_BYTES];
    ZSTD_inBuffer in;
    int64_t raw_before;    /* bytes of the file in front of `raw` */
    int64_t settled, lines_len;
    bool in_frame, at_end; /* of the file */
    char *text;            /* what was deciphered: [start, end) is not told yet */
    size_t start, end, cap, looked;
    const char *why;
};

struct dumpbytes *dumpbytes_open(const char *path)
{
    static const unsigned char magic[4] = {0x28, 0xb5, 0x2f, 0xfd};
    struct dumpbytes *b;
    FILE *file = fopen(path, "re");

    if (file == NULL)
        return NULL;
    b = calloc(1, sizeof *b);
    if (b == NULL)
        abort();
    b->file = file;
    b->in.src = b->raw;
    b->in.size = fread(b->raw, 1, sizeof b->raw, file);
    if (ferror(file)) {
        int error = errno;
        dumpbytes_close(b);
        errno = error;
        return NULL;
    }
    if (b->in.size >= sizeof magic && memcmp(b->raw, magic, sizeof magic) == 0)
        b->zstd = ZSTD_createDStream();
    return b;
}

void dumpbytes_close(struct dumpbytes *own_b)
{
    if (own_b == NULL)
        return;
    fclose(own_b->file);
    ZSTD_freeDStream(own_b->zstd);
    free(own_b->text);
    free(own_b);
}

const char *dumpbytes_why(const struct dumpbytes *b)
{
    return b->why;
}

int64_t dumpbytes_settled(const struct dumpbytes *b)
{
    return b->zstd != NULL ? b->settled : b->lines_len;
}

/* ---- more bytes ---- */

/* False: there are none, or they can't be read. */
static bool refill(struct dumpbytes *b)
{
    b->raw_before += (int64_t)b->in.size;
    b->in.pos = 0;
    b->in.size = fread(b->raw, 1, sizeof b->raw, b->file);
    if (ferror(b->file))
        b->why = "it can't be read";
    return b->in.size > 0;
}

/* Room for at least READ_BYTES more behind the text. */
static bool make_room(struct dumpbytes *b)
{
    if (b->start > 0 && b->start == b->end)
        b->start = b->end = b->looked = 0;
    if (b->start > 0 && b->cap - b->end < READ_BYTES) {
        memmove(b->text, b->text + b->start, b->end - b->start);
        b->end -= b->start;
        b->looked -= b->start;
        b->start = 0;
    }
    if (b->end - b->start > DUMP_LINE_MAX) {
        b->why = "a line is longer than 1 GiB";
        return false;
    }
    if (b->cap - b->end < READ_BYTES) {
        b->cap = b->cap == 0 ? 4 * READ_BYTES : 2 * b->cap;
        b->text = realloc(b->text, b->cap);
        if (b->text == NULL)
            abort();
    }
    return true;
}

static bool decipher(struct dumpbytes *b)
{
    ZSTD_outBuffer out = {b->text, b->cap, b->end};
    size_t rc = ZSTD_decompressStream(b->zstd, &out, &b->in);

    if (ZSTD_isError(rc)) {
        b->why = "its compression is damaged";
        return false;
    }
    b->end = out.pos;
    b->in_frame = rc != 0;
    if (rc == 0)
        b->settled = b->raw_before + (int64_t)b->in.pos;
    return true;
}

/* False: nothing more comes; b->why when that is wrong. */
static bool more(struct dumpbytes *b)
{
    size_t before = b->end - b->start;

    while (b->end - b->start == before) {
        if (!make_room(b))
            return false;
        if (b->in.pos == b->in.size && !refill(b))
            return false;
        if (b->zstd != NULL) {
            if (!decipher(b))
                return false;
            continue;
        }
        size_t n = b->in.size - b->in.pos;
        memcpy(b->text + b->end, b->raw + b->in.pos, n);
        b->in.pos += n;
        b->end += n;
    }
    return true;
}

enum bytes_step dumpbytes_line(struct dumpbytes *b, struct slice *ret)
{
    for (;;) {
        const char *end = b->looked < b->end ? memchr(b->text + b->looked, '\n', b->end - b->looked) : NULL;
        if (end != NULL) {
            *ret = (struct slice){b->text + b->start, (size_t)(end - b->text) - b->start};
            b->start += ret->len + 1;
            b->looked = b->start;
            b->lines_len += (int64_t)ret->len + 1;
            return BYTES_LINE;
        }
        b->looked = b->end;
        if (more(b))
            continue;
        if (b->why != NULL)
            return BYTES_BAD;
        return b->start == b->end && !b->in_frame ? BYTES_END : BYTES_CUT;
    }
}
