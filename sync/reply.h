/* sync/reply — a value out of what Redis answers: which command asks for it, and what its reply makes.
 * Owns:       nothing; bytes are copied into the arena.
 * Invariants: scores and ids are exact; what is not of the expected form is refused, never guessed.
 * Threads:    any.          Used by: sync/value. */
#ifndef SYNC_REPLY_H
#define SYNC_REPLY_H

#include "engine/arena.h"
#include "engine/object.h"
#include "sync/link.h"

#include <stdbool.h>
#include <stdint.h>

/* Puts the command that reads the whole value: a stream's with its groups and what they owe. type: not NONE. */
void reply_ask(struct link *l, enum object_type type, struct slice key);
/* Its reply becomes o->v; o->type tells what was asked for. */
bool reply_value(const struct redisReply *r, struct arena *a, struct object *o);
/* OBJECT ENCODING's becomes o->encoding, in the words of Redis 7.0: what is packed in another way there is what 7.0 would have. */
bool reply_encoding(const struct redisReply *r, struct object *o);
/* TYPE's; false: not one of the engine's types (a module's). */
bool reply_type(const struct redisReply *r, enum object_type *ret);
/* An integer, or a text that is one. */
bool reply_int(const struct redisReply *r, int64_t *ret);
bool reply_is_text(const struct redisReply *r);
bool reply_is_array(const struct redisReply *r);
struct slice reply_slice(const struct redisReply *r);

#endif
