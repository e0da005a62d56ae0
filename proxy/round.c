#include "proxy/round.h"

#include "proxy/server.h"

static void arrive(struct loop *l, void *arg);

static void pass_on(struct server *server, struct round *r)
{
    struct loop *l;

    while ((l = server_loop(server, r->next)) != NULL) {
        r->next++;
        if (l != r->asker && loop_try_post(l, arrive, r))
            return;
    }
    if (!loop_try_post(r->asker, arrive, r))
        r->drop(r);
}

static void arrive(struct loop *l, void *arg)
{
    struct round *r = arg;
    bool home = l == r->asker;

    r->visit(l, r); /* at home it is gone then */
    if (!home)
        pass_on(l->server, r);
}

void round_start(struct round *own_r)
{
    pass_on(own_r->asker->server, own_r);
}
