#include "executor/scope.h"

#include <stdatomic.h>
#include <stdlib.h>

struct scope {
    _Atomic unsigned refs;
    const struct settings *settings;
    struct policy_set *policies;
    size_t count;
    struct {
        bool archive;
        uint8_t role;
    } by_policy[];
};

struct scope *scope_new(const struct settings *settings, const bool *archive, const uint8_t *roles, size_t n)
{
    struct scope *s = calloc(1, sizeof *s + n * sizeof *s->by_policy);

    if (s == NULL)
        abort();
    s->refs = 1;
    s->settings = settings_ref(settings);
    s->policies = policy_set_new(settings);
    if (s->policies == NULL)
        abort();
    s->count = n;
    for (size_t i = 0; i < n; i++) {
        s->by_policy[i].archive = archive[i];
        s->by_policy[i].role = roles[i];
    }
    return s;
}

struct scope *scope_ref(struct scope *s)
{
    s->refs++;
    return s;
}

void scope_unref(struct scope *own_s)
{
    if (own_s == NULL || --own_s->refs > 0)
        return;
    policy_set_free(own_s->policies);
    settings_unref(own_s->settings);
    free(own_s);
}

const struct settings *scope_settings(const struct scope *s)
{
    return s->settings;
}

const struct policy_conf *scope_find(const struct scope *s, struct slice key)
{
    const struct policy_conf *policy = policy_find(s->policies, key);
    return policy != NULL && policy->index < s->count && s->by_policy[policy->index].archive ? policy : NULL;
}

uint8_t scope_role(const struct scope *s, const struct policy_conf *policy)
{
    return s->by_policy[policy->index].role;
}
