#include "proxy/admin_moves.h"

#include "proxy/admin_api.h"
#include "proxy/orders.h"
#include "proxy/state.h"

#include <stdlib.h>
#include <string.h>

void admin_list_moves(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct move_report list[OVERVIEW_MOVES];
    size_t n = orders_list(admin_server(ctx), list, OVERVIEW_MOVES);

    http_reply_json(reply, 200, state_moves(list, n));
}

static void reply_move(const struct server *s, uint64_t id, struct http_reply *reply)
{
    struct move_report list[OVERVIEW_MOVES];
    size_t n = orders_list(s, list, OVERVIEW_MOVES);

    for (size_t i = 0; i < n; i++)
        if (list[i].id == id)
            http_reply_json(reply, 200, state_move(&list[i]));
}

/* Missing: false. False as the result: it is neither. */
static bool read_flag(const cJSON *doc, const char *name, bool *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);

    *ret = cJSON_IsTrue(item);
    return item == NULL || cJSON_IsBool(item);
}

/* Missing: 0. */
static bool read_count(const cJSON *doc, const char *name, int64_t *ret)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);

    *ret = cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15
               ? (int64_t)item->valuedouble
               : 0;
    return item == NULL || (cJSON_IsNumber(item) && item->valuedouble == (double)*ret);
}

/* False: the reply says what is wrong. */
static bool read_order(const cJSON *doc, struct move_order *order, struct http_reply *reply)
{
    *order = (struct move_order){0};
    if (!move_kind_parse(http_member(doc, "kind"), &order->kind)) {
        http_reply_error(reply, 400,
                         "expected {\"kind\": \"backfill\", \"drain\", \"verify\" or \"ttl-audit\", …}");
        return false;
    }
    if (!read_flag(doc, "repair", &order->repair) || !read_flag(doc, "deep", &order->deep) ||
        !read_count(doc, "rate", &order->rate)) {
        http_reply_error(reply, 400,
                         "repair and deep are true or false, rate is a whole number of keys a second");
        return false;
    }
    snprintf(order->policy, sizeof order->policy, "%s", http_member(doc, "policy"));
    return true;
}

void admin_order_move(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    struct move_order order;
    char why[200];
    cJSON *doc = http_body_json(r, reply);

    if (doc != NULL && read_order(doc, &order, reply)) {
        uint64_t id = orders_move(s, &order, "http", why, sizeof why);
        if (id != 0)
            reply_move(s, id, reply);
        else
            http_reply_error(reply, 400, "%s", why);
    }
    cJSON_Delete(doc);
}

/* 0: there is none. */
static int64_t asked_id(const struct http_request *r, const cJSON *doc)
{
    int64_t id = 0;
    char *end;

    if (doc != NULL)
        return read_count(doc, "id", &id) ? id : 0;
    id = strtoll(http_rest(r), &end, 10);
    return *end == '\0' && id > 0 ? id : 0;
}

/* What is done with a move of which only the number is told. */
struct by_id {
    bool (*order)(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap);
    unsigned refused; /* status */
    const char *done; /* member of the answer */
};

static void order_by_id(struct server *s, const struct http_request *r, const struct by_id *what, struct http_reply *reply)
{
    bool in_path = http_rest(r)[0] != '\0';
    cJSON *doc = in_path ? NULL : http_body_json(r, reply);
    char why[160];

    if (doc == NULL && !in_path)
        return;
    int64_t id = asked_id(r, doc);
    cJSON_Delete(doc);
    if (id == 0) {
        http_reply_error(reply, 400, "expected the number of a move, like {\"id\": 3}");
    } else if (!what->order(s, (uint64_t)id, "http", why, sizeof why)) {
        http_reply_error(reply, what->refused, "%s", why);
    } else {
        doc = cJSON_CreateObject();
        cJSON_AddNumberToObject(doc, what->done, (double)id);
        http_reply_json(reply, 200, doc);
    }
}

void admin_abort_move(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    order_by_id(admin_server(ctx), r, &(struct by_id){orders_abort, 404, "aborted"}, reply);
}

void admin_resume_move(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    order_by_id(admin_server(ctx), r, &(struct by_id){orders_resume, 409, "resumed"}, reply);
}

static cJSON *told(const struct orders_dual_write *d)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "policy", d->policy);
    cJSON_AddBoolToObject(doc, "on", d->now);
    cJSON_AddBoolToObject(doc, "was", d->was);
    if (d->backfill != 0)
        cJSON_AddNumberToObject(doc, "backfill", (double)d->backfill);
    cJSON *warnings = cJSON_AddArrayToObject(doc, "warnings");
    if (d->warning[0] != '\0')
        cJSON_AddItemToArray(warnings, cJSON_CreateString(d->warning));
    return doc;
}

void admin_dual_write(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    struct orders_dual_write d;
    char why[300];
    cJSON *doc = http_body_json(r, reply);

    if (doc == NULL)
        return;
    const cJSON *on = cJSON_GetObjectItemCaseSensitive(doc, "on");
    if (!cJSON_IsBool(on))
        http_reply_error(reply, 400, "expected {\"policy\": \"conv\", \"on\": true or false}");
    else if (orders_dual_write(s, http_member(doc, "policy"), cJSON_IsTrue(on), "http", &d, why, sizeof why))
        http_reply_json(reply, 200, told(&d));
    else
        http_reply_error(reply, 400, "%s", why);
    cJSON_Delete(doc);
}
