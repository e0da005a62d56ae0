#include "backends/redis/greeting.h"

#include "config/url.h"
#include "resp/frame.h"

#include <stdio.h>
#include <string.h>

static void say(struct greeting *g, bool optional)
{
    g->owed++;
    g->optional = g->optional << 1 | (optional ? 1u : 0u);
}

void greeting_start(struct greeting *g, struct chain *out, const struct settings *settings, int db, enum resp resp)
{
    struct redis_url url;
    struct reason why;
    char number[16];

    *g = (struct greeting){0};
    if (!redis_url_parse(settings->redis_url, &url, &why))
        return; /* dialing has already refused it */
    const char *password = url.password != NULL ? url.password : settings->redis_password;
    const char *user = url.user != NULL ? url.user : "default";
    bool auth = password != NULL && password[0] != '\0';

    if (resp == RESP3 && auth)
        build_command(out, "HELLO", "3", "AUTH", user, password, NULL);
    else if (resp == RESP3)
        build_command(out, "HELLO", "3", NULL);
    else if (auth && url.user != NULL)
        build_command(out, "AUTH", user, password, NULL);
    else if (auth)
        build_command(out, "AUTH", password, NULL);
    if (resp == RESP3 || auth)
        say(g, false);
    build_command(out, "CLIENT", "SETNAME", "convproxy", NULL);
    say(g, true);
    if (db != 0) {
        snprintf(number, sizeof number, "%d", db);
        build_command(out, "SELECT", number, NULL);
        say(g, false);
    }
    redis_url_done(&url);
}

/* An authentication error must stop the start even when it answers the optional command. */
static bool refuses(const char *p, bool optional)
{
    return p[0] == '-' && (!optional || strncmp(p, "-NOAUTH", 7) == 0);
}

enum greeting_status greeting_take(struct greeting *g, const char *p, size_t n, size_t *used, char *why, size_t why_cap)
{
    size_t at = 0;
    *used = 0;
    while (g->owed > 0) {
        struct frame f = {0};
        size_t len;
        enum frame_status status = frame_scan(&f, p + at, n - at, &len);
        if (status == FRAME_BAD) {
            snprintf(why, why_cap, "it does not speak RESP");
            return GREETING_REFUSED;
        }
        if (status == FRAME_MORE)
            return GREETING_MORE;
        if (refuses(p + at, g->optional >> (g->owed - 1) & 1)) {
            snprintf(why, why_cap, "%.*s", (int)(len > 3 ? len - 3 : 0), p + at + 1);
            return GREETING_REFUSED;
        }
        g->owed--;
        at += len;
        *used = at;
    }
    return GREETING_OK;
}
