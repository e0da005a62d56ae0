/* frozen_clock — for redis-server and convproxy, by LD_PRELOAD: the wall clock is a number in a file, so that a test sets what
 * time it is.
 * The file named by CONV_CLOCK_FILE holds µs since 1970 as an int64_t of this machine, mapped and looked at by each call.
 * The monotonic clocks run on: timers and time-outs are none of the test's business. With CONV_CLOCK_SPARES=gettimeofday that
 * function is the real one, because libmongoc counts its time-outs by it (convproxy itself never asks it). */
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

static _Atomic int64_t *shown;
static bool spares_gettimeofday;

__attribute__((constructor)) static void map_file(void)
{
    const char *path = getenv("CONV_CLOCK_FILE");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *at = fd >= 0 ? mmap(NULL, sizeof *shown, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

    if (fd >= 0)
        close(fd);
    if (at == MAP_FAILED)
        abort(); /* with the real clock the test would seem to work */
    shown = at;
    const char *spared = getenv("CONV_CLOCK_SPARES");
    spares_gettimeofday = spared != NULL && strcmp(spared, "gettimeofday") == 0;
}

static int64_t now_us(void)
{
    return shown != NULL ? atomic_load(shown) : 0;
}

/* libc declares tv as never NULL, and nothing else is of use to Redis. */
int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    if (spares_gettimeofday)
        return (int)syscall(SYS_gettimeofday, tv, tz);
    int64_t us = now_us();

    tv->tv_sec = us / 1000000;
    tv->tv_usec = us % 1000000;
    return 0;
}

time_t time(time_t *ret)
{
    time_t seconds = now_us() / 1000000;

    if (ret != NULL)
        *ret = seconds;
    return seconds;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
    if (id != CLOCK_REALTIME && id != CLOCK_REALTIME_COARSE)
        return (int)syscall(SYS_clock_gettime, id, ts);
    int64_t us = now_us();
    ts->tv_sec = us / 1000000;
    ts->tv_nsec = us % 1000000 * 1000;
    return 0;
}
