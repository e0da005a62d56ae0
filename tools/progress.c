#include "tools/progress.h"

#include "base/clock.h"
#include "tools/paint.h"

#include <inttypes.h>
#include <unistd.h>

#define BAR_US  200000
#define LINE_US 2000000

void progress_begin(struct progress *p, const struct options *o, const char *what, int64_t total, double rate)
{
    *p = (struct progress){.options = o, .what = what, .total = total, .rate = rate};
    p->began_us = p->drawn_us = clock_mono_us();
    ctl_catch_interrupts();
}

static double keys_a_second(const struct progress *p, double seconds)
{
    return seconds > 0 ? (double)(p->keys - p->keys_before) / seconds : 0;
}

/* -1: not known. */
static double seconds_left(const struct progress *p, double seconds)
{
    double pace = keys_a_second(p, seconds);
    return p->total >= (int64_t)p->keys && pace > 0 ? (double)(p->total - (int64_t)p->keys) / pace : -1;
}

static void draw_json(const struct progress *p, double seconds)
{
    fprintf(stderr, "{\"work\":\"%s\",\"keys\":%" PRIu64 ",\"of\":%" PRId64 ",\"bytes\":%" PRIu64 ",\"keys_per_second\":%.0f,\"eta_seconds\":%.0f}\n",
            p->what, p->keys, p->total, p->bytes, keys_a_second(p, seconds), seconds_left(p, seconds));
}

static void draw_text(const struct progress *p, double seconds, bool bar)
{
    double left = seconds_left(p, seconds), part = p->total > 0 ? (double)p->keys / (double)p->total : 0;

    fprintf(stderr, "%s%s ", bar ? "\r\033[K" : "", p->what);
    if (bar && p->total > 0) {
        part = part > 1 ? 1 : part;
        putc('[', stderr);
        paint_bar(stderr, part);
        fprintf(stderr, "%*s] ", BAR_WIDTH - (int)(part * BAR_WIDTH + 0.5), "");
    }
    fprintf(stderr, "%s", paint_count((double)p->keys));
    if (p->total >= (int64_t)p->keys)
        fprintf(stderr, " of %s", paint_count((double)p->total));
    fprintf(stderr, " keys, %s   %s keys/s, %s/s", paint_bytes((double)p->bytes), paint_count(keys_a_second(p, seconds)),
            paint_bytes(seconds > 0 ? (double)p->bytes / seconds : 0));
    if (left >= 0)
        fprintf(stderr, "   %s left", paint_duration(left));
    fputs(bar ? "" : "\n", stderr);
}

static void draw(struct progress *p, int64_t now)
{
    double seconds = (double)(now - p->began_us) / 1e6;

    p->drawn_us = now;
    if (p->options->json)
        draw_json(p, seconds);
    else
        draw_text(p, seconds, isatty(STDERR_FILENO));
    fflush(stderr);
}

bool progress_step(struct progress *p, uint64_t keys, uint64_t bytes)
{
    int64_t now = clock_mono_us();
    bool bar = isatty(STDERR_FILENO) && !p->options->json;

    p->keys = keys;
    p->bytes = bytes;
    if (!p->options->quiet && now - p->drawn_us >= (bar ? BAR_US : LINE_US))
        draw(p, now);
    double ahead = p->rate > 0 ? (double)(keys - p->keys_before) / p->rate - (double)(now - p->began_us) / 1e6 : 0;
    if (ahead > 0)
        ctl_pause(ahead);
    return !ctl_interrupted();
}

void progress_end(struct progress *p)
{
    if (p->options->quiet || !isatty(STDERR_FILENO) || p->options->json)
        return;
    draw(p, clock_mono_us());
    putc('\n', stderr);
}
