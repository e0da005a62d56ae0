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

#endif
