#include "tools/dump.h"

#include "tools/dumpbytes.h"
#include "tools/item.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct dump {
    struct dumpbytes *bytes;
    cJSON *header;
    EVP_MD_CTX *sha;
    struct dump_facts facts;
    bool partial, ended;
    char why[DUMP_WHY];
};

bool dump_is_compressed(const char *path)
{
    size_t len = strlen(path);
    return len > 4 && strcmp(path + len - 4, ".zst") == 0;
}

const struct dump_facts *dump_facts(const struct dump *d)
{
    return &d->facts;
}

const cJSON *dump_header(const struct dump *d)
{
    return d->header;
}

const char *dump_why(const struct dump *d)
{
    return d->why;
}

static enum dump_step bad(struct dump *d, const char *what)
{
    snprintf(d->why, sizeof d->why, "line %llu: %s", (unsigned long long)d->facts.lines, what);
    return DUMP_BAD;
}

static void count(struct dump *d, struct slice line)
{
    EVP_DigestUpdate(d->sha, line.p, line.len);
    EVP_DigestUpdate(d->sha, "\n", 1);
    d->facts.bytes += line.len + 1;
}

/* ---- the header ---- */

static bool take_header(struct dump *d)
{
    struct slice line;

    enum bytes_step step = dumpbytes_line(d->bytes, &line);
    d->facts.lines = 1;
    if (step == BYTES_BAD)
        return bad(d, dumpbytes_why(d->bytes)), false;
    if (step != BYTES_LINE)
        return bad(d, "the file is empty, or was cut in its header"), false;
    d->header = cJSON_ParseWithLength(line.p, line.len);
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(d->header, "format");
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(d->header, "version");
    if (!cJSON_IsString(format) || strcmp(format->valuestring, DUMP_FORMAT) != 0)
        return bad(d, "this is no export of convproxy: its header is missing or damaged"), false;
    if (!cJSON_IsNumber(version) || version->valueint != DUMP_VERSION)
        return bad(d, "its version is one that this convctl does not know"), false;
    count(d, line);
    return true;
}

struct dump *dump_open(const char *path, bool partial, char *why)
{
    struct dumpbytes *bytes = dumpbytes_open(path);

    if (bytes == NULL) {
        snprintf(why, DUMP_WHY, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct dump *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort();
    d->bytes = bytes;
    d->partial = partial;
    d->sha = sha_new();
    if (take_header(d))
        return d;
    snprintf(why, DUMP_WHY, "%s", d->why);
    dump_close(d);
    return NULL;
}

void dump_close(struct dump *own_d)
{
    if (own_d == NULL)
        return;
    dumpbytes_close(own_d->bytes);
    cJSON_Delete(own_d->header);
    EVP_MD_CTX_free(own_d->sha);
    free(own_d);
}

/* ---- the end ---- */

static bool is_number(const cJSON *doc, const char *name, uint64_t n)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);
    return cJSON_IsNumber(item) && item->valuedouble == (double)n;
}

static enum dump_step take_end(struct dump *d, const cJSON *end)
{
    const cJSON *sha = cJSON_GetObjectItemCaseSensitive(end, "sha256");
    struct slice line;

    sha_end(d->sha, d->facts.sha256);
    if (!is_number(end, "keys", d->facts.keys))
        return bad(d, "the end counts other keys than there are: lines are missing, or came in");
    if (!is_number(end, "bytes", d->facts.bytes))
        return bad(d, "the end counts other bytes than there are: a line was changed");
    if (!cJSON_IsString(sha) || strcmp(sha->valuestring, d->facts.sha256) != 0)
        return bad(d, "the hash of the lines above is not the one that the end has: something in them was changed");
    if (dumpbytes_line(d->bytes, &line) != BYTES_END) {
        d->facts.lines++;
        return bad(d, "something follows the end");
    }
    d->facts.whole = d->ended = true;
    return DUMP_END;
}

static enum dump_step take_cut(struct dump *d)
{
    d->facts.cut = d->ended = true;
    if (d->partial) {
        sha_end(d->sha, d->facts.sha256);
        return DUMP_END;
    }
    return bad(d, "the file ends here, without its end: it was cut, or never finished (--partial takes what is there)");
}

/* ---- keys ---- */

static enum dump_step take_line(struct dump *d, struct slice text, struct arena *a, struct object *ret)
{
    const char *why;
    cJSON *line = cJSON_ParseWithLength(text.p, text.len);

    if (line == NULL || !cJSON_IsObject(line)) {
        cJSON_Delete(line);
        return bad(d, "it is no JSON object");
    }
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(line, "end"))) {
        enum dump_step step = take_end(d, line);
        cJSON_Delete(line);
        return step;
    }
    bool ok = item_read(line, a, ret, &why);
    cJSON_Delete(line);
    if (!ok)
        return bad(d, why);
    count(d, text);
    d->facts.keys++;
    return DUMP_KEY;
}

enum dump_step dump_next(struct dump *d, struct arena *a, struct object *ret)
{
    struct slice text;

    if (d->ended)
        return DUMP_END;
    enum bytes_step step = dumpbytes_line(d->bytes, &text);
    d->facts.lines++;
    switch (step) {
    case BYTES_LINE:
        return take_line(d, text, a, ret);
    case BYTES_END:
    case BYTES_CUT:
        return take_cut(d);
    case BYTES_BAD:
        return bad(d, dumpbytes_why(d->bytes));
    }
    return DUMP_BAD;
}

bool dump_check(const char *path, bool partial, struct dump_facts *ret, char *why)
{
    struct dump *d = dump_open(path, partial, why);
    struct object object;
    struct arena a;
    enum dump_step step;

    if (d == NULL)
        return false;
    arena_init(&a);
    while ((step = dump_next(d, &a, &object)) == DUMP_KEY)
        arena_reset(&a);
    arena_done(&a);
    *ret = d->facts;
    snprintf(why, DUMP_WHY, "%s", d->why);
    dump_close(d);
    return step == DUMP_END;
}
