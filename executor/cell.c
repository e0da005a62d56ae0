#include "executor/cell.h"

#include "backends/archive/fields.h"
#include "engine/document.h"

static const struct record nothing;

static const struct object no_object = {.expire_ms = -1};

/* ---- from a document ---- */

static void decode_record(struct cell *c, const bson_t *doc, struct arena *a)
{
    struct record r;

    record_decode(doc, a, &r);
    if (!r.redis && !r.journalled && r.nsessions == 0 && r.tier.level == RECORD_WORKING)
        return;
    c->record = arena_get(a, sizeof *c->record);
    *c->record = r;
}

void cell_decode(struct cell *c, const struct archive_found *found, struct arena *a)
{
    const char *why = "not BSON";
    bson_t doc;

    c->stored = c->version = found->version;
    c->object = no_object;
    c->object.key = c->key;
    if (found->version == 0)
        return;
    c->dirty = found->dirty;
    if (!bson_init_static(&doc, (const uint8_t *)found->doc.p, found->doc.len) ||
        document_decode(&doc, a, &c->object, &why) != ERR_NONE) {
        c->damaged = why;
        return;
    }
    decode_record(c, &doc, a);
    c->tombstone = c->object.type == OBJECT_NONE;
    if (c->tombstone) /* its expiry is the document's, not the key's */
        c->object = no_object;
    c->object.key = c->key;
    c->object.changed = false;
}

bool cell_is_there(const struct cell *c, int64_t now_ms)
{
    return c->object.type != OBJECT_NONE && (c->object.expire_ms < 0 || now_ms <= c->object.expire_ms);
}

const struct record *cell_record(const struct cell *c)
{
    return c->record != NULL ? c->record : &nothing;
}

bool cell_journals(const struct cell *c, const struct op *op)
{
    return op->role == OP_JOURNAL || cell_record(c)->journalled;
}

/* ---- writes ---- */

static struct record *own_record(struct cell *c, struct arena *a)
{
    if (c->record == NULL)
        c->record = arena_get(a, sizeof *c->record);
    return c->record;
}

static void take(struct cell *c, const struct cell_write *w)
{
    c->object = *w->object;
    c->version = w->version;
    c->written = true;
    if (c->record != NULL)
        c->record->tier = (struct record_tier){.level = RECORD_WORKING};
}

void cell_wrote(struct cell *c, const struct cell_write *w, struct arena *a)
{
    const struct op *op = w->op;
    bool owed = op->role == OP_OWED || op->role == OP_JOURNAL, journals = cell_journals(c, op);

    /* Redis may still have what is deleted here: it has had the key, or is owed what became of it. */
    c->tombstone |= owed || c->dirty || cell_record(c)->redis || journals;
    if (journals)
        record_journal(own_record(c, a), a, c->version, w->journal);
    if (cell_record(c)->redis)
        own_record(c, a)->redis = false;
    if (op->id.seq > 0)
        record_add_id(own_record(c, a), &op->id);
    c->dirty |= owed;
    take(c, w);
}

void cell_copied(struct cell *c, const struct cell_write *w, struct arena *a)
{
    struct record *r = own_record(c, a);

    if (!r->redis) { /* a dead key of the archive's: nothing of it is owed any more */
        r->journalled = r->overflowed = false;
        r->base = 0;
        r->nwrites = 0;
        c->dirty = false;
    }
    r->redis = true;
    record_add_id(r, &w->op->id);
    c->tombstone = true;
    take(c, w);
    if (!cell_is_there(c, w->now_ms)) {
        c->object = no_object;
        c->object.key = c->key;
    }
}

/* ---- to a document ---- */

/* The document without the record. */
static enum err encode_value(const struct object *o, const struct archive_entry *e, int64_t now_ms,
                             bson_t *doc)
{
    enum err error = document_encode(o, doc);
    return error == ERR_NONE && !fields_append(e, now_ms, doc) ? ERR_TOO_LARGE : error;
}

static enum err encode_with(const struct record *r, const struct object *o, const struct archive_entry *e,
                            int64_t now_ms, bson_t *doc)
{
    enum err error = encode_value(o, e, now_ms, doc);
    return error == ERR_NONE && !record_encode(r, doc) ? ERR_TOO_LARGE : error;
}

enum err cell_encode(struct cell *c, int64_t now_ms, struct archive_write *ret)
{
    struct object o = c->object;

    if (o.type == OBJECT_NONE)
        o.expire_ms = c->dirty ? -1 : now_ms + FIELDS_TOMBSTONE_MS;
    *ret = (struct archive_write){.expected = c->stored};
    ret->entry = (struct archive_entry){.key = c->key,
                                        .hash = c->hash,
                                        .version = c->version,
                                        .expire_ms = o.expire_ms,
                                        .type = o.type,
                                        .dirty = c->dirty};
    if (o.type == OBJECT_NONE && !c->tombstone)
        return ERR_NONE;
    bson_t *doc = bson_new();
    ret->doc = doc;
    enum err e = encode_with(cell_record(c), &o, &ret->entry, now_ms, doc);
    if (e != ERR_TOO_LARGE || !cell_record(c)->journalled || cell_record(c)->overflowed)
        return e;
    struct record without = *c->record;
    without.overflowed = true;
    bson_reinit(doc);
    return encode_with(&without, &o, &ret->entry, now_ms, doc);
}
