#include "tools/import_state.h"

#include "base/clock.h"
#include "tools/screen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITE_US 300000

static const struct {
    const char *name;
    size_t offset;
} counters[] = {
    {"written", offsetof(struct import_result, written)}, {"same", offsetof(struct import_result, same)},
    {"differ", offsetof(struct import_result, differ)},   {"expired", offsetof(struct import_result, expired)},
    {"trimmed", offsetof(struct import_result, trimmed)}, {"failed", offsetof(struct import_result, failed)},
};
#define COUNTERS (sizeof counters / sizeof counters[0])

static uint64_t *counter(struct import_result *r, size_t i)
{
    return (uint64_t *)((char *)r + counters[i].offset);
}

/* NULL: there is none. */
static cJSON *read_file(const char *path)
{
    char text[16384];
    FILE *in = fopen(path, "re");

    if (in == NULL)
        return NULL;
    size_t n = fread(text, 1, sizeof text, in);
    fclose(in);
    return cJSON_ParseWithLength(text, n);
}

static void go_on(struct import_state *s, const cJSON *doc, struct import_result *result)
{
    s->lines = (uint64_t)screen_number(doc, "lines");
    for (size_t i = 0; i < COUNTERS; i++)
        *counter(result, i) = (uint64_t)screen_number(doc, counters[i].name);
}

static cJSON *what_of(const struct import_wish *wish, const char *admin_url, const struct dump_facts *facts)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "sha256", facts->sha256);
    cJSON_AddNumberToObject(doc, "mode", wish->mode);
    cJSON_AddStringToObject(doc, "match", wish->match != NULL ? wish->match : "");
    cJSON_AddStringToObject(doc, "url", admin_url);
    cJSON_AddStringToObject(doc, "proxy", wish->proxy != NULL ? wish->proxy : "");
    return doc;
}

static bool is_same(const struct import_state *s, const cJSON *doc)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, s->what)
    {
        if (!cJSON_Compare(item, cJSON_GetObjectItemCaseSensitive(doc, item->string), true))
            return false;
    }
    return true;
}

void import_state_open(struct import_state *s, const struct import_wish *wish, const char *admin_url, const struct dump_facts *facts,
                       struct import_result *result)
{
    *s = (struct import_state){0};
    if (wish->mode == IMPORT_COMPARE)
        return;
    snprintf(s->path, sizeof s->path, "%.4000s.import", wish->path);
    s->what = what_of(wish, admin_url, facts);
    cJSON *doc = read_file(s->path);
    if (wish->resume && is_same(s, doc))
        go_on(s, doc, result);
    else if (wish->resume)
        fprintf(stderr, "convctl: %s: no such import of this file was interrupted (same mode, pattern and proxy): it begins at the first line\n", s->path);
    else if (doc != NULL)
        fprintf(stderr, "convctl: an earlier import of %s was interrupted; this one begins anew (--resume goes on)\n", wish->path);
    cJSON_Delete(doc);
}

/* A file that can't be written whole is not left behind. */
static void save(const struct import_state *s)
{
    char other[sizeof s->path + 8];
    cJSON *doc = cJSON_Duplicate(s->what, true);

    cJSON_AddNumberToObject(doc, "lines", (double)s->lines);
    for (size_t i = 0; i < COUNTERS; i++)
        cJSON_AddNumberToObject(doc, counters[i].name, (double)*counter((struct import_result *)&s->result, i));
    char *own_text = cJSON_PrintUnformatted(doc);
    snprintf(other, sizeof other, "%s.new", s->path);
    FILE *out = fopen(other, "we");
    bool ok = out != NULL && own_text != NULL && fprintf(out, "%s\n", own_text) > 0;
    ok = out != NULL && fclose(out) == 0 && ok;
    if (!ok || rename(other, s->path) != 0)
        (void)unlink(other);
    free(own_text);
    cJSON_Delete(doc);
}

void import_state_reached(struct import_state *s, uint64_t lines, const struct import_result *result)
{
    int64_t now = clock_mono_us();

    s->lines = lines;
    s->result = *result;
    if (s->path[0] == '\0' || now - s->written_us < WRITE_US)
        return;
    s->written_us = now;
    save(s);
}

void import_state_close(struct import_state *s, bool over)
{
    if (s->path[0] != '\0' && over)
        unlink(s->path);
    else if (s->path[0] != '\0' && s->lines > 0)
        save(s);
    cJSON_Delete(s->what);
    s->what = NULL;
}
