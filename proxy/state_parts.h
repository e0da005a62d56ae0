/* proxy/state_parts — what the makers of the admin server's documents share.
 * Threads: any.          Used by: proxy/state, proxy/state_place. */
#ifndef PROXY_STATE_PARTS_H
#define PROXY_STATE_PARTS_H

#include "base/clock.h"
#include "proxy/overview.h"

#include <cjson/cJSON.h>

static inline cJSON *object_in(cJSON *parent, const char *name)
{
    return cJSON_AddObjectToObject(parent, name);
}

static inline cJSON *object_at_end(cJSON *list)
{
    cJSON *item = cJSON_CreateObject();
    cJSON_AddItemToArray(list, item);
    return item;
}

static inline void number(cJSON *in, const char *name, double value)
{
    cJSON_AddNumberToObject(in, name, value);
}

static inline void flag(cJSON *in, const char *name, bool value)
{
    cJSON_AddBoolToObject(in, name, value);
}

/* An empty text is left out of the document. */
static inline void text(cJSON *in, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        cJSON_AddStringToObject(in, name, value);
}

static inline void say(cJSON *list, const char *sentence)
{
    cJSON_AddItemToArray(list, cJSON_CreateString(sentence));
}

/* µs since 1970 as 2026-11-21T08:00:00Z. */
static inline void moment(cJSON *in, const char *name, int64_t wall_us)
{
    char buf[CLOCK_TEXT];

    clock_text(wall_us, buf);
    text(in, name, buf);
}

/* Appends to a document: the list "placement"; what there is to say of one policy; what goes on between the stores ("sync"). */
void state_add_placement(cJSON *doc, const struct overview *o);
void state_add_place(cJSON *item, const struct overview *o, const struct policy_conf *p);
/* The member "where" of the object about Redis: what sentinels or the nodes of a cluster tell; nothing for a single Redis. */
void state_add_where(cJSON *redis, const struct overview *o);
void state_add_sync(cJSON *doc, const struct overview *o);

#endif
