#include "proxy/admin_tiers.h"

#include "base/log.h"
#include "proxy/admin_api.h"
#include "proxy/levels.h"
#include "proxy/told.h"

#include <stdlib.h>
#include <string.h>

void admin_tiers(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct server *s = admin_server(ctx);
    size_t len;
    const char *key = http_query_bytes(r, "key", &len);

    http_reply_json(reply, 200, key != NULL ? levels_key(s, (struct slice){key, len}) : levels_all(s));
}

/* ---- one key moves ---- */

struct move_question {
    char to[16];
    size_t len;
    char key[];
};

static void work_move(const struct clerk_tools *t, void *arg, struct http_reply *reply)
{
    const struct move_question *q = arg;
    struct slice key = {q->key, q->len};
    char why[200];

    if (!levels_move(t->server, key, q->to, why, sizeof why)) {
        http_reply_error(reply, 409, "%s", why);
        return;
    }
    log_event(LOG_INFO, "tier_set", LOG_BYTES("key", key.p, key.len), LOG_STR("to", q->to), LOG_STR("by", "http"));
    http_reply_json(reply, 200, levels_key(t->server, key));
}

/* NULL: the reply says what is wrong. */
static struct move_question *read_move(const struct http_request *r, struct http_reply *reply)
{
    struct move_question *q = NULL;
    cJSON *doc = http_body_json(r, reply);
    const char *to = http_member(doc, "to");
    size_t len = 0;

    if (doc == NULL)
        return NULL;
    char *key = told_read(cJSON_GetObjectItemCaseSensitive(doc, "key"), &len);
    if (key == NULL || len == 0 || to[0] == '\0') {
        http_reply_error(reply, 400, "expected {\"key\": \"conv:1\", \"to\": \"warm\" or \"working\"}");
    } else {
        q = calloc(1, sizeof *q + len);
        if (q == NULL)
            abort();
        snprintf(q->to, sizeof q->to, "%s", to);
        q->len = len;
        memcpy(q->key, key, len);
    }
    free(key);
    cJSON_Delete(doc);
    return q;
}

void admin_tiers_move(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct move_question *q = read_move(r, reply);

    if (q != NULL)
        admin_later(ctx, r, work_move, q);
}
