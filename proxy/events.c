#include "proxy/events.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/told.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS_MOST 16
#define VALUE_MOST  600 /* bytes of a field */

static const struct kind {
    const char *name, *help;
    bool trouble;
} kinds[] = {
#define EVENT(name, help)   {name, help, false},
#define TROUBLE(name, help) {name, help, true},
#include "proxy/events.def"
#undef EVENT
#undef TROUBLE
};
#define KINDS (sizeof kinds / sizeof kinds[0])

struct entry {
    int64_t id; /* 0: free */
    int64_t at_us, until_us;
    int64_t repeats;
    enum log_level level;
    const struct kind *kind;
    cJSON *fields;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry ring[EVENTS_KEPT]; /* by id modulo its size */
static int64_t last;                   /* id */

static int by_name(const void *name, const void *kind)
{
    return strcmp(name, ((const struct kind *)kind)->name);
}

static const struct kind *kind_of(const char *name)
{
    return bsearch(name, kinds, KINDS, sizeof kinds[0], by_name);
}

bool events_knows(const char *name)
{
    return kind_of(name) != NULL;
}

/* ---- what comes ---- */

static cJSON *value_of(const struct log_field *f)
{
    switch (f->kind) {
    case LOG_KIND_INT:
        return cJSON_CreateNumber((double)f->num);
    case LOG_KIND_DBL:
        return isfinite(f->dbl) ? cJSON_CreateNumber(f->dbl) : cJSON_CreateNull();
    case LOG_KIND_STR:
        return told_text((struct slice){f->str, f->str != NULL ? strlen(f->str) : 0}, VALUE_MOST);
    case LOG_KIND_BYTES:
        return told_text((struct slice){f->str, f->len}, VALUE_MOST);
    }
    return cJSON_CreateNull();
}

static cJSON *fields_of(const struct log_field *f)
{
    cJSON *doc = cJSON_CreateObject();

    for (int i = 0; i < FIELDS_MOST && f->key != NULL; i++, f++)
        cJSON_AddItemToObject(doc, f->key, value_of(f));
    return doc;
}

static struct entry *entry_of(int64_t id)
{
    struct entry *e = &ring[id % EVENTS_KEPT];
    return e->id == id ? e : NULL;
}

static struct entry *alike(const struct kind *kind, const cJSON *fields, int64_t now_us)
{
    const struct entry *e;

    for (int64_t id = last; kind->trouble && (e = entry_of(id)) != NULL && e->kind->trouble; id--) {
        if (now_us - e->at_us > EVENTS_ALIKE_S * INT64_C(1000000))
            return NULL;
        if (e->kind == kind && cJSON_Compare(e->fields->child, fields->child, true))
            return entry_of(id);
    }
    return NULL;
}

static void add(enum log_level level, const struct kind *kind, cJSON *own_fields, int64_t now_us)
{
    struct entry *e = &ring[++last % EVENTS_KEPT];

    cJSON_Delete(e->fields);
    *e = (struct entry){.id = last, .at_us = now_us, .until_us = now_us, .level = level, .kind = kind, .fields = own_fields};
}

static void watch(enum log_level level, const char *event, const struct log_field *fields)
{
    const struct kind *kind = kind_of(event);
    int64_t now_us = clock_wall_us();

    if (kind == NULL)
        return;
    cJSON *own_fields = fields_of(fields);
    pthread_mutex_lock(&lock);
    struct entry *e = alike(kind, own_fields, now_us);
    if (e != NULL) {
        e->repeats++;
        e->until_us = now_us;
        cJSON_Delete(own_fields);
    } else {
        add(level, kind, own_fields, now_us);
    }
    pthread_mutex_unlock(&lock);
}

void events_start(void)
{
    last = clock_wall_us() / 1000;
    log_watch(LOG_INFO, watch);
}

/* ---- what is told ---- */

static void tell(cJSON *list, const struct entry *e)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddNumberToObject(item, "id", (double)e->id);
    cJSON_AddItemToObject(item, "time", told_time(e->at_us));
    cJSON_AddStringToObject(item, "level", log_level_name(e->level));
    cJSON_AddStringToObject(item, "event", e->kind->name);
    cJSON_AddItemToObject(item, "fields", cJSON_Duplicate(e->fields, true));
    if (e->repeats > 0) {
        cJSON_AddNumberToObject(item, "repeats", (double)e->repeats);
        cJSON_AddItemToObject(item, "until", told_time(e->until_us));
    }
    cJSON_AddItemToArray(list, item);
}

cJSON *events_since(int64_t since)
{
    cJSON *doc = cJSON_CreateObject();

    pthread_mutex_lock(&lock);
    cJSON_AddNumberToObject(doc, "last", (double)last);
    cJSON *list = cJSON_AddArrayToObject(doc, "events");
    int64_t first = last - EVENTS_KEPT > since ? last - EVENTS_KEPT : since;
    for (int64_t id = first + 1; id <= last; id++)
        if (entry_of(id) != NULL)
            tell(list, entry_of(id));
    pthread_mutex_unlock(&lock);
    return doc;
}

void events_markdown(FILE *out)
{
    fputs("# Events\n\nGenerated from proxy/events.def by `make docs`. These lines of the log are also kept in the process, the last 512 of them: "
          "`GET /api/v1/events`\n([admin-api.md](admin-api.md)), and the list of the console.\n\n| event | what it says |\n|---|---|\n",
          out);
    for (size_t i = 0; i < KINDS; i++)
        fprintf(out, "| `%s` | %s |\n", kinds[i].name, kinds[i].help);
}
