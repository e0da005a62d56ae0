#include "base/hashed.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SIZE 16

static pthread_once_t seeded = PTHREAD_ONCE_INIT;
static uint64_t seed[2];

static void make_seed(void)
{
    if (getrandom(seed, sizeof seed, 0) != sizeof seed)
        abort();
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    return fold(h ^ word ^ seed[0], 0x9e3779b97f4a7c15u ^ seed[1]);
}

uint64_t hashed_name(struct slice name, uint64_t kind)
{
    uint64_t h = kind, word;
    size_t at = 0;

    pthread_once(&seeded, make_seed);
    for (; name.len - at >= sizeof word; at += sizeof word) {
        memcpy(&word, name.p + at, sizeof word);
        h = mix(h, word);
    }
    word = 0;
    if (name.len > at)
        memcpy(&word, name.p + at, name.len - at);
    return mix(mix(h, word), name.len);
}

uint64_t hashed_pair(const void *a, const void *b)
{
    pthread_once(&seeded, make_seed);
    return mix(mix(0, (uint64_t)(uintptr_t)a), (uint64_t)(uintptr_t)b);
}

static struct hashed_node *first_of(struct hashed_node *node, uint64_t hash)
{
    while (node != NULL && node->hash != hash)
        node = node->next;
    return node;
}

static struct hashed_node **cell(const struct hashed *h, uint64_t hash)
{
    return &h->cells[hash & (h->size - 1)];
}

struct hashed_node *hashed_find(const struct hashed *h, uint64_t hash)
{
    return h->size > 0 ? first_of(*cell(h, hash), hash) : NULL;
}

struct hashed_node *hashed_again(const struct hashed_node *node)
{
    return first_of(node->next, node->hash);
}

static void push(struct hashed *h, struct hashed_node *node)
{
    struct hashed_node **at = cell(h, node->hash);
    node->next = *at;
    *at = node;
}

static void resize(struct hashed *h, size_t size)
{
    struct hashed old = *h;

    h->size = size;
    h->cells = calloc(size, sizeof(struct hashed_node *));
    if (h->cells == NULL)
        abort();
    for (size_t i = 0; i < old.size; i++)
        for (struct hashed_node *node = old.cells[i], *next; node != NULL; node = next) {
            next = node->next;
            push(h, node);
        }
    free(old.cells);
}

void hashed_add(struct hashed *h, struct hashed_node *node, uint64_t hash)
{
    if (h->count >= h->size)
        resize(h, h->size == 0 ? FIRST_SIZE : 2 * h->size);
    node->hash = hash;
    push(h, node);
    h->count++;
}

void hashed_remove(struct hashed *h, struct hashed_node *node)
{
    struct hashed_node **at = cell(h, node->hash);

    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    if (--h->count > 0)
        return;
    free(h->cells);
    *h = (struct hashed){0};
}

void hashed_each(const struct hashed *h, void (*fn)(void *ctx, struct hashed_node *node), void *ctx)
{
    /* The last removal takes the cells with it. */
    for (size_t i = 0; i < h->size; i++)
        for (struct hashed_node *node = h->cells[i], *next; node != NULL; node = next) {
            next = node->next;
            fn(ctx, node);
        }
}
