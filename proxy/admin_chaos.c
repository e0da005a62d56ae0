#include "proxy/admin_chaos.h"

#include "proxy/admin_api.h"
#include "proxy/chaos.h"
#include "proxy/depot.h"
#include "proxy/server.h"

void admin_show_chaos(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    const struct settings *now = config_current(server_config(s));
    struct chaos_report report;
    cJSON *doc = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(doc, "chaos");

    chaos_report(depot_chaos(server_depot(s)), &report);
    for (int store = 0; store < CHAOS_STORES; store++) {
        const struct chaos_order *o = &report.orders[store];
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(list, row);
        cJSON_AddStringToObject(row, "store", chaos_store_name(o->store));
        cJSON_AddBoolToObject(row, "allowed", store == CHAOS_REDIS ? now->redis_faults : now->archive_faults);
        cJSON_AddStringToObject(row, "fault", valve_kind_name(o->kind));
        if (o->kind == VALVE_DELAY) {
            cJSON_AddNumberToObject(row, "delayMs", (double)o->delay_ms);
            cJSON_AddNumberToObject(row, "jitterMs", (double)o->jitter_ms);
        }
        if (o->kind != VALVE_OPEN)
            cJSON_AddNumberToObject(row, "secondsLeft", o->seconds);
    }
    cJSON_AddNumberToObject(doc, "maxSeconds", CHAOS_SECONDS_MAX);
    settings_unref(now);
    http_reply_json(reply, 200, doc);
}

/* A member that is not there is 0; what is no number, or none that fits, is -1, which nobody accepts. */
static double number_of(const cJSON *doc, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);

    if (item == NULL)
        return 0;
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e9 ? item->valuedouble : -1;
}

static bool read_order(const cJSON *doc, struct chaos_order *o)
{
    *o = (struct chaos_order){.delay_ms = (int64_t)number_of(doc, "delayMs"),
                              .jitter_ms = (int64_t)number_of(doc, "jitterMs"),
                              .seconds = number_of(doc, "seconds")};
    return chaos_store_find(http_member(doc, "store"), &o->store) && valve_kind_find(http_member(doc, "fault"), &o->kind) &&
           o->kind != VALVE_OPEN;
}

void admin_begin_chaos(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    const struct settings *now = config_current(server_config(s));
    struct chaos_order order;
    char why[DEPOT_PLAN + 120];
    cJSON *doc = http_body_json(r, reply);

    if (doc != NULL && !read_order(doc, &order))
        http_reply_error(reply, 400,
                         "expected {\"store\": \"redis\" or \"archive\", \"fault\": \"cut\", \"pause\" or \"delay\", "
                         "\"seconds\": 10}, with delayMs and jitterMs for a delay");
    else if (doc != NULL && !chaos_begin(depot_chaos(server_depot(s)), now, &order, "http", why, sizeof why))
        http_reply_error(reply, 400, "%s", why);
    else if (doc != NULL)
        admin_show_chaos(ctx, r, reply);
    settings_unref(now);
    cJSON_Delete(doc);
}

void admin_end_chaos(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);

    for (int store = 0; store < CHAOS_STORES; store++)
        chaos_end(depot_chaos(server_depot(s)), (enum chaos_store)store, "http");
    admin_show_chaos(ctx, r, reply);
}
