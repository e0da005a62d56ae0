#include "proxy/admin_api.h"

#include "proxy/events.h"
#include "proxy/series.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#define ID_MOST (INT64_C(1) << 53) /* what JSON's readers keep exactly */

bool admin_number(const struct http_request *r, const char *name, int64_t least, int64_t most, int64_t fallback,
                  int64_t *ret, struct http_reply *reply)
{
    const char *text = http_query(r, name);
    char *end;

    *ret = fallback;
    if (text == NULL)
        return true;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0' && n >= least && n <= most) {
        *ret = n;
        return true;
    }
    http_reply_error(reply, 400, "%s: expected a whole number from %" PRId64 " to %" PRId64, name, least, most);
    return false;
}

void admin_get_events(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t since;

    if (admin_number(r, "since", 0, ID_MOST, 0, &since, reply))
        http_reply_json(reply, 200, events_since(since));
}

void admin_get_series(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    int64_t seconds, since;

    if (admin_number(r, "seconds", 1, SERIES_LONG_S, SERIES_SHORT_S, &seconds, reply) &&
        admin_number(r, "since", 0, ID_MOST, 0, &since, reply))
        http_reply_json(reply, 200, series_json(seconds, since));
}
