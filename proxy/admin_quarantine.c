#include "proxy/admin_quarantine.h"

#include "proxy/admin_api.h"
#include "proxy/quarantined.h"
#include "proxy/told.h"

#include <stdlib.h>
#include <string.h>

struct quarantine_question {
    int64_t number; /* or after */
    struct viewed_page page;
    size_t len; /* of as */
    bool other;
    char as[];
};

static struct quarantine_question *ask(int64_t number, const char *as, size_t len)
{
    struct quarantine_question *q = calloc(1, sizeof *q + len + 1);

    if (q == NULL)
        abort();
    q->number = number;
    q->other = as != NULL;
    q->len = len;
    if (as != NULL)
        memcpy(q->as, as, len);
    return q;
}

/* The number in the path. False: the reply says what is wrong. */
static bool read_number(const struct http_request *r, int64_t *ret, struct http_reply *reply)
{
    const char *text = http_rest(r);
    char *end;

    *ret = strtoll(text, &end, 10);
    if (end != text && *end == '\0' && *ret > 0 && *ret < INT64_C(1) << 53)
        return true;
    http_reply_error(reply, 400, "expected the number of an entry, like 3");
    return false;
}

static void work_list(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct quarantine_question *q = arg;
    cJSON *doc;
    unsigned status = quarantined_list(t, q->number, q->page.count, &doc);
    http_reply_json(reply, status, doc);
}

void admin_list_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t after, count;

    if (!admin_number(r, "after", 0, INT64_C(1) << 53, 0, &after, reply) ||
        !admin_number(r, "count", 1, QUARANTINED_MOST, QUARANTINED_MOST, &count, reply))
        return;
    struct quarantine_question *q = ask(after, NULL, 0);
    q->page.count = count;
    admin_later(ctx, r, work_list, q);
}

static void work_show(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct quarantine_question *q = arg;
    cJSON *doc;
    unsigned status = quarantined_show(t, q->number, &q->page, &doc);
    http_reply_json(reply, status, doc);
}

void admin_show_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct viewed_page page;
    int64_t number;

    if (!read_number(r, &number, reply) || !admin_page(r, &page, reply))
        return;
    struct quarantine_question *q = ask(number, NULL, 0);
    q->page = page;
    admin_later(ctx, r, work_show, q);
}

static void work_restore(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct quarantine_question *q = arg;
    cJSON *doc;
    unsigned status = quarantined_restore(t, q->number, (struct slice){q->other ? q->as : NULL, q->len}, "http", &doc);
    http_reply_json(reply, status, doc);
}

/* The body: {}, or {"as": key}. NULL: the reply says what is wrong. */
static struct quarantine_question *read_restore(const struct http_request *r, int64_t number, struct http_reply *reply)
{
    struct quarantine_question *q = NULL;
    cJSON *doc = http_body_json(r, reply);

    if (doc == NULL)
        return NULL;
    const cJSON *as = cJSON_GetObjectItemCaseSensitive(doc, "as");
    size_t len = 0;
    char *key = as != NULL ? told_read(as, &len) : NULL;
    if (cJSON_IsObject(doc) && (as == NULL) == (doc->child == NULL) && (as == NULL || key != NULL))
        q = ask(number, key, len);
    else
        http_reply_error(reply, 400, "expected {}, or {\"as\": \"another key\"}");
    free(key);
    cJSON_Delete(doc);
    return q;
}

void admin_restore_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t number;
    struct quarantine_question *q = read_number(r, &number, reply) ? read_restore(r, number, reply) : NULL;

    if (q != NULL)
        admin_later(ctx, r, work_restore, q);
}

static void work_drop(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct quarantine_question *q = arg;
    cJSON *doc;
    unsigned status = quarantined_drop(t, q->number, "http", &doc);
    http_reply_json(reply, status, doc);
}

void admin_drop_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t number;

    if (read_number(r, &number, reply))
        admin_later(ctx, r, work_drop, ask(number, NULL, 0));
}
