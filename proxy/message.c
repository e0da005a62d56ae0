#include "proxy/message.h"

#include "proxy/hide.h"
#include "resp/frame.h"

#include <string.h>

/* The next bulk of a whole push, which *rest then stands behind. False: something else stands there. */
static bool take_bulk(struct slice *rest, struct slice *ret)
{
    const char *line = memchr(rest->p, '\n', rest->len);
    int64_t len;

    if (line == NULL || rest->p[0] != '$' || !frame_number(rest->p + 1, (size_t)(line - rest->p) - 2, &len) || len < 0)
        return false;
    *ret = (struct slice){line + 1, (size_t)len};
    const char *behind = line + 1 + len + 2;
    *rest = (struct slice){behind, (size_t)(rest->p + rest->len - behind)};
    return true;
}

static const char *const words[TOPIC_KINDS] = {
    [TOPIC_CHANNEL] = "message", [TOPIC_PATTERN] = "pmessage", [TOPIC_SHARD] = "smessage"};

bool message_read(struct slice push, struct message *ret)
{
    struct slice rest, word;
    int64_t items;
    size_t at = frame_aggregate(push.p, push.len, &items);
    int kind = 0;

    rest = (struct slice){push.p + at, push.len - at};
    if (at == 0 || items < 3 || !take_bulk(&rest, &word))
        return false;
    while (kind < TOPIC_KINDS && !slice_is(word, words[kind]))
        kind++;
    if (kind == TOPIC_KINDS || items != (kind == TOPIC_PATTERN ? 4 : 3))
        return false;
    ret->kind = (enum topic_kind)kind;
    if (!take_bulk(&rest, &ret->name))
        return false;
    ret->channel = ret->name;
    return (kind != TOPIC_PATTERN || take_bulk(&rest, &ret->channel)) && take_bulk(&rest, &ret->payload);
}

bool message_is_answer(struct slice push)
{
    static const char end[] = "subscribe";
    const size_t n = sizeof end - 1;
    struct slice rest, word;
    int64_t items;
    size_t at = frame_aggregate(push.p, push.len, &items);

    rest = (struct slice){push.p + at, push.len - at};
    return at != 0 && items == 3 && take_bulk(&rest, &word) && word.len >= n && memcmp(word.p + word.len - n, end, n) == 0;
}

static bool starts_with(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.p, text, n) == 0;
}

bool message_is_internal(const struct message *m)
{
    if (starts_with(m->channel, "__keyevent@"))
        return hide_is_internal(m->payload);
    const char *colon = starts_with(m->channel, "__keyspace@") ? memchr(m->channel.p, ':', m->channel.len) : NULL;
    return colon != NULL &&
           hide_is_internal((struct slice){colon + 1, (size_t)(m->channel.p + m->channel.len - colon - 1)});
}
