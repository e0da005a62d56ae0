#include "proxy/copies.h"

#include "executor/op.h"

#include <stdlib.h>
#include <string.h>

/* The archive has all its commands. */
static bool can_run(const struct op *op)
{
    size_t i = 0;
    while (i < op->nsteps && op->steps[i].fn != NULL)
        i++;
    return i == op->nsteps;
}

void copies_keep(struct slot *slot, struct slice commands)
{
    struct loop *l = slot->loop;

    if (l->executor == NULL || block_is_mixed(slot->block))
        return;
    struct op *op = op_new(OP_EXEC, slot->session->resp, commands);
    if (!can_run(op)) {
        op_free(op);
        return;
    }
    block_mark(slot->block, op);
    op->id = *block_id(slot->block);
    op->epoch = l->acting.epoch;
    op->now_ms = loop_redis_now_ms(l);
    slot->copy = op;
}

bool copies_take(struct slot *slot)
{
    return false;
}
