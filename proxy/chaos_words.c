/* The words of proxy/chaos. */
#include "proxy/chaos.h"

#include <stdio.h>
#include <string.h>

static const char *const store_names[] = {"redis", "archive"};

const char *chaos_store_name(enum chaos_store store)
{
    return store_names[store];
}

bool chaos_store_find(const char *name, enum chaos_store *ret)
{
    bool redis = strcmp(name, "redis") == 0;

    *ret = redis ? CHAOS_REDIS : CHAOS_ARCHIVE;
    return redis || strcmp(name, "archive") == 0 || strcmp(name, "mongo") == 0;
}

void chaos_text(const struct chaos_order *o, char *buf, size_t cap)
{
    if (o->kind == VALVE_OPEN)
        snprintf(buf, cap, "%s", "");
    else if (o->kind != VALVE_DELAY)
        snprintf(buf, cap, "%s", valve_kind_name(o->kind));
    else if (o->jitter_ms > 0)
        snprintf(buf, cap, "delay %lld ms +- %lld ms", (long long)o->delay_ms, (long long)o->jitter_ms);
    else
        snprintf(buf, cap, "delay %lld ms", (long long)o->delay_ms);
}
