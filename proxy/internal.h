/* proxy/internal — what the handlers of local commands share. */
#ifndef PROXY_INTERNAL_H
#define PROXY_INTERNAL_H

#include "proxy/managed.h"

/* Each answers the command; false: it must wait, and will be called again. */
bool local_acl(struct session *s, const struct job *job);
/* OK, when all loops have the users that there are now. */
bool local_users_changed(struct session *s, const struct job *job);
bool local_client(struct session *s, const struct job *job);
bool local_config(struct session *s, const struct job *job);
bool local_conv(struct session *s, const struct job *job);
bool local_info(struct session *s, const struct job *job);
bool local_slowlog(struct session *s, const struct job *job);
bool local_commands(struct session *s, const struct job *job);
/* Of CONV: in proxy/local_chaos.c. */
bool chaos_do(struct session *s, const struct job *job);
/* In proxy/local_tiers.c. */
bool tiers_do(struct session *s, const struct job *job);
/* In proxy/local_moves.c. */
bool moves_do_order(struct session *s, const struct job *job);
bool moves_do_list(struct session *s, const struct job *job);
bool moves_do_abort(struct session *s, const struct job *job);
bool moves_do_resume(struct session *s, const struct job *job);
bool moves_do_dual_write(struct session *s, const struct job *job);
/* In proxy/local_quarantine.c. */
bool quarantine_do(struct session *s, const struct job *job);

/* Of CONV: in proxy/local_tenants.c. */
bool tenants_do_list(struct session *s, const struct job *job);

bool local_ok(struct session *s);
/* Redis can be asked, as far as this loop and the probe know. */
bool local_redis_up(struct session *s);
/* "ERR unknown subcommand or wrong number of arguments for '…'. Try … HELP." */
bool local_bad_args(struct session *s, const struct job *job);
/* The other loops hear of changed settings in a moment; what this client sends next must already see them. */
void local_see_settings(struct session *s);
/* HELP of a command. Always true. */
bool local_help(struct session *s, const char *const *lines, size_t n);
bool local_error(struct session *s, const char *line); /* always true: it is answered */
bool local_set_name(struct session *s, struct slice name); /* false: it has characters that a name must not have */
/* "ERR unknown subcommand '…'. Try … HELP." */
bool local_unknown_sub(struct session *s, const struct job *job);

#endif
