#include "sync/quarantine.h"

#include "base/clock.h"
#include "engine/document.h"
#include "sync/digest.h"

#include <inttypes.h>
#include <stdio.h>

#define BOOK     "quarantine"
#define NAME_CAP 48
#define TRIES    16 /* against others who are faster */
#define RECENT   64 /* puts that are recognised when they come again */

/* What the control document BOOK says. */
struct book {
    int64_t version; /* 0: it is not there yet */
    int64_t last, left;
    struct seen {
        int64_t hash, version, number;
    } recent[RECENT]; /* oldest first */
    size_t nrecent;
};

static const char *name_of(int64_t number, char buf[NAME_CAP])
{
    snprintf(buf, NAME_CAP, BOOK ":%" PRId64, number);
    return buf;
}

/* ---- the book ---- */

static int64_t int_field(const bson_t *doc, const char *name)
{
    bson_iter_t it;
    return bson_iter_init_find(&it, doc, name) && BSON_ITER_HOLDS_INT(&it) ? bson_iter_as_int64(&it) : 0;
}

static void read_recent(const bson_t *doc, struct book *b)
{
    bson_iter_t list, row, field;

    if (!bson_iter_init_find(&list, doc, "last") || !BSON_ITER_HOLDS_ARRAY(&list) ||
        !bson_iter_recurse(&list, &row))
        return;
    while (b->nrecent < RECENT && bson_iter_next(&row)) {
        struct seen *s = &b->recent[b->nrecent];
        if (!BSON_ITER_HOLDS_DOCUMENT(&row) || !bson_iter_recurse(&row, &field))
            continue;
        while (bson_iter_next(&field)) {
            int64_t *to = bson_iter_key(&field)[0] == 'h'   ? &s->hash
                          : bson_iter_key(&field)[0] == 'v' ? &s->version
                                                            : &s->number;
            *to = bson_iter_as_int64(&field);
        }
        b->nrecent++;
    }
}

static enum err read_book(struct archive_handle *h, struct book *ret)
{
    struct archive_found found;
    struct arena a;
    bson_t doc;

    *ret = (struct book){0};
    arena_init(&a);
    enum err e = archive_control_get(h, BOOK, &a, &found);
    if (e == ERR_NONE && found.version != 0) {
        ret->version = found.version;
        if (bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len)) {
            ret->last = int_field(&doc, "n");
            ret->left = int_field(&doc, "left");
            read_recent(&doc, ret);
        }
    }
    arena_done(&a);
    return e;
}

static enum err write_book(struct archive_handle *h, const struct book *b)
{
    bson_t doc = BSON_INITIALIZER, list, row;
    char index[24];

    BSON_APPEND_INT64(&doc, "n", b->last);
    BSON_APPEND_INT64(&doc, "left", b->left);
    BSON_APPEND_ARRAY_BEGIN(&doc, "last", &list);
    for (size_t i = 0; i < b->nrecent; i++) {
        snprintf(index, sizeof index, "%zu", i);
        BSON_APPEND_DOCUMENT_BEGIN(&list, index, &row);
        BSON_APPEND_INT64(&row, "h", b->recent[i].hash);
        BSON_APPEND_INT64(&row, "v", b->recent[i].version);
        BSON_APPEND_INT64(&row, "n", b->recent[i].number);
        bson_append_document_end(&list, &row);
    }
    bson_append_array_end(&doc, &list);
    enum err e = archive_control_set(h, BOOK, b->version, b->version + 1, &doc);
    bson_destroy(&doc);
    return e;
}

/* The newest; 0: there is none. */
static int64_t find_recent(const struct book *b, int64_t hash, int64_t version)
{
    for (size_t i = b->nrecent; i-- > 0;)
        if (b->recent[i].hash == hash && b->recent[i].version == version)
            return b->recent[i].number;
    return 0;
}

static void add_recent(struct book *b, struct seen s)
{
    if (b->nrecent == RECENT)
        memmove(b->recent, b->recent + 1, --b->nrecent * sizeof *b->recent);
    b->recent[b->nrecent++] = s;
}

enum err quarantine_bounds(struct archive_handle *h, int64_t *ret_last, int64_t *ret_left)
{
    struct book b;
    enum err e = read_book(h, &b);

    if (e == ERR_NONE) {
        *ret_last = b.last;
        *ret_left = b.left;
    }
    return e;
}

enum err quarantine_count(struct archive_handle *h, int64_t *ret)
{
    int64_t last;
    return quarantine_bounds(h, &last, ret);
}

/* ---- entries ---- */

static enum err encode(const struct quarantine_entry *q, bson_t *doc)
{
    bson_t value;

    BSON_APPEND_INT64(doc, "v", q->version);
    BSON_APPEND_UTF8(doc, "why", q->why);
    BSON_APPEND_DATE_TIME(doc, "at", q->at_ms);
    if (!BSON_APPEND_DOCUMENT_BEGIN(doc, "doc", &value))
        return ERR_TOO_LARGE;
    enum err e = document_encode(&q->object, &value);
    bool ok = bson_append_document_end(doc, &value);
    return ok ? e : ERR_TOO_LARGE;
}

/* The lowest number that nobody has. Those between the book's and it are others', who have not written the book yet. */
static enum err put_entry(struct archive_handle *h, struct quarantine_entry *q, int64_t last,
                          const bson_t *doc)
{
    char name[NAME_CAP];
    enum err e;

    q->number = last;
    do
        e = archive_control_set(h, name_of(++q->number, name), 0, 1, doc);
    while (e == ERR_RACE);
    return e;
}

/* Everything up to this entry is there: also what others have put and not counted, who then find it counted. */
static enum err count_entry(struct archive_handle *h, struct book *b, const struct quarantine_entry *q)
{
    enum err e = ERR_RACE;

    for (int i = 0; i < TRIES && e == ERR_RACE; i++) {
        if (i > 0 && (e = read_book(h, b)) != ERR_NONE)
            return e;
        if (b->last < q->number) {
            b->left += q->number - b->last;
            b->last = q->number;
        }
        add_recent(b, (struct seen){archive_hash(q->object.key), q->version, q->number});
        e = write_book(h, b);
    }
    return e;
}

/* Whether what came with this key and version of late is this very state, and still there: versions alone don't say so, since what has none
 * has them all alike. */
static enum err find_same(struct archive_handle *h, const struct book *b, struct quarantine_entry *q)
{
    struct quarantine_entry old;
    struct arena a;
    bool found = false;

    q->number = find_recent(b, archive_hash(q->object.key), q->version);
    if (q->number == 0)
        return ERR_NONE;
    arena_init(&a);
    enum err e = quarantine_get(h, &a, q->number, &old, &found);
    if (e != ERR_NONE || !found || digest_object(&old.object) != digest_object(&q->object))
        q->number = 0;
    arena_done(&a);
    return e == ERR_ARCHIVEBAD ? ERR_NONE : e; /* a damaged one is no copy */
}

enum err quarantine_put(struct archive_handle *h, struct quarantine_entry *q)
{
    bson_t doc = BSON_INITIALIZER;
    struct book b;

    q->at_ms = clock_wall_us() / 1000;
    enum err e = encode(q, &doc);
    if (e == ERR_NONE)
        e = read_book(h, &b);
    if (e == ERR_NONE)
        e = find_same(h, &b, q);
    if (e == ERR_NONE && q->number == 0) {
        e = put_entry(h, q, b.last, &doc);
        if (e == ERR_NONE)
            e = count_entry(h, &b, q);
    }
    bson_destroy(&doc);
    return e;
}

static bool decode(const bson_t *doc, struct arena *a, struct quarantine_entry *ret)
{
    bson_iter_t it;
    const uint8_t *bytes;
    uint32_t len;
    bson_t value;
    const char *why;

    ret->version = int_field(doc, "v");
    if (!bson_iter_init_find(&it, doc, "why") || !BSON_ITER_HOLDS_UTF8(&it))
        return false;
    ret->why = bson_iter_utf8(&it, NULL);
    if (!bson_iter_init_find(&it, doc, "at") || !BSON_ITER_HOLDS_DATE_TIME(&it))
        return false;
    ret->at_ms = bson_iter_date_time(&it);
    if (!bson_iter_init_find(&it, doc, "doc") || !BSON_ITER_HOLDS_DOCUMENT(&it))
        return false;
    bson_iter_document(&it, &len, &bytes);
    return bson_init_static(&value, bytes, len) && document_decode(&value, a, &ret->object, &why) == ERR_NONE;
}

enum err quarantine_get(struct archive_handle *h, struct arena *a, int64_t number,
                        struct quarantine_entry *ret, bool *ret_found)
{
    char name[NAME_CAP];
    struct archive_found found;
    bson_t doc;
    enum err e = archive_control_get(h, name_of(number, name), a, &found);

    if (e != ERR_NONE)
        return e;
    *ret_found = found.version != 0;
    *ret = (struct quarantine_entry){.number = number};
    if (*ret_found &&
        (!bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len) || !decode(&doc, a, ret)))
        return ERR_ARCHIVEBAD;
    return ERR_NONE;
}

enum err quarantine_page(struct archive_handle *h, struct arena *a, int64_t after, size_t limit,
                         struct quarantine_entry *ret, size_t *ret_n)
{
    struct book b;
    size_t n = 0;
    enum err e = read_book(h, &b);

    for (int64_t i = after + 1; e == ERR_NONE && i <= b.last && n < limit; i++) {
        bool found = false;
        e = quarantine_get(h, a, i, &ret[n], &found);
        n += e == ERR_NONE && found;
    }
    if (e == ERR_NONE)
        *ret_n = n;
    return e;
}

enum err quarantine_drop(struct archive_handle *h, int64_t number)
{
    char name[NAME_CAP];
    struct book b;
    enum err e = archive_control_set(h, name_of(number, name), 1, 0, NULL);

    if (e != ERR_NONE)
        return e;
    for (int i = 0; i < TRIES; i++) {
        e = read_book(h, &b);
        b.left -= b.left > 0;
        if (e == ERR_NONE)
            e = write_book(h, &b);
        if (e != ERR_RACE)
            break;
    }
    return e;
}
