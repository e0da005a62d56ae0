/* tests/unit/backends/upstream_world — one connection to Redis, and a server that the test plays on the same loop: what it
 * sends back, when and in how many pieces is up to the test.
 * Invariants: a test ends with every request over exactly once and with an empty loop: world_tear_down looks.
 * Threads:    one. */
#ifndef TESTS_UNIT_BACKENDS_UPSTREAM_WORLD_H
#define TESTS_UNIT_BACKENDS_UPSTREAM_WORLD_H

#include "backends/redis/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define SECOND   1000000ll
#define REQUESTS 16

enum manners { ANSWERS, SILENT, REFUSES }; /* what the server makes of the greeting */

struct req {
    struct upstream_request up; /* first */
    char got[256];
    size_t len;
    int pieces, ends;
    enum err failed;
    char detail[128];
};

struct world {
    uv_loop_t loop;
    struct turn turn;
    uv_timer_t tick, late;
    struct upstream_env env;
    struct upstream *u;
    const struct settings *settings;
    struct req reqs[REQUESTS];
    size_t nreqs;
    int counts[COUNT_OPEN + 1];
    int changes;
    char pushed[4096]; /* all that came as a push */
    size_t pushed_len;
    bool awake; /* it has asked for ticks */
    bool (*awaited)(void); /* world_run_until's; once it holds no tick comes that could end it in the same turn of the loop */
    /* the server */
    uv_poll_t listening, *talking;
    int listen_fd, fd;
    int accepted;
    enum manners manners;
    char in[4096];
    size_t in_len;
    char identity[160]; /* its reply to a guarded greeting's script */
    char greeted[1024]; /* arguments of the last connection's greeting, each behind a space */
    int strangers;      /* heard of by the client's side: the last one's */
    char stranger_run_id[48];
    int64_t stranger_epoch;
    int asked; /* requests behind the greeting, since it was accepted */
};

extern struct world w;

#define WORLD(test) cmocka_unit_test_setup_teardown(test, world_set_up, world_tear_down)

/* cmocka's fixture, around each test. */
int world_set_up(void **state);
int world_tear_down(void **state);

/* ---- the client's side ---- */

/* Queues a request as proxy/slot does it; replies: how many it is owed. */
struct req *world_ask_as(uint32_t replies, bool slow);
struct req *world_ask(void);
struct req *world_ask_guarded(void);
void world_assert_got(const struct req *q, const char *text);
/* The ticks of a pool. Without them a test calls upstream_tick itself, with the time it likes. */
void world_start_ticking(void);
void world_stop_ticking(void);

/* ---- the server's side ---- */

void world_say_n(const char *p, size_t n);
void world_say(const char *text);
void world_hang_up(void);

/* ---- running: two seconds at most ---- */

void world_run_until(bool (*done)(void));
void world_run_until_asked(int n); /* the server has n requests */
bool world_is_ready(void);
bool world_is_waiting(void);
bool world_is_greeting(void);
bool world_all_over(void); /* all requests */

#endif
