#include "proxy/parcel.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parcel *parcel_new(void)
{
    struct parcel *p = calloc(1, sizeof *p);
    if (p == NULL)
        abort();
    p->fd = -1;
    p->resp = RESP2;
    return p;
}

void parcel_free(struct parcel *own_p)
{
    if (own_p == NULL)
        return;
    if (own_p->fd >= 0)
        close(own_p->fd);
    for (int i = 0; i < PARCEL_PARTS; i++)
        free(own_p->parts[i]);
    free(own_p);
}

char *parcel_take(struct parcel *p, enum parcel_part part)
{
    char *taken = p->parts[part];
    p->parts[part] = NULL;
    p->lens[part] = 0;
    return taken;
}

/* ---- as a row of bytes ---- */

size_t parcel_size(const struct parcel *p)
{
    size_t sum = 0;
    for (int i = 0; i < PARCEL_PARTS; i++)
        sum += p->lens[i];
    return sum;
}

struct slice parcel_at(const struct parcel *p, size_t at)
{
    for (int i = 0; i < PARCEL_PARTS; i++) {
        if (at < p->lens[i])
            return (struct slice){p->parts[i] + at, p->lens[i] - at};
        at -= p->lens[i];
    }
    return (struct slice){NULL, 0};
}

bool parcel_reserve(struct parcel *p, const uint64_t lens[PARCEL_PARTS])
{
    for (int i = 0; i < PARCEL_PARTS; i++) {
        if (lens[i] == 0)
            continue;
        p->parts[i] = lens[i] < SIZE_MAX / PARCEL_PARTS ? malloc((size_t)lens[i] + 1) : NULL;
        if (p->parts[i] == NULL)
            return false;
        p->parts[i][lens[i]] = '\0';
        p->lens[i] = (size_t)lens[i];
    }
    return true;
}

bool parcel_put(struct parcel *p, size_t at, struct slice bytes)
{
    struct slice room = parcel_at(p, at);
    if (bytes.len == 0 || bytes.len > room.len)
        return false;
    memcpy((char *)room.p, bytes.p, bytes.len);
    return true;
}

/* ---- queues ---- */

void parcel_queue_init(struct parcel_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
}

void parcel_push(struct parcel_queue *q, struct parcel *own_p)
{
    own_p->next = NULL;
    *q->tail = own_p;
    q->tail = &own_p->next;
}

struct parcel *parcel_pop(struct parcel_queue *q)
{
    struct parcel *p = q->head;
    if (p == NULL)
        return NULL;
    q->head = p->next;
    if (q->head == NULL)
        q->tail = &q->head;
    return p;
}

void parcel_append(struct parcel_queue *dst, struct parcel_queue *src)
{
    if (src->head == NULL)
        return;
    *dst->tail = src->head;
    dst->tail = src->tail;
    parcel_queue_init(src);
}
