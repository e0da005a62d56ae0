/* proxy/login — who a client is, and whether that user may do what it asks for.
 *
 *     HELLO, AUTH ─▶ session.user ─▶ login_lets: once for each request, before it goes anywhere
 *
 * Owns:       loop.users, the set of users that the loop's sessions are of.
 * Invariants: session.user is of loop.users. session.guarded is false only for who may do everything: nothing else is looked
 *             at for such a client. A client that must log in first may do what CMD_NO_AUTH says, and nothing more.
 * Source:     redis.io/docs/management/security/acl, commands/auth, commands/hello; redis-server 7.0.15.
 * Threads:    [loop] only. */
#ifndef PROXY_LOGIN_H
#define PROXY_LOGIN_H

#include "proxy/managed.h"

struct acl_user;

/* A new client is the user default. */
void login_begin(struct session *s);
/* A client that is the proxy itself, and may do everything. */
void login_inside(struct session *s);
/* A client of another process was this user there, logged in or not. False: there is no such user here. */
MUST_USE bool login_arrive(struct session *s, struct slice user, bool known);
/* Takes the current users (a loop_fn): clients whose user is gone are ended, the others are what he is now. */
void login_refresh(struct loop *l, void *unused);
void login_done(struct loop *l);

/* The client still has to log in. */
bool login_needed(const struct session *s);
/* For a guarded session, before anything is done: false: the client was told why not. job has a row, and its arity is right,
 * or it has to log in. */
bool login_lets(struct session *s, const struct job *job);
/* The same for what was queued in MULTI, when its turn has come. */
bool login_lets_still(struct session *s, const struct job *job);
/* Tells a client that has to log in so. */
bool login_refuse(struct session *s, const struct job *job);
/* NULL, or Redis's error. verb: AUTH or HELLO, as it came. */
const char *login_auth(struct session *s, struct slice verb, struct slice user, struct slice password);
/* What login_auth and, for that user, login_lets would find, without doing anything. */
bool login_fits(const struct session *s, struct slice user, struct slice password);
bool login_would_let(const struct session *s, struct slice user, const struct job *job);
bool login_has_default_password(const struct session *s);
/* RESET: as a new client. */
void login_reset(struct session *s);

#endif
