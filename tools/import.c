#include "tools/import.h"

#include "base/clock.h"
#include "engine/list.h"
#include "engine/pattern.h"
#include "sync/commands.h"
#include "sync/digest.h"
#include "tools/dumpfile.h"
#include "tools/import_state.h"
#include "tools/item.h"
#include "tools/progress.h"
#include "tools/store.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES (1u << 20)
#define TRIES       60 /* of a step while the stores can't be asked */
#define RETRY_S     1.0
#define SHOWN       10 /* keys that differ */

struct import {
    const struct import_wish *wish;
    struct store store;
    struct dump *dump;
    struct dumpfile *undo;
    struct progress progress;
    struct import_state state;
    struct import_result *result;
    struct arena arena;
    struct object objects[STORE_PIECE]; /* of the piece, from the file */
    struct object now[STORE_PIECE];     /* what the store has */
    size_t n;
    bool one_by_one; /* this deployment takes no transactions on many keys */
    uint64_t shown;
    int code;
};

/* ---- what is to be done with a key ---- */

enum situation { ABSENT, EQUAL, DIFFERENT, SITUATIONS };
enum verdict { WRITE, SAME, DIFFER, LACKS };

static const enum verdict verdicts[IMPORT_MODES][SITUATIONS] = {
    [IMPORT_REFUSE] = {[ABSENT] = WRITE, [EQUAL] = SAME, [DIFFERENT] = DIFFER},
    [IMPORT_MISSING] = {[ABSENT] = WRITE, [EQUAL] = SAME, [DIFFERENT] = DIFFER},
    [IMPORT_REPLACE] = {[ABSENT] = WRITE, [EQUAL] = SAME, [DIFFERENT] = WRITE},
    [IMPORT_COMPARE] = {[ABSENT] = LACKS, [EQUAL] = SAME, [DIFFERENT] = DIFFER},
};

/* The store's list is the file's, shortened by a policy at one end. */
static bool is_trimmed(const struct object *file, const struct object *now)
{
    if (file->type != OBJECT_LIST || now->type != OBJECT_LIST || now->v.list->count >= file->v.list->count)
        return false;
    const struct list *whole = file->v.list, *part = now->v.list;
    for (size_t from = 0; from <= whole->count - part->count; from += whole->count - part->count) {
        size_t i = 0;
        while (i < part->count && list_at(part, i)->len == list_at(whole, from + i)->len &&
               memcmp(list_at(part, i)->p, list_at(whole, from + i)->p, list_at(part, i)->len) == 0)
            i++;
        if (i == part->count)
            return true;
    }
    return false;
}

/* A key without an expiry gets that of its policy. */
static enum situation situation_of(const struct object *file, const struct object *now)
{
    struct object same_time = *now;

    if (file->type == OBJECT_NONE || now->type == OBJECT_NONE)
        return file->type == now->type ? EQUAL : now->type == OBJECT_NONE ? ABSENT : DIFFERENT;
    if (file->expire_ms < 0)
        same_time.expire_ms = -1;
    if (digest_object(file) == digest_object(&same_time))
        return EQUAL;
    return same_time.expire_ms == file->expire_ms && is_trimmed(file, now) ? EQUAL : DIFFERENT;
}

static void print_key(const char *before, struct slice key, const char *after)
{
    fprintf(stderr, "convctl: %s ", before);
    item_write_text(stderr, key);
    fprintf(stderr, "%s%s\n", after[0] != '\0' ? ": " : "", after);
}

static void show(struct import *m, struct slice key, const char *what)
{
    if (!m->wish->show || m->shown > SHOWN)
        return;
    if (m->shown++ < SHOWN)
        print_key(what, key, "");
    else
        fprintf(stderr, "convctl: and others\n");
}

/* True: it is to be written. */
static bool judge(struct import *m, const struct object *file, const struct object *now)
{
    switch (verdicts[m->wish->mode][situation_of(file, now)]) {
    case WRITE:
        return true;
    case SAME:
        m->result->same++;
        return false;
    case DIFFER:
        m->result->differ++;
        show(m, file->key, m->wish->mode == IMPORT_COMPARE ? "differs:" : "left as it is:");
        return false;
    case LACKS:
        m->result->absent++;
        show(m, file->key, "is not there:");
        return false;
    }
    return false;
}

/* ---- a piece ---- */

static bool save_undo(struct import *m, const struct object *now, size_t n)
{
    if (m->undo == NULL || n == 0)
        return true;
    for (size_t i = 0; i < n; i++)
        dumpfile_put(m->undo, &now[i]);
    dumpfile_flush(m->undo);
    if (dumpfile_is_well(m->undo))
        return true;
    fprintf(stderr, "convctl: %s: nothing is overwritten that could not be undone\n", dumpfile_why(m->undo));
    m->code = EXIT_UNHEALTHY;
    return false;
}

static void count_written(struct import *m, const struct object *written, const int64_t *lengths, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t whole = written[i].type == OBJECT_LIST     ? (int64_t)written[i].v.list->count
                        : written[i].type == OBJECT_STRING ? (int64_t)written[i].v.string.len
                                                           : -1;
        m->result->written++;
        m->result->trimmed += lengths[i] >= 0 && lengths[i] < whole;
    }
}

/* Keys that can't be read are left as they are: nobody knows what would be lost. */
static void count_refused(struct import *m, const struct slice *keys, const char *const *bad, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bad[i] == NULL)
            continue;
        print_key("refused:", keys[i], bad[i]);
        m->result->failed++;
    }
}

/* Reads, judges and writes n of the piece from `at` on, once. */
static enum store_result try_once(struct import *m, size_t at, size_t n)
{
    struct slice keys[STORE_PIECE] = {{0}};
    const char *bad[STORE_PIECE];
    struct object write[STORE_PIECE], before[STORE_PIECE];
    int64_t lengths[STORE_PIECE];
    struct import_result saved = *m->result;
    uint64_t shown = m->shown;
    size_t nwrite = 0;

    for (size_t i = 0; i < n; i++)
        keys[i] = m->objects[at + i].key;
    if (!store_read(&m->store, keys, n, m->wish->mode != IMPORT_COMPARE, &m->arena, m->now, bad))
        return STORE_FAILED;
    for (size_t i = 0; i < n; i++)
        if (bad[i] == NULL && judge(m, &m->objects[at + i], &m->now[i])) {
            before[nwrite] = m->now[i];
            write[nwrite++] = m->objects[at + i];
        }
    if (!save_undo(m, before, nwrite))
        return STORE_FAILED;
    if (nwrite == 0) {
        if (m->wish->mode != IMPORT_COMPARE)
            store_unwatch(&m->store);
        count_refused(m, keys, bad, n);
        return STORE_DONE;
    }
    enum store_result result = store_write(&m->store, write, nwrite, lengths);
    if (result == STORE_DONE) {
        count_written(m, write, lengths, nwrite);
        count_refused(m, keys, bad, n);
    } else {
        *m->result = saved; /* they are judged again */
        m->shown = shown;
    }
    return result;
}

static bool give_up(struct import *m)
{
    fprintf(stderr, "convctl: %s\n", m->store.why);
    m->code = EXIT_UNHEALTHY;
    return false;
}

/* One key, until it is done or refused for good. False: the import ends. */
static bool do_key(struct import *m, size_t at)
{
    for (int try = 0; try < TRIES && m->code == EXIT_OK && !ctl_interrupted();) {
        enum store_result result = try_once(m, at, 1);
        if (result == STORE_DONE)
            return true;
        if (result == STORE_CHANGED)
            continue; /* others write it: it is looked at again */
        if (m->code == EXIT_OK && !store_may_pass(&m->store)) {
            print_key("refused:", m->objects[at].key, m->store.why);
            m->result->failed++;
            return true;
        }
        if (try++ == 0 && !m->store.options->quiet)
            fprintf(stderr, "convctl: %s; it is tried again for a minute\n", m->store.why);
        ctl_pause(RETRY_S);
    }
    return m->code != EXIT_OK || ctl_interrupted() ? false : give_up(m);
}

static bool do_piece(struct import *m)
{
    enum store_result result = STORE_FAILED;

    if (!m->one_by_one && m->n > 1)
        result = try_once(m, 0, m->n);
    if (result == STORE_DONE)
        return true;
    if (strncmp(m->store.why, "CROSS", 5) == 0)
        m->one_by_one = true;
    for (size_t i = 0; i < m->n; i++)
        if (m->code != EXIT_OK || !do_key(m, i))
            return false;
    return true;
}

/* ---- the file ---- */

static bool is_wanted(const struct import *m, struct slice key)
{
    const char *pattern = m->wish->match;
    return pattern == NULL || pattern_match((struct slice){pattern, strlen(pattern)}, key);
}

/* False: there is nothing more, or the file has changed since it was checked. */
static bool read_piece(struct import *m)
{
    size_t bytes = 0;
    int64_t now_ms = clock_wall_us() / 1000;

    arena_reset(&m->arena);
    m->n = 0;
    while (m->n < STORE_PIECE && bytes < PIECE_BYTES) {
        struct object *o = &m->objects[m->n];
        enum dump_step step = dump_next(m->dump, &m->arena, o);
        if (step == DUMP_BAD) {
            fprintf(stderr, "convctl: %s: %s: it was changed while it was read\n", m->wish->path, dump_why(m->dump));
            m->code = EXIT_UNHEALTHY;
        }
        if (step != DUMP_KEY)
            break;
        bytes += commands_size(o);
        if (dump_facts(m->dump)->lines <= m->state.lines || !is_wanted(m, o->key))
            continue;
        if (o->type != OBJECT_NONE && o->expire_ms >= 0 && o->expire_ms <= now_ms)
            m->result->expired++;
        else
            m->n++;
    }
    return m->code == EXIT_OK && (m->n > 0 || bytes >= PIECE_BYTES);
}

static void work(struct import *m, const struct dump_facts *facts)
{
    bool more = true;

    progress_begin(&m->progress, m->store.options, m->wish->what, (int64_t)facts->keys, m->wish->rate);
    m->progress.keys_before = m->state.lines;
    while (more && m->code == EXIT_OK && read_piece(m)) {
        if (m->n > 0 && !do_piece(m))
            break;
        const struct dump_facts *now = dump_facts(m->dump);
        import_state_reached(&m->state, now->lines, m->result);
        more = progress_step(&m->progress, now->keys, now->bytes);
    }
    progress_end(&m->progress);
    m->result->lines = dump_facts(m->dump)->lines;
    if (m->code == EXIT_OK && (ctl_interrupted() || !more))
        m->code = EXIT_INTERRUPTED;
}

static bool open_undo(struct import *m)
{
    cJSON *header;
    char why[DUMP_WHY];

    if (m->wish->undo == NULL)
        return true;
    header = cJSON_CreateObject();
    cJSON_AddStringToObject(header, "undo_of", m->wish->path);
    m->undo = dumpfile_new(m->wish->undo, header, why);
    cJSON_Delete(header);
    if (m->undo == NULL)
        fprintf(stderr, "convctl: what can undo it must be kept: %s (--undo FILE elsewhere, --no-undo nowhere)\n", why);
    return m->undo != NULL;
}

static void keep_part(struct import *m, const char *part)
{
    m->result->undo_keys = 0;
    fprintf(stderr, "convctl: %s\nconvctl: it undoes what it has:  convctl import --partial --replace %s\n", dumpfile_why(m->undo), part);
    m->code = m->code == EXIT_OK ? EXIT_UNHEALTHY : m->code;
}

/* One that undoes nothing is not kept. */
static void close_undo(struct import *m)
{
    char part[4096];

    if (m->undo == NULL)
        return;
    m->result->undo_keys = dumpfile_keys(m->undo);
    snprintf(part, sizeof part, "%.4000s.part", m->wish->undo);
    if (m->result->undo_keys == 0)
        unlink(part);
    else if (!dumpfile_finish(m->undo))
        keep_part(m, part);
    dumpfile_free(m->undo);
}

int import_file(const struct options *o, const struct import_wish *w, const struct dump_facts *facts,
                struct import_result *ret)
{
    struct import *m = calloc(1, sizeof *m);
    char why[DUMP_WHY];

    if (m == NULL)
        abort();
    *ret = (struct import_result){0};
    ctl_catch_interrupts();
    m->wish = w;
    m->result = ret;
    m->code = store_open(&m->store, o, w->proxy);
    arena_init(&m->arena);
    if (m->code == EXIT_OK && (m->dump = dump_open(w->path, w->partial, why)) == NULL) {
        fprintf(stderr, "convctl: %s\n", why);
        m->code = EXIT_UNHEALTHY;
    }
    import_state_open(&m->state, w, o->client.url, facts, ret);
    if (m->code == EXIT_OK && !open_undo(m))
        m->code = EXIT_UNHEALTHY;
    if (m->code == EXIT_OK)
        work(m, facts);
    close_undo(m);
    import_state_close(&m->state, m->code == EXIT_OK);
    int code = m->code;
    dump_close(m->dump);
    arena_done(&m->arena);
    store_done(&m->store);
    free(m);
    return code;
}
