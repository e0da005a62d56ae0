/* base/hist — latency histograms: log-linear buckets (relative error < 3.2 %), and a sliding window of them.
 * Invariants: one thread records; any thread may read (relaxed atomics: a reader may miss the newest samples,
 *             never sees a torn count).
 * Units:      µs, 1 .. ~68 s; smaller counts as 1, larger as the last bucket. */
#ifndef BASE_HIST_H
#define BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

/* 32 linear steps per power of two, powers 2^5 .. 2^36. */
#define HIST_SUB_BITS 5
#define HIST_BUCKETS  (32 * 32)

struct hist {
    _Atomic uint64_t count;
    _Atomic uint64_t sum; /* of values, µs */
    _Atomic uint32_t buckets[HIST_BUCKETS];
};

/* A sliding window: HIST_SLICES slices of slice_us each; the newest slice is being written. */
#define HIST_SLICES 6
struct hist_window {
    int64_t slice_us;
    int64_t from_us, until_us; /* the recorder's own: the slice of its last sample lasts so long, */
    int now;                   /* and is here */
    _Atomic int64_t slice_no[HIST_SLICES]; /* which slice of time each holds */
    struct hist slices[HIST_SLICES];
};

/* Plain counts for reading: merged from as many hists as one likes. */
struct hist_sum {
    uint64_t count;
    uint64_t sum;
    uint64_t buckets[HIST_BUCKETS];
};

void hist_record(struct hist *h, int64_t us);
void hist_add_to(const struct hist *h, struct hist_sum *sum);
/* The value (µs) below which the fraction q (0..1) of the samples lie; 0 when there are none. */
double hist_quantile(const struct hist_sum *sum, double q);
/* How many samples are <= us: for Prometheus' cumulative buckets. Exact to one bucket. */
uint64_t hist_count_le(const struct hist_sum *sum, int64_t us);

void hist_window_init(struct hist_window *w, int64_t slice_us);
/* now_us: clock_mono_us of the sample. */
void hist_window_record(struct hist_window *w, int64_t us, int64_t now_us);
/* Adds the slices that are not older than HIST_SLICES * slice_us at now_us. */
void hist_window_add_to(const struct hist_window *w, int64_t now_us, struct hist_sum *sum);

#endif
