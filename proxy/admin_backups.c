#include "proxy/admin_backups.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/admin_api.h"
#include "proxy/backups.h"
#include "proxy/depot.h"
#include "proxy/server.h"

void admin_list_backups(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    cJSON *doc = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(doc, "backups");

    for (int kind = 0; kind < BACKUP_KINDS; kind++) {
        int64_t at_ms = backups_last(depot_backups(server_depot(s)), (enum backup_kind)kind);
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "kind", backup_kind_name((enum backup_kind)kind));
        cJSON_AddItemToObject(row, "lastSuccess",
                              at_ms > 0 ? cJSON_CreateNumber((double)at_ms) : cJSON_CreateNull());
        cJSON_AddItemToArray(list, row);
    }
    http_reply_json(reply, 200, doc);
}

static int64_t count_of(const cJSON *doc, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);
    return cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble < 1e15 ? (int64_t)item->valuedouble : 0;
}

void admin_backup_done(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct server *s = admin_server(ctx);
    enum backup_kind kind;
    cJSON *doc = http_body_json(r, reply);

    if (doc == NULL)
        return;
    if (backup_kind_parse(http_member(doc, "kind"), &kind)) {
        backups_told(depot_backups(server_depot(s)), kind, clock_wall_us() / 1000);
        log_event(LOG_INFO, "backup_done", LOG_STR("kind", backup_kind_name(kind)),
                  LOG_STR("path", http_member(doc, "path")), LOG_INT("bytes", count_of(doc, "bytes")),
                  LOG_INT("keys", count_of(doc, "keys")));
        admin_list_backups(ctx, r, reply);
    } else {
        http_reply_error(reply, 400, "expected {\"kind\": \"keys\" or \"rdb\"}");
    }
    cJSON_Delete(doc);
}
