#include "proxy/admin_guard.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESSES 64 /* whose failures are remembered; the one that failed longest ago gives way */
#define SECOND_US 1000000

enum role { ROLE_NOBODY, ROLE_READER, ROLE_ADMIN };

struct failures {
    char address[HTTP_PEER];
    int64_t since_us; /* mono; 0: free */
    unsigned count;   /* within a second from then on */
};

struct admin_guard {
    struct config *config;
    bool local; /* only this machine can connect */
    bool unix_socket;
    struct failures failures[ADDRESSES];
};

struct admin_guard *admin_guard_new(struct config *cfg, const struct net_address *listening)
{
    struct admin_guard *g = calloc(1, sizeof *g);
    if (g == NULL)
        abort();
    g->config = cfg;
    g->local = net_address_is_local(listening);
    g->unix_socket = listening->path != NULL;
    return g;
}

void admin_guard_free(struct admin_guard *own_g)
{
    free(own_g);
}

/* ---- wrong tokens ---- */

/* The entry of an address, or the one that gives way to it. */
static struct failures *entry_of(struct admin_guard *g, const char *address)
{
    struct failures *oldest = &g->failures[0];
    for (size_t i = 0; i < ADDRESSES; i++) {
        if (g->failures[i].since_us != 0 && strcmp(g->failures[i].address, address) == 0)
            return &g->failures[i];
        if (g->failures[i].since_us < oldest->since_us)
            oldest = &g->failures[i];
    }
    *oldest = (struct failures){.since_us = 0};
    snprintf(oldest->address, sizeof oldest->address, "%s", address);
    return oldest;
}

static bool has_failed_too_often(struct admin_guard *g, const char *address)
{
    struct failures *f = entry_of(g, address);
    return clock_mono_us() - f->since_us < SECOND_US && f->count >= GUARD_FAILURES;
}

/* The log hears of the first of a second, and of the one that is too much. */
static void note_failure(struct admin_guard *g, const char *address)
{
    struct failures *f = entry_of(g, address);
    int64_t now_us = clock_mono_us();

    if (f->since_us == 0 || now_us - f->since_us >= SECOND_US)
        *f = (struct failures){.since_us = now_us};
    snprintf(f->address, sizeof f->address, "%s", address);
    f->count++;
    if (f->count == 1 || f->count == GUARD_FAILURES)
        log_event(LOG_WARN, "admin_token_wrong", LOG_STR("address", address), LOG_INT("within_a_second", f->count));
}

/* ---- tokens ---- */

/* What stands behind "Bearer"; NULL: there is no such header. */
static const char *token_of(const struct http_request *r)
{
    const char *given = http_header(r, "Authorization");
    if (given == NULL || strncasecmp(given, "Bearer ", 7) != 0)
        return NULL;
    return given + 7 + strspn(given + 7, " ");
}

static bool fits(const char *given, const char *token)
{
    return token[0] != '\0' && secret_same((struct slice){given, strlen(given)}, (struct slice){token, strlen(token)});
}

static enum role role_of(const struct admin_guard *g, const struct settings *s, const char *given)
{
    if (given != NULL && fits(given, s->admin_token))
        return ROLE_ADMIN;
    if (given != NULL && fits(given, s->admin_read_token))
        return ROLE_READER;
    if (s->admin_token[0] == '\0' && g->local)
        return ROLE_ADMIN;
    return s->admin_read_token[0] == '\0' ? ROLE_READER : ROLE_NOBODY;
}

static enum role role_for(const struct http_route *route, const struct settings *s)
{
    bool contents = (route->traits & HTTP_CONTENTS) != 0 && !s->admin_read_contents;

    if ((route->traits & HTTP_OPEN) != 0)
        return ROLE_NOBODY;
    return route->changes || contents ? ROLE_ADMIN : ROLE_READER;
}

static bool may(struct admin_guard *g, const struct http_route *route, const struct http_request *r, struct http_reply *reply)
{
    const struct settings *s = config_current(g->config);
    const char *given = token_of(r);
    char peer[HTTP_PEER];
    enum role needed = role_for(route, s);
    bool asks = s->admin_token[0] != '\0' || s->admin_read_token[0] != '\0';

    http_peer(r, peer);
    bool late = needed != ROLE_NOBODY && asks && has_failed_too_often(g, peer);
    enum role role = late ? ROLE_NOBODY : role_of(g, s, given);
    bool wrong = !late && given != NULL && asks && !fits(given, s->admin_token) && !fits(given, s->admin_read_token);
    settings_unref(s);
    if (wrong)
        note_failure(g, peer);
    if (role >= needed)
        return true;
    if (late)
        http_reply_error(reply, 429, "too many wrong tokens from this address; try again in a second");
    else if (role == ROLE_READER && given != NULL && !wrong)
        http_reply_error(reply, 403, "this token may only read; the call needs admin.token");
    else
        http_reply_error(reply, 401, "this call needs the header Authorization: Bearer <%s>",
                         needed == ROLE_ADMIN ? "admin.token" : "admin.token or admin.read_token");
    return false;
}

/* ---- where a call comes from ---- */

/* "localhost", 127.0.0.1, [::1], with or without a port. */
static bool host_is_address(const char *host)
{
    unsigned char parsed[sizeof(struct in6_addr)];
    char name[64];
    bool v6 = host[0] == '[';
    size_t len = strcspn(host + v6, v6 ? "]" : ":");

    if (len >= sizeof name)
        return false;
    memcpy(name, host + v6, len);
    name[len] = '\0';
    return strcasecmp(name, "localhost") == 0 || inet_pton(v6 ? AF_INET6 : AF_INET, name, parsed) == 1;
}

/* Browsers say it; other programs don't. */
static bool is_from_here(const struct http_request *r)
{
    const char *origin = http_header(r, "Origin"), *site = http_header(r, "Sec-Fetch-Site"), *host = http_header(r, "Host");
    const char *name = origin != NULL ? strstr(origin, "://") : NULL;

    if (site != NULL && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0)
        return false;
    return origin == NULL || (name != NULL && host != NULL && strcasecmp(name + 3, host) == 0);
}

bool admin_guard_lets(struct admin_guard *g, const struct http_route *route, const struct http_request *r, struct http_reply *reply)
{
    const char *host = http_header(r, "Host");

    if (g->local && !g->unix_socket && host != NULL && !host_is_address(host)) {
        http_reply_error(reply, 403, "this server answers to localhost or an IP address only, not to the name in Host");
        return false;
    }
    if (route->changes && !is_from_here(r)) {
        http_reply_error(reply, 403, "a page of another site may not change anything here");
        return false;
    }
    return may(g, route, r, reply);
}
