/* executor/cell — a key while a batch runs: what it holds after the last op that has run, and the document that this becomes.
 * Owns:       nothing: all lies in the batch's arena, or in the documents that were loaded.
 * Invariants: an op that is refused changes no cell. A version only grows. A deletion that Redis may have to hear of, or has told
 *             of, is kept as a document of type none (I13): owed, until it was carried; else for a day.
 * Threads:    [worker].          Used by: run, copy, again. */
#ifndef EXECUTOR_CELL_H
#define EXECUTOR_CELL_H

#include "backends/archive/archive.h"
#include "engine/object.h"
#include "executor/op.h"
#include "executor/record.h"

struct cell {
    struct slice key;
    int64_t hash;
    int64_t stored;  /* the version in the archive; 0: there is no document */
    int64_t version; /* as of the last op that wrote it */
    struct object object;
    struct record *record; /* NULL: nothing to say; see cell_record */
    bool dirty;            /* Redis is owed a copy */
    bool tombstone;        /* a deletion leaves a document */
    bool written;          /* the document is to be committed */
    const char *damaged;   /* why its document can't be read */
};

/* The cell (of which only the key is set) becomes what was found. */
void cell_decode(struct cell *c, const struct archive_found *found, struct arena *a);
/* Not expired by this clock. */
bool cell_is_there(const struct cell *c, int64_t now_ms);
/* What its document says beside the value. */
const struct record *cell_record(const struct cell *c);
/* Whether the op's writes to it go into its journal. */
bool cell_journals(const struct cell *c, const struct op *op);

struct cell_write {
    const struct op *op;
    const struct object *object; /* what the key holds now */
    int64_t version;             /* the one it gets */
    int64_t now_ms;              /* the clock that the op ran by */
    const struct record_write
        *journal; /* where cell_journals says so; NULL: it can't be replayed on one key */
};
/* The archive has acted: the state is its own now. */
void cell_wrote(struct cell *c, const struct cell_write *w, struct arena *a);
/* Redis has, and the op repeats it: the state is Redis'. A key in the middle of its hand-over keeps mark and journal. */
void cell_copied(struct cell *c, const struct cell_write *w, struct arena *a);

/* What is to be committed; ret->doc, if any, is the caller's to destroy, also after an error. ERR_TOO_LARGE: the value does not fit
 * a document. A journal that does not fit beside it overflows. */
MUST_USE enum err cell_encode(struct cell *c, int64_t now_ms, struct archive_write *ret);

#endif
