#include "proxy/clerk.h"

#include "base/clock.h"
#include "config/seeds.h"
#include "proxy/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define INTERRUPT_MS 50

struct clerk {
    struct server *server;
    struct archive_handle *archive;
    struct link *link;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, ended;
    struct clerk_job *head, **tail;
    unsigned waiting;
    bool ending, over;
};

/* The next job; NULL: the clerk ends. */
static struct clerk_job *next_job(struct clerk *c)
{
    pthread_mutex_lock(&c->lock);
    while (c->head == NULL && !c->ending)
        pthread_cond_wait(&c->wake, &c->lock);
    struct clerk_job *job = c->ending ? NULL : c->head;
    if (job != NULL) {
        c->head = job->next;
        if (c->head == NULL)
            c->tail = &c->head;
        c->waiting--;
    }
    pthread_mutex_unlock(&c->lock);
    return job;
}

static void *work(void *ctx)
{
    struct clerk *c = ctx;
    struct clerk_job *job;

    while ((job = next_job(c)) != NULL) {
        struct clerk_tools tools = {c->server, config_current(server_config(c->server)), c->archive, c->link};
        job->run(job, &tools);
        settings_unref(tools.settings);
    }
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_cond_signal(&c->ended);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct clerk *clerk_start(struct server *s, struct archive *archive)
{
    struct clerk *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort();
    c->server = s;
    c->archive = archive != NULL ? archive_attach(archive) : NULL;
    c->link = link_new();
    c->tail = &c->head;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    clock_cond_init(&c->ended);
    if (pthread_create(&c->thread, NULL, work, c) != 0)
        abort();
    return c;
}

/* Whatever is asked of Redis still is not waited for. */
static void join(struct clerk *c)
{
    pthread_mutex_lock(&c->lock);
    while (!c->over) {
        struct timespec until = clock_after_us(INTERRUPT_MS * 1000);
        link_interrupt(c->link);
        pthread_cond_timedwait(&c->ended, &c->lock, &until);
    }
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
}

void clerk_stop(struct clerk *own_c)
{
    if (own_c == NULL)
        return;
    pthread_mutex_lock(&own_c->lock);
    own_c->ending = true;
    pthread_cond_signal(&own_c->wake);
    pthread_mutex_unlock(&own_c->lock);
    join(own_c);
    while (own_c->head != NULL) {
        struct clerk_job *job = own_c->head;
        own_c->head = job->next;
        job->run(job, NULL);
    }
    link_free(own_c->link);
    if (own_c->archive != NULL)
        archive_detach(own_c->archive);
    pthread_cond_destroy(&own_c->ended);
    pthread_cond_destroy(&own_c->wake);
    pthread_mutex_destroy(&own_c->lock);
    free(own_c);
}

bool clerk_do(struct clerk *c, struct clerk_job *own_job)
{
    pthread_mutex_lock(&c->lock);
    bool taken = !c->ending && c->waiting < CLERK_QUEUE;
    if (taken) {
        own_job->next = NULL;
        *c->tail = own_job;
        c->tail = &own_job->next;
        c->waiting++;
        pthread_cond_signal(&c->wake);
    }
    pthread_mutex_unlock(&c->lock);
    return taken;
}

const char *clerk_redis(const struct clerk_tools *t)
{
    if (redis_kind(t->settings->redis_url) == REDIS_CLUSTER)
        return "Redis is a cluster: its nodes are not looked into";
    if (link_is_open(t->link) && link_open(t->link, t->settings)) {
        link_say(t->link, "PING", NULL); /* it may have been closed since */
        bool alive = link_get(t->link) != NULL;
        link_done(t->link);
        if (alive)
            return NULL;
    }
    return link_open(t->link, t->settings) ? NULL : link_why(t->link);
}
