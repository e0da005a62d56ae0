#include "proxy/debug.h"

#include "proxy/internal.h"
#include "router/policy.h"

#include <stdio.h>
#include <string.h>

static bool always(const struct session *s, const struct job *job)
{
    return true;
}

static bool where_guarded(const struct session *s, const struct job *job)
{
    return s->loop->acting.guarded;
}

static bool pushes(const struct session *s, const struct job *job)
{
    return job->argc > 2 && slice_is(job->argv[2], "push");
}

/* Names are PREFIX:0, PREFIX:1 …; without a prefix "key:0". */
static bool makes_managed(const struct session *s, const struct job *job)
{
    char name[256];
    struct slice prefix = job->argc > 3 ? job->argv[3] : (struct slice){"key", 3};
    int n = snprintf(name, sizeof name, "%.*s:0", (int)(prefix.len < 200 ? prefix.len : 200), prefix.p);

    return policy_find(s->loop->policies, (struct slice){name, (size_t)n}) != NULL;
}

#define ENDS   "would end a Redis that others use"
#define BEHIND "would change managed keys without their versions"

static const struct {
    const char *name;
    bool (*applies)(const struct session *s, const struct job *job);
    const char *shown; /* in docs */
    const char *why;
} rows[] = {
    {"assert", always, "ASSERT", ENDS},
    {"crash-and-recover", always, "CRASH-AND-RECOVER", ENDS},
    {"loadaof", where_guarded, "LOADAOF, while managed keys are guarded", BEHIND},
    {"oom", always, "OOM", ENDS},
    {"panic", always, "PANIC", ENDS},
    {"populate", makes_managed, "POPULATE of managed keys", BEHIND},
    {"protocol", pushes, "PROTOCOL PUSH",
     "would send what belongs to no reply to whoever shares the connection"},
    {"reload", where_guarded, "RELOAD, while managed keys are guarded", BEHIND},
    {"restart", always, "RESTART", ENDS},
    {"segfault", always, "SEGFAULT", ENDS},
};

#define ROWS (sizeof rows / sizeof rows[0])

bool debug_refuses(struct session *s, const struct job *job)
{
    char line[160];
    size_t i = 0;

    if (job->cmd == NULL || strcmp(job->cmd->name, "debug") != 0)
        return false;
    while (i < ROWS && !slice_is(job->argv[1], rows[i].name))
        i++;
    if (i == ROWS || !rows[i].applies(s, job))
        return false;
    snprintf(line, sizeof line, "ERR DEBUG %s %s: convproxy does not pass it on", rows[i].name, rows[i].why);
    return local_error(s, line);
}

void debug_each_refused(void (*fn)(void *ctx, const char *name, const char *why), void *ctx)
{
    for (size_t i = 0; i < ROWS; i++)
        fn(ctx, rows[i].shown, rows[i].why);
}
