/* base/clock — the process's clocks, each named for what it may be used for.
 * Threads: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Monotonic µs, for latencies and deadlines; stops in suspend. */
int64_t clock_mono_us(void);
/* µs since 1970 of the wall clock, for logs and absolute expiry. */
int64_t clock_wall_us(void);

/* Monotonic µs that go on in suspend: for leases, which other hosts rely on (H16). */
int64_t clock_boot_us(void);

/* For waits with an end: a condition that goes by the monotonic clock, so that nobody who sets the wall clock makes them longer, and the
 * moment so many µs from now, for pthread_cond_timedwait on it. */
void clock_cond_init(pthread_cond_t *cond);
struct timespec clock_after_us(int64_t us);

/* A moment of the wall clock in UTC, as text: "2026-11-22T01:02:03Z", the same with ms "2026-11-22T01:02:03.004Z", and for names of
 * files "20261122-010203". */
#define CLOCK_TEXT 32
void clock_text(int64_t wall_us, char text[CLOCK_TEXT]);
void clock_text_ms(int64_t wall_us, char text[CLOCK_TEXT]);
void clock_stamp(int64_t wall_us, char text[CLOCK_TEXT]);

#endif
