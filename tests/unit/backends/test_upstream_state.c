/* Every pair of state and event, against the life of a connection written down a second time: as the list of
 * what may happen, where the table of the code says where each leads. */
#include "backends/redis/upstream_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    enum upstream_state from;
    enum upstream_event event;
    enum upstream_state to;
} moves[] = {
    {UP_IDLE, UEV_WANTED, UP_WAITING},      {UP_WAITING, UEV_RETRY, UP_DIALING},
    {UP_WAITING, UEV_UNUSED, UP_IDLE},      {UP_DIALING, UEV_DIALED, UP_GREETING},
    {UP_DIALING, UEV_BROKEN, UP_WAITING},   {UP_DIALING, UEV_RETIRED, UP_WAITING},
    {UP_GREETING, UEV_GREETED, UP_READY},   {UP_GREETING, UEV_BROKEN, UP_CLOSING},
    {UP_GREETING, UEV_RETIRED, UP_CLOSING}, {UP_READY, UEV_RETIRED, UP_DRAINING},
    {UP_READY, UEV_BROKEN, UP_CLOSING},     {UP_DRAINING, UEV_BROKEN, UP_CLOSING},
    {UP_CLOSING, UEV_CLOSED, UP_WAITING},
};

#define MOVES (sizeof moves / sizeof moves[0])

static enum upstream_state expected(enum upstream_state from, enum upstream_event event)
{
    for (size_t i = 0; i < MOVES; i++)
        if (moves[i].from == from && moves[i].event == event)
            return moves[i].to;
    return from;
}

static void test_every_pair(void **state)
{
    for (int from = 0; from < UP_STATES; from++)
        for (int event = 0; event < UPSTREAM_EVENTS; event++)
            if (upstream_next(from, event) != expected(from, event))
                fail_msg("state %d, event %d: %d, expected %d", from, event, upstream_next(from, event),
                         expected(from, event));
}

/* A state that cannot be left again would hold its requests for ever. */
static void test_every_state_leads_to_ready(void **state)
{
    for (int from = 0; from < UP_STATES; from++) {
        unsigned reached = 1u << from;
        for (int round = 0; round < UP_STATES; round++)
            for (int s = 0; s < UP_STATES; s++)
                for (int event = 0; (reached >> s & 1) && event < UPSTREAM_EVENTS; event++)
                    reached |= 1u << upstream_next(s, event);
        assert_true(reached >> UP_READY & 1);
        assert_true(reached >> UP_IDLE & 1);
    }
}

/* The socket exists in three states only; none of them may be left but by closing it. */
static void test_a_socket_is_closed_before_the_next(void **state)
{
    static const enum upstream_state with_socket[] = {UP_GREETING, UP_READY, UP_DRAINING, UP_CLOSING};

    for (size_t i = 0; i < sizeof with_socket / sizeof with_socket[0]; i++)
        for (int event = 0; event < UPSTREAM_EVENTS; event++) {
            enum upstream_state to = upstream_next(with_socket[i], event);
            if (to == UP_WAITING || to == UP_IDLE || to == UP_DIALING)
                assert_true(with_socket[i] == UP_CLOSING && event == UEV_CLOSED);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_pair),
        cmocka_unit_test(test_every_state_leads_to_ready),
        cmocka_unit_test(test_a_socket_is_closed_before_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
