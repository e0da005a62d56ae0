#include "sync/recent.h"

#include <stdlib.h>
#include <string.h>

/* Its place in the list: present, new, or that of the one that was idle longest. */
static struct recent_session *place_of(struct recent *r, const char *session)
{
    struct recent_session *oldest = r->sessions;

    for (size_t i = 0; i < r->n; i++) {
        if (strcmp(r->sessions[i].last.session, session) == 0)
            return &r->sessions[i];
        if (r->sessions[i].since_us < oldest->since_us)
            oldest = &r->sessions[i];
    }
    struct recent_session *place = r->n < RECENT_SESSIONS ? &r->sessions[r->n++] : oldest;
    *place = (struct recent_session){.last = {.seq = -1}};
    return place;
}

static int64_t seen(struct recent *r, const struct write_id *id, int64_t now_us)
{
    struct recent_session *s = place_of(r, id->session);

    if (s->last.seq != id->seq) {
        s->last = *id;
        s->since_us = now_us;
    }
    return s->since_us;
}

static int by_age(const void *a, const void *b)
{
    const struct recent_session *x = a, *y = b;
    return (x->since_us > y->since_us) - (x->since_us < y->since_us);
}

size_t recent_sort(struct recent *r, struct write_id *ids, size_t n, int64_t now_us)
{
    struct recent_session *rows = calloc(n + 1, sizeof *rows);
    size_t kept = 0;

    if (rows == NULL)
        abort();
    for (size_t i = 0; i < n; i++) {
        int64_t since_us = seen(r, &ids[i], now_us);
        if (now_us - since_us < RECENT_US)
            rows[kept++] = (struct recent_session){ids[i], since_us};
    }
    qsort(rows, kept, sizeof *rows, by_age);
    for (size_t i = 0; i < kept; i++)
        ids[i] = rows[i].last;
    free(rows);
    return kept;
}
