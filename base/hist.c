#include "base/hist.h"

#include <stdbool.h>
#include <string.h>

#define SUB (1 << HIST_SUB_BITS)

/* Values below SUB have a bucket each. Above, the highest bit names the group of SUB buckets and the
 * HIST_SUB_BITS bits behind it name the bucket, so a bucket is at most 1/32 of its values wide. */
static int bucket_of(uint64_t us)
{
    if (us < SUB)
        return (int)us;
    int shift = 63 - __builtin_clzll(us) - HIST_SUB_BITS;
    int i = (shift << HIST_SUB_BITS) + (int)(us >> shift);
    return i < HIST_BUCKETS ? i : HIST_BUCKETS - 1;
}

static uint64_t bucket_low(int i)
{
    if (i < 2 * SUB)
        return (uint64_t)i;
    int shift = (i >> HIST_SUB_BITS) - 1;
    return (uint64_t)(SUB + (i & (SUB - 1))) << shift;
}

/* The first value of the next bucket. */
static uint64_t bucket_end(int i)
{
    return bucket_low(i + 1);
}

/* One thread records, so a load and a store are enough; a locked add would cost ten times as much. */
static void add64(_Atomic uint64_t *n, uint64_t by)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + by, memory_order_release);
}

static void add32(_Atomic uint32_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* The bucket before the sum; readers take the sum before the buckets. So a sum is never of more samples than
 * its count, and a mean is never above the largest sample. */
void hist_record(struct hist *h, int64_t us)
{
    uint64_t v = us < 1 ? 1 : (uint64_t)us;

    add32(&h->buckets[bucket_of(v)]);
    add64(&h->sum, v);
    add64(&h->count, 1);
}

/* Acquire loads: see slice_reset. The count is that of the buckets just read, not h->count, which may be of
 * another moment: a cumulative bucket must never exceed the total. */
static uint64_t read_buckets(const struct hist *h, uint64_t *buckets)
{
    uint64_t total = 0;

    for (int i = 0; i < HIST_BUCKETS; i++) {
        uint32_t n = atomic_load_explicit(&h->buckets[i], memory_order_acquire);
        buckets[i] += n;
        total += n;
    }
    return total;
}

void hist_add_to(const struct hist *h, struct hist_sum *sum)
{
    sum->sum += atomic_load_explicit(&h->sum, memory_order_acquire);
    sum->count += read_buckets(h, sum->buckets);
}

double hist_quantile(const struct hist_sum *sum, double q)
{
    double rank = q * (double)sum->count;
    uint64_t before = 0;
    int last = -1;

    for (int i = 0; i < HIST_BUCKETS; i++) {
        uint64_t n = sum->buckets[i];
        if (n == 0)
            continue;
        last = i;
        if ((double)(before + n) >= rank)
            break;
        before += n;
    }
    if (last < 0)
        return 0;
    /* The samples of a bucket count as spread evenly over its whole numbers. */
    double inside = (rank - (double)before) / (double)sum->buckets[last];
    inside = inside < 0 ? 0 : inside > 1 ? 1 : inside;
    double low = (double)bucket_low(last);
    return low + inside * ((double)bucket_end(last) - 1 - low);
}

uint64_t hist_count_le(const struct hist_sum *sum, int64_t us)
{
    uint64_t n = 0;

    for (int i = 0; i < HIST_BUCKETS && us >= 0 && bucket_end(i) <= (uint64_t)us + 1; i++)
        n += sum->buckets[i];
    return n;
}

void hist_window_init(struct hist_window *w, int64_t slice_us)
{
    memset(w, 0, sizeof *w);
    w->slice_us = slice_us > 0 ? slice_us : 1;
    for (int i = 0; i < HIST_SLICES; i++)
        atomic_store_explicit(&w->slice_no[i], -1, memory_order_relaxed);
}

/* Order of stores: no number, cleared counts, the new number. A reader loads them the other way round
 * (number, counts, number again) with acquire; when it met one cleared or newer count, its second look cannot
 * find the old number. */
static void slice_reset(struct hist_window *w, int at, int64_t no)
{
    struct hist *h = &w->slices[at];

    atomic_store_explicit(&w->slice_no[at], -1, memory_order_relaxed);
    atomic_store_explicit(&h->count, 0, memory_order_release);
    atomic_store_explicit(&h->sum, 0, memory_order_release);
    for (int i = 0; i < HIST_BUCKETS; i++)
        atomic_store_explicit(&h->buckets[i], 0, memory_order_release);
    atomic_store_explicit(&w->slice_no[at], no, memory_order_release);
}

/* Makes the slice of now_us the present one. False: now_us is from before the whole window. */
static bool slice_begin(struct hist_window *w, int64_t now_us)
{
    int64_t no = (now_us < 0 ? 0 : now_us) / w->slice_us;
    int at = (int)(no % HIST_SLICES);
    int64_t held = atomic_load_explicit(&w->slice_no[at], memory_order_relaxed);

    if (held > no)
        return false;
    if (held != no)
        slice_reset(w, at, no);
    w->now = at;
    w->from_us = no * w->slice_us;
    w->until_us = w->from_us + w->slice_us;
    return true;
}

void hist_window_record(struct hist_window *w, int64_t us, int64_t now_us)
{
    bool same = w->from_us <= now_us && now_us < w->until_us; /* else a division for each sample */

    if (same || slice_begin(w, now_us))
        hist_record(&w->slices[w->now], us);
}

/* Adds a slice unless the recorder began to reuse it meanwhile. */
static void add_slice(const struct hist_window *w, int at, int64_t no, struct hist_sum *sum)
{
    struct hist_sum one = {0};

    hist_add_to(&w->slices[at], &one);
    if (atomic_load_explicit(&w->slice_no[at], memory_order_relaxed) != no)
        return;
    sum->count += one.count;
    sum->sum += one.sum;
    for (int i = 0; i < HIST_BUCKETS; i++)
        sum->buckets[i] += one.buckets[i];
}

void hist_window_add_to(const struct hist_window *w, int64_t now_us, struct hist_sum *sum)
{
    int64_t now_no = (now_us < 0 ? 0 : now_us) / w->slice_us;

    for (int at = 0; at < HIST_SLICES; at++) {
        int64_t no = atomic_load_explicit(&w->slice_no[at], memory_order_acquire);
        if (no >= 0 && no > now_no - HIST_SLICES)
            add_slice(w, at, no, sum);
    }
}
