#include "proxy/backups.h"

#include "base/clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL  "backups"
#define READ_US  60000000 /* what others were told is looked for so often */
#define RETRY_US 1000000

static const char *const names[BACKUP_KINDS] = {[BACKUP_KEYS] = "keys", [BACKUP_RDB] = "rdb"};

struct backups {
    _Atomic int64_t last_ms[BACKUP_KINDS];
    _Atomic bool untold; /* a time that the archive may not have heard of */
    uv_loop_t *loop;
    uv_work_t work;
    struct archive_handle *handle; /* NULL: there is no archive */
    bool working;
    int64_t next_us;
    enum err error; /* the pool's while it works */
};

struct backups *backups_new(void)
{
    struct backups *b = calloc(1, sizeof *b);

    if (b == NULL)
        abort();
    b->work.data = b;
    return b;
}

void backups_start(struct backups *b, uv_loop_t *main_loop, struct archive *a)
{
    b->loop = main_loop;
    b->handle = archive_attach(a);
}

/* ---- the control document ---- */

static void raise_to(struct backups *b, enum backup_kind kind, int64_t at_ms)
{
    int64_t before = atomic_load(&b->last_ms[kind]);

    while (at_ms > before && !atomic_compare_exchange_weak(&b->last_ms[kind], &before, at_ms))
        ;
}

/* True: the document lacks a time that is known here. */
static bool take(struct backups *b, struct slice text)
{
    bson_t doc;
    bson_iter_t at;
    bool lacks = false;
    bool whole = text.len > 0 && bson_init_static(&doc, (const uint8_t *)text.p, text.len);

    for (int kind = 0; kind < BACKUP_KINDS; kind++) {
        int64_t stored =
            whole && bson_iter_init_find(&at, &doc, names[kind]) ? bson_iter_as_int64(&at) : 0;
        raise_to(b, (enum backup_kind)kind, stored);
        lacks = lacks || stored < atomic_load(&b->last_ms[kind]);
    }
    return lacks;
}

static enum err put(struct backups *b, int64_t version)
{
    bson_t doc = BSON_INITIALIZER;

    for (int kind = 0; kind < BACKUP_KINDS; kind++)
        bson_append_int64(&doc, names[kind], -1, atomic_load(&b->last_ms[kind]));
    enum err e = archive_control_set(b->handle, CONTROL, version, version + 1, &doc);
    bson_destroy(&doc);
    return e;
}

static void on_work(uv_work_t *work)
{
    struct backups *b = work->data;
    struct archive_found found;
    struct arena a;

    arena_init(&a);
    b->error = archive_control_get(b->handle, CONTROL, &a, &found);
    if (b->error == ERR_NONE && take(b, found.version != 0 ? found.doc : (struct slice){"", 0}))
        b->error = put(b, found.version);
    arena_done(&a);
}

static void after_work(uv_work_t *work, int status)
{
    struct backups *b = work->data;

    b->working = false;
    if (status != 0 || b->error != ERR_NONE)
        b->next_us = clock_mono_us() + RETRY_US;
}

void backups_tick(struct backups *b, int64_t now_us)
{
    if (b->handle == NULL || b->working)
        return;
    if (!atomic_exchange(&b->untold, false) && now_us < b->next_us)
        return;
    b->next_us = now_us + READ_US;
    b->working = uv_queue_work(b->loop, &b->work, on_work, after_work) == 0;
}

void backups_stop(struct backups *b)
{
    if (b->handle == NULL)
        return;
    if (b->working)
        uv_cancel((uv_req_t *)&b->work);
    while (b->working)
        uv_run(b->loop, UV_RUN_ONCE);
    if (atomic_exchange(&b->untold, false))
        on_work(&b->work);
    archive_detach(b->handle);
    b->handle = NULL;
}

void backups_free(struct backups *own_b)
{
    free(own_b);
}

/* ---- any thread ---- */

void backups_told(struct backups *b, enum backup_kind kind, int64_t at_ms)
{
    raise_to(b, kind, at_ms);
    atomic_store(&b->untold, true);
}

int64_t backups_last(const struct backups *b, enum backup_kind kind)
{
    return atomic_load(&b->last_ms[kind]);
}

const char *backup_kind_name(enum backup_kind kind)
{
    return names[kind];
}

bool backup_kind_parse(const char *name, enum backup_kind *ret)
{
    for (int kind = 0; kind < BACKUP_KINDS; kind++)
        if (strcmp(name, names[kind]) == 0) {
            *ret = (enum backup_kind)kind;
            return true;
        }
    return false;
}
