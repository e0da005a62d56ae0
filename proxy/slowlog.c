#include "proxy/slowlog.h"

#include "base/clock.h"
#include "proxy/slot.h"
#include "resp/build.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    struct entry *next; /* older */
    int64_t id, at_s, us;
    uint32_t argc;
    uint16_t preview_len;
    char preview[SLOT_PREVIEW];
    char addr[64];
    char name[64];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *newest;
static int64_t count, next_id;

static void drop_beyond(int64_t keep)
{
    struct entry **p = &newest;
    for (int64_t i = 0; i < keep && *p != NULL; i++)
        p = &(*p)->next;
    while (*p != NULL) {
        struct entry *e = *p;
        *p = e->next;
        free(e);
        count--;
    }
}

void slowlog_add(const struct slot *slot, int64_t us)
{
    int64_t keep = slot->loop->settings->slowlog_len;
    struct entry *e = keep > 0 ? calloc(1, sizeof *e) : NULL;

    if (e == NULL)
        return;
    e->at_s = clock_wall_us() / 1000000;
    e->us = us;
    e->argc = slot->argc;
    e->preview_len = slot->preview_len;
    memcpy(e->preview, slot->preview, slot->preview_len);
    snprintf(e->addr, sizeof e->addr, "%s", slot->session->addr);
    snprintf(e->name, sizeof e->name, "%s", slot->session->name != NULL ? slot->session->name : "");
    pthread_mutex_lock(&lock);
    e->id = next_id++;
    e->next = newest;
    newest = e;
    count++;
    drop_beyond(keep);
    pthread_mutex_unlock(&lock);
}

/* The arguments that were kept, and how many more there were. */
static void build_args(struct chain *out, const struct entry *e)
{
    uint32_t kept = 0;
    char more[48];

    for (uint16_t at = 0; at < e->preview_len; at += (uint16_t)(1 + (unsigned char)e->preview[at]))
        kept++;
    build_array(out, kept + (e->argc > kept));
    for (uint16_t at = 0; at < e->preview_len; at += (uint16_t)(1 + (unsigned char)e->preview[at]))
        build_bulk(out, e->preview + at + 1, (unsigned char)e->preview[at]);
    if (e->argc > kept) {
        snprintf(more, sizeof more, "... (%u more arguments)", e->argc - kept);
        build_text(out, more);
    }
}

void slowlog_get(struct chain *out, int64_t want)
{
    pthread_mutex_lock(&lock);
    int64_t n = want < 0 || want > count ? count : want;
    const struct entry *e = newest;
    build_array(out, (size_t)n);
    for (int64_t i = 0; i < n; i++, e = e->next) {
        build_array(out, 6);
        build_int(out, e->id);
        build_int(out, e->at_s);
        build_int(out, e->us);
        build_args(out, e);
        build_text(out, e->addr);
        build_text(out, e->name);
    }
    pthread_mutex_unlock(&lock);
}

int64_t slowlog_len(void)
{
    pthread_mutex_lock(&lock);
    int64_t n = count;
    pthread_mutex_unlock(&lock);
    return n;
}

void slowlog_reset(void)
{
    pthread_mutex_lock(&lock);
    drop_beyond(0);
    pthread_mutex_unlock(&lock);
}
