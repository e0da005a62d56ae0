#include "proxy/acting.h"

#include "proxy/hold.h"
#include "proxy/loop.h"
#include "proxy/placement.h"
#include "proxy/server.h"
#include "router/keys.h"

#include <stdlib.h>
#include <string.h>

void acting_apply(struct loop *l, void *own_acting)
{
    struct acting before = l->acting;

    if (!l->closed) {
        l->acting = *(struct acting *)own_acting;
        hold_acting(l, &before);
    }
    free(own_acting);
}

void acting_refresh(struct loop *l)
{
    struct acting *fresh = malloc(sizeof *fresh);

    if (fresh == NULL)
        abort();
    placement_copy(server_placement(l->server), l->settings, fresh);
    acting_apply(l, fresh);
}

void acting_wait(struct acting *a)
{
    a->any = true;
    memset(a->phase, PHASE_HOLD, sizeof a->phase);
}

enum phase acting_phase(const struct acting *a, const struct policy_conf *policy)
{
    return policy != NULL && policy->index < STATS_POLICIES ? (enum phase)a->phase[policy->index]
                                                            : PHASE_REDIS;
}

bool acting_is_archive(const struct acting *a, const struct policy_conf *policy)
{
    return acting_phase(a, policy) == PHASE_ARCHIVE;
}

struct seeking {
    const struct loop *loop;
    const struct slice *argv;
    unsigned home;
};

static bool see_key(void *ctx, struct key_ref ref)
{
    struct seeking *s = ctx;
    const struct policy_conf *policy = policy_find(s->loop->policies, s->argv[ref.arg]);
    s->home |= acting_is_archive(&s->loop->acting, policy) ? HOME_ARCHIVE : HOME_REDIS;
    return true;
}

/* A script may use keys that it does not declare: it runs where managed keys are. */
static unsigned home_of_keyless(const struct acting *a)
{
    size_t i = 0;
    while (i < STATS_POLICIES && a->phase[i] != PHASE_ARCHIVE)
        i++;
    return i < STATS_POLICIES ? HOME_ARCHIVE : HOME_NONE;
}

enum home acting_home(const struct loop *l, const struct command *cmd, const struct slice *argv, size_t argc)
{
    struct seeking s = {.loop = l, .argv = argv};

    if (!l->acting.any)
        return HOME_REDIS;
    if (cmd == NULL)
        return HOME_NONE;
    keys_each(cmd, argv, argc, see_key, &s);
    if (s.home == HOME_NONE && (cmd->cats & CAT_SCRIPTING) != 0 && strncmp(cmd->name, "eval", 4) == 0)
        s.home = home_of_keyless(&l->acting);
    return (enum home)s.home;
}
