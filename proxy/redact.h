/* proxy/redact — which arguments of a request are secrets: SLOWLOG and MONITOR show "(redacted)" in their place.
 * Owns:       nothing.
 * Source:     what redis-server 7.0 hides: AUTH, HELLO … AUTH, ACL SETUSER and DELUSER, MIGRATE … AUTH, CONFIG SET of passwords.
 * Threads:    any. */
#ifndef PROXY_REDACT_H
#define PROXY_REDACT_H

#include "router/command.h"

#define REDACTED "(redacted)"

/* Argument i must not be shown. cmd: the request's row, or NULL; argc may be less than the request had. */
bool redact_hides(const struct command *cmd, const struct slice *argv, size_t argc, size_t i);
/* A parameter of Redis whose value CONFIG GET must not tell: it is how the proxy logs in there. */
bool redact_is_secret(struct slice parameter);
/* A pattern of CONFIG GET that one of them may fit. */
bool redact_may_match(const char *pattern);

#endif
