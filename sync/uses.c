#include "sync/uses.h"

#include "base/clock.h"
#include "base/keyid.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#define CONTROL  "uses"
#define ROWS     2
#define COLUMNS  (1u << 18)
#define COUNTERS (ROWS * COLUMNS)
#define LEVEL    1 /* of compression: most counters are zeros */
#define TRIES    8
#define AGING_MS 86400000

struct uses {
    struct keyid_secret secret; /* of the archive's document: set before loaded is */
    _Atomic bool loaded, owed;
    _Atomic uint8_t now[COUNTERS];
    uint8_t kept[COUNTERS]; /* as they were when they were kept last */
};

struct uses *uses_new(void)
{
    struct uses *u = calloc(1, sizeof *u);

    if (u == NULL)
        abort();
    return u;
}

void uses_free(struct uses *own_u)
{
    free(own_u);
}

/* ---- counting: the smaller of a key's counters, which others may have raised, too ---- */

static void counters_of(const struct uses *u, struct slice key, size_t ret[ROWS])
{
    struct keyid id = keyid_of(&u->secret, key);

    ret[0] = id.a & (COLUMNS - 1);
    ret[1] = COLUMNS + (id.b & (COLUMNS - 1));
}

void uses_touch(struct uses *u, struct slice key)
{
    size_t at[ROWS];

    if (!atomic_load_explicit(&u->loaded, memory_order_acquire))
        return;
    counters_of(u, key, at);
    for (size_t row = 0; row < ROWS; row++) {
        uint8_t n = atomic_load_explicit(&u->now[at[row]], memory_order_relaxed);
        if (n < USES_MOST) /* two at once count as one: it is an estimate */
            atomic_store_explicit(&u->now[at[row]], (uint8_t)(n + 1), memory_order_relaxed);
    }
    if (!atomic_load_explicit(&u->owed, memory_order_relaxed))
        atomic_store_explicit(&u->owed, true, memory_order_relaxed);
}

unsigned uses_count(const struct uses *u, struct slice key)
{
    unsigned least = USES_MOST;
    size_t at[ROWS];

    if (!uses_is_loaded(u))
        return 0;
    counters_of(u, key, at);
    for (size_t row = 0; row < ROWS; row++) {
        unsigned n = atomic_load_explicit(&u->now[at[row]], memory_order_relaxed);
        least = n < least ? n : least;
    }
    return least;
}

bool uses_is_loaded(const struct uses *u)
{
    return atomic_load_explicit(&u->loaded, memory_order_acquire);
}

bool uses_is_owed(const struct uses *u)
{
    return uses_is_loaded(u) && atomic_load_explicit(&u->owed, memory_order_relaxed);
}

/* ---- as a document: { _id, secret: BinData, halved: Date, z: BinData, a zstd frame of the counters } ---- */

/* What a look at the document has brought. */
struct sketch {
    struct arena arena;
    int64_t version;
    struct keyid_secret secret;
    int64_t halved_ms;
    uint8_t *counters;
    bool whole;
};

static bson_t *encode(const struct sketch *s)
{
    size_t most = ZSTD_compressBound(COUNTERS);
    void *frame = malloc(most);
    bson_t *doc = bson_new();

    if (frame == NULL)
        abort();
    size_t n = ZSTD_compress(frame, most, s->counters, COUNTERS, LEVEL);
    if (ZSTD_isError(n))
        abort();
    BSON_APPEND_UTF8(doc, "_id", CONTROL);
    BSON_APPEND_BINARY(doc, "secret", BSON_SUBTYPE_BINARY, (const uint8_t *)&s->secret, sizeof s->secret);
    BSON_APPEND_DATE_TIME(doc, "halved", s->halved_ms);
    BSON_APPEND_BINARY(doc, "z", BSON_SUBTYPE_BINARY, frame, (uint32_t)n);
    free(frame);
    return doc;
}

static const uint8_t *bytes_of(const bson_t *doc, const char *name, uint32_t *ret_n)
{
    const uint8_t *bytes = NULL;
    bson_subtype_t kind;
    bson_iter_t it;

    if (bson_iter_init_find(&it, doc, name) && BSON_ITER_HOLDS_BINARY(&it))
        bson_iter_binary(&it, &kind, ret_n, &bytes);
    return bytes;
}

/* False: it is damaged. */
static bool decode(struct slice found, struct sketch *ret)
{
    uint32_t nsecret = 0, nframe = 0;
    bson_iter_t it;
    bson_t doc;

    if (!bson_init_static(&doc, (const uint8_t *)found.p, found.len))
        return false;
    const uint8_t *secret = bytes_of(&doc, "secret", &nsecret), *frame = bytes_of(&doc, "z", &nframe);
    if (secret == NULL || frame == NULL || nsecret != sizeof ret->secret)
        return false;
    memcpy(&ret->secret, secret, sizeof ret->secret);
    if (bson_iter_init_find(&it, &doc, "halved") && BSON_ITER_HOLDS_DATE_TIME(&it))
        ret->halved_ms = bson_iter_date_time(&it);
    return ZSTD_decompress(ret->counters, COUNTERS, frame, nframe) == COUNTERS;
}

/* ---- loading and keeping ---- */

/* The caller ends s->arena, whatever comes of it. */
static enum err look(struct archive_handle *h, struct sketch *s)
{
    struct archive_found found = {0};

    *s = (struct sketch){.halved_ms = clock_wall_us() / 1000};
    arena_init(&s->arena);
    s->counters = arena_get(&s->arena, COUNTERS);
    enum err e = archive_control_get(h, CONTROL, &s->arena, &found);
    s->version = found.version;
    s->whole = e == ERR_NONE && found.version != 0 && decode(found.doc, s);
    return e;
}

static enum err put(struct archive_handle *h, const struct sketch *s)
{
    bson_t *doc = encode(s);
    enum err e = archive_control_set(h, CONTROL, s->version, s->version + 1, doc);

    bson_destroy(doc);
    return e;
}

/* Nothing was kept yet: the secret is agreed upon first. */
static enum err begin(struct archive_handle *h, struct sketch *s)
{
    keyid_secret_init(&s->secret);
    memset(s->counters, 0, COUNTERS);
    return put(h, s);
}

static void take(struct uses *u, const struct sketch *s)
{
    u->secret = s->secret;
    for (size_t i = 0; i < COUNTERS; i++)
        if (s->counters[i] != 0) { /* pages of zeros are not written */
            u->kept[i] = s->counters[i];
            atomic_store_explicit(&u->now[i], s->counters[i], memory_order_relaxed);
        }
    atomic_store_explicit(&u->loaded, true, memory_order_release);
}

enum err uses_load(struct uses *u, struct archive_handle *h)
{
    enum err e = ERR_RACE;

    for (int try = 0; try < TRIES && e == ERR_RACE; try++) {
        struct sketch s;
        e = look(h, &s);
        if (e == ERR_NONE && !s.whole)
            e = begin(h, &s);
        if (e == ERR_NONE)
            take(u, &s);
        arena_done(&s.arena);
    }
    return e == ERR_RACE ? ERR_NONE : e; /* it is asked for again */
}

static uint8_t sum(unsigned a, unsigned b)
{
    return (uint8_t)(a + b < USES_MOST ? a + b : USES_MOST);
}

/* At most once a day: keys that are used now shall not be forgotten. */
static void age(struct sketch *s)
{
    int64_t now_ms = clock_wall_us() / 1000;
    size_t in_use = 0;

    for (size_t i = 0; i < COUNTERS; i++)
        in_use += s->counters[i] != 0;
    if (2 * in_use <= COUNTERS || (now_ms - s->halved_ms < AGING_MS && now_ms >= s->halved_ms))
        return;
    for (size_t i = 0; i < COUNTERS; i++)
        s->counters[i] /= 2;
    s->halved_ms = now_ms;
}

/* What was kept becomes what shall be; seen: what this process has counted until then. */
static void add_own(struct uses *u, uint8_t *counters, uint8_t *seen)
{
    for (size_t i = 0; i < COUNTERS; i++) {
        seen[i] = atomic_load_explicit(&u->now[i], memory_order_relaxed);
        if (seen[i] > u->kept[i])
            counters[i] = sum(counters[i], (unsigned)(seen[i] - u->kept[i]));
    }
}

/* And it has become so. */
static void follow(struct uses *u, const uint8_t *counters, const uint8_t *seen)
{
    for (size_t i = 0; i < COUNTERS; i++) {
        uint8_t now = atomic_load_explicit(&u->now[i], memory_order_relaxed);
        if (now == counters[i] && u->kept[i] == counters[i])
            continue;
        u->kept[i] = counters[i];
        atomic_store_explicit(&u->now[i], sum(counters[i], now > seen[i] ? (unsigned)(now - seen[i]) : 0), memory_order_relaxed);
    }
}

static enum err keep_once(struct uses *u, struct archive_handle *h)
{
    struct sketch s;
    enum err e = look(h, &s);
    uint8_t *seen = arena_get(&s.arena, COUNTERS);

    if (e == ERR_NONE && (!s.whole || memcmp(&s.secret, &u->secret, sizeof s.secret) != 0)) {
        s.secret = u->secret; /* somebody has deleted it, or spoilt it: what this process knows is kept */
        memcpy(s.counters, u->kept, COUNTERS);
    }
    if (e == ERR_NONE) {
        add_own(u, s.counters, seen);
        age(&s);
        e = put(h, &s);
    }
    if (e == ERR_NONE)
        follow(u, s.counters, seen);
    arena_done(&s.arena);
    return e;
}

enum err uses_keep(struct uses *u, struct archive_handle *h)
{
    enum err e = ERR_RACE;

    atomic_store_explicit(&u->owed, false, memory_order_relaxed);
    for (int try = 0; try < TRIES && e == ERR_RACE; try++)
        e = keep_once(u, h);
    if (e != ERR_NONE)
        atomic_store_explicit(&u->owed, true, memory_order_relaxed);
    return e == ERR_RACE ? ERR_NONE : e;
}
