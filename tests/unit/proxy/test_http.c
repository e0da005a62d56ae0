/* The admin server's requests over real connections: answers that come later, and a server that stops among them. Routes, guard and bodies:
 * tests/fuzz/fuzz_http.c and tests/system/test_admin.py. */
#include "proxy/http.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define CLIENTS 4
#define ROUNDS  40
#define MOST    4096

/* Who answers later, on a thread of its own, in the order of the requests. */
struct answerer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct http_later *waiting[MOST];
    size_t first, count;
    bool held, over;
};

static void *answer(void *arg)
{
    struct answerer *a = arg;
    struct http_reply reply = {0};

    pthread_mutex_lock(&a->lock);
    while (!a->over || a->first < a->count) {
        if (a->first == a->count || (a->held && !a->over)) {
            pthread_cond_wait(&a->come, &a->lock);
            continue;
        }
        struct http_later *l = a->waiting[a->first++];
        pthread_mutex_unlock(&a->lock);
        http_reply_text(&reply, 200, "text/plain", strdup("later"), 5);
        http_deferred(l, &reply);
        reply = (struct http_reply){0};
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void ask_later(void *ctx, const struct http_request *r, struct http_reply *reply)
{
    struct answerer *a = ctx;
    struct http_later *l = http_defer(r);

    pthread_mutex_lock(&a->lock);
    assert_true(a->count < MOST);
    a->waiting[a->count++] = l;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
}

static bool lets(void *ctx, const struct http_route *route, const struct http_request *r, struct http_reply *reply)
{
    return true;
}

static const struct http_route routes[] = {{"GET", "/api/v1/keys", false, ask_later, "", 0}};

static int dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

struct client {
    pthread_t thread;
    int port;
    atomic_int answers[2]; /* 200, 503 */
    bool strange;          /* an answer was neither */
};

/* One status; 0: the connection was closed. */
static int ask(int fd)
{
    static const char request[] = "GET /api/v1/keys HTTP/1.1\r\nHost: a\r\n\r\n";
    char reply[2048];
    size_t n = 0;

    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0)
        return 0;
    for (ssize_t got; n < sizeof reply - 1; n += (size_t)got) {
        got = recv(fd, reply + n, sizeof reply - 1 - n, 0);
        if (got <= 0)
            return 0;
        reply[n + (size_t)got] = '\0';
        if (strstr(reply, "\r\n\r\nlater") != NULL || strstr(reply, "ends\"\n}") != NULL)
            return atoi(reply + 9);
    }
    return -1;
}

/* Asks until nobody listens any more. */
static void *go_on_asking(void *arg)
{
    struct client *c = arg;
    int fd, status;

    while ((fd = dial(c->port)) >= 0) {
        while ((status = ask(fd)) > 0) {
            c->strange |= status != 200 && status != 503;
            atomic_fetch_add(&c->answers[status == 503], 1);
        }
        c->strange |= status < 0;
        close(fd);
    }
    return NULL;
}

static struct http *start(struct answerer *a, struct http_setup *setup)
{
    struct net_address address;
    struct reason why;
    struct http *h = NULL;

    memset(a, 0, sizeof *a);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->come, NULL);
    assert_int_equal(pthread_create(&a->thread, NULL, answer, a), 0);
    assert_true(net_address_parse("127.0.0.1:0", &address, &why));
    *setup = (struct http_setup){routes, 1, lets, a};
    assert_int_equal(http_start(&address, setup, &h, &why), ERR_NONE);
    net_address_done(&address);
    return h;
}

static void end(struct answerer *a)
{
    pthread_mutex_lock(&a->lock);
    a->over = true;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->come);
    pthread_mutex_destroy(&a->lock);
}

/* The server stops while clients ask and answers come: every request was answered or its connection closed, and no answer finds what is gone. */
static void test_stopped_among_requests(void **state)
{
    static struct answerer a;
    struct http_setup setup;

    for (int round = 0; round < ROUNDS; round++) {
        struct client clients[CLIENTS] = {{.port = 0}};
        struct http *h = start(&a, &setup);
        for (int i = 0; i < CLIENTS; i++) {
            clients[i].port = http_port(h);
            assert_int_equal(pthread_create(&clients[i].thread, NULL, go_on_asking, &clients[i]), 0);
        }
        for (int i = 0; i < CLIENTS; i++)
            while (atomic_load(&clients[i].answers[0]) < 1 + round % 3)
                usleep(100);
        pthread_mutex_lock(&a.lock);
        a.held = round % 2 == 0; /* so that some wait when it stops */
        pthread_mutex_unlock(&a.lock);
        http_stop(h);
        for (int i = 0; i < CLIENTS; i++) {
            pthread_join(clients[i].thread, NULL);
            assert_false(clients[i].strange);
        }
        end(&a);
    }
}

/* What waited is told that the server ends; the answer that comes afterwards finds nobody. */
static void test_waiting_when_it_stops(void **state)
{
    static struct answerer a;
    struct http_setup setup;
    struct http *h = start(&a, &setup);
    struct client c = {.port = http_port(h)};

    pthread_mutex_lock(&a.lock);
    a.held = true;
    pthread_mutex_unlock(&a.lock);
    assert_int_equal(pthread_create(&c.thread, NULL, go_on_asking, &c), 0);
    for (bool waits = false; !waits; usleep(100)) {
        pthread_mutex_lock(&a.lock);
        waits = a.count == 1;
        pthread_mutex_unlock(&a.lock);
    }
    http_stop(h);
    pthread_join(c.thread, NULL);
    assert_int_equal(atomic_load(&c.answers[0]), 0);
    assert_false(c.strange);
    end(&a);
    assert_int_equal(a.first, a.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stopped_among_requests),
        cmocka_unit_test(test_waiting_when_it_stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
