#include "engine/internal.h"

#define SECOND 1000 /* ms */

enum condition {
    WHEN_NONE = 1,    /* NX: no expiry so far */
    WHEN_SOME = 2,    /* XX */
    WHEN_LATER = 4,   /* GT; no expiry is later than any */
    WHEN_EARLIER = 8, /* LT */
};

static const struct {
    const char *word;
    enum condition condition;
} words[] = {{"nx", WHEN_NONE}, {"xx", WHEN_SOME}, {"gt", WHEN_LATER}, {"lt", WHEN_EARLIER}};

static bool conditions(struct call *c, unsigned *ret)
{
    *ret = 0;
    for (size_t i = 3; i < c->argc; i++) {
        unsigned found = 0;
        for (size_t w = 0; w < sizeof words / sizeof *words; w++)
            if (call_is(c, i, words[w].word))
                found = words[w].condition;
        if (found == 0) {
            call_errorf(c, "ERR Unsupported option %.*s", (int)c->argv[i].len, c->argv[i].p);
            return false;
        }
        *ret |= found;
    }
    if ((*ret & WHEN_NONE) != 0 && *ret != WHEN_NONE)
        call_error(c, "ERR NX and XX, GT or LT options at the same time are not compatible");
    else if ((*ret & WHEN_LATER) != 0 && (*ret & WHEN_EARLIER) != 0)
        call_error(c, "ERR GT and LT options at the same time are not compatible");
    return !c->failed;
}

static bool holds(unsigned when, int64_t now_set, int64_t wanted)
{
    bool some = now_set >= 0;

    if ((when & WHEN_NONE) != 0 && some)
        return false;
    if ((when & WHEN_SOME) != 0 && !some)
        return false;
    if ((when & WHEN_LATER) != 0 && (!some || wanted <= now_set))
        return false;
    return (when & WHEN_EARLIER) == 0 || !some || wanted < now_set;
}

/* Argument 2 in units of unit ms, counted from base_ms, as ms since 1970. */
static bool moment(struct call *c, const char *verb, int64_t unit, int64_t base_ms, int64_t *ret)
{
    int64_t value, ms;

    if (!call_int_arg(c, 2, &value))
        return false;
    if (!__builtin_mul_overflow(value, unit, &ms) && !__builtin_add_overflow(ms, base_ms, ret))
        return true;
    call_errorf(c, "ERR invalid expire time in '%s' command", verb);
    return false;
}

/* A moment that is not in the future removes the key at once. */
static void expire(struct call *c, const char *verb, int64_t unit, int64_t base_ms)
{
    unsigned when;
    int64_t at;

    if (!conditions(c, &when) || !moment(c, verb, unit, base_ms, &at))
        return;
    struct object *o = call_lookup(c, c->argv[1]);
    if (o == NULL || !holds(when, o->expire_ms, at)) {
        call_int(c, 0);
        return;
    }
    if (at <= c->now_ms) {
        call_remove(c, o);
    } else {
        o->expire_ms = at;
        call_changed(c, o);
    }
    call_int(c, 1);
}

void expire_expire(struct call *c)
{
    expire(c, "expire", SECOND, c->now_ms);
}

void expire_pexpire(struct call *c)
{
    expire(c, "pexpire", 1, c->now_ms);
}

void expire_expireat(struct call *c)
{
    expire(c, "expireat", SECOND, 0);
}

void expire_pexpireat(struct call *c)
{
    expire(c, "pexpireat", 1, 0);
}

void expire_persist(struct call *c)
{
    struct object *o = call_lookup(c, c->argv[1]);
    bool had = o != NULL && o->expire_ms >= 0;

    if (had) {
        o->expire_ms = -1;
        call_changed(c, o);
    }
    call_int(c, had);
}

/* Answers the expiry in units of unit ms, counted from base_ms; -1: none, -2: no key. Seconds are rounded. */
static void tell(struct call *c, int64_t unit, int64_t base_ms)
{
    const struct object *o = call_lookup(c, c->argv[1]);

    if (o == NULL)
        call_int(c, -2);
    else if (o->expire_ms < 0)
        call_int(c, -1);
    else
        call_int(c, (int64_t)(((uint64_t)(o->expire_ms - base_ms) + (uint64_t)unit / 2) / (uint64_t)unit));
}

void expire_ttl(struct call *c)
{
    tell(c, SECOND, c->now_ms);
}

void expire_pttl(struct call *c)
{
    tell(c, 1, c->now_ms);
}

void expire_expiretime(struct call *c)
{
    tell(c, SECOND, 0);
}

void expire_pexpiretime(struct call *c)
{
    tell(c, 1, 0);
}
