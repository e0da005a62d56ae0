/* shifted_clock — for redis-server and convproxy, by LD_PRELOAD: the wall clock is the machine's and as much more as a file says,
 * so that it can jump while they run.
 * The file named by CHAOS_CLOCK_FILE holds µs as an int64_t of this machine, mapped and looked at by each call. The monotonic
 * clocks are the machine's: timers go on. With CHAOS_CLOCK_SPARES=gettimeofday that function is the real one, because
 * libmongoc counts its time-outs by it. */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MILLION 1000000

static _Atomic int64_t *shift;
static bool spares_gettimeofday;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("CHAOS_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (at == MAP_FAILED)
        abort(); /* a clock that never jumps would pass every test */
    shift = at;
    const char *spared = getenv("CHAOS_CLOCK_SPARES");
    spares_gettimeofday = spared != NULL && strcmp(spared, "gettimeofday") == 0;
}

static int64_t now_us(void)
{
    struct timeval real;

    syscall(SYS_gettimeofday, &real, NULL);
    return (int64_t)real.tv_sec * MILLION + real.tv_usec + (shift != NULL ? atomic_load(shift) : 0);
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    if (spares_gettimeofday)
        return (int)syscall(SYS_gettimeofday, tv, tz);
    int64_t us = now_us();

    tv->tv_sec = us / MILLION;
    tv->tv_usec = us % MILLION;
    return 0;
}

time_t time(time_t *ret)
{
    time_t seconds = now_us() / MILLION;

    if (ret != NULL)
        *ret = seconds;
    return seconds;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, id, ts);
    int64_t us = now_us();
    ts->tv_sec = us / MILLION;
    ts->tv_nsec = us % MILLION * 1000;
    return 0;
}
