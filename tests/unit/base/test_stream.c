/* A socket on a loop: writing more than it takes, closing inside each callback, a peer that resets. Each test ends with
 * on_closed called once for every stream, and with an empty loop. */
#include "base/stream.h"

#include "base/limits.h"
#include "base/turn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum when { NEVER, WHEN_READABLE, WHEN_WRITTEN };

struct end {
    struct stream stream; /* first */
    enum when close;      /* closes itself in this callback */
    int readable, written, broken, closed;
    size_t written_bytes;
    ssize_t last_read;
    char got[256];
    size_t len;
};

static struct world {
    uv_loop_t loop;
    struct turn turn;
    uv_timer_t late;
    struct end end;
    int peer;
    int more; /* times that before_flush still has output to add */
} w;

static void on_readable(struct stream *s)
{
    struct end *e = (struct end *)s;
    char buf[64];

    assert_int_equal(e->closed, 0);
    e->readable++;
    e->last_read = stream_read(s, buf, sizeof buf);
    if (e->last_read > 0) {
        assert_true(e->len + (size_t)e->last_read <= sizeof e->got);
        memcpy(e->got + e->len, buf, (size_t)e->last_read);
        e->len += (size_t)e->last_read;
    }
    if (e->close == WHEN_READABLE || e->last_read == 0 || (e->last_read < 0 && e->last_read != -EAGAIN))
        stream_close(s);
}

static void on_written(struct stream *s, size_t n)
{
    struct end *e = (struct end *)s;
    assert_int_equal(e->closed, 0);
    e->written++;
    e->written_bytes += n;
    if (e->close == WHEN_WRITTEN)
        stream_close(s);
}

static void on_broken(struct stream *s, int neg_errno)
{
    struct end *e = (struct end *)s;
    assert_true(neg_errno == -EPIPE || neg_errno == -ECONNRESET);
    e->broken++;
    stream_close(s);
}

static void on_closed(struct stream *s)
{
    ((struct end *)s)->closed++;
}

static const struct stream_ops ops = {on_readable, on_written, on_broken, on_closed};

static bool before_flush(void *ctx)
{
    if (w.more == 0)
        return false;
    w.more--;
    chain_put(&w.end.stream.out, "more", 4);
    turn_touch(&w.turn, &w.end.stream);
    return true;
}

static void on_late(uv_timer_t *timer)
{
    fail_msg("nothing happened for twenty seconds");
}

static void run_until(bool (*done)(void))
{
    uv_timer_start(&w.late, on_late, 20000, 0);
    while (!done())
        uv_run(&w.loop, UV_RUN_ONCE);
    uv_timer_stop(&w.late);
}

static bool is_closed(void)
{
    return w.end.closed > 0;
}

static bool was_readable(void)
{
    return w.end.readable > 0;
}

static void start(int fd, int peer)
{
    fcntl(fd, F_SETFL, O_NONBLOCK);
    memset(&w, 0, sizeof w);
    w.peer = peer;
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_int_equal(turn_init(&w.turn, &w.loop, before_flush, NULL), 0);
    uv_timer_init(&w.loop, &w.late);
    assert_int_equal(stream_init(&w.end.stream, &w.loop, fd, &w.turn.chunks, &ops), 0);
}

static int set_up(void **state)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    start(fds[0], fds[1]);
    return 0;
}

/* Two ends of a TCP connection: only those can be reset. */
static int set_up_tcp(void **state)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int listener = socket(AF_INET, SOCK_STREAM, 0), peer = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&addr, len), 0);
    start(accept(listener, NULL, NULL), peer);
    close(listener);
    return 0;
}

static int tear_down(void **state)
{
    stream_close(&w.end.stream);
    uv_close((uv_handle_t *)&w.late, NULL);
    turn_close(&w.turn);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    assert_int_equal(w.end.closed, 1);
    assert_int_equal(w.turn.chunks.bytes, 0);
    turn_done(&w.turn);
    if (w.peer >= 0)
        close(w.peer);
    return 0;
}

static void reset_peer(void)
{
    struct linger now = {.l_onoff = 1};
    setsockopt(w.peer, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(w.peer);
    w.peer = -1;
}

/* ---- writing ---- */

#define BIG (4u << 20)

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 2654435761u >> 24);
}

/* Reads what is there at the other end and compares it. Returns the new place. */
static size_t drain_peer(size_t at)
{
    static unsigned char buf[65536];
    ssize_t n;

    while ((n = recv(w.peer, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        for (ssize_t i = 0; i < n; i++, at++)
            if (buf[i] != pattern(at))
                fail_msg("byte %zu is wrong", at);
    return at;
}

static void test_more_than_the_socket_takes(void **state)
{
    unsigned char *big = malloc(BIG);
    size_t at = 0;
    int room = 64 * 1024; /* the kernel would let it grow to that of all */

    assert_int_equal(setsockopt(w.end.stream.fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    for (size_t i = 0; i < BIG; i++)
        big[i] = pattern(i);
    chain_append(&w.end.stream.out, big, BIG / 2); /* in chunks, and in one piece */
    unsigned char *half = malloc(BIG / 2);
    memcpy(half, big + BIG / 2, BIG / 2);
    chain_append_own(&w.end.stream.out, (char *)half, 0, BIG / 2);
    free(big);
    stream_flush(&w.end.stream);
    assert_true(w.end.stream.writing && w.end.stream.out.len > 0);
    stream_flush(&w.end.stream); /* waits for the socket: does nothing */
    uv_timer_start(&w.late, on_late, 20000, 0);
    while (at < BIG) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        at = drain_peer(at);
    }
    uv_timer_stop(&w.late);
    assert_int_equal(w.end.written_bytes, BIG);
    assert_int_equal(w.end.stream.out.len, 0);
    assert_false(w.end.stream.writing);
}

static void test_close_in_on_written(void **state)
{
    w.end.close = WHEN_WRITTEN;
    chain_put(&w.end.stream.out, "bye", 3);
    stream_flush(&w.end.stream);
    stream_flush(&w.end.stream); /* closing: nothing */
    run_until(is_closed);
    assert_int_equal(w.end.written, 1);
}

static void test_write_to_one_who_left(void **state)
{
    close(w.peer);
    w.peer = -1;
    chain_put(&w.end.stream.out, "x", 1);
    stream_flush(&w.end.stream);
    run_until(is_closed);
    assert_int_equal(w.end.broken, 1);
    assert_int_equal(w.end.written, 0);
}

static void test_broken_while_waiting_to_write(void **state)
{
    char *big = calloc(1, BIG);
    chain_append(&w.end.stream.out, big, BIG);
    free(big);
    stream_flush(&w.end.stream);
    assert_true(w.end.stream.writing);
    reset_peer();
    run_until(is_closed);
    assert_int_equal(w.end.broken, 1);
}

/* ---- reading ---- */

static void test_paused_reading_loses_nothing(void **state)
{
    assert_int_equal(write(w.peer, "hello", 5), 5);
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.end.readable, 0);
    stream_set_reading(&w.end.stream, true);
    run_until(was_readable);
    assert_memory_equal(w.end.got, "hello", 5);
    stream_set_reading(&w.end.stream, false);
    assert_int_equal(write(w.peer, "again", 5), 5);
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.end.len, 5);
}

static void test_close_in_on_readable(void **state)
{
    w.end.close = WHEN_READABLE;
    assert_int_equal(write(w.peer, "a", 1), 1);
    chain_put(&w.end.stream.out, "unsent", 6);
    stream_set_reading(&w.end.stream, true);
    run_until(is_closed);
    assert_int_equal(w.end.readable, 1);
}

static void test_end_of_file(void **state)
{
    assert_int_equal(write(w.peer, "last", 4), 4);
    close(w.peer);
    w.peer = -1;
    stream_set_reading(&w.end.stream, true);
    run_until(is_closed);
    assert_int_equal(w.end.len, 4);
    assert_int_equal(w.end.last_read, 0);
}

/* libuv stops a handle with an error pending, even though bytes may be waiting before it: both must be seen. */
static void test_bytes_and_then_a_reset(void **state)
{
    char bytes[200];

    memset(bytes, 'b', sizeof bytes);
    assert_int_equal(write(w.peer, bytes, sizeof bytes), sizeof bytes);
    reset_peer();
    stream_set_reading(&w.end.stream, true);
    run_until(is_closed);
    assert_int_equal(w.end.len, sizeof bytes);
    assert_int_equal(w.end.last_read, -ECONNRESET);
}

/* ---- the turn ---- */

static void test_flushed_once_a_turn(void **state)
{
    for (int i = 0; i < 3; i++) {
        chain_put(&w.end.stream.out, "abc", 3);
        turn_touch(&w.turn, &w.end.stream);
    }
    uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.end.written, 1);
    assert_int_equal(w.end.written_bytes, 9);
}

static void test_what_flushing_allows_is_flushed_too(void **state)
{
    w.more = 3;
    uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.end.written_bytes, 12);
    assert_int_equal(w.more, 0);
}

static void test_closed_stream_is_not_flushed(void **state)
{
    chain_put(&w.end.stream.out, "abc", 3);
    turn_touch(&w.turn, &w.end.stream);
    stream_close(&w.end.stream);
    turn_touch(&w.turn, &w.end.stream);
    assert_null(w.turn.dirty);
    run_until(is_closed);
    assert_int_equal(w.end.written, 0);
}

static void test_release_keeps_the_descriptor(void **state)
{
    char c;

    turn_touch(&w.turn, &w.end.stream);
    int fd = stream_release(&w.end.stream);
    run_until(is_closed);
    assert_int_equal(write(fd, "x", 1), 1);
    assert_int_equal(read(w.peer, &c, 1), 1);
    close(fd);
}

#define PAIR(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
#define TCP(fn)  cmocka_unit_test_setup_teardown(fn, set_up_tcp, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PAIR(test_more_than_the_socket_takes),
        TCP(test_more_than_the_socket_takes),
        PAIR(test_close_in_on_written),
        PAIR(test_write_to_one_who_left),
        TCP(test_broken_while_waiting_to_write),
        PAIR(test_paused_reading_loses_nothing),
        PAIR(test_close_in_on_readable),
        PAIR(test_end_of_file),
        TCP(test_end_of_file),
        TCP(test_bytes_and_then_a_reset),
        PAIR(test_flushed_once_a_turn),
        PAIR(test_what_flushing_allows_is_flushed_too),
        PAIR(test_closed_stream_is_not_flushed),
        PAIR(test_release_keeps_the_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
