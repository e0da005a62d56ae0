#include "proxy/headcount.h"

#include "base/hashed.h"
#include "engine/pattern.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct head {
    struct hashed_node node; /* first */
    int64_t clients, missing;
    enum topic_kind kind;
    struct slice name; /* behind it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hashed heads[TOPIC_KINDS];
static _Atomic uint64_t differing; /* heads that miss something */

static struct head *find(enum topic_kind kind, struct slice name)
{
    struct hashed_node *node = hashed_find(&heads[kind], hashed_name(name, kind));

    for (; node != NULL; node = hashed_again(node)) {
        struct head *h = (struct head *)node;
        if (h->name.len == name.len && memcmp(h->name.p, name.p, name.len) == 0)
            return h;
    }
    return NULL;
}

static struct head *make(enum topic_kind kind, struct slice name)
{
    struct head *h = calloc(1, sizeof *h + name.len + 1);

    if (h == NULL)
        abort();
    h->kind = kind;
    h->name = (struct slice){(char *)(h + 1), name.len};
    memcpy(h + 1, name.p, name.len);
    hashed_add(&heads[kind], &h->node, hashed_name(name, kind));
    return h;
}

void headcount_add(enum topic_kind kind, struct slice name, int64_t clients, int64_t missing)
{
    pthread_mutex_lock(&lock);
    struct head *h = find(kind, name);
    if (h == NULL)
        h = make(kind, name);
    uint64_t before = h->missing != 0;
    h->clients += clients;
    h->missing += missing;
    atomic_fetch_add(&differing, (uint64_t)(h->missing != 0) - before);
    if (h->clients == 0 && h->missing == 0) {
        hashed_remove(&heads[kind], &h->node);
        free(h);
    }
    pthread_mutex_unlock(&lock);
}

bool headcount_differs(void)
{
    return atomic_load_explicit(&differing, memory_order_relaxed) != 0;
}

static int64_t missing_of(const struct head *h)
{
    return h != NULL ? h->missing : 0;
}

int64_t headcount_missing(enum topic_kind kind, struct slice name)
{
    pthread_mutex_lock(&lock);
    int64_t n = missing_of(find(kind, name));
    pthread_mutex_unlock(&lock);
    return n;
}

struct match {
    struct slice channel;
    int64_t sum;
};

static void add_pattern(void *ctx, struct hashed_node *node)
{
    struct match *m = ctx;
    const struct head *h = (struct head *)node;

    if (h->missing != 0 && pattern_match(h->name, m->channel))
        m->sum += h->missing;
}

int64_t headcount_missing_of(struct slice channel)
{
    struct match m = {.channel = channel};

    pthread_mutex_lock(&lock);
    m.sum = missing_of(find(TOPIC_CHANNEL, channel));
    hashed_each(&heads[TOPIC_PATTERN], add_pattern, &m);
    pthread_mutex_unlock(&lock);
    return m.sum;
}

uint64_t headcount_names(enum topic_kind kind)
{
    pthread_mutex_lock(&lock);
    uint64_t n = heads[kind].count;
    pthread_mutex_unlock(&lock);
    return n;
}
