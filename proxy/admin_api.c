#include "proxy/admin_api.h"

#include "proxy/events.h"
#include "proxy/series.h"
#include "proxy/server.h"
#include "proxy/viewer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS_MOST  1000
#define ITEMS       50
#define CUT         8192             /* bytes of an item */
#define CUT_MOST    (1024 * 1024)
#define ANSWER_MOST (8 * 1024 * 1024) /* of all items */
#define PLACE_MOST  (INT64_C(1) << 40)
#define ID_MOST (INT64_C(1) << 53) /* what JSON's readers keep exactly */

bool admin_number(const struct http_request *r, const char *name, int64_t least, int64_t most, int64_t fallback,
                  int64_t *ret, struct http_reply *reply)
{
    const char *text = http_query(r, name);
    char *end;

    *ret = fallback;
    if (text == NULL)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= least && n <= most) {
        *ret = n;
        return true;
    }
    http_reply_error(reply, 400, "%s: expected a whole number from %" PRId64 " to %" PRId64, name, least, most);
    return false;
}

void admin_get_events(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t since;

    if (admin_number(r, "since", 0, ID_MOST, 0, &since, reply))
        http_reply_json(reply, 200, events_since(since));
}

void admin_get_series(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t seconds, since;

    if (admin_number(r, "seconds", 1, SERIES_LONG_S, SERIES_SHORT_S, &seconds, reply) &&
        admin_number(r, "since", 0, ID_MOST, 0, &since, reply))
        http_reply_json(reply, 200, series_json(seconds, since));
}

/* ---- what the clerk answers ---- */

struct question {
    struct clerk_job job; /* first */
    struct http_later *later;
    void (*work)(const struct clerk_tools *t, void *arg, struct http_reply *reply);
    void *arg;
};

static void run_question(struct clerk_job *own_job, const struct clerk_tools *tools)
{
    struct question *q = (struct question *)own_job;
    struct http_reply reply = {0};

    if (tools != NULL)
        q->work(tools, q->arg, &reply);
    else
        http_reply_error(&reply, 503, "this process ends");
    http_deferred(q->later, &reply);
    free(q->arg);
    free(q);
}

void admin_later(void *ctx, const struct http_request *r,
                 void (*work)(const struct clerk_tools *t, void *arg, struct http_reply *reply), void *own_arg)
{
    struct clerk *clerk = server_clerk(admin_server(ctx));
    struct question *q = calloc(1, sizeof *q);
    struct http_reply reply = {0};

    if (q == NULL)
        abort();
    *q = (struct question){.job = {.run = run_question}, .later = http_defer(r), .work = work, .arg = own_arg};
    if (clerk != NULL && clerk_do(clerk, &q->job))
        return;
    http_reply_error(&reply, 503, "too many such questions wait for the stores already; try again");
    http_deferred(q->later, &reply);
    free(own_arg);
    free(q);
}

/* ---- keys and conversations ---- */

struct key_question {
    struct viewer_cursor cursor;
    struct viewed_page page;
    size_t len;
    char bytes[]; /* key or pattern, and a NUL */
};

/* The parameter may hold any bytes. */
static struct key_question *ask_about(const char *bytes, size_t len)
{
    struct key_question *q = calloc(1, sizeof *q + len + 1);

    if (q == NULL)
        abort();
    q->len = len;
    memcpy(q->bytes, bytes, len);
    return q;
}

static void work_keys(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct key_question *q = arg;
    viewer_keys(t, (struct slice){q->bytes, q->len}, q->cursor, (size_t)q->page.count, reply);
}

void admin_get_keys(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct viewer_cursor cursor;
    int64_t count;
    size_t len;
    const char *match = http_query_bytes(r, "match", &len);

    if (!admin_number(r, "count", 1, VIEWER_KEYS_MOST, ITEMS, &count, reply))
        return;
    if (!viewer_cursor_read(http_query(r, "cursor"), &cursor)) {
        http_reply_error(reply, 400, "cursor: expected 0, or what the answer before has told");
        return;
    }
    struct key_question *q = match != NULL ? ask_about(match, len) : ask_about("*", 1);
    q->cursor = cursor;
    q->page.count = count;
    admin_later(ctx, r, work_keys, q);
}

bool admin_page(const struct http_request *r, struct viewed_page *page, struct http_reply *reply)
{
    if (!admin_number(r, "from", -PLACE_MOST, PLACE_MOST, 0, &page->from, reply) ||
        !admin_number(r, "count", 0, ITEMS_MOST, ITEMS, &page->count, reply) ||
        !admin_number(r, "cut", 1, CUT_MOST, CUT, &page->cut, reply))
        return false;
    if (page->count > 0 && page->cut > ANSWER_MOST / page->count)
        page->cut = ANSWER_MOST / page->count;
    return true;
}

static void work_conversation(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct key_question *q = arg;
    viewer_conversation(t, (struct slice){q->bytes, q->len}, &q->page, reply);
}

void admin_get_conversation(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct viewed_page page;
    size_t len;
    const char *key = http_query_bytes(r, "key", &len);

    if (!admin_page(r, &page, reply))
        return;
    if (key == NULL) {
        http_reply_error(reply, 400, "expected ?key=KEY");
        return;
    }
    struct key_question *q = ask_about(key, len);
    q->page = page;
    admin_later(ctx, r, work_conversation, q);
}
