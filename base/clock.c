#include "base/clock.h"

#include <stdio.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_wall_us(void)
{
    return read_us(CLOCK_REALTIME);
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t mono;

    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &mono);
    pthread_condattr_destroy(&mono);
}

struct timespec clock_after_us(int64_t us)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + us % 1000000 * 1000;
    until.tv_sec += us / 1000000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    return until;
}

static size_t put(int64_t wall_us, const char *format, char text[CLOCK_TEXT])
{
    time_t s = (time_t)(wall_us / 1000000);
    struct tm utc;

    gmtime_r(&s, &utc);
    return strftime(text, CLOCK_TEXT, format, &utc);
}

void clock_text(int64_t wall_us, char text[CLOCK_TEXT])
{
    put(wall_us, "%Y-%m-%dT%H:%M:%SZ", text);
}

void clock_text_ms(int64_t wall_us, char text[CLOCK_TEXT])
{
    size_t n = put(wall_us, "%Y-%m-%dT%H:%M:%S", text);
    snprintf(text + n, CLOCK_TEXT - n, ".%03dZ", (int)(wall_us / 1000 % 1000));
}

void clock_stamp(int64_t wall_us, char text[CLOCK_TEXT])
{
    put(wall_us, "%Y%m%d-%H%M%S", text);
}
