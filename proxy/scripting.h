/* proxy/scripting — scripts, wherever they run: what is kept of them, and who answers while Redis is away.
 *
 *   EVAL, SCRIPT LOAD    kept (proxy/scripts)               EVALSHA   Redis gets what is kept, once for each connection, before it
 *   EVAL*, keys archived  an op (executor/scripted)         SCRIPT *  answered from what is kept, when Redis can't be asked
 *   FCALL, FUNCTION      Redis only
 *
 * Threads: [loop] only. */
#ifndef PROXY_SCRIPTING_H
#define PROXY_SCRIPTING_H

#include "executor/op.h"
#include "proxy/managed.h"

/* The command is about scripts; asked before anything else is done for such a command. */
static inline bool scripting_is(const struct command *cmd)
{
    return cmd != NULL && (cmd->cats & CAT_SCRIPTING) != 0;
}

/* Keeps a script that the command has with it, to run it. */
void scripting_see(struct loop *l, const struct job *job);
/* The same; SCRIPT LOAD, too. True: it was answered here. */
bool scripting_takes(struct session *s, const struct job *job);
/* It names no key, and may change any: it waits while any stores change places. */
bool scripting_is_keyless(const struct job *job);
/* It is about to be sent to u: what its EVALSHA needs goes before it. */
void scripting_prepare(struct loop *l, struct upstream *u, const struct job *job);
/* The same for all of a transaction's requests. */
void scripting_prepare_all(struct loop *l, struct upstream *u, struct slice requests);
/* The op has scripts (op->scripted): they get their bodies, and what they may touch. */
void scripting_attach(struct loop *l, struct op *op);
/* The step is a script, and its text is known. */
bool scripting_knows(const struct loop *l, const struct op *op, const struct op_step *step);
/* The loop ends. */
void scripting_free(struct loop *l);

#endif
