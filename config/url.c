#include "config/url.h"

#include "config/internal.h"
#include "config/units.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_FORMS      "expected redis[s]://[user:password@]host[:port][/db] or unix:///path[?db=N]"
#define ADDRESS_FORMS  "expected host:port, [v6]:port or unix:/path"
#define REDIS_PORT     6379
#define MAX_PORT       65535
#define MAX_DB         INT64_C(2147483647)
#define UNIX_PATH_MOST 107 /* sun_path, less its NUL: unix(7) */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The decoded bytes p..end, or NULL: a '%' without two hex digits, or %00. */
static char *decode(const char *p, const char *end)
{
    char *out = must_alloc((size_t)(end - p) + 1);
    char *to = out;

    while (p < end) {
        if (*p != '%') {
            *to++ = *p++;
            continue;
        }
        int high = end - p > 2 ? hex_digit(p[1]) : -1;
        int low = end - p > 2 ? hex_digit(p[2]) : -1;
        if (high < 0 || low < 0 || (high == 0 && low == 0)) {
            free(out);
            return NULL;
        }
        *to++ = (char)(high * 16 + low);
        p += 3;
    }
    return out;
}

/* Digits p..end as a number of at most most. */
static bool read_number(const char *p, const char *end, int64_t most, int *ret)
{
    char digits[16];
    size_t len = (size_t)(end - p);
    int64_t n;

    if (len == 0 || len >= sizeof digits || *p == '-')
        return false;
    memcpy(digits, p, len);
    digits[len] = '\0';
    if (units_parse_int(digits, &n) != UNITS_OK || n > most)
        return false;
    *ret = (int)n;
    return true;
}

/* Splits host, [v6] and port from p..end. Without a port *port keeps its value, unless port_wanted. */
static bool read_host(const char *p, const char *end, bool port_wanted, char **ret_host, int *port)
{
    const char *host = p, *host_end, *colon;

    if (p < end && *p == '[') {
        host_end = memchr(p, ']', (size_t)(end - p));
        if (host_end == NULL)
            return false;
        host = p + 1;
        colon = host_end + 1;
    } else {
        colon = memchr(p, ':', (size_t)(end - p));
        host_end = colon = colon == NULL ? end : colon;
    }
    if (host == host_end || (colon == end && port_wanted))
        return false;
    if (colon != end && (*colon != ':' || !read_number(colon + 1, end, MAX_PORT, port)))
        return false;
    for (const char *c = host; c < host_end; c++)
        if ((unsigned char)*c <= ' ' || strchr("/@[]?#%", *c) != NULL)
            return false;
    *ret_host = must_copy(host, (size_t)(host_end - host));
    return true;
}

/* "user:password" before the '@' of the authority p..end. *ret_rest is what follows the '@'. */
static bool read_login(const char *p, const char *end, struct redis_url *url, const char **ret_rest,
                       struct reason *why)
{
    const char *at = memrchr(p, '@', (size_t)(end - p));
    *ret_rest = p;
    if (at == NULL)
        return true;
    const char *colon = memchr(p, ':', (size_t)(at - p));
    *ret_rest = at + 1;
    if (colon == NULL)
        return because(why, "there is one word before the '@'"
                            "; "
                            "expected user:password@ or :password@");
    char *user = decode(p, colon);
    char *password = decode(colon + 1, at);
    if (user != NULL && user[0] == '\0') {
        free(user);
        user = NULL;
    }
    url->user = user;
    url->password = password;
    if (password == NULL || (user == NULL && colon != p))
        return because(why, "a '%%' in user or password is not followed by two hex digits"
                            "; "
                            "expected %%25 for a percent sign");
    return true;
}

static bool parse_tcp(const char *p, struct redis_url *url, struct reason *why)
{
    const char *end = p + strcspn(p, "/?#");

    if (!read_login(p, end, url, &p, why))
        return false;
    url->port = REDIS_PORT;
    if (!read_host(p, end, false, &url->host, &url->port) || url->port == 0)
        return because(why, "host or port is missing or malformed"
                            "; " URL_FORMS);
    if (*end == '\0' || strcmp(end, "/") == 0)
        return true;
    if (*end != '/')
        return because(why, "there are no parameters in a redis:// URL"
                            "; " URL_FORMS);
    if (!read_number(end + 1, end + strlen(end), MAX_DB, &url->db))
        return because(why, "what follows the '/' is not a database number"
                            "; " URL_FORMS);
    return true;
}

static bool parse_unix(const char *p, struct redis_url *url, struct reason *why)
{
    const char *slash = p + strcspn(p, "/?");

    if (!read_login(p, slash, url, &p, why))
        return false;
    if (p != slash || *slash != '/')
        return because(why, "the path of the socket is not absolute"
                            "; " URL_FORMS);
    const char *end = p + strcspn(p, "?");
    url->path = decode(p, end);
    if (url->path == NULL || strlen(url->path) > UNIX_PATH_MOST || url->path[1] == '\0')
        return because(why, "the path of the socket is empty, malformed or longer than 107 bytes"
                            "; " URL_FORMS);
    if (*end == '\0')
        return true;
    if (strncmp(end, "?db=", 4) != 0 || !read_number(end + 4, end + strlen(end), MAX_DB, &url->db))
        return because(why, "what follows the '?' is not db=N"
                            "; " URL_FORMS);
    return true;
}

bool redis_url_parse(const char *text, struct redis_url *ret_url, struct reason *why)
{
    struct redis_url url = {.tls = strncmp(text, "rediss://", 9) == 0};
    bool good;

    if (url.tls || strncmp(text, "redis://", 8) == 0)
        good = parse_tcp(text + (url.tls ? 9 : 8), &url, why);
    else if (strncmp(text, "unix://", 7) == 0)
        good = parse_unix(text + 7, &url, why);
    else
        good = because(why, "this is not a Redis URL"
                            "; " URL_FORMS);
    if (good)
        *ret_url = url;
    else
        redis_url_done(&url);
    return good;
}

void redis_url_done(struct redis_url *url)
{
    free(url->host);
    free(url->path);
    free(url->user);
    free(url->password);
    *url = (struct redis_url){.host = NULL};
}

char *redis_url_hide(const char *text)
{
    const char *scheme = strstr(text, "://");
    const char *login = scheme == NULL ? text : scheme + 3;
    /* Not only up to the first '/': that one may be an unescaped part of the password. */
    const char *at = login[0] == '/' ? NULL : strrchr(login, '@');
    const char *colon = at == NULL ? NULL : memchr(login, ':', (size_t)(at - login));

    if (colon == NULL)
        return must_dup(text);
    return must_print("%.*s***%s", (int)(colon + 1 - text), text, at);
}

bool net_address_parse(const char *text, struct net_address *ret_address, struct reason *why)
{
    struct net_address address = {.host = NULL};

    if (strncmp(text, "unix:", 5) == 0) {
        if (text[5] != '/' || text[6] == '\0' || strlen(text + 5) > UNIX_PATH_MOST)
            return because(why, "the path of the socket is not absolute or longer than 107 bytes"
                                "; " ADDRESS_FORMS);
        address.path = must_dup(text + 5);
    } else if (!read_host(text, text + strlen(text), true, &address.host, &address.port)) {
        char shown[QUOTE_TEXT];
        return because(why, "%s is not an address; " ADDRESS_FORMS, quote(text, shown));
    }
    *ret_address = address;
    return true;
}

void net_address_done(struct net_address *address)
{
    free(address->host);
    free(address->path);
    *address = (struct net_address){.host = NULL};
}

bool net_address_is_local(const struct net_address *address)
{
    struct in_addr v4;

    if (address->path != NULL || strcmp(address->host, "::1") == 0 ||
        strcasecmp(address->host, "localhost") == 0)
        return true;
    return inet_pton(AF_INET, address->host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}
