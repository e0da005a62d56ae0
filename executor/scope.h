/* executor/scope — what a script on the archive may touch: the policies for which the archive acts, as they were when it was sent.
 * Owns:       a reference to the settings, and the patterns made of them; immutable, counted.
 * Threads:    any. */
#ifndef EXECUTOR_SCOPE_H
#define EXECUTOR_SCOPE_H

#include "router/policy.h"

#include <stddef.h>
#include <stdint.h>

struct scope;

/* archive, roles (enum op_role of writes): by policy_conf.index, for the first n policies; the archive has no others. */
struct scope *scope_new(const struct settings *settings, const bool *archive, const uint8_t *roles, size_t n);
struct scope *scope_ref(struct scope *s);
void scope_unref(struct scope *own_s);

const struct settings *scope_settings(const struct scope *s);
/* The key's policy, for which the archive acts. NULL: the key is not the archive's. */
const struct policy_conf *scope_find(const struct scope *s, struct slice key);
uint8_t scope_role(const struct scope *s, const struct policy_conf *policy);

#endif
