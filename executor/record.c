#include "executor/record.h"

#include "engine/record.h"

#include <ctype.h>
#include <string.h>

/* MongoDB takes 16 MiB; the archives add fields of their own. */
#define DOCUMENT_MAX ((16u << 20) - (16u << 10))

/* One write as it is stored. */
struct stored_write {
    struct slice session;
    int64_t seq, now_ms;
    struct slice requests;
};

static const struct record_field write_fields[] = {
    {"s", offsetof(struct stored_write, session), RECORD_VALUE},
    {"n", offsetof(struct stored_write, seq), RECORD_INT},
    {"at", offsetof(struct stored_write, now_ms), RECORD_DATE},
    {"c", offsetof(struct stored_write, requests), RECORD_VALUE},
};

#define WRITE_FIELDS (sizeof write_fields / sizeof *write_fields)

/* What is stored of a tier. */
struct stored_tier {
    struct slice level;
    int64_t importance, seen_ms, accesses;
};

static const struct record_field tier_fields[] = {
    {"l", offsetof(struct stored_tier, level), RECORD_VALUE},
    {"imp", offsetof(struct stored_tier, importance), RECORD_INT},
    {"seen", offsetof(struct stored_tier, seen_ms), RECORD_DATE},
    {"acc", offsetof(struct stored_tier, accesses), RECORD_INT},
};

#define TIER_FIELDS (sizeof tier_fields / sizeof *tier_fields)

static const char *const levels[] = {
    [RECORD_WORKING] = "working", [RECORD_WARM] = "warm", [RECORD_COLD] = "cold"};

const char *record_level_name(enum record_level level)
{
    return levels[level];
}

/* ---- ids ---- */

static bool id_make(struct slice session, int64_t seq, struct write_id *ret)
{
    if (session.len >= WRITE_SESSION)
        return false;
    for (size_t i = 0; i < session.len; i++)
        if (!isalnum((unsigned char)session.p[i]) && session.p[i] != '-')
            return false;
    *ret = (struct write_id){.seq = seq};
    if (session.len > 0)
        memcpy(ret->session, session.p, session.len);
    return true;
}

static size_t find_session(const struct record *r, const char *session)
{
    size_t i = 0;
    while (i < r->nsessions && strcmp(r->sessions[i].session, session) != 0)
        i++;
    return i;
}

/* A session's writes are executed in the order of seq: who has a later one has the earlier ones, too. */
bool record_has(const struct record *r, const struct write_id *id)
{
    size_t i = find_session(r, id->session);
    return id->seq > 0 && i < r->nsessions && r->sessions[i].seq >= id->seq;
}

void record_add_id(struct record *r, const struct write_id *id)
{
    size_t i = find_session(r, id->session);
    struct write_id last = *id;

    if (id->seq <= 0)
        return;
    if (i < r->nsessions && r->sessions[i].seq > last.seq)
        last.seq = r->sessions[i].seq;
    if (i == r->nsessions && r->nsessions < RECORD_SESSIONS)
        r->nsessions++;
    else
        i = i < r->nsessions ? i : 0;
    /* What stood behind it moves up, so that the newest is the last. */
    memmove(&r->sessions[i], &r->sessions[i + 1], (r->nsessions - 1 - i) * sizeof *r->sessions);
    r->sessions[r->nsessions - 1] = last;
}

void record_add_ids(struct record *r, const struct write_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        record_add_id(r, &ids[i]);
}

/* ---- the journal ---- */

static void overflow(struct record *r)
{
    r->overflowed = true;
    r->writes = NULL;
    r->nwrites = 0;
}

static size_t journal_bytes(const struct record *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->nwrites; i++)
        n += r->writes[i].requests.len;
    return n;
}

/* The list has room up to the next power of two. */
static void add_write(struct record *r, struct arena *a, const struct record_write *write)
{
    size_t n = r->nwrites;

    if ((n & (n - 1)) == 0)
        r->writes = arena_grow(a, r->writes, n * sizeof *write, (n > 0 ? 2 * n : 1) * sizeof *write);
    r->writes[r->nwrites++] = *write;
}

void record_journal(struct record *r, struct arena *a, int64_t version, const struct record_write *write)
{
    if (!r->journalled || r->redis) {
        r->redis = false;
        r->journalled = true;
        r->base = version;
        r->overflowed = false;
        r->writes = NULL;
        r->nwrites = 0;
    }
    if (r->overflowed)
        return;
    if (write == NULL || r->nwrites == RECORD_JOURNAL || write->requests.len > RECORD_JOURNAL_BYTES ||
        journal_bytes(r) > RECORD_JOURNAL_BYTES - write->requests.len)
        overflow(r);
    else
        add_write(r, a, write);
}

/* ---- reading ---- */

static void read_sessions(const bson_iter_t *sess, struct record *ret)
{
    struct write_id id;
    bson_iter_t it;

    if (!BSON_ITER_HOLDS_DOCUMENT(sess) || !bson_iter_recurse(sess, &it))
        return;
    while (bson_iter_next(&it)) {
        const char *name = bson_iter_key(&it);
        if (BSON_ITER_HOLDS_INT(&it) && name[0] != '\0' &&
            id_make((struct slice){name, strlen(name)}, bson_iter_as_int64(&it), &id))
            record_add_id(ret, &id);
    }
}

static bool read_write(struct arena *a, const bson_iter_t *it, struct record_write *ret)
{
    struct record_reader reader = {.a = a};
    struct stored_write w;

    *ret = (struct record_write){0};
    if (!record_read(&reader, it, write_fields, WRITE_FIELDS, &w) || !id_make(w.session, w.seq, &ret->id))
        return false;
    ret->now_ms = w.now_ms;
    ret->requests = w.requests;
    return true;
}

/* A write that can't be read leaves a journal that is not whole, and so none. */
static void read_journal(const bson_iter_t *j, struct arena *a, struct record *ret)
{
    struct record_write write;
    bson_iter_t it = *j;
    bool ok = BSON_ITER_HOLDS_ARRAY(j) && bson_iter_recurse(j, &it);

    while (ok && bson_iter_next(&it)) {
        ok = read_write(a, &it, &write);
        if (ok)
            record_journal(ret, a, 0, &write);
    }
    if (!ok || it.err_off != 0)
        overflow(ret);
}

/* The fields of a record, wherever they stand in the document. */
struct fields {
    bson_iter_t own, sess, base, j, jx, tier; /* key NULL: there is none */
};

static bool find_fields(const bson_t *doc, struct fields *ret)
{
    const struct {
        const char *name;
        bson_iter_t *to;
    } rows[] = {
        {"own", &ret->own}, {"sess", &ret->sess}, {"base", &ret->base}, {"j", &ret->j}, {"jx", &ret->jx},
        {"tier", &ret->tier}};
    bson_iter_t it;
    bool any = false;

    memset(ret, 0, sizeof *ret);
    if (!bson_iter_init(&it, doc))
        return false;
    while (bson_iter_next(&it))
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (bson_iter_key(&it)[0] == rows[i].name[0] && strcmp(bson_iter_key(&it), rows[i].name) == 0) {
                *rows[i].to = it;
                any = true;
            }
    return any;
}

static void read_tier(struct arena *a, const bson_iter_t *it, struct record_tier *ret)
{
    struct record_reader reader = {.a = a};
    struct stored_tier t;

    if (!BSON_ITER_HOLDS_DOCUMENT(it) || !record_read(&reader, it, tier_fields, TIER_FIELDS, &t))
        return;
    for (size_t i = RECORD_WARM; i <= RECORD_COLD; i++)
        if (slice_is(t.level, levels[i]))
            *ret = (struct record_tier){.level = (uint8_t)i,
                                        .importance = (int32_t)t.importance,
                                        .seen_ms = t.seen_ms,
                                        .accesses = t.accesses};
}

void record_decode(const bson_t *doc, struct arena *a, struct record *ret)
{
    struct fields f;

    memset(ret, 0, sizeof *ret);
    if (!find_fields(doc, &f))
        return;
    if (f.sess.raw != NULL)
        read_sessions(&f.sess, ret);
    if (f.base.raw != NULL && BSON_ITER_HOLDS_INT(&f.base)) {
        ret->journalled = true;
        ret->base = bson_iter_as_int64(&f.base);
        if (f.jx.raw != NULL && BSON_ITER_HOLDS_BOOL(&f.jx) && bson_iter_bool(&f.jx))
            overflow(ret);
        else if (f.j.raw != NULL)
            read_journal(&f.j, a, ret);
    }
    if (f.tier.raw != NULL)
        read_tier(a, &f.tier, &ret->tier);
    /* Last: a journal on a document of Redis' would begin anew. */
    ret->redis = f.own.raw != NULL && BSON_ITER_HOLDS_UTF8(&f.own) &&
                 strcmp(bson_iter_utf8(&f.own, NULL), "redis") == 0;
}

/* ---- writing ---- */

static bool write_sessions(const struct record *r, bson_t *doc)
{
    bson_t sess;

    if (r->nsessions == 0)
        return true;
    if (!bson_append_document_begin(doc, "sess", -1, &sess))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < r->nsessions; i++)
        ok = bson_append_int64(&sess, r->sessions[i].session, -1, r->sessions[i].seq);
    return bson_append_document_end(doc, &sess) && ok;
}

static bool write_writes(const struct record *r, bson_t *doc)
{
    bson_t j;

    if (!bson_append_array_begin(doc, "j", -1, &j))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < r->nwrites; i++) {
        const struct record_write *w = &r->writes[i];
        struct stored_write stored = {
            {w->id.session, strlen(w->id.session)}, w->id.seq, w->now_ms, w->requests};
        ok = record_write_item(&j, i, write_fields, WRITE_FIELDS, &stored);
    }
    return bson_append_array_end(doc, &j) && ok;
}

static bool write_tier(const struct record_tier *t, bson_t *doc)
{
    struct stored_tier stored = {{levels[t->level], strlen(levels[t->level])}, t->importance, t->seen_ms, t->accesses};
    bson_t tier;

    if (t->level == RECORD_WORKING)
        return true;
    return bson_append_document_begin(doc, "tier", -1, &tier) &&
           record_write(&tier, tier_fields, TIER_FIELDS, &stored) && bson_append_document_end(doc, &tier);
}

bool record_encode(const struct record *r, bson_t *doc)
{
    bool ok = write_tier(&r->tier, doc) && (!r->redis || BSON_APPEND_UTF8(doc, "own", "redis")) && write_sessions(r, doc);

    if (ok && r->journalled)
        ok = BSON_APPEND_INT64(doc, "base", r->base) &&
             (r->overflowed ? BSON_APPEND_BOOL(doc, "jx", true) : r->nwrites == 0 || write_writes(r, doc));
    return ok && doc->len <= DOCUMENT_MAX;
}
