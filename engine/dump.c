#include "engine/internal.h"
#include "engine/document.h"

#include <pthread.h>
#include <string.h>

/* A payload is the document of the value, without key and expiry, and a footer:
 *
 *   document (BSON) | version, 2 bytes | CRC-64 of all before, 8 bytes        little-endian
 *
 * Redis refuses it as one of a version that it does not know. The CRC is not Redis's, so that a payload of
 * Redis is refused here. It tells accidents, not intent: what a client made up, document_decode finds out. */
#define VERSION      0xc001 /* above any RDB version */
#define FOOTER       10
#define DOCUMENT_MIN 5 /* an empty BSON document */

static uint64_t crc_table[256];
static pthread_once_t crc_made = PTHREAD_ONCE_INIT;

/* The reflected polynomial of ECMA-182. */
static void crc_make(void)
{
    for (uint64_t i = 0; i < 256; i++) {
        uint64_t row = i;
        for (int bit = 0; bit < 8; bit++)
            row = (row & 1) != 0 ? row >> 1 ^ 0xc96c5795d7870f42u : row >> 1;
        crc_table[i] = row;
    }
}

static uint64_t crc_of(const char *p, size_t n)
{
    uint64_t crc = ~(uint64_t)0;

    pthread_once(&crc_made, crc_make);
    for (size_t i = 0; i < n; i++)
        crc = crc_table[(crc ^ (unsigned char)p[i]) & 0xff] ^ crc >> 8;
    return ~crc;
}

static void put_number(char *to, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(value >> 8 * i);
}

static uint64_t get_number(const char *from, size_t bytes)
{
    uint64_t value = 0;

    for (size_t i = bytes; i-- > 0;)
        value = value << 8 | (unsigned char)from[i];
    return value;
}

/* ---- DUMP ---- */

void dump_dump(struct call *c)
{
    const struct object *o = call_lookup(c, c->argv[1]);
    bson_t doc = BSON_INITIALIZER;

    if (o == NULL) {
        call_null(c);
        goto out;
    }
    struct object value = *o;
    value.key = (struct slice){"", 0};
    value.expire_ms = -1;
    if (document_encode(&value, &doc) != ERR_NONE) {
        call_error(c, "ERR the value is too large for a payload");
        goto out;
    }
    char *payload = arena_get(c->arena, doc.len + FOOTER);
    memcpy(payload, bson_get_data(&doc), doc.len);
    put_number(payload + doc.len, VERSION, 2);
    put_number(payload + doc.len + 2, crc_of(payload, doc.len + 2), 8);
    build_bulk(c->out, payload, doc.len + FOOTER);
out:
    bson_destroy(&doc);
}

/* ---- RESTORE ---- */

static bool is_ours(struct slice s)
{
    return s.len >= DOCUMENT_MIN + FOOTER && get_number(s.p + s.len - FOOTER, 2) == VERSION &&
           get_number(s.p + s.len - 8, 8) == crc_of(s.p, s.len - 8);
}

/* Decodes the payload into value; answers the error. */
static bool unpack(struct call *c, struct slice payload, struct object *value)
{
    bson_t doc;
    const char *why;

    if (!is_ours(payload)) {
        call_error(c, "ERR DUMP payload version or checksum are wrong");
        return false;
    }
    if (!bson_init_static(&doc, (const uint8_t *)payload.p, payload.len - FOOTER) ||
        !bson_validate(&doc, BSON_VALIDATE_NONE, NULL) ||
        document_decode(&doc, c->arena, value, &why) != ERR_NONE || value->type == OBJECT_NONE) {
        call_error(c, "ERR Bad data format");
        return false;
    }
    return true;
}

struct restore {
    bool replace, absolute;
    int64_t idle, frequency; /* checked, and of no use: the archive has no cache to fill */
};

/* A value of IDLETIME or FREQ, which exclude each other. */
static bool restore_number(struct call *c, size_t arg, int64_t most, const char *error, int64_t *ret)
{
    if (!call_int_arg(c, arg, ret))
        return false;
    if (*ret < 0 || *ret > most)
        call_error(c, error);
    return !c->failed;
}

static bool restore_options(struct call *c, struct restore *r)
{
    *r = (struct restore){.idle = -1, .frequency = -1};
    for (size_t i = 4; i < c->argc && !c->failed; i++) {
        bool more = i + 1 < c->argc;
        if (call_is(c, i, "replace"))
            r->replace = true;
        else if (call_is(c, i, "absttl"))
            r->absolute = true;
        else if (call_is(c, i, "idletime") && more && r->frequency == -1)
            restore_number(c, ++i, INT64_MAX, "ERR Invalid IDLETIME value, must be >= 0", &r->idle);
        else if (call_is(c, i, "freq") && more && r->idle == -1)
            restore_number(c, ++i, 255, "ERR Invalid FREQ value, must be >= 0 and <= 255", &r->frequency);
        else
            call_syntax_error(c);
    }
    return !c->failed;
}

/* Argument 2 as ms since 1970, -1 for 0: never. A sum that is too large wraps into the past, as it does in
 * Redis. */
static bool restore_expiry(struct call *c, const struct restore *r, int64_t *ret)
{
    int64_t ttl;

    if (!call_int_arg(c, 2, &ttl))
        return false;
    if (ttl < 0) {
        call_error(c, "ERR Invalid TTL value, must be >= 0");
        return false;
    }
    if (ttl == 0)
        *ret = -1;
    else
        *ret = r->absolute ? ttl : (int64_t)((uint64_t)ttl + (uint64_t)c->now_ms);
    return true;
}

void dump_restore(struct call *c)
{
    struct restore r;
    struct object value = {0};
    int64_t expire_ms;

    if (!restore_options(c, &r))
        return;
    struct object *o = call_place(c, c->argv[1]);
    if (o->type != OBJECT_NONE && !r.replace) {
        call_error(c, "BUSYKEY Target key name already exists.");
        return;
    }
    if (!restore_expiry(c, &r, &expire_ms) || !unpack(c, c->argv[3], &value))
        return;
    bool was = o->type != OBJECT_NONE, gone = expire_ms != -1 && expire_ms <= c->now_ms;
    if (was)
        call_remove(c, o);
    if (!gone) {
        o->type = value.type;
        o->encoding = value.encoding;
        o->v = value.v;
        o->expire_ms = expire_ms;
        call_changed(c, o);
    }
    call_ok(c);
}
