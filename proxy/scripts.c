#include "proxy/scripts.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS  4096 /* a power of 2 */
#define OVERHEAD 128  /* bytes that an entry counts beside its script */

struct entry {
    struct entry *by_sha, *by_body; /* the next one in its bucket */
    struct entry *newer, *older;
    uint64_t hash; /* of the body: a script that is seen again need not be digested */
    char sha[SHA1_HEX + 1];
    size_t len;
    char body[];
};

struct scripts {
    pthread_mutex_t lock;
    struct entry *by_sha[BUCKETS], *by_body[BUCKETS];
    struct entry *newest, *oldest;
    size_t count, bytes, max_bytes;
    _Atomic uint64_t serial;
};

struct scripts *scripts_new(size_t max_bytes)
{
    struct scripts *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    s->max_bytes = max_bytes;
    return s;
}

/* ---- places ---- */

static uint64_t hash_of(struct slice body)
{
    uint64_t h = body.len * 0x9e3779b97f4a7c15u, word;

    for (size_t at = 0; at < body.len; at += sizeof word) {
        size_t n = body.len - at < sizeof word ? body.len - at : sizeof word;
        word = 0;
        memcpy(&word, body.p + at, n);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

/* SHA-1s are hex digits, but whatever a client sends is looked for. */
static uint64_t hash_of_sha(const char *sha)
{
    uint64_t h = 0;
    for (int i = 0; i < 16; i++)
        h = h * 31 + (unsigned char)sha[i];
    return h ^ h >> 20;
}

static struct entry **sha_bucket(struct scripts *s, const char *sha)
{
    return &s->by_sha[hash_of_sha(sha) % BUCKETS];
}

static struct entry *find_sha(struct scripts *s, struct slice sha)
{
    char lower[SHA1_HEX];

    if (sha.len != SHA1_HEX)
        return NULL;
    for (size_t i = 0; i < SHA1_HEX; i++)
        lower[i] = (char)(sha.p[i] >= 'A' && sha.p[i] <= 'Z' ? sha.p[i] + 32 : sha.p[i]);
    struct entry *e = *sha_bucket(s, lower);
    while (e != NULL && memcmp(e->sha, lower, SHA1_HEX) != 0)
        e = e->by_sha;
    return e;
}

static struct entry *find_body(struct scripts *s, struct slice body, uint64_t hash)
{
    struct entry *e = s->by_body[hash % BUCKETS];

    while (e != NULL &&
           (e->hash != hash || e->len != body.len || (body.len > 0 && memcmp(e->body, body.p, body.len) != 0)))
        e = e->by_body;
    return e;
}

static void unlink_age(struct scripts *s, struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
}

static void link_newest(struct scripts *s, struct entry *e)
{
    e->newer = NULL;
    e->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static void used(struct scripts *s, struct entry *e)
{
    if (s->newest == e)
        return;
    unlink_age(s, e);
    link_newest(s, e);
}

static void forget_oldest(struct scripts *s)
{
    struct entry *e = s->oldest, **at = sha_bucket(s, e->sha);

    while (*at != e)
        at = &(*at)->by_sha;
    *at = e->by_sha;
    at = &s->by_body[e->hash % BUCKETS];
    while (*at != e)
        at = &(*at)->by_body;
    *at = e->by_body;
    unlink_age(s, e);
    s->count--;
    s->bytes -= e->len + OVERHEAD;
    free(e);
}

void scripts_free(struct scripts *own_s)
{
    if (own_s == NULL)
        return;
    while (own_s->oldest != NULL)
        forget_oldest(own_s);
    pthread_mutex_destroy(&own_s->lock);
    free(own_s);
}

/* ---- what is asked ---- */

/* The lock is held. */
static void add(struct scripts *s, struct slice body, uint64_t hash, const char *sha)
{
    struct entry *e = malloc(sizeof *e + body.len);
    if (e == NULL)
        abort();
    *e = (struct entry){.hash = hash, .len = body.len};
    memcpy(e->sha, sha, sizeof e->sha);
    if (body.len > 0)
        memcpy(e->body, body.p, body.len);
    struct entry **at = sha_bucket(s, sha);
    e->by_sha = *at;
    *at = e;
    at = &s->by_body[hash % BUCKETS];
    e->by_body = *at;
    *at = e;
    link_newest(s, e);
    s->count++;
    s->bytes += body.len + OVERHEAD;
    while (s->bytes > s->max_bytes)
        forget_oldest(s);
}

/* False: it was not seen before. */
static bool see_again(struct scripts *s, struct slice body, uint64_t hash, char *ret_sha)
{
    pthread_mutex_lock(&s->lock);
    struct entry *e = find_body(s, body, hash);
    if (e != NULL)
        used(s, e);
    if (e != NULL && ret_sha != NULL)
        memcpy(ret_sha, e->sha, SHA1_HEX + 1);
    pthread_mutex_unlock(&s->lock);
    return e != NULL;
}

void scripts_see(struct scripts *s, struct slice body, char ret_sha[SHA1_HEX + 1])
{
    uint64_t hash = hash_of(body);
    char sha[SHA1_HEX + 1];

    if (see_again(s, body, hash, ret_sha))
        return;
    sha1_hex(body, sha);
    pthread_mutex_lock(&s->lock);
    if (body.len + OVERHEAD <= s->max_bytes && find_sha(s, (struct slice){sha, SHA1_HEX}) == NULL)
        add(s, body, hash, sha);
    pthread_mutex_unlock(&s->lock);
    if (ret_sha != NULL)
        memcpy(ret_sha, sha, sizeof sha);
}

struct slice scripts_find(struct scripts *s, struct slice sha, char *(*get)(void *ctx, size_t n), void *ctx)
{
    struct slice body = {NULL, 0};

    pthread_mutex_lock(&s->lock);
    struct entry *e = find_sha(s, sha);
    if (e != NULL) {
        char *copy = get(ctx, e->len + 1);
        memcpy(copy, e->body, e->len);
        body = (struct slice){copy, e->len};
        used(s, e);
    }
    pthread_mutex_unlock(&s->lock);
    return body;
}

bool scripts_has(struct scripts *s, struct slice sha)
{
    pthread_mutex_lock(&s->lock);
    bool has = find_sha(s, sha) != NULL;
    pthread_mutex_unlock(&s->lock);
    return has;
}

void scripts_flush(struct scripts *s)
{
    pthread_mutex_lock(&s->lock);
    while (s->oldest != NULL)
        forget_oldest(s);
    s->serial++;
    pthread_mutex_unlock(&s->lock);
}

uint64_t scripts_serial(const struct scripts *s)
{
    return s->serial;
}

void scripts_report(struct scripts *s, struct scripts_report *ret)
{
    pthread_mutex_lock(&s->lock);
    *ret = (struct scripts_report){s->count, s->bytes};
    pthread_mutex_unlock(&s->lock);
}
