#include "proxy/admin_tiers.h"

#include "base/log.h"
#include "proxy/levels.h"

#include <string.h>

void admin_tiers(struct server *s, const struct http_request *r, struct http_reply *reply)
{
    const char *key = http_query(r, "key");

    http_reply_json(reply, 200, key != NULL ? levels_key(s, (struct slice){key, strlen(key)}) : levels_all(s));
}

void admin_tiers_move(struct server *s, const struct http_request *r, struct http_reply *reply)
{
    char why[200];
    cJSON *doc = http_body_json(r, reply);

    if (doc == NULL)
        return;
    const char *text = http_member(doc, "key"), *to = http_member(doc, "to");
    struct slice key = {text, strlen(text)};
    if (key.len == 0 || to[0] == '\0') {
        http_reply_error(reply, 400, "expected {\"key\": \"conv:1\", \"to\": \"warm\" or \"working\"}");
    } else if (!levels_move(s, key, to, why, sizeof why)) {
        http_reply_error(reply, 409, "%s", why);
    } else {
        log_event(LOG_INFO, "tier_set", LOG_BYTES("key", key.p, key.len), LOG_STR("to", to), LOG_STR("by", "http"));
        http_reply_json(reply, 200, levels_key(s, key));
    }
    cJSON_Delete(doc);
}
