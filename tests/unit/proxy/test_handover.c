/* The table of proxy/handover_state, every pair; parcels; and messages over a real socket pair. */
#include "proxy/handover_state.h"
#include "proxy/handover_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- states ---- */

static const struct change {
    enum handover_state from;
    enum handover_event event;
    enum handover_state to;
} changes[] = {
    {HANDOVER_LISTENING, HEV_PEER, HANDOVER_GREETING}, {HANDOVER_LISTENING, HEV_STOP, HANDOVER_OFF},
    {HANDOVER_GREETING, HEV_HELLO, HANDOVER_OFFERING}, {HANDOVER_GREETING, HEV_LOST, HANDOVER_LISTENING},
    {HANDOVER_GREETING, HEV_LATE, HANDOVER_LISTENING}, {HANDOVER_GREETING, HEV_STOP, HANDOVER_OFF},
    {HANDOVER_OFFERING, HEV_READY, HANDOVER_GIVING},   {HANDOVER_OFFERING, HEV_LOST, HANDOVER_LISTENING},
    {HANDOVER_OFFERING, HEV_LATE, HANDOVER_LISTENING}, {HANDOVER_OFFERING, HEV_STOP, HANDOVER_OFF},
    {HANDOVER_GIVING, HEV_EMPTY, HANDOVER_ENDING},     {HANDOVER_GIVING, HEV_LOST, HANDOVER_LISTENING},
    {HANDOVER_GIVING, HEV_LATE, HANDOVER_LISTENING},   {HANDOVER_GIVING, HEV_STOP, HANDOVER_OFF},
    {HANDOVER_ENDING, HEV_BYE, HANDOVER_GONE},         {HANDOVER_ENDING, HEV_LOST, HANDOVER_LISTENING},
    {HANDOVER_ENDING, HEV_LATE, HANDOVER_GONE},        {HANDOVER_ENDING, HEV_STOP, HANDOVER_OFF},
};

static enum handover_state expected(enum handover_state from, enum handover_event event)
{
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++)
        if (changes[i].from == from && changes[i].event == event)
            return changes[i].to;
    return from;
}

static void every_pair(void **unused)
{
    for (int s = 0; s < HANDOVER_STATES; s++)
        for (int e = 0; e < HANDOVER_EVENTS; e++)
            assert_int_equal(handover_next((enum handover_state)s, (enum handover_event)e),
                             expected((enum handover_state)s, (enum handover_event)e));
}

/* Whatever happens, a process that is not gone can be told to end, and one that lost its successor listens
 * again. */
static void nothing_is_a_trap(void **unused)
{
    for (int s = HANDOVER_LISTENING; s < HANDOVER_GONE; s++)
        assert_int_equal(handover_next((enum handover_state)s, HEV_STOP), HANDOVER_OFF);
    for (int s = HANDOVER_GREETING; s < HANDOVER_GONE; s++)
        assert_int_equal(handover_next((enum handover_state)s, HEV_LOST), HANDOVER_LISTENING);
}

static void names_differ(void **unused)
{
    for (int a = 0; a < HANDOVER_STATES; a++)
        for (int b = 0; b < a; b++)
            assert_string_not_equal(handover_state_name((enum handover_state)a),
                                    handover_state_name((enum handover_state)b));
}

/* ---- parcels ---- */

static struct parcel *sample(size_t input)
{
    struct parcel *p = parcel_new();
    uint64_t lens[PARCEL_PARTS] = {[PARCEL_NAME] = 4, [PARCEL_LIB_VER] = 3, [PARCEL_INPUT] = input};

    assert_true(parcel_reserve(p, lens));
    assert_true(parcel_put(p, 0, (struct slice){"worm", 4}));
    assert_true(parcel_put(p, 4, (struct slice){"1.2", 3}));
    memset(p->parts[PARCEL_INPUT], 'i', input);
    p->fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    p->id = 77;
    p->age_us = 5000000;
    p->idle_us = 12;
    p->db = 9;
    p->resp = RESP3;
    p->no_touch = true;
    p->mute = 1;
    return p;
}

static void parts_in_a_row(void **unused)
{
    struct parcel *p = sample(10);

    assert_int_equal(parcel_size(p), 17);
    assert_int_equal(parcel_at(p, 0).len, 4);
    assert_int_equal(parcel_at(p, 3).len, 1);
    assert_memory_equal(parcel_at(p, 4).p, "1.2", 3); /* the empty part between is skipped */
    assert_int_equal(parcel_at(p, 16).len, 1);
    assert_int_equal(parcel_at(p, 17).len, 0);
    parcel_free(p);
}

static void pieces_stay_inside(void **unused)
{
    struct parcel *p = sample(10);

    assert_false(parcel_put(p, 3, (struct slice){"xx", 2})); /* over the end of its part */
    assert_false(parcel_put(p, 17, (struct slice){"x", 1}));
    assert_false(parcel_put(p, 0, (struct slice){"", 0}));
    assert_true(parcel_put(p, 3, (struct slice){"d", 1}));
    char *name = parcel_take(p, PARCEL_NAME);
    assert_string_equal(name, "word");
    assert_null(p->parts[PARCEL_NAME]);
    assert_int_equal(parcel_size(p), 13);
    free(name);
    parcel_free(p);
}

static void no_room(void **unused)
{
    struct parcel *p = parcel_new();
    uint64_t lens[PARCEL_PARTS] = {[PARCEL_INPUT] = UINT64_MAX};
    assert_false(parcel_reserve(p, lens));
    parcel_free(p);
}

static void queue_order(void **unused)
{
    struct parcel_queue a, b;
    parcel_queue_init(&a);
    parcel_queue_init(&b);
    for (uint64_t id = 1; id <= 4; id++) {
        struct parcel *p = parcel_new();
        p->id = id;
        parcel_push(id <= 2 ? &a : &b, p);
    }
    parcel_append(&a, &b);
    parcel_append(&a, &b); /* empty now */
    assert_null(parcel_pop(&b));
    for (uint64_t id = 1; id <= 4; id++) {
        struct parcel *p = parcel_pop(&a);
        assert_int_equal(p->id, id);
        parcel_free(p);
    }
    assert_null(parcel_pop(&a));
    parcel_push(&a, parcel_new()); /* its tail is right again */
    parcel_free(parcel_pop(&a));
}

/* ---- messages ---- */

struct pair {
    int a, b;
    struct wire_message m;
};

static int set_up(void **state)
{
    struct pair *p = calloc(1, sizeof *p);
    int fds[2];
    if (p == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -1;
    p->a = fds[0];
    p->b = fds[1];
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct pair *p = *state;
    close(p->a);
    close(p->b);
    free(p);
    return 0;
}

static void message_and_end(void **state)
{
    struct pair *p = *state;

    assert_int_equal(wire_receive(p->b, &p->m), -EAGAIN);
    assert_int_equal(wire_send_text(p->a, WIRE_REFUSED, "not now"), 0);
    assert_int_equal(wire_send(p->a, WIRE_TAKEN, UINT64_MAX, (struct slice){NULL, 0}, -1), 0);
    assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(p->m.kind, WIRE_REFUSED);
    assert_int_equal(p->m.version, WIRE_VERSION);
    assert_string_equal(p->m.packet.data, "not now");
    assert_int_equal(p->m.fd, -1);
    assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(p->m.number, UINT64_MAX);
    assert_int_equal(p->m.len, 0);
    shutdown(p->a, SHUT_WR);
    assert_int_equal(wire_receive(p->b, &p->m), 0);
}

/* The largest message is whole; its descriptor is the same open file. */
static void client_and_pieces(void **state)
{
    struct pair *p = *state;
    struct parcel *sent = sample(2 * WIRE_DATA);
    struct slice piece = {parcel_at(sent, 7).p, WIRE_DATA};

    assert_int_equal(wire_send_client(p->a, sent), 0);
    assert_int_equal(wire_send(p->a, WIRE_PIECE, 7, piece, -1), 0);
    assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(p->m.kind, WIRE_CLIENT);
    struct parcel *got = wire_read_client(&p->m);
    assert_non_null(got);
    assert_int_equal(p->m.fd, -1);
    assert_true(got->fd >= 0 && got->fd != sent->fd);
    assert_int_equal(fcntl(got->fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(got->id, 77);
    assert_int_equal(got->age_us, 5000000);
    assert_int_equal(got->idle_us, 12);
    assert_int_equal(got->db, 9);
    assert_int_equal(got->resp, RESP3);
    assert_true(got->no_touch);
    assert_int_equal(got->mute, 1);
    assert_false(got->no_evict);
    assert_int_equal(parcel_size(got), parcel_size(sent));
    assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(p->m.len, WIRE_DATA);
    assert_true(parcel_put(got, 7, (struct slice){p->m.packet.data, p->m.len}));
    assert_memory_equal(parcel_at(got, 7).p, piece.p, piece.len);
    parcel_free(sent);
    parcel_free(got);
}

static void full_socket(void **state)
{
    struct pair *p = *state;
    static char bytes[WIRE_DATA];
    int sent = 0, rc;

    while ((rc = wire_send(p->a, WIRE_PIECE, 0, (struct slice){bytes, sizeof bytes}, -1)) == 0)
        sent++;
    assert_int_equal(rc, -EAGAIN);
    assert_true(sent > 0);
    for (int i = 0; i < sent; i++)
        assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(wire_receive(p->b, &p->m), -EAGAIN);
}

static void not_one_of_ours(void **state)
{
    struct pair *p = *state;
    static char long_bytes[WIRE_DATA + sizeof(struct wire_head) + 1] = "cvph";

    assert_int_equal(send(p->a, "GET / HTTP/1.0\r\n\r\n", 18, 0), 18);
    assert_int_equal(wire_receive(p->b, &p->m), -EBADMSG);
    assert_int_equal(send(p->a, "cvph", 4, 0), 4);
    assert_int_equal(wire_receive(p->b, &p->m), -EBADMSG);
    assert_int_equal(send(p->a, long_bytes, sizeof long_bytes, 0), sizeof long_bytes);
    assert_int_equal(wire_receive(p->b, &p->m), -EBADMSG);
}

static void bad_clients(void **state)
{
    struct pair *p = *state;
    struct wire_client c = {.resp = 3};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct {
        size_t len;
        int fd, db, resp;
    } bad[] = {{sizeof c - 1, fd, 0, 3}, {sizeof c, -1, 0, 3}, {sizeof c, fd, -1, 3}, {sizeof c, fd, 0, 4}};

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        c.db = bad[i].db;
        c.resp = (uint8_t)bad[i].resp;
        assert_int_equal(wire_send(p->a, WIRE_CLIENT, 1, (struct slice){(char *)&c, bad[i].len}, bad[i].fd),
                         0);
        assert_int_equal(wire_receive(p->b, &p->m), 1);
        assert_null(wire_read_client(&p->m));
        assert_int_equal(p->m.fd, -1);
    }
    close(fd);
}

/* The other end closed without having read what we sent: what it had said before can still be read. */
static void last_words(void **state)
{
    struct pair *p = *state;
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
    assert_int_equal(wire_send_text(pair[0], WIRE_HELLO, "never read"), 0);
    assert_int_equal(wire_send_text(pair[1], WIRE_REFUSED, "go away"), 0);
    close(pair[1]);
    assert_int_equal(wire_receive(pair[0], &p->m), 1);
    assert_string_equal(p->m.packet.data, "go away");
    assert_int_equal(wire_receive(pair[0], &p->m), 0);
    close(pair[0]);
}

/* What take_back in proxy/handover relies on: after SHUT_RD nothing more can be sent, and what was sent is
 * there. */
static void shut_receiving_half(void **state)
{
    struct pair *p = *state;

    assert_int_equal(wire_send(p->a, WIRE_TAKEN, 1, (struct slice){NULL, 0}, -1), 0);
    shutdown(p->b, SHUT_RD);
    assert_int_equal(wire_send(p->a, WIRE_TAKEN, 2, (struct slice){NULL, 0}, -1), -EPIPE);
    assert_int_equal(wire_receive(p->b, &p->m), 1);
    assert_int_equal(p->m.number, 1);
    assert_int_equal(wire_receive(p->b, &p->m), 0);
    assert_int_equal(wire_send_text(p->b, WIRE_CANCEL, "still heard"), 0);
    assert_int_equal(wire_receive(p->a, &p->m), 1);
    assert_int_equal(p->m.kind, WIRE_CANCEL);
}

static void own_peer_is_trusted(void **state)
{
    const struct pair *p = *state;
    assert_true(wire_peer_trusted(p->a));
    assert_false(wire_peer_trusted(STDIN_FILENO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair),
        cmocka_unit_test(nothing_is_a_trap),
        cmocka_unit_test(names_differ),
        cmocka_unit_test(parts_in_a_row),
        cmocka_unit_test(pieces_stay_inside),
        cmocka_unit_test(no_room),
        cmocka_unit_test(queue_order),
        cmocka_unit_test_setup_teardown(message_and_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(client_and_pieces, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_socket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_one_of_ours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_clients, set_up, tear_down),
        cmocka_unit_test_setup_teardown(last_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shut_receiving_half, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_peer_is_trusted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
