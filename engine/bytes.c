#include "engine/bytes.h"
#include "engine/number.h"

#include <string.h>

#define EMBSTR_MAX   44 /* the longest value that Redis puts into one allocation with its object */
#define INT_TEXT_MAX 20

enum object_encoding bytes_encoding(struct slice s)
{
    int64_t value;

    if (s.len <= INT_TEXT_MAX && number_int(s, &value))
        return ENC_INT;
    return s.len <= EMBSTR_MAX ? ENC_EMBSTR : ENC_RAW;
}

void bytes_store(struct call *c, struct object *o, struct slice s)
{
    o->type = OBJECT_STRING;
    o->encoding = (uint8_t)bytes_encoding(s);
    o->v.string = s;
    call_changed(c, o);
}

void bytes_replace(struct call *c, struct object *o, struct slice s)
{
    o->expire_ms = -1;
    bytes_store(c, o, s);
}

char *bytes_edit(struct call *c, struct object *o, size_t n)
{
    struct slice old = o->type == OBJECT_STRING ? o->v.string : (struct slice){NULL, 0};
    size_t len = old.len > n ? old.len : n;
    char *p = arena_get(c->arena, len);

    if (old.len > 0)
        memcpy(p, old.p, old.len);
    o->type = OBJECT_STRING;
    o->encoding = ENC_RAW;
    o->v.string = (struct slice){p, len};
    call_changed(c, o);
    return p;
}

bool bytes_fit(struct call *c, uint64_t a, uint64_t b)
{
    if (a <= BYTES_MAX && b <= BYTES_MAX - a)
        return true;
    call_error(c, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

bool bytes_bit_offset(struct call *c, size_t arg, unsigned field, uint64_t *ret)
{
    struct slice s = c->argv[arg];
    bool fields = field > 0 && s.len > 0 && s.p[0] == '#';
    int64_t value;

    if (number_int((struct slice){s.p + fields, s.len - fields}, &value)) {
        /* Redis multiplies without a look at overflow, and so takes some very large numbers for small ones.
         */
        uint64_t bit = (uint64_t)value * (fields ? field : 1);
        if (bit <= INT64_MAX && bit / 8 < BYTES_MAX) {
            *ret = bit;
            return true;
        }
    }
    call_error(c, "ERR bit offset is not an integer or out of range");
    return false;
}
