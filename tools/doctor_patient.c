#include "tools/doctor_patient.h"

#include "base/clock.h"
#include "config/config.h"
#include "sync/link.h"
#include "tools/paint.h"

#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_S 3600

/* ---- the proxy ---- */

static char *metrics(const struct options *o)
{
    struct answer answer;
    char why[160], *own_text = NULL;

    if (!client_call(&o->client, "GET", "/metrics", NULL, &answer, why, sizeof why))
        return NULL;
    if (answer.status == 200)
        own_text = strdup(answer.body);
    answer_done(&answer);
    return own_text;
}

/* ---- Redis itself ---- */

/* "redis://user:***@host" as "redis://user@host" is no use with a hidden password: the environment has it, or nobody. */
static void visible_url(const char *url, char *buf, size_t cap)
{
    const char *hidden = strstr(url, ":***@"), *scheme = strstr(url, "://");

    snprintf(buf, cap, "%s", url);
    if (hidden != NULL && scheme != NULL && hidden >= scheme + 2)
        snprintf(buf, cap, "%.*s%s", (int)(scheme + 3 - url), url, hidden + 5);
}

/* malloc'ed. */
static char *set_of(const char *name, const char *value)
{
    size_t cap = strlen(name) + strlen(value) + 2;
    char *text = malloc(cap);

    if (text == NULL)
        abort();
    snprintf(text, cap, "%s=%s", name, value);
    return text;
}

/* Connects as the proxy does: with its certificates, and with the password of this environment. */
static struct config *connect_settings(const struct patient *p, const char *given, char *why, size_t cap)
{
    static const char *const same[] = {"redis.tls_ca", "redis.tls_cert", "redis.tls_key", "redis.tls_verify"};
    const char *sets[4 + sizeof same / sizeof same[0]], *password = getenv("REDIS_PASSWORD");
    size_t n = 0;
    char url[600];
    struct config *config = config_new();
    struct config_error error;

    visible_url(given != NULL ? given : patient_setting(p, "redis.url"), url, sizeof url);
    sets[n++] = set_of("redis.url", url);
    sets[n++] = set_of("redis.password", password != NULL ? password : "");
    sets[n++] = set_of("archive.url", "");
    sets[n++] = set_of("redis.connect_timeout", "3s");
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        if (patient_setting(p, same[i])[0] != '\0')
            sets[n++] = set_of(same[i], patient_setting(p, same[i]));
    struct config_start start = {.sets = sets, .set_count = n};
    bool ok = config_load(config, &start, &error) == ERR_NONE;
    for (size_t i = 0; i < n; i++)
        free((char *)(uintptr_t)sets[i]);
    if (ok)
        return config;
    snprintf(why, cap, "%.180s", error.reason);
    config_free(config);
    return NULL;
}

static char *text_of(const redisReply *r)
{
    return r != NULL && r->type == REDIS_REPLY_STRING ? strdup(r->str) : NULL;
}

static cJSON *pairs_of(const redisReply *r)
{
    cJSON *doc = cJSON_CreateObject();

    for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i + 1 < r->elements; i += 2)
        if (r->element[i]->type == REDIS_REPLY_STRING && r->element[i + 1]->type == REDIS_REPLY_STRING)
            cJSON_AddStringToObject(doc, r->element[i]->str, r->element[i + 1]->str);
    return doc;
}

/* Each entry is [id, when, µs, …]. */
static void count_slow(struct patient *p, const redisReply *r)
{
    for (size_t i = 0; r != NULL && r->type == REDIS_REPLY_ARRAY && i < r->elements; i++) {
        const redisReply *e = r->element[i];
        bool known = e->type == REDIS_REPLY_ARRAY && e->elements > 2 && e->element[1]->type == REDIS_REPLY_INTEGER &&
                     e->element[2]->type == REDIS_REPLY_INTEGER;
        if (!known || e->element[1]->integer < clock_wall_us() / 1000000 - HOUR_S)
            continue;
        p->slow++;
        p->slowest_us = e->element[2]->integer > p->slowest_us ? e->element[2]->integer : p->slowest_us;
    }
}

static void ask_redis(struct patient *p, struct link *l)
{
    link_say(l, "INFO", "everything", NULL);
    link_say(l, "CONFIG", "GET", "*", NULL);
    link_say(l, "CLIENT", "LIST", NULL);
    link_say(l, "SLOWLOG", "GET", "128", NULL);
    p->info = text_of(link_get(l));
    p->config = pairs_of(link_get(l));
    p->clients = text_of(link_get(l));
    count_slow(p, link_get(l));
    link_done(l);
    if (p->info == NULL)
        snprintf(p->why, sizeof p->why, "%s", link_is_open(l) ? "INFO was refused" : link_why(l));
}

static void examine_redis(struct patient *p, const char *given)
{
    struct config *config = connect_settings(p, given, p->why, sizeof p->why);

    if (config == NULL)
        return;
    const struct settings *s = config_current(config);
    struct link *l = link_new();
    if (link_open(l, s))
        ask_redis(p, l);
    else
        snprintf(p->why, sizeof p->why, "%s", link_why(l));
    link_free(l);
    settings_unref(s);
    config_free(config);
}

/* ---- all ---- */

int patient_init(struct patient *p, const struct options *o, const char *redis, const char *other)
{
    int code = EXIT_OK;
    struct options elsewhere = *o;

    *p = (struct patient){.other_url = other};
    signal(SIGPIPE, SIG_IGN);
    const struct {
        const char *path;
        cJSON **doc;
    } documents[] = {{"/api/v1/state", &p->state}, {"/api/v1/settings", &p->settings}, {"/api/v1/moves", &p->moves}, {"/api/v1/backups", &p->backups}};
    for (size_t i = 0; i < sizeof documents / sizeof documents[0]; i++)
        if ((*documents[i].doc = ctl_document(o, documents[i].path, &code)) == NULL)
            return code;
    p->metrics = metrics(o);
    elsewhere.client.url = other;
    if (other != NULL)
        p->other = ctl_document(&elsewhere, "/api/v1/settings", &code);
    examine_redis(p, redis);
    return EXIT_OK;
}

void patient_done(struct patient *p)
{
    cJSON_Delete(p->state);
    cJSON_Delete(p->settings);
    cJSON_Delete(p->moves);
    cJSON_Delete(p->backups);
    cJSON_Delete(p->config);
    cJSON_Delete(p->other);
    free(p->metrics);
    free(p->info);
    free(p->clients);
}

const char *patient_setting(const struct patient *p, const char *name)
{
    const cJSON *value = paint_find(paint_row(paint_find(p->settings, "settings"), "name", name), "value");
    return cJSON_IsString(value) ? value->valuestring : "";
}

/* The line that begins with the name, and what stands behind the separator. */
static const char *behind(const char *text, const char *name, char separator)
{
    size_t len = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == separator)
            return line + len + 1;
    }
    return NULL;
}

double patient_metric(const struct patient *p, const char *name)
{
    const char *value = behind(p->metrics, name, ' ');
    return value != NULL ? strtod(value, NULL) : -1;
}

const char *patient_info(const struct patient *p, const char *field)
{
    static char texts[16][128];
    static unsigned at;
    char *text = texts[at++ % 16];
    const char *value = behind(p->info, field, ':');

    snprintf(text, sizeof texts[0], "%.*s", value != NULL ? (int)strcspn(value, "\r\n") : 0, value != NULL ? value : "");
    return text;
}

double patient_info_number(const struct patient *p, const char *field)
{
    return strtod(patient_info(p, field), NULL);
}

const char *patient_config(const struct patient *p, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(p->config, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}
