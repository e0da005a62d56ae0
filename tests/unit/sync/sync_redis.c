#include "tests/unit/sync/sync_redis.h"

#include "sync/link.h"
#include "tests/unit/settings_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRIES 2000 /* of 5 ms, until the server answers */

/* ---- the server ---- */

bool sync_redis_missing(void)
{
    bool missing = system("command -v redis-server > /dev/null") != 0;

    if (missing)
        print_message("skipped: no redis-server is installed\n");
    return missing;
}

static void become_server(const struct sync_redis *r)
{
    int null = open("/dev/null", O_RDWR);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", r->path, "--dir", r->dir, "--save",
           "", "--appendonly", "no", "--enable-debug-command", "yes", (char *)NULL);
    _exit(127);
}

struct redisContext *sync_redis_connect(const struct sync_redis *r)
{
    redisContext *c = redisConnectUnix(r->path);

    if (c == NULL || c->err == 0)
        return c;
    redisFree(c);
    return NULL;
}

static void remove_dir(const struct sync_redis *r)
{
    char dump[80];

    snprintf(dump, sizeof dump, "%s/dump.rdb", r->dir);
    unlink(dump);
    unlink(r->path);
    rmdir(r->dir);
}

/* False: no redis-server is installed. */
static bool launch(struct sync_redis *r)
{
    struct timespec pause = {.tv_nsec = 5000000};

    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0)
        become_server(r);
    for (int i = 0; i < TRIES && r->client == NULL; i++) {
        int status;
        if (waitpid(r->pid, &status, WNOHANG) == r->pid)
            fail_msg("redis-server has ended with status %d", status);
        r->client = sync_redis_connect(r);
        nanosleep(&pause, NULL);
    }
    assert_non_null(r->client);
    return true;
}

void sync_redis_start(struct sync_redis *r)
{
    *r = (struct sync_redis){.dir = "/tmp/sync_redis.XXXXXX"};
    signal(SIGPIPE, SIG_IGN);
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof r->path, "%s/socket", r->dir);
    char url[96];
    snprintf(url, sizeof url, "redis.url=unix://%s", r->path);
    if (launch(r))
        r->settings = settings_of((const char *[]){url}, 1);
    else
        print_message("no redis-server is installed\n");
}

static void end(struct sync_redis *r)
{
    if (r->last != NULL)
        freeReplyObject(r->last);
    redisFree(r->client);
    r->last = NULL;
    r->client = NULL;
    kill(r->pid, SIGKILL);
    waitpid(r->pid, NULL, 0);
}

void sync_redis_kill(struct sync_redis *r)
{
    sync_redis_ask(r, "SAVE");
    end(r);
}

void sync_redis_again(struct sync_redis *r)
{
    assert_true(launch(r));
}

void sync_redis_stop(struct sync_redis *r)
{
    end(r);
    remove_dir(r);
    settings_unref(r->settings);
    *r = (struct sync_redis){0};
}

/* ---- for cmocka ---- */

struct sync_redis sync_redis;
struct link *sync_link;
struct arena sync_arena;

int sync_redis_up(void **state)
{
    sync_redis_start(&sync_redis);
    return 0;
}

int sync_redis_down(void **state)
{
    sync_redis_stop(&sync_redis);
    return 0;
}

struct link *sync_redis_link(void)
{
    struct link *made = link_new();

    if (!link_open(made, sync_redis.settings))
        fail_msg("%s", link_why(made));
    return made;
}

int sync_redis_set_up(void **state)
{
    arena_init(&sync_arena);
    sync_link = sync_redis_link();
    sync_redis_ask(&sync_redis, "FLUSHALL");
    return 0;
}

int sync_redis_tear_down(void **state)
{
    link_free(sync_link);
    arena_done(&sync_arena);
    return 0;
}

/* ---- asking ---- */

static const redisReply *ask(struct sync_redis *r, const char *format, va_list args)
{
    if (r->last != NULL)
        freeReplyObject(r->last);
    r->last = redisvCommand(r->client, format, args);
    if (r->last == NULL)
        fail_msg("%s: %s", format, r->client->errstr);
    else if (r->last->type == REDIS_REPLY_ERROR)
        fail_msg("%s: %s", format, r->last->str);
    return r->last;
}

const struct redisReply *sync_redis_ask(struct sync_redis *r, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    const redisReply *reply = ask(r, format, args);
    va_end(args);
    return reply;
}

static void print(FILE *out, const redisReply *r)
{
    switch (r->type) {
    case REDIS_REPLY_INTEGER:
        fprintf(out, "%lld", r->integer);
        return;
    case REDIS_REPLY_NIL:
        fputs("nil", out);
        return;
    case REDIS_REPLY_ARRAY:
        fputc('[', out);
        for (size_t i = 0; i < r->elements; i++) {
            fputs(i > 0 ? ", " : "", out);
            print(out, r->element[i]);
        }
        fputc(']', out);
        return;
    default:
        fwrite(r->str, 1, (size_t)r->len, out);
    }
}

char *sync_redis_line(const struct redisReply *reply)
{
    char *line = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&line, &n);

    assert_non_null(out);
    print(out, reply);
    fclose(out);
    return line;
}

void sync_redis_expect(struct sync_redis *r, const char *line, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *got = sync_redis_line(ask(r, format, args));
    va_end(args);
    assert_string_equal(got, line);
    free(got);
}
