/* Redirections: their lines, and what becomes of the replies around them. */
#include "backends/redis/redirect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void lines(void **state)
{
    static const struct {
        const char *line;
        enum redirect_kind kind;
        int slot;
        const char *host;
        int port;
    } rows[] = {
        {"-MOVED 3999 127.0.0.1:6381\r\n", REDIRECT_MOVED, 3999, "127.0.0.1", 6381},
        {"-ASK 0 ::1:7\r\n", REDIRECT_ASK, 0, "::1", 7},
        {"-MOVED 16383 :6381\r\n", REDIRECT_MOVED, 16383, "", 6381},
        {"-MOVED 1 ?:6381\r\n", REDIRECT_MOVED, 1, "", 6381},
        {"-MOVED 16384 a:1\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a:0\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a:65536\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a:99999999999999999999\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a:1 b\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED x a:1\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED \r\n", REDIRECT_NONE, 0, "", 0},
        {"-ASKING 1 a:1\r\n", REDIRECT_NONE, 0, "", 0},
        {"-MOVED 1 a:1", REDIRECT_NONE, 0, "", 0},
        {"-TRYAGAIN Multiple keys request during rehashing of slot\r\n", REDIRECT_LATER, 0, "", 0},
        {"-CLUSTERDOWN The cluster is down\r\n", REDIRECT_LATER, 0, "", 0},
        {"-TRYAGAIN\r\n", REDIRECT_NONE, 0, "", 0},
        {"-CLUSTERDOWNS x\r\n", REDIRECT_NONE, 0, "", 0},
        {"-ERR no\r\n", REDIRECT_NONE, 0, "", 0},
        {"", REDIRECT_NONE, 0, "", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct redirect to;
        assert_int_equal(redirect_parse(rows[i].line, strlen(rows[i].line), &to), rows[i].kind != REDIRECT_NONE);
        assert_int_equal(to.kind, rows[i].kind);
        if (to.kind == REDIRECT_NONE)
            continue;
        assert_int_equal(to.slot, rows[i].slot);
        assert_string_equal(to.host, rows[i].host);
        assert_int_equal(to.port, rows[i].port);
    }
}

static void long_host(void **state)
{
    char line[REDIRECT_HOST + 64] = "-MOVED 1 ";
    struct redirect to;

    memset(line + 9, 'h', REDIRECT_HOST);
    strcpy(line + 9 + REDIRECT_HOST, ":1\r\n");
    assert_false(redirect_parse(line, strlen(line), &to));
}

static struct resend *fresh(const char *request, uint32_t replies)
{
    return resend_new((struct slice){request, strlen(request)}, replies);
}

static enum resend_verdict take(struct resend *r, const char *reply)
{
    return resend_take(r, reply, strlen(reply), true);
}

static void single(void **state)
{
    struct resend *r = fresh("*1\r\n$3\r\nGET\r\n", 1);

    assert_int_equal(take(r, "-MOVED 1 a:1\r\n"), RESEND_AGAIN);
    assert_string_equal(r->to.host, "a");
    assert_true(resend_again(r));
    r->asks = true;
    assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP); /* ASKING's */
    assert_int_equal(resend_take(r, "$5\r\n-MO", 7, false), RESEND_PASS);
    assert_int_equal(resend_take(r, "VE\r\n", 4, true), RESEND_PASS); /* a value is not a redirection */
    resend_free(r);
}

static void block(void **state)
{
    struct resend *r = fresh("*1\r\n$5\r\nMULTI\r\n*1\r\n$1\r\na\r\n*1\r\n$4\r\nEXEC\r\n", 3);

    assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "-ASK 7 b:2\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "-EXECABORT x\r\n"), RESEND_AGAIN);
    assert_int_equal(r->to.kind, REDIRECT_ASK);
    assert_int_equal(r->to.slot, 7);
    assert_true(resend_again(r));
    assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "+QUEUED\r\n"), RESEND_KEEP);
    assert_int_equal(resend_take(r, "*1\r\n", 4, false), RESEND_REPLAY);
    assert_int_equal(r->early_len, strlen("+OK\r\n+QUEUED\r\n"));
    assert_memory_equal(r->early, "+OK\r\n+QUEUED\r\n", r->early_len);
    assert_int_equal(resend_take(r, ":1\r\n", 4, true), RESEND_PASS);
    resend_free(r);
}

/* An error that is none of the cluster's is passed on, with all that was said before. */
static void failed_block(void **state)
{
    struct resend *r = fresh("*1\r\n$5\r\nMULTI\r\n…", 3);

    assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "-ERR unknown\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "-EXECABORT x\r\n"), RESEND_REPLAY);
    resend_free(r);
}

static void several_that_are_no_block(void **state)
{
    struct resend *r = fresh("*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", 2);

    assert_int_equal(take(r, "+PONG\r\n"), RESEND_PASS);
    assert_int_equal(take(r, "-MOVED 1 a:1\r\n"), RESEND_PASS);
    resend_free(r);
}

static void not_for_ever(void **state)
{
    struct resend *r = fresh("x", 1);

    for (int i = 0; i < REDIRECT_HOPS; i++) {
        assert_int_equal(take(r, "-MOVED 1 a:1\r\n"), RESEND_AGAIN);
        assert_true(resend_again(r));
    }
    assert_int_equal(take(r, "-MOVED 1 a:1\r\n"), RESEND_AGAIN);
    assert_false(resend_again(r));
    resend_free(r);
}

/* A block whose EXEC finds that something has moved since its commands were queued. */
static void moved_at_exec(void **state)
{
    struct resend *r = fresh("*1\r\n$5\r\nMULTI\r\n…", 3);

    assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "+QUEUED\r\n"), RESEND_KEEP);
    assert_int_equal(take(r, "-MOVED 1 a:1\r\n"), RESEND_AGAIN);
    assert_int_equal(r->to.kind, REDIRECT_MOVED);
    resend_free(r);
}

/* Later only for who may wait; each pause is longer, and hops are counted anew. */
static void later(void **state)
{
    static const int64_t pauses_ms[] = {10, 20, 40, 80, 160, 200, 200};
    struct resend *r = fresh("x", 1), *block = fresh("*1\r\n$5\r\nMULTI\r\n…", 3);

    assert_int_equal(take(r, "-TRYAGAIN x\r\n"), RESEND_PASS);
    resend_free(r);
    r = fresh("x", 1);
    r->patient = true;
    for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
        assert_int_equal(take(r, "-ASK 1 a:1\r\n"), RESEND_AGAIN);
        assert_true(resend_again(r));
        r->asks = true;
        assert_int_equal(take(r, "+OK\r\n"), RESEND_KEEP);
        assert_int_equal(take(r, "-TRYAGAIN x\r\n"), RESEND_AGAIN);
        assert_int_equal(r->to.kind, REDIRECT_LATER);
        assert_int_equal(resend_pause_us(r), 1000 * pauses_ms[i]);
        resend_later(r);
    }
    assert_int_equal(take(r, "+OK\r\n"), RESEND_PASS);
    resend_free(r);

    for (int patient = 1; patient >= 0; patient--) { /* the last time it is passed on */
        block->patient = patient;
        assert_int_equal(take(block, "+OK\r\n"), RESEND_KEEP);
        assert_int_equal(take(block, "-CLUSTERDOWN x\r\n"), RESEND_KEEP);
        assert_int_equal(take(block, "-EXECABORT x\r\n"), patient ? RESEND_AGAIN : RESEND_REPLAY);
        if (patient)
            resend_later(block);
    }
    resend_free(block);
}

static void unfit(void **state)
{
    static const char *const yes[] = {"-LOADING x\r\n", "-MASTERDOWN x\r\n", "-CLUSTERDOWN x\r\n"};
    static const char *const no[] = {"-LOADING", "-ERR LOADING x\r\n", "-MOVED 1 a:1\r\n", "+OK\r\n", ""};

    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        assert_true(redirect_is_unfit(yes[i], strlen(yes[i])));
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        assert_false(redirect_is_unfit(no[i], strlen(no[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),        cmocka_unit_test(long_host), cmocka_unit_test(single),
        cmocka_unit_test(block),        cmocka_unit_test(failed_block),
        cmocka_unit_test(several_that_are_no_block), cmocka_unit_test(not_for_ever),
        cmocka_unit_test(moved_at_exec), cmocka_unit_test(later), cmocka_unit_test(unfit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
