/* The command table against the handlers: a row without one would be answered by whatever stands behind the table. */
#include "proxy/compatibility.h"
#include "proxy/local.h"
#include "proxy/pubsub.h"
#include "proxy/stats.h"
#include "proxy/transaction.h"
#include "router/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool handled(const struct command *cmd)
{
    switch ((enum cmd_route)cmd->route) {
    case ROUTE_LOCAL:
        return local_handles(cmd);
    case ROUTE_MULTI:
        return transaction_handles(cmd);
    case ROUTE_PUBSUB:
        return pubsub_handles(cmd);
    case ROUTE_FORWARD:
    case ROUTE_SLOW:
    case ROUTE_URGENT:
    case ROUTE_BLOCKING:
    case ROUTE_UNSUPPORTED:
    case ROUTE_REFUSED:
        return true;
    }
    return false;
}

static void test_every_row_is_handled(void **state)
{
    size_t of_their_own = 0;

    for (uint16_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        if (!handled(cmd))
            fail_msg("%s has no handler", cmd->name);
        of_their_own += cmd->route == ROUTE_LOCAL || cmd->route == ROUTE_MULTI;
    }
    assert_true(of_their_own > 40);
}

/* The other way round: what is forwarded must not be taken for something that the proxy answers. */
static void test_handlers_are_found_by_their_whole_name(void **state)
{
    static const char *const others[] = {"get",   "set",         "latency|help", "expire",
                                         "zscan", "object|help", "memory"};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct command cmd = {.name = others[i]};
        assert_false(local_handles(&cmd));
        assert_false(transaction_handles(&cmd));
    }
    struct command cut = {.name = "clien"}, longer = {.name = "pings"}, inside = {.name = "mult"};
    assert_false(local_handles(&cut));
    assert_false(local_handles(&longer));
    assert_false(transaction_handles(&inside));
}

/* docs/compatibility.md says why. */
static void test_every_refusal_has_a_reason(void **state)
{
    for (uint16_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        if (cmd->route == ROUTE_REFUSED && compatibility_note(cmd) == NULL)
            fail_msg("%s has no note in proxy/compatibility.c", cmd->name);
    }
}

/* A row's id is its place in the statistics, and the last place is for commands without a row. */
static void test_every_row_has_its_statistics(void **state)
{
    assert_true(command_count() <= STATS_UNKNOWN);
    for (uint16_t i = 0; i < command_count(); i++)
        assert_int_equal(command_at(i)->id, i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_handled),
        cmocka_unit_test(test_handlers_are_found_by_their_whole_name),
        cmocka_unit_test(test_every_row_has_its_statistics),
        cmocka_unit_test(test_every_refusal_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
