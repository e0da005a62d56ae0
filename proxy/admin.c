#include "proxy/admin.h"

#include "base/log.h"
#include "proxy/admin_api.h"
#include "proxy/admin_backups.h"
#include "proxy/admin_chaos.h"
#include "proxy/admin_guard.h"
#include "proxy/admin_moves.h"
#include "proxy/admin_tiers.h"
#include "proxy/admin_quarantine.h"
#include "proxy/http.h"
#include "proxy/metrics.h"
#include "proxy/primary.h"
#include "proxy/state.h"
#include "proxy/state_tenants.h"
#include "proxy/web.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

#define PAIRS_MAX 256 /* settings in one call */

struct admin {
    struct server *server;
    struct http *http;
    struct http_setup setup;
    struct admin_guard *guard;
};

static bool lets(void *ctx, const struct http_route *route, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    return admin_guard_lets(a->guard, route, r, reply);
}

struct server *admin_server(const void *ctx)
{
    return ((const struct admin *)ctx)->server;
}

/* ---- handlers ---- */

static void get_metrics(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    struct overview o;
    char *own_text = NULL;
    size_t len;
    FILE *out = open_memstream(&own_text, &len);

    if (out == NULL)
        abort();
    overview_take(&o, a->server);
    metrics_write(out, &o);
    overview_done(&o);
    fclose(out);
    http_reply_text(reply, 200, METRICS_CONTENT_TYPE, own_text, len);
}

/* A document made from an overview; its boolean member named flag, where there is one, decides between 200
 * and 503. */
static void reply_document(const struct admin *a, cJSON *(*make)(const struct overview *o), const char *flag,
                           struct http_reply *reply)
{
    struct overview o;

    overview_take(&o, a->server);
    cJSON *doc = make(&o);
    overview_done(&o);
    bool well = flag == NULL || cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, flag));
    http_reply_json(reply, well ? 200 : 503, doc);
}

static void get_health(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    reply_document(ctx, state_health, "healthy", reply);
}

static void get_ready(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    reply_document(ctx, state_ready, "ready", reply);
}

static void get_memory(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    reply_document(ctx, state_memory, "healthy", reply);
}

static void get_state(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    reply_document(ctx, state_full, NULL, reply);
}

static void get_settings(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    const char *match = http_query(r, "match");

    http_reply_json(reply, 200, state_settings(server_config(a->server), match != NULL ? match : "*"));
}

/* ---- changing settings ---- */

struct change {
    size_t count;
    struct config_pair pairs[PAIRS_MAX];
    char *own_values[PAIRS_MAX];
};

/* Text as it is; true, false and whole numbers as one would write them. NULL: not a value. */
static char *value_text(const cJSON *value)
{
    char buf[32];

    if (cJSON_IsString(value))
        return strdup(value->valuestring);
    if (cJSON_IsBool(value))
        return strdup(cJSON_IsTrue(value) ? "1" : "0");
    if (!cJSON_IsNumber(value) || value->valuedouble != (double)(int64_t)value->valuedouble)
        return NULL;
    snprintf(buf, sizeof buf, "%.0f", value->valuedouble);
    return strdup(buf);
}

static bool read_change(const cJSON *doc, struct change *c, struct http_reply *reply)
{
    if (!cJSON_IsObject(doc) || doc->child == NULL) {
        http_reply_error(reply, 400, "expected a JSON object of settings, like {\"conv.ttl\": \"10d\"}");
        return false;
    }
    for (const cJSON *item = doc->child; item != NULL; item = item->next) {
        if (c->count == PAIRS_MAX) {
            http_reply_error(reply, 400, "more than %d settings in one call", PAIRS_MAX);
            return false;
        }
        char *own_value = value_text(item);
        if (own_value == NULL) {
            http_reply_error(reply, 400, "%s: expected a text, a whole number, true or false", item->string);
            return false;
        }
        c->own_values[c->count] = own_value;
        c->pairs[c->count++] = (struct config_pair){item->string, own_value};
    }
    return true;
}

/* Secrets are hidden in a view, so it may be logged. */
static void tell_changed(void *ctx, const struct config_view *view)
{
    cJSON *item = cJSON_CreateObject();

    cJSON_AddStringToObject(item, "name", view->name);
    cJSON_AddStringToObject(item, "value", view->value);
    cJSON_AddStringToObject(item, "source", view->origin);
    cJSON_AddItemToArray(ctx, item);
    log_event(LOG_INFO, "setting_changed", LOG_STR("name", view->name), LOG_STR("value", view->value),
              LOG_STR("by", "http"));
}

static void add_warnings(cJSON *list, const struct primary_change *change)
{
    for (size_t i = 0; i < change->nwarnings; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(change->warnings[i]));
}

/* A primary that was set is an order to switch, and may hide something. */
static void heed_primaries(struct server *server, const struct change *c, cJSON *doc)
{
    struct primary_change change;
    cJSON *warnings = cJSON_CreateArray();

    for (size_t i = 0; i < c->count; i++)
        if (primary_ordered(server, c->pairs[i].name, "http", &change))
            add_warnings(warnings, &change);
    if (cJSON_GetArraySize(warnings) > 0)
        cJSON_AddItemToObject(doc, "warnings", warnings);
    else
        cJSON_Delete(warnings);
}

static void apply_change(struct server *server, const struct change *c, struct http_reply *reply)
{
    struct config *config = server_config(server);
    struct config_error err;

    if (config_set(config, c->pairs, c->count, &err) != ERR_NONE) {
        cJSON *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(doc, "error", err.text);
        if (err.name[0] != '\0')
            cJSON_AddStringToObject(doc, "setting", err.name);
        cJSON_AddStringToObject(doc, "reason", err.reason);
        http_reply_json(reply, 400, doc);
        return;
    }
    cJSON *doc = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(doc, "changed");
    for (size_t i = 0; i < c->count; i++)
        config_get(config, c->pairs[i].name, tell_changed, list);
    heed_primaries(server, c, doc);
    http_reply_json(reply, 200, doc);
}

static void change_settings(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    struct change c = {0};
    cJSON *doc = http_body_json(r, reply);

    if (doc != NULL && read_change(doc, &c, reply))
        apply_change(a->server, &c, reply);
    for (size_t i = 0; i < c.count; i++)
        free(c.own_values[i]);
    cJSON_Delete(doc);
}

/* ---- the primary ---- */

static void get_primary(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    reply_document(ctx, state_placement, NULL, reply);
}

static void tell_switched(const struct primary_change *change, struct http_reply *reply)
{
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "policy", change->policy);
    cJSON_AddStringToObject(doc, "before", change->before);
    cJSON_AddStringToObject(doc, "after", change->after);
    add_warnings(cJSON_AddArrayToObject(doc, "warnings"), change);
    http_reply_json(reply, 200, doc);
}

static void change_primary(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    struct primary_change change;
    char why[300];
    cJSON *doc = http_body_json(r, reply);

    if (doc == NULL)
        return;
    if (http_member(doc, "store")[0] == '\0')
        http_reply_error(reply, 400, "expected {\"policy\": \"conv\", \"store\": \"redis\" or \"mongo\"}");
    else if (primary_set(a->server, http_member(doc, "policy"), http_member(doc, "store"), "http", &change,
                         why, sizeof why))
        tell_switched(&change, reply);
    else
        http_reply_error(reply, 400, "%s", why);
    cJSON_Delete(doc);
}

/* ---- faults, for game days ---- */

static void get_faults(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    const struct settings *now = config_current(server_config(a->server));
    char plan[DEPOT_PLAN];
    cJSON *doc = cJSON_CreateObject();

    depot_faults(server_depot(a->server), plan, sizeof plan);
    cJSON_AddStringToObject(doc, "plan", plan);
    cJSON_AddBoolToObject(doc, "allowed", now->archive_faults);
    settings_unref(now);
    http_reply_json(reply, 200, doc);
}

static void change_faults(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    const struct admin *a = ctx;
    const struct settings *now = config_current(server_config(a->server));
    char why[200];
    cJSON *doc = http_body_json(r, reply);

    if (doc != NULL && !cJSON_IsString(cJSON_GetObjectItemCaseSensitive(doc, "plan")))
        http_reply_error(reply, 400,
                         "expected {\"plan\": \"op=commit delay=100ms\"}, or an empty plan to end it");
    else if (doc != NULL && !depot_set_faults(server_depot(a->server), now, http_member(doc, "plan"), "http",
                                              why, sizeof why))
        http_reply_error(reply, 400, "%s", why);
    else if (doc != NULL)
        get_faults(ctx, r, reply);
    settings_unref(now);
    cJSON_Delete(doc);
}

/* ---- the routes ---- */

static void get_index(void *ctx, const struct http_request *r, struct http_reply *reply);

/* Programs get the list. */
static void get_page(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    if (web_wants_page(r))
        web_reply(r, "index.html", reply);
    else
        get_index(ctx, r, reply);
    reply->vary = "Accept, Accept-Encoding";
}

static void get_file(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    web_reply(r, http_rest(r), reply);
}

static void get_vendor_file(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    char name[80];

    snprintf(name, sizeof name, "vendor/%s", http_rest(r));
    web_reply(r, name, reply);
}

static const struct http_route routes[] = {
    {"GET", "/", false, get_page, "the console for browsers, this list for programs", HTTP_OPEN},
    {"GET", "/api", false, get_index, "this list", HTTP_OPEN},
    {"GET", "/web/+", false, get_file, "the console's files", HTTP_OPEN},
    {"GET", "/web/vendor/+", false, get_vendor_file, "and those that others have made", HTTP_OPEN},
    {"GET", "/metrics", false, get_metrics, "for Prometheus", 0},
    {"GET", "/healthz", false, get_health, "200 while managed keys are served, else 503, with the reasons",
     HTTP_OPEN},
    {"GET", "/readyz", false, get_ready, "200 while clients are taken", HTTP_OPEN},
    {"GET", "/health/memory", false, get_memory,
     "the connection that managed keys depend on, in four fields", 0},
    {"GET", "/api/v1/health", false, get_health, "the same as /healthz", 0},
    {"GET", "/api/v1/state", false, get_state,
     "everything: Redis, the archive, clients, traffic, policies, commands", 0},
    {"GET", "/api/v1/events", false, admin_get_events, "the last events worth attention; ?since=ID", 0},
    {"GET", "/api/v1/series", false, admin_get_series, "what charts need, of up to two hours; ?seconds=600&since=TIME", 0},
    {"GET", "/api/v1/keys", false, admin_get_keys, "managed keys of both stores; ?match=conv:*&cursor=0&count=50", HTTP_CONTENTS},
    {"GET", "/api/v1/conversation", false, admin_get_conversation, "what both stores have of a key; ?key=conv:42&from=0&count=50",
     HTTP_CONTENTS},
    {"GET", "/api/v1/quarantine", false, admin_list_quarantine, "states that had to give way; ?after=0&count=100", HTTP_CONTENTS},
    {"GET", "/api/v1/quarantine/+", false, admin_show_quarantine, "one of them, by its number, beside what its key holds now", HTTP_CONTENTS},
    {"POST", "/api/v1/quarantine/+/restore", true, admin_restore_quarantine,
     "puts it back as the key's value: {}, or {\"as\": \"another key\"}", 0},
    {"DELETE", "/api/v1/quarantine/+", true, admin_drop_quarantine, "takes it out for good", 0},
    {"GET", "/api/v1/settings", false, get_settings,
     "settings with value, default, source and range; ?match=conv.*", 0},
    {"POST", "/api/v1/settings", true, change_settings, "changes settings at once: {\"conv.ttl\": \"10d\"}", 0},
    {"PUT", "/api/v1/settings", true, change_settings, "the same", 0},
    {"GET", "/api/v1/primary", false, get_primary, "which store answers for each policy", 0},
    {"POST", "/api/v1/primary", true, change_primary,
     "switches: {\"policy\": \"conv\", \"store\": \"mongo\"}", 0},
    {"PUT", "/api/v1/primary", true, change_primary, "the same", 0},
    {"POST", "/api/v1/dual-write", true, admin_dual_write,
     "copies of all writes in the other store: {\"policy\": \"conv\", \"on\": true}", 0},
    {"GET", "/api/v1/moves", false, admin_list_moves,
     "backfills, drains, verifies and TTL audits: how far they are", 0},
    {"GET", "/api/v1/tenants", false, state_tenants, "keys and use of limits of each tenant; ?policy=NAME&tenant=NAME&limit=1000", 0},
    {"POST", "/api/v1/moves", true, admin_order_move,
     "orders one: {\"kind\": \"verify\", \"policy\": \"conv\", \"deep\": true, \"repair\": false, \"rate\": "
     "1000}", 0},
    {"POST", "/api/v1/moves/abort", true, admin_abort_move, "ends one: {\"id\": 3}", 0},
    {"POST", "/api/v1/moves/resume", true, admin_resume_move, "lets one that was aborted go on: {\"id\": 3}", 0},
    {"DELETE", "/api/v1/moves/+", true, admin_abort_move, "the same, by its number in the path", 0},
    {"GET", "/api/v1/backups", false, admin_list_backups, "when a backup of each kind has last succeeded", 0},
    {"POST", "/api/v1/backups", true, admin_backup_done, "tells that one has succeeded now: {\"kind\": \"keys\"}", 0},
    {"GET", "/api/v1/tiers", false, admin_tiers, "how many keys are working, warm and cold; ?key= tells where one is", 0},
    {"POST", "/api/v1/tiers", true, admin_tiers_move, "moves a key: {\"key\": \"conv:1\", \"to\": \"warm\"} or \"working\"", 0},
    {"GET", "/api/v1/archive/faults", false, get_faults,
     "the plan of faults in force, and whether there may be one", 0},
    {"PUT", "/api/v1/archive/faults", true, change_faults,
     "sets it, for game days: {\"plan\": \"op=load delay=50ms\"}", 0},
    {"POST", "/api/v1/archive/faults", true, change_faults, "the same", 0},
    {"GET", "/api/v1/chaos", false, admin_show_chaos, "which store is cut off, paused or slow on purpose, and for how long", 0},
    {"POST", "/api/v1/chaos", true, admin_begin_chaos,
     "begins it, for game days: {\"store\": \"redis\", \"fault\": \"cut\", \"seconds\": 10}", 0},
    {"DELETE", "/api/v1/chaos", true, admin_end_chaos, "ends it for both stores", 0},
};
#define ROUTES (sizeof routes / sizeof routes[0])

static void get_index(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    char *own_text = NULL;
    size_t len;
    FILE *out = open_memstream(&own_text, &len);

    if (out == NULL)
        abort();
    fprintf(out, "convproxy %s\n\n", CONVPROXY_VERSION);
    for (size_t i = 0; i < ROUTES; i++)
        fprintf(out, "%-6s %-23s %s\n", routes[i].method, routes[i].path, routes[i].help);
    fclose(out);
    http_reply_text(reply, 200, "text/plain; charset=utf-8", own_text, len);
}

/* ---- public ---- */

bool admin_check(const struct settings *settings, char *why, size_t why_cap)
{
    struct net_address address;
    struct reason reason;

    if (!net_address_parse(settings->admin_listen, &address, &reason)) {
        snprintf(why, why_cap, "admin.listen: %s", reason.text);
        return false;
    }
    bool safe = net_address_is_local(&address) || settings->admin_token[0] != '\0';
    net_address_done(&address);
    if (!safe)
        snprintf(why, why_cap,
                 "admin.listen %s is open to other machines; set admin.token, or listen on 127.0.0.1",
                 settings->admin_listen);
    return safe;
}

static bool serve(struct admin *a, const char *listen, char *why, size_t why_cap)
{
    struct net_address address;
    struct reason reason;

    bool ok = net_address_parse(listen, &address, &reason);
    if (ok) {
        a->guard = admin_guard_new(server_config(a->server), &address);
        a->setup = (struct http_setup){routes, ROUTES, lets, a};
        ok = http_start(&address, &a->setup, &a->http, &reason) == ERR_NONE;
        net_address_done(&address);
    }
    if (!ok)
        snprintf(why, why_cap, "admin.listen: %s", reason.text);
    return ok;
}

struct admin *admin_start(struct server *server, char *why, size_t why_cap)
{
    const struct settings *s = config_current(server_config(server));
    struct admin *a = calloc(1, sizeof *a);

    if (a == NULL)
        abort();
    a->server = server;
    if (admin_check(s, why, why_cap) && serve(a, s->admin_listen, why, why_cap)) {
        log_event(LOG_INFO, "admin_listening", LOG_STR("address", s->admin_listen),
                  LOG_INT("port", http_port(a->http)));
    } else {
        admin_guard_free(a->guard);
        free(a);
        a = NULL;
    }
    settings_unref(s);
    return a;
}

void admin_stop(struct admin *own_admin)
{
    if (own_admin == NULL)
        return;
    http_stop(own_admin->http);
    admin_guard_free(own_admin->guard);
    free(own_admin);
}
