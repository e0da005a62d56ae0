#include "proxy/internal.h"

#include "base/log.h"
#include "proxy/clerk.h"
#include "proxy/hold.h"
#include "proxy/lines.h"
#include "proxy/quarantined.h"
#include "proxy/server.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 20 /* of an entry that are shown, each cut after as many bytes as a line has room for */
#define CUT   240

enum verb { VERB_LIST, VERB_SHOW, VERB_RESTORE, VERB_DROP };

/* One question on its way to the clerk and back. */
struct question {
    struct clerk_job job; /* first */
    struct loop *loop;
    struct slot *slot;
    enum verb verb;
    int64_t number;
    cJSON *doc;
    unsigned status;
    bool other;
    size_t len;
    char as[];
};

static void free_question(struct question *own_q)
{
    cJSON_Delete(own_q->doc);
    free(own_q);
}

/* ---- the answer as lines ---- */

/* A text as it is, everything else as JSON. malloc'ed. */
static char *text_of(const cJSON *item)
{
    char *own = cJSON_IsString(item) ? strdup(item->valuestring) : cJSON_PrintUnformatted(item);
    if (own == NULL)
        abort();
    return own;
}

static void add_member(struct lines *l, const cJSON *doc, const char *name, const char *before)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);
    char *own = item != NULL ? text_of(item) : NULL;

    if (own != NULL)
        lines_add(l, "%s%s: %s", before, name, own);
    free(own);
}

static void add_entry(struct lines *l, const cJSON *e)
{
    char *key = text_of(cJSON_GetObjectItemCaseSensitive(e, "key"));
    char *number = text_of(cJSON_GetObjectItemCaseSensitive(e, "number"));

    if (cJSON_HasObjectItem(e, "damaged"))
        lines_add(l, "%s is damaged", number);
    else
        lines_add(l, "%s %s: %s of %.0f, since %s: %s", number, key, cJSON_GetObjectItem(e, "type")->valuestring,
                  cJSON_GetObjectItem(e, "length")->valuedouble, cJSON_GetObjectItem(e, "at")->valuestring,
                  cJSON_GetObjectItem(e, "why")->valuestring);
    free(number);
    free(key);
}

static void add_list(struct lines *l, const cJSON *doc)
{
    const cJSON *e, *next = cJSON_GetObjectItemCaseSensitive(doc, "next");

    cJSON_ArrayForEach(e, cJSON_GetObjectItemCaseSensitive(doc, "entries"))
    {
        add_entry(l, e);
    }
    if (cJSON_IsNumber(next))
        lines_add(l, "there are more: CONV QUARANTINE LIST %.0f", next->valuedouble);
    if (l->count == 0)
        lines_add(l, "the quarantine is empty");
}

static void add_state(struct lines *l, const cJSON *doc, const char *name)
{
    const cJSON *state = cJSON_GetObjectItemCaseSensitive(doc, name), *item;

    lines_add(l, "%s:", name);
    add_member(l, state, "why", "  ");
    add_member(l, state, "type", "  ");
    add_member(l, state, "length", "  ");
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(state, "items"))
    {
        char *own = text_of(item);
        lines_add(l, "  - %s", own);
        free(own);
    }
}

static void add_shown(struct lines *l, const cJSON *doc)
{
    static const char *const members[] = {"number", "key", "why", "at", "acting"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        add_member(l, doc, members[i], "");
    add_state(l, doc, "entry");
    add_state(l, doc, "redis");
    add_state(l, doc, "archive");
    add_member(l, doc, "differences", "");
}

static void add_done(struct lines *l, const cJSON *doc)
{
    static const char *const members[] = {"restored", "dropped", "key", "replaced", "warning", "undo"};

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        add_member(l, doc, members[i], "");
}

static void add_answer(struct question *q)
{
    struct lines *l = lines_new();

    if (q->verb == VERB_LIST)
        add_list(l, q->doc);
    else if (q->verb == VERB_SHOW)
        add_shown(l, q->doc);
    else
        add_done(l, q->doc);
    lines_put(&q->slot->reply, l);
    free(l);
}

/* [loop] */
static void take_answer(struct loop *l, void *own_q)
{
    struct question *q = own_q;
    char line[400];

    if (q->status == 200) {
        add_answer(q);
    } else {
        snprintf(line, sizeof line, "ERR %s",
                 q->doc != NULL ? cJSON_GetObjectItem(q->doc, "error")->valuestring : "this process ends");
        build_error(&q->slot->reply, line);
    }
    slot_complete(q->slot);
    free_question(q);
}

/* ---- the clerk's part ---- */

static unsigned work(const struct clerk_tools *t, struct question *q)
{
    static const struct viewed_page page = {0, ITEMS, CUT};

    switch (q->verb) {
    case VERB_LIST:
        return quarantined_list(t, q->number, QUARANTINED_MOST, &q->doc);
    case VERB_SHOW:
        return quarantined_show(t, q->number, &page, &q->doc);
    case VERB_RESTORE:
        return quarantined_restore(t, q->number, (struct slice){q->other ? q->as : NULL, q->len}, "conv", &q->doc);
    case VERB_DROP:
        return quarantined_drop(t, q->number, "conv", &q->doc);
    }
    return 500;
}

static void run(struct clerk_job *own_job, const struct clerk_tools *tools)
{
    struct question *q = (struct question *)own_job;

    q->status = tools != NULL ? work(tools, q) : 503;
    if (loop_try_post(q->loop, take_answer, q))
        return;
    slot_free_orphan(q->slot);
    free_question(q);
}

/* ---- the command ---- */

/* False: the words make no sense. */
static bool read_words(const struct job *job, enum verb *verb, int64_t *number, struct slice *as)
{
    static const char *const verbs[] = {"list", "show", "restore", "drop"};
    size_t v = 0;

    while (v < sizeof verbs / sizeof verbs[0] && !slice_is(job->argv[2], verbs[v]))
        v++;
    *verb = (enum verb)v;
    *as = (struct slice){NULL, 0};
    *number = 0;
    if (v == sizeof verbs / sizeof verbs[0] || (job->argc == 3 && *verb != VERB_LIST))
        return false;
    if (job->argc > 3 && (!frame_number(job->argv[3].p, job->argv[3].len, number) || *number < (*verb != VERB_LIST)))
        return false;
    if (job->argc == 6 && *verb == VERB_RESTORE && slice_is(job->argv[4], "as"))
        *as = job->argv[5];
    return job->argc <= 4 || as->p != NULL;
}

bool quarantine_do(struct session *s, const struct job *job)
{
    struct clerk *clerk = server_clerk(s->loop->server);
    enum verb verb;
    int64_t number;
    struct slice as;

    if (!read_words(job, &verb, &number, &as))
        return local_bad_args(s, job);
    struct question *q = calloc(1, sizeof *q + as.len + 1);
    if (q == NULL)
        abort();
    *q = (struct question){.job = {.run = run}, .loop = s->loop, .verb = verb, .number = number, .other = as.p != NULL, .len = as.len};
    if (as.p != NULL)
        memcpy(q->as, as.p, as.len);
    q->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot_defer(q->slot, s->current);
    hold_uncount(q->slot); /* what it writes may have to wait for the stores to change places: they don't wait for it */
    if (clerk == NULL || !clerk_do(clerk, &q->job)) {
        q->status = 503;
        take_answer(s->loop, q);
    }
    return true;
}
