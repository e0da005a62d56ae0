#include "proxy/reader.h"

#include "resp/frame.h"

#include <string.h>

struct slice reader_next(struct reader *r)
{
    struct slice value = {r->rest.p, frame_length(r->rest.p, r->rest.len)};
    r->rest = (struct slice){r->rest.p + value.len, r->rest.len - value.len};
    return value;
}

int64_t reader_enter(struct reader *r)
{
    int64_t items = 0;
    size_t header = frame_aggregate(r->rest.p, r->rest.len, &items);
    r->rest = (struct slice){r->rest.p + header, r->rest.len - header};
    return header > 0 ? items : 0;
}

struct slice reader_bulk(struct slice value)
{
    int64_t n;
    const char *end = value.len > 0 && value.p[0] == '$' ? memchr(value.p, '\r', value.len) : NULL;

    if (end == NULL || !frame_number(value.p + 1, (size_t)(end - value.p) - 1, &n) || n < 0)
        return (struct slice){NULL, 0};
    return (struct slice){end + 2, (size_t)n};
}

int64_t reader_int(struct slice value)
{
    int64_t n = 0;
    return value.len > 3 && value.p[0] == ':' && frame_number(value.p + 1, value.len - 3, &n) ? n : 0;
}
