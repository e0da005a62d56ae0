#include "config/seeds.h"

#include "config/internal.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define SENTINEL_FORM "expected redis[s]+sentinel://[user:password@]host[:port],…/mastername[/db]"
#define CLUSTER_FORM  "expected redis[s]+cluster://[user:password@]host[:port],…"

static const struct {
    const char *scheme;
    const char *form;
    int port;
} kinds[] = {
    [REDIS_SINGLE] = {"", "", 0},
    [REDIS_SENTINEL] = {"+sentinel://", SENTINEL_FORM, 26379}, /* behind "redis" or "rediss" */
    [REDIS_CLUSTER] = {"+cluster://", CLUSTER_FORM, 6379},
};

static bool is_tls(const char *url)
{
    return strncmp(url, "rediss+", 7) == 0;
}

/* Where the scheme goes on behind its first word. */
static const char *behind_redis(const char *url)
{
    return url + (is_tls(url) ? 6 : strncmp(url, "redis+", 6) == 0 ? 5 : 0);
}

enum redis_kind redis_kind(const char *url)
{
    const char *scheme = behind_redis(url);

    for (enum redis_kind kind = REDIS_CLUSTER; kind > REDIS_SINGLE && scheme != url; kind--)
        if (strncmp(scheme, kinds[kind].scheme, strlen(kinds[kind].scheme)) == 0)
            return kind;
    return REDIS_SINGLE;
}

/* What stands behind the host decides: a colon inside the brackets of an IPv6 address is no port. */
static bool names_port(const char *p, const char *end)
{
    const char *bracket = memchr(p, ']', (size_t)(end - p));
    p = bracket != NULL ? bracket : p;
    return memchr(p, ':', (size_t)(end - p)) != NULL;
}

/* One host, read as a URL of its own, with the login in front of it. */
static bool add_host(struct redis_seeds *seeds, const char *login, size_t login_len, const char *p,
                     const char *end)
{
    struct redis_url url;
    struct reason why;
    bool single = memchr(p, '@', (size_t)(end - p)) == NULL && p < end;
    char *text = must_print("redis://%.*s%.*s", (int)login_len, login, (int)(end - p), p);
    bool good = single && seeds->count < SEEDS_MOST && redis_url_parse(text, &url, &why);

    free(text);
    if (!good)
        return false;
    seeds->hosts[seeds->count++] = (struct net_address){
        .host = url.host, .port = names_port(p, end) ? url.port : kinds[seeds->kind].port};
    url.host = NULL;
    if (seeds->count == 1) {
        seeds->user = url.user;
        seeds->password = url.password;
        url.user = url.password = NULL;
    }
    redis_url_done(&url);
    return true;
}

static bool parse_hosts(struct redis_seeds *seeds, const char *p, const char *end)
{
    const char *at = memrchr(p, '@', (size_t)(end - p));
    const char *login = p;
    size_t login_len = at == NULL ? 0 : (size_t)(at + 1 - p);

    for (p += login_len;; p++) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        comma = comma == NULL ? end : comma;
        if (!add_host(seeds, login, login_len, p, comma))
            return false;
        p = comma;
        if (p == end)
            return true;
    }
}

static bool parse_db(const char *text, int *ret)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (!isdigit((unsigned char)text[0]) || *end != '\0' || n > 1000000)
        return false;
    *ret = (int)n;
    return true;
}

/* Behind the hosts: "/mastername[/db]", or for a cluster, which has one database, nothing. */
static bool parse_path(struct redis_seeds *seeds, const char *p)
{
    if (seeds->kind == REDIS_CLUSTER)
        return *p == '\0' || strcmp(p, "/") == 0 || strcmp(p, "/0") == 0;
    if (*p != '/')
        return false;
    size_t len = strcspn(++p, "/?#");
    if (len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)p[i]) && strchr(".-_", p[i]) == NULL)
            return false; /* Sentinel's own rule for names */
    seeds->master = must_copy(p, len);
    p += len;
    return *p == '\0' || (*p == '/' && (p[1] == '\0' || parse_db(p + 1, &seeds->db)));
}

bool redis_seeds_parse(const char *text, struct redis_seeds *ret_seeds, struct reason *why)
{
    struct redis_seeds seeds = {.kind = redis_kind(text), .tls = is_tls(text)};

    if (seeds.kind == REDIS_SINGLE)
        return because(why, "it names one server; " SENTINEL_FORM);
    text = behind_redis(text) + strlen(kinds[seeds.kind].scheme);
    const char *end = text + strcspn(text, "/?#");
    if (!parse_hosts(&seeds, text, end) || !parse_path(&seeds, end)) {
        redis_seeds_done(&seeds);
        return because(why, "it can't be read; %s, with at most %d hosts", kinds[seeds.kind].form,
                       SEEDS_MOST);
    }
    *ret_seeds = seeds;
    return true;
}

void redis_seeds_done(struct redis_seeds *seeds)
{
    for (size_t i = 0; i < seeds->count; i++)
        net_address_done(&seeds->hosts[i]);
    free(seeds->master);
    free(seeds->user);
    free(seeds->password);
    seeds->count = 0;
    seeds->master = seeds->user = seeds->password = NULL;
}

static char *encode(const char *text)
{
    char *out = must_alloc(3 * strlen(text) + 1), *to = out;

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (isalnum(c) || strchr("-._~", c) != NULL)
            *to++ = *text;
        else
            to += sprintf(to, "%%%02X", c);
    }
    return out;
}

char *redis_seeds_url(const struct redis_seeds *seeds, const char *host, int port)
{
    bool login = seeds->password != NULL, v6 = strchr(host, ':') != NULL;
    char *user = encode(seeds->user != NULL ? seeds->user : "");
    char *password = encode(login ? seeds->password : "");
    char *url = must_print("redis%s://%s%s%s%s%s%s%s:%d/%d", seeds->tls ? "s" : "", user, login ? ":" : "", password, login ? "@" : "",
                           v6 ? "[" : "", host, v6 ? "]" : "", port, seeds->db);

    free(user);
    free(password);
    return url;
}

const char *redis_at(const struct settings *s)
{
    return s->redis_found != NULL ? s->redis_found : s->redis_url;
}

bool redis_at_parse(const char *at, struct redis_url *ret_url, struct reason *why)
{
    if (at[0] == '\0')
        return because(why, "neither sentinels nor nodes have told yet where Redis is");
    return redis_url_parse(at, ret_url, why);
}
