#include "sync/claim.h"

#include "tests/unit/sync/sync_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

static void claim(int64_t epoch, int64_t fence)
{
    if (claim_redis(sync_link, epoch, fence) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
}

static struct redis_identity look(void)
{
    struct redis_identity who;

    if (claim_look(sync_link, &who) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
    return who;
}

/* ---- who it is ---- */

static void test_identity(void **state)
{
    struct redis_identity who = look();
    char line[80];

    snprintf(line, sizeof line, "\nrun_id:%s\r", who.run_id);
    assert_int_equal(strlen(who.run_id), 40);
    assert_non_null(strstr(sync_redis_ask(&sync_redis, "INFO server")->str, line));
    assert_int_equal(who.epoch, 0);
    assert_true(who.writable);
    claim(300, 300);
    assert_int_equal(look().epoch, 300);
    sync_redis_ask(&sync_redis, "REPLICAOF 127.0.0.1 1");
    who = look();
    sync_redis_ask(&sync_redis, "REPLICAOF NO ONE");
    assert_false(who.writable);
}

static void test_epochs_only_grow(void **state)
{
    claim(300, 300);
    claim(300, 300);
    assert_int_equal(claim_redis(sync_link, 299, 299), ERR_MOVED);
    assert_true(link_is_open(sync_link));
    sync_redis_expect(&sync_redis, "300", "GET cvp:ep");
    claim(301, 301);
    sync_redis_expect(&sync_redis, "301", "GET cvp:ep");
}

/* What found it without an epoch was never acknowledged: its versions, which look new, must not win against older ones. */
static void test_emptied_redis_has_no_versions(void **state)
{
    claim(300, 300);
    sync_redis_ask(&sync_redis, "HSET cvp:ver k 7");
    claim(301, 301);
    sync_redis_expect(&sync_redis, "7", "HGET cvp:ver k");
    sync_redis_ask(&sync_redis, "DEL cvp:ep");
    claim(302, 302);
    sync_redis_expect(&sync_redis, "0", "EXISTS cvp:ver");
    sync_redis_expect(&sync_redis, "302", "GET cvp:ep");
}

struct claimer {
    pthread_t thread;
    struct link *link;
    int64_t first, errors, fell_back;
};

static void *claim_on(void *arg)
{
    struct claimer *c = arg;
    struct redis_identity who;

    for (int64_t epoch = c->first; epoch < 800; epoch += 2) {
        enum err e = claim_redis(c->link, epoch, epoch);
        c->errors += (e != ERR_NONE && e != ERR_MOVED) || claim_look(c->link, &who) != ERR_NONE;
        c->fell_back += c->errors == 0 && who.epoch < epoch;
    }
    return NULL;
}

static void test_two_at_once(void **state)
{
    struct claimer c[2] = {{.link = sync_redis_link(), .first = 256},
                           {.link = sync_redis_link(), .first = 257}};

    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&c[i].thread, NULL, claim_on, &c[i]), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].errors, 0);
        assert_int_equal(c[i].fell_back, 0);
        link_free(c[i].link);
    }
    sync_redis_expect(&sync_redis, "799", "GET cvp:ep");
}

/* ---- the fence ---- */

static redisContext *named(const char *name)
{
    redisContext *c = sync_redis_connect(&sync_redis);
    assert_non_null(c);
    redisReply *r = redisCommand(c, "CLIENT SETNAME %s", name);

    assert_non_null(r);
    assert_string_equal(r->str, "OK");
    freeReplyObject(r);
    return c;
}

static bool is_alive(redisContext *c)
{
    redisReply *r = redisCommand(c, "PING");
    bool alive = r != NULL;

    if (r != NULL)
        freeReplyObject(r);
    return alive;
}

static void test_who_is_closed(void **state)
{
    static const struct {
        const char *name;
        bool stays;
    } clients[] = {
        {"convproxy-a-255", false},  {"convproxy-a-b-200", false},
        {"convproxy--1", true},      {"convproxy-a-b-256", true},
        {"convproxy-a-9999", true},  {"convproxy-sync", true},
        {"convproxy-probe", true},   {"convproxy-a-", true},
        {"convproxy-255", true},     {"convproxy-a-25x", true},
        {"other-a-255", true},       {"xconvproxy-a-255", true},
        {"convproxy-a--255", false}, {"", true},
    };
    redisContext *c[COUNT(clients)];

    for (size_t i = 0; i < COUNT(clients); i++)
        c[i] = named(clients[i].name);
    claim(300, 256);
    for (size_t i = 0; i < COUNT(clients); i++) {
        if (is_alive(c[i]) != clients[i].stays)
            fail_msg("%s", clients[i].name);
        redisFree(c[i]);
    }
}

static void test_a_queued_block_is_gone(void **state)
{
    redisContext *c = named("convproxy-a-256");

    freeReplyObject(redisCommand(c, "MULTI"));
    freeReplyObject(redisCommand(c, "RPUSH k v"));
    claim(257, 257);
    assert_null(redisCommand(c, "EXEC"));
    sync_redis_expect(&sync_redis, "0", "EXISTS k");
    redisFree(c);
}

/* As many whole blocks as the kernel takes while nobody reads. Returns how many. */
static int fill(redisContext *c)
{
    static const char block[] = "MULTI\r\nRPUSH k v\r\nEXEC\r\n";
    static char blocks[4096];
    size_t n = 0;
    int sent = 0;
    ssize_t taken;

    for (; n + sizeof block <= sizeof blocks; n += sizeof block - 1)
        memcpy(blocks + n, block, sizeof block - 1);
    while ((taken = send(c->fd, blocks, n, MSG_DONTWAIT)) == (ssize_t)n)
        sent += (int)(n / (sizeof block - 1));
    return sent + (taken > 0 ? (int)((size_t)taken / (sizeof block - 1)) : 0);
}

/* Until the connection is closed, or nothing more comes because all was answered. */
static bool was_closed(redisContext *c)
{
    char buf[65536];
    struct pollfd p = {.fd = c->fd, .events = POLLIN};
    ssize_t n = 1;

    while (n > 0 && poll(&p, 1, 2000) > 0)
        n = recv(c->fd, buf, sizeof buf, 0);
    return n <= 0;
}

static void *claim_for(void *arg)
{
    int64_t epoch = *(int64_t *)arg;

    return claim_redis(sync_link, epoch, epoch) == ERR_NONE ? arg : NULL;
}

/* Connections of an epoch have sent writes to a Redis that is frozen, and the claim of the next one waits there, too. When Redis
 * thaws it may execute some of them. What counts is that it executes none after the claim has returned. Returns how many it
 * never did. */
static long long thaw(int64_t epoch)
{
    enum { CLIENTS = 8 };
    redisContext *c[CLIENTS];
    char name[32];
    long long sent = 0;
    pthread_t thread;
    void *claimed;
    siginfo_t info;

    sync_redis_ask(&sync_redis, "DEL k");
    snprintf(name, sizeof name, "convproxy-x-%lld", (long long)epoch++);
    for (int i = 0; i < CLIENTS; i++)
        c[i] = named(name);
    assert_int_equal(kill(sync_redis.pid, SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)sync_redis.pid, &info, WSTOPPED), 0);
    for (int i = 0; i < CLIENTS; i++)
        sent += fill(c[i]);
    assert_int_equal(pthread_create(&thread, NULL, claim_for, &epoch), 0);
    assert_int_equal(kill(sync_redis.pid, SIGCONT), 0);
    pthread_join(thread, &claimed);
    long long at_return = sync_redis_ask(&sync_redis, "LLEN k")->integer;
    assert_non_null(claimed);
    for (int i = 0; i < CLIENTS; i++) {
        assert_true(was_closed(c[i]));
        redisFree(c[i]);
    }
    print_message("%lld blocks sent, %lld executed\n", sent, at_return);
    assert_int_equal(sync_redis_ask(&sync_redis, "LLEN k")->integer, at_return);
    return sent - at_return;
}

static void test_frozen(void **state)
{
    enum { ROUNDS = 50 };
    long long never = 0;

    for (int i = 0; i < ROUNDS && never == 0; i++) /* the claim may come too late to prevent any */
        never = thaw(256 + i);
    assert_true(never > 0);
}

static void test_not_allowed(void **state)
{
    sync_redis_ask(&sync_redis, "ACL SETUSER default -client|kill -client|list");
    enum err e = claim_redis(sync_link, 300, 300);
    sync_redis_ask(&sync_redis, "ACL SETUSER default +@all");
    assert_int_equal(e, ERR_REDISDOWN);
    assert_non_null(strstr(link_why(sync_link), "NOPERM"));
}

static void test_kill_not_allowed(void **state)
{
    redisContext *c = named("convproxy-a-256");

    sync_redis_ask(&sync_redis, "ACL SETUSER default -client|kill");
    enum err e = claim_redis(sync_link, 300, 300);
    sync_redis_ask(&sync_redis, "ACL SETUSER default +@all");
    assert_int_equal(e, ERR_REDISDOWN);
    assert_true(is_alive(c));
    redisFree(c);
}

static void test_closed(void **state)
{
    struct redis_identity who;

    link_close(sync_link);
    assert_int_equal(claim_look(sync_link, &who), ERR_REDISDOWN);
    assert_int_equal(claim_redis(sync_link, 300, 300), ERR_REDISDOWN);
}

static void test_lost(void **state)
{
    struct redis_identity who;

    sync_redis_ask(&sync_redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_int_equal(claim_look(sync_link, &who), ERR_REDISLOST);
    assert_true(link_open(sync_link, sync_redis.settings));
    sync_redis_ask(&sync_redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_int_equal(claim_redis(sync_link, 300, 300), ERR_REDISLOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_identity, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_epochs_only_grow, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_emptied_redis_has_no_versions, sync_redis_set_up,
                                        sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_who_is_closed, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_a_queued_block_is_gone, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_frozen, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_not_allowed, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_kill_not_allowed, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_closed, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_lost, sync_redis_set_up, sync_redis_tear_down),
    };
    if (sync_redis_missing())
        return SYNC_REDIS_SKIPPED;
    return cmocka_run_group_tests(tests, sync_redis_up, sync_redis_down);
}
