#include "proxy/viewed.h"

#include "engine/call.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"
#include "proxy/told.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MOST  64   /* bytes of a name in a sentence */
#define TTL_SLACK_MS 1000 /* expiries that are this close are the same */

static int by_name(const void *a, const void *b)
{
    return slice_compare(((const struct dict_entry *)a)->name, ((const struct dict_entry *)b)->name);
}

void viewed_sort(struct object *o, struct arena *a)
{
    struct dict **d = o->type == OBJECT_HASH ? &o->v.hash : &o->v.set;

    if (o->type != OBJECT_HASH && o->type != OBJECT_SET)
        return;
    struct dict *sorted = dict_new(a, (*d)->count);
    struct dict_entry *entries = arena_get(a, (*d)->count * sizeof *entries + 1);
    memcpy(entries, (*d)->entries, (*d)->count * sizeof *entries);
    qsort(entries, (*d)->count, sizeof *entries, by_name);
    for (size_t i = 0; i < (*d)->count; i++)
        dict_append(sorted, entries[i].name, entries[i].value);
    *d = sorted;
}

/* ---- items ---- */

static size_t length_of(const struct object *o)
{
    return o->type == OBJECT_STRING ? o->v.string.len : (size_t)object_count(o);
}

static cJSON *tell_pair(const char *first, cJSON *own_a, const char *second, cJSON *own_b)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddItemToObject(item, first, own_a);
    cJSON_AddItemToObject(item, second, own_b);
    return item;
}

/* JSON has no infinities. */
static cJSON *tell_score(double score)
{
    return isinf(score) ? cJSON_CreateString(score > 0 ? "inf" : "-inf") : cJSON_CreateNumber(score);
}

static cJSON *tell_id(struct stream_id id)
{
    char text[48];

    snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);
    return cJSON_CreateString(text);
}

static cJSON *tell_entry(const struct stream_entry *e, size_t cut)
{
    cJSON *fields = cJSON_CreateArray();

    for (uint32_t i = 0; i < e->npairs; i++)
        cJSON_AddItemToArray(fields, told_bytes(e->pairs[i], cut));
    return tell_pair("id", tell_id(e->id), "fields", fields);
}

static cJSON *tell_item(const struct object *o, size_t i, size_t cut)
{
    const struct dict_entry *e;

    switch ((enum object_type)o->type) {
    case OBJECT_LIST:
        return told_bytes(*list_at(o->v.list, i), cut);
    case OBJECT_HASH:
        e = &o->v.hash->entries[i];
        return tell_pair("field", told_bytes(e->name, cut), "value", told_bytes(e->value, cut));
    case OBJECT_SET:
        return told_bytes(o->v.set->entries[i].name, cut);
    case OBJECT_ZSET:
        return tell_pair("member", told_bytes(o->v.zset->rows[i].member, cut), "score", tell_score(o->v.zset->rows[i].score));
    case OBJECT_STREAM:
        return tell_entry(stream_at(o->v.stream, i), cut);
    case OBJECT_NONE:
    case OBJECT_STRING:
        break;
    }
    return told_bytes(o->v.string, cut);
}

static void tell_groups(cJSON *doc, const struct stream *s)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "groups");

    for (size_t i = 0; i < s->ngroups; i++) {
        cJSON *item = tell_pair("name", told_bytes(s->groups[i].name, 200), "lastId", tell_id(s->groups[i].last_id));
        cJSON_AddNumberToObject(item, "consumers", (double)s->groups[i].nconsumers);
        cJSON_AddNumberToObject(item, "pending", (double)s->groups[i].npending);
        cJSON_AddItemToArray(list, item);
    }
}

void viewed_tell(cJSON *doc, const struct object *o, const struct viewed_page *page, int64_t now_ms)
{
    int64_t length = (int64_t)length_of(o), n = o->type == OBJECT_STRING ? 1 : length;
    int64_t from = page->from < 0 ? page->from + n : page->from;

    from = from < 0 ? 0 : from > n ? n : from;
    int64_t end = n - from < page->count ? n : from + page->count;
    cJSON_AddStringToObject(doc, "type", object_type_name((enum object_type)o->type));
    if (o->expire_ms >= 0)
        cJSON_AddNumberToObject(doc, "ttl_ms", (double)(o->expire_ms - now_ms));
    else
        cJSON_AddNullToObject(doc, "ttl_ms");
    cJSON_AddNumberToObject(doc, "length", (double)length);
    cJSON_AddNumberToObject(doc, "from", (double)from);
    cJSON *items = cJSON_AddArrayToObject(doc, "items");
    for (int64_t i = from; i < end; i++)
        cJSON_AddItemToArray(items, tell_item(o, (size_t)i, (size_t)page->cut));
    if (o->type == OBJECT_STREAM)
        tell_groups(doc, o->v.stream);
}

/* ---- differences ---- */

struct found {
    cJSON *list;
    int64_t more;
    const char *a, *b; /* their names */
};

__attribute__((format(printf, 2, 3))) static void say(struct found *f, const char *format, ...)
{
    char sentence[400];
    va_list args;

    if (cJSON_GetArraySize(f->list) >= VIEWED_DIFFERENCES) {
        f->more++;
        return;
    }
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    cJSON_AddItemToArray(f->list, cJSON_CreateString(sentence));
}

static void say_named(struct found *f, const char *what, struct slice name, const char *how, const char *where)
{
    cJSON *text = told_text(name, NAME_MOST);

    say(f, "%s %s %s%s", what, text->valuestring, how, where);
    cJSON_Delete(text);
}

/* Both are sorted by name. */
static void compare_dicts(struct found *f, const char *what, const struct dict *a, const struct dict *b)
{
    size_t i = 0, j = 0;

    while (i < a->count || j < b->count) {
        int c = i == a->count ? 1 : j == b->count ? -1 : slice_compare(a->entries[i].name, b->entries[j].name);
        if (c < 0)
            say_named(f, what, a->entries[i].name, "is only in ", f->a);
        else if (c > 0)
            say_named(f, what, b->entries[j].name, "is only in ", f->b);
        else if (!slice_equal(a->entries[i].value, b->entries[j].value))
            say_named(f, what, a->entries[i].name, "differs", "");
        i += c <= 0;
        j += c >= 0;
    }
}

static void compare_zsets(struct found *f, struct zset *a, struct zset *b)
{
    for (size_t i = 0; i < a->count; i++) {
        int64_t at = zset_find(b, a->rows[i].member);
        if (at < 0)
            say_named(f, "member", a->rows[i].member, "is only in ", f->a);
        else if (b->rows[at].score != a->rows[i].score)
            say_named(f, "member", a->rows[i].member, "has another score", "");
    }
    for (size_t i = 0; i < b->count; i++)
        if (zset_find(a, b->rows[i].member) < 0)
            say_named(f, "member", b->rows[i].member, "is only in ", f->b);
}

static void say_length(struct found *f, size_t a, size_t b)
{
    if (a != b)
        say(f, "%s has %zu items, %s has %zu", f->a, a, f->b, b);
}

static void compare_lists(struct found *f, const struct list *a, const struct list *b)
{
    say_length(f, a->count, b->count);
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!slice_equal(*list_at(a, i), *list_at(b, i)))
            say(f, "item %zu differs", i);
}

static bool same_entry(const struct stream_entry *a, const struct stream_entry *b)
{
    bool same = stream_id_compare(a->id, b->id) == 0 && a->npairs == b->npairs;

    for (uint32_t i = 0; same && i < a->npairs; i++)
        same = slice_equal(a->pairs[i], b->pairs[i]);
    return same;
}

static void compare_streams(struct found *f, const struct stream *a, const struct stream *b)
{
    say_length(f, a->count, b->count);
    for (size_t i = 0; i < a->count && i < b->count; i++)
        if (!same_entry(stream_at(a, i), stream_at(b, i)))
            say(f, "item %zu differs", i);
    if (stream_id_compare(a->last_id, b->last_id) != 0)
        say(f, "the last ids differ");
    if (a->ngroups != b->ngroups)
        say(f, "%s has %zu groups, %s has %zu", f->a, a->ngroups, f->b, b->ngroups);
}

static void compare_values(struct found *f, const struct object *a, const struct object *b)
{
    switch ((enum object_type)a->type) {
    case OBJECT_NONE:
        return;
    case OBJECT_STRING:
        if (!slice_equal(a->v.string, b->v.string))
            say(f, "the values differ: %zu bytes in %s, %zu in %s", a->v.string.len, f->a, b->v.string.len, f->b);
        return;
    case OBJECT_LIST:
        compare_lists(f, a->v.list, b->v.list);
        return;
    case OBJECT_HASH:
        compare_dicts(f, "field", a->v.hash, b->v.hash);
        return;
    case OBJECT_SET:
        compare_dicts(f, "member", a->v.set, b->v.set);
        return;
    case OBJECT_ZSET:
        compare_zsets(f, a->v.zset, b->v.zset);
        return;
    case OBJECT_STREAM:
        compare_streams(f, a->v.stream, b->v.stream);
        return;
    }
}

static void compare_expiry(struct found *f, int64_t a, int64_t b)
{
    if ((a < 0) != (b < 0))
        say(f, "only %s has an expiry", a >= 0 ? f->a : f->b);
    else if (a >= 0 && llabs(a - b) > TTL_SLACK_MS)
        say(f, "the expiries are %" PRId64 " s apart", (int64_t)(llabs(a - b) / 1000));
}

cJSON *viewed_differences(const struct object *a, const char *a_name, const struct object *b, const char *b_name)
{
    struct found f = {.list = cJSON_CreateArray(), .a = a_name, .b = b_name};

    if (a->type == OBJECT_NONE && b->type == OBJECT_NONE)
        return f.list;
    if (a->type == OBJECT_NONE || b->type == OBJECT_NONE) {
        say(&f, "only %s has the key", a->type != OBJECT_NONE ? a_name : b_name);
        return f.list;
    }
    if (a->type != b->type) {
        say(&f, "%s has a %s, %s a %s", a_name, object_type_name((enum object_type)a->type), b_name,
            object_type_name((enum object_type)b->type));
        return f.list;
    }
    compare_expiry(&f, a->expire_ms, b->expire_ms);
    compare_values(&f, a, b);
    if (f.more > 0) {
        char text[48];
        snprintf(text, sizeof text, "and %" PRId64 " more", f.more);
        cJSON_AddItemToArray(f.list, cJSON_CreateString(text));
    }
    return f.list;
}
