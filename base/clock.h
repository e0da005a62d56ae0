/* base/clock — the process's clocks, each named for what it may be used for.
 * Threads: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Monotonic µs, for latencies and deadlines; stops in suspend. */
int64_t clock_mono_us(void);
/* µs since 1970 of the wall clock, for logs and absolute expiry. */
int64_t clock_wall_us(void);

/* Monotonic µs that go on in suspend: for leases, which other hosts rely on (H16). */
int64_t clock_boot_us(void);

/* A moment of the wall clock in UTC, as text: "2026-11-22T01:02:03Z", the same with ms "2026-11-22T01:02:03.004Z", and for names of
 * files "20261122-010203". */
#define CLOCK_TEXT 32
void clock_text(int64_t wall_us, char text[CLOCK_TEXT]);
void clock_text_ms(int64_t wall_us, char text[CLOCK_TEXT]);
void clock_stamp(int64_t wall_us, char text[CLOCK_TEXT]);

#endif
