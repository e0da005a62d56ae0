#include "tools/look.h"

#include "base/clock.h"
#include "tools/screen.h"

#include <time.h>
#include <unistd.h>

int run_status(struct options *o, const struct args *args)
{
    return ctl_show(o, "/api/v1/state", screen_status);
}

int run_health(struct options *o, const struct args *args)
{
    return ctl_show(o, "/healthz", screen_health);
}

/* ---- watch ---- */

struct watch {
    double every_s;
    double looks; /* 0: until interrupted */
};

static void draw(const struct options *o, const struct watch *w, const cJSON *state, const cJSON *before,
                 double seconds)
{
    char clock[16];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(clock, sizeof clock, "%H:%M:%S", &local);
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    printf("%-10s %s   %s   every %g s\n", "watch", clock, o->client.url, w->every_s);
    screen_watch(stdout, state, before, seconds);
}

/* Goes on while the proxy cannot be reached: that is when somebody watches. */
static int watch(const struct options *o, const struct watch *w)
{
    cJSON *before = NULL;
    int64_t before_us = 0;
    int code = EXIT_OK;

    for (double round = 0; !ctl_interrupted() && (w->looks == 0 || round < w->looks); round++) {
        if (round > 0)
            ctl_pause(w->every_s);
        if (ctl_interrupted())
            break;
        cJSON *state = ctl_document(o, "/api/v1/state", &code);
        if (state == NULL)
            continue;
        int64_t now_us = clock_mono_us();
        if (o->json)
            ctl_print(state);
        else
            draw(o, w, state, before, (double)(now_us - before_us) / 1e6);
        fflush(stdout);
        code = screen_flag(state, "healthy") ? EXIT_OK : EXIT_UNHEALTHY;
        cJSON_Delete(before);
        before = state;
        before_us = now_us;
    }
    cJSON_Delete(before);
    return ctl_interrupted() ? EXIT_OK : code;
}

int run_watch(struct options *o, const struct args *args)
{
    struct watch w = {.every_s = 1};

    if (!args_number(args, "every", 0.01, 86400, &w.every_s) || !args_number(args, "count", 1, 1e9, &w.looks))
        return EXIT_WRONG_USAGE;
    ctl_catch_interrupts();
    return watch(o, &w);
}
