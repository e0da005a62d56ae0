#include "proxy/slowlog.h"

#include "base/clock.h"
#include "proxy/redact.h"
#include "proxy/slot.h"
#include "resp/build.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    int64_t id, at_s, us;
    uint32_t argc;
    uint16_t preview_len;
    char preview[SLOT_PREVIEW];
    char addr[sizeof((struct session *)0)->addr];
    char name[64];
};

/* A ring, so that an overload, in which every command is slow, costs no memory management. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct entry *ring;
static int64_t cap, count, next_id; /* entry id stands at id % cap; the newest is next_id - 1 */

/* Makes room for keep entries; the newest stay. */
static void resize(int64_t keep)
{
    struct entry *fresh = keep > 0 ? calloc((size_t)keep, sizeof *fresh) : NULL;

    if (count > keep || fresh == NULL)
        count = fresh == NULL ? 0 : keep;
    for (int64_t id = next_id - count; id < next_id; id++)
        fresh[id % keep] = ring[id % cap];
    free(ring);
    ring = fresh;
    cap = fresh == NULL ? 0 : keep;
}

/* Secrets give way to a word. What then has no room any more is left out. */
static void keep_preview(struct entry *e, const struct slot *slot)
{
    struct slice argv[SLOT_PREVIEW];
    size_t argc = 0;

    for (uint16_t at = 0; at < slot->preview_len; at += (uint16_t)(1 + argv[argc++].len))
        argv[argc] = (struct slice){slot->preview + at + 1, (unsigned char)slot->preview[at]};
    e->preview_len = 0;
    for (size_t i = 0; i < argc; i++) {
        bool hidden = redact_hides(command_at(slot->command), argv, argc, i);
        struct slice shown = hidden ? (struct slice){REDACTED, sizeof REDACTED - 1} : argv[i];
        if (e->preview_len + 1 + shown.len > sizeof e->preview)
            break;
        e->preview[e->preview_len] = (char)shown.len;
        memcpy(e->preview + e->preview_len + 1, shown.p, shown.len);
        e->preview_len += (uint16_t)(1 + shown.len);
    }
}

static void fill(struct entry *e, const struct slot *slot, int64_t us)
{
    const struct session *s = slot->session;
    e->id = next_id;
    e->at_s = clock_wall_us() / 1000000;
    e->us = us;
    e->argc = slot->argc;
    keep_preview(e, slot);
    memcpy(e->addr, s->addr, sizeof e->addr);
    e->name[0] = '\0';
    if (s->name != NULL)
        strncat(e->name, s->name, sizeof e->name - 1);
}

void slowlog_add(const struct slot *slot, int64_t us)
{
    int64_t keep = slot->loop->settings->slowlog_len;

    pthread_mutex_lock(&lock);
    if (keep != cap)
        resize(keep);
    if (cap > 0) {
        fill(&ring[next_id % cap], slot, us);
        next_id++;
        count += count < cap;
    }
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
    build_array(out, (size_t)n);
    for (int64_t i = 0; i < n; i++) {
        const struct entry *e = &ring[(next_id - 1 - i) % cap];
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
    count = 0;
    pthread_mutex_unlock(&lock);
}
