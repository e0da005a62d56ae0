#include "proxy/push.h"

#include "proxy/slot.h"

#include <stdlib.h>

#define LARGE (16 * 1024)

static bool is_inside_reply(const struct session *s)
{
    return s->head != NULL && s->head->partial;
}

/* Where the next push goes. */
static struct chain *place(struct session *s)
{
    if (!is_inside_reply(s))
        return &s->stream.out;
    if (s->pushed == NULL) {
        s->pushed = malloc(sizeof *s->pushed);
        if (s->pushed == NULL)
            abort();
        chain_init(s->pushed, &s->loop->turn.chunks);
    }
    return s->pushed;
}

void push_send_two(struct session *s, struct slice first, struct slice rest)
{
    if (s->stream.closing)
        return;
    struct chain *to = place(s);
    chain_put(to, first.p, first.len);
    chain_put(to, rest.p, rest.len);
    session_touch(s);
    if (first.len + rest.len >= LARGE && !s->stream.closing)
        stream_flush(&s->stream); /* thousands may get it: not all of their copies need be there at once */
}

void push_send(struct session *s, struct slice whole)
{
    push_send_two(s, whole, (struct slice){NULL, 0});
}

bool push_listens(const struct session *s)
{
    return s->subs != NULL || s->monitor != NULL;
}

struct output_limits push_limits(const struct session *s)
{
    const struct settings *set = s->loop->settings;

    if (push_listens(s))
        return (struct output_limits){set->output_pubsub_hard, set->output_pubsub_soft, set->output_pubsub_soft_time,
                                      "output_pubsub_hard", "output_pubsub_soft"};
    return (struct output_limits){set->output_hard, set->output_soft, set->output_soft_time, "output_hard",
                                  "output_soft"};
}

void push_release(struct session *s)
{
    chain_move(&s->stream.out, s->pushed);
    push_drop(s);
}

void push_drop(struct session *s)
{
    if (s->pushed == NULL)
        return;
    chain_clear(s->pushed);
    free(s->pushed);
    s->pushed = NULL;
}

size_t push_waiting(const struct session *s)
{
    return s->pushed != NULL ? s->pushed->len : 0;
}
