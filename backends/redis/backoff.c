#include "backends/redis/backoff.h"

#include <pthread.h>
#include <stdlib.h>

static uint32_t next_random(void)
{
    static _Thread_local uint32_t state;
    if (state == 0)
        state = (uint32_t)(uintptr_t)&state ^ 0x9e3779b9u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

int64_t backoff_pause_us(const struct backoff *b, int64_t min_ms, int64_t max_ms)
{
    if (b->failures == 0)
        return 0;
    unsigned doublings = b->failures - 1 < 16 ? b->failures - 1 : 16;
    int64_t pause = (min_ms * 1000) << doublings;
    if (pause > max_ms * 1000)
        pause = max_ms * 1000;
    return pause * 3 / 4 + pause / 2 * (next_random() % 1024) / 1024;
}

#define BUCKET_US 1000000 /* the bucket holds a second's worth */

/* Kept as time, of which an attempt costs 1/rate: so nothing is lost between calls, however close they are. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int64_t saved_us = BUCKET_US;
static int64_t filled_us;

bool connect_budget_take(int64_t now_us, int64_t rate)
{
    int64_t cost = BUCKET_US / rate;
    bool ok = false;

    pthread_mutex_lock(&lock);
    if (now_us > filled_us) {
        int64_t gone = now_us - filled_us;
        saved_us = gone < BUCKET_US - saved_us ? saved_us + gone : BUCKET_US;
        filled_us = now_us;
    }
    if (saved_us >= cost) {
        saved_us -= cost;
        ok = true;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}
