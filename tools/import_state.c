#include "tools/import_state.h"

#include "base/clock.h"
#include "tools/screen.h"

#include <inttypes.h>
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
    char text[2048];
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

void import_state_open(struct import_state *s, const struct import_wish *wish, const struct dump_facts *facts,
                       struct import_result *result)
{
    *s = (struct import_state){.mode = wish->mode};
    if (wish->mode == IMPORT_COMPARE)
        return;
    snprintf(s->path, sizeof s->path, "%.4000s.import", wish->path);
    snprintf(s->sha256, sizeof s->sha256, "%s", facts->sha256);
    cJSON *doc = read_file(s->path);
    const cJSON *sha = cJSON_GetObjectItemCaseSensitive(doc, "sha256");
    bool same = cJSON_IsString(sha) && strcmp(sha->valuestring, s->sha256) == 0 &&
                screen_number(doc, "mode") == (double)s->mode;
    if (wish->resume && same)
        go_on(s, doc, result);
    else if (wish->resume)
        fprintf(stderr, "convctl: %s: no import of this file in this mode was interrupted: it begins at the first line\n", s->path);
    else if (doc != NULL)
        fprintf(stderr, "convctl: an earlier import of %s was interrupted; this one begins anew (--resume goes on)\n", wish->path);
    cJSON_Delete(doc);
}

static void save(const struct import_state *s)
{
    char other[sizeof s->path + 8];

    snprintf(other, sizeof other, "%s.new", s->path);
    FILE *out = fopen(other, "we");
    if (out == NULL)
        return;
    fprintf(out, "{\"sha256\":\"%s\",\"mode\":%d,\"lines\":%" PRIu64, s->sha256, (int)s->mode, s->lines);
    for (size_t i = 0; i < COUNTERS; i++)
        fprintf(out, ",\"%s\":%" PRIu64, counters[i].name, *counter((struct import_result *)&s->result, i));
    fputs("}\n", out);
    if (fclose(out) == 0)
        (void)rename(other, s->path);
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
    if (s->path[0] == '\0')
        return;
    if (over)
        unlink(s->path);
    else if (s->lines > 0)
        save(s);
}
