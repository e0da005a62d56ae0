/* executor/op — one request to the archive: commands that run together on the keys they name.
 * Owns:       a copy of the request's bytes, its parsed commands, the distinct keys, and in the end the reply.
 * Invariants: commands and keys are fixed by op_new; the reply grows while the op runs and is the owner's when it is done.
 * Threads:    one at a time: its maker's, then the executor's, then again its maker's. */
#ifndef EXECUTOR_OP_H
#define EXECUTOR_OP_H

#include "base/write_id.h"
#include "engine/call.h"
#include "router/command.h"

#define OP_FEW_ARGS  16
#define OP_FEW_STEPS 4
#define OP_FEW_KEYS  2

enum op_form {
    OP_ONE,   /* one command: the reply is its reply */
    OP_EXEC,  /* the reply is EXEC's: an array of all replies, or nil when a watched key has changed */
    OP_WATCH, /* no command runs; the keys' versions are told */
};

/* How an op stands to the other store (docs/protocol.md). */
enum op_role {
    OP_PLAIN,   /* there is no other store, or nothing is owed to it */
    OP_OWED,    /* what it changes gets a mark */
    OP_JOURNAL, /* and is written into the journal: Redis may hold writes that the archive lacks */
    /* Repeats what Redis has done: on the exact predecessor of each key, or ERR_RACE and nothing is done. Done before (its id is
     * there, or this version or a higher one of the same epoch): nothing is done, and that is no error. The reply is empty. Needs
     * no client: error tells how it went. Keys that steps only read need no version. */
    OP_COPY,
};

enum op_state {
    OP_NEW,
    OP_WAITING, /* in its keys' lanes, behind others */
    OP_READY,   /* first in all its lanes */
    OP_RUNNING,
    OP_PARKED, /* a blocking command that found nothing: in no queue until a key of it changes */
    OP_DONE
};

struct op_step {
    const struct command *cmd; /* NULL: not in the table */
    call_fn fn;                /* NULL: the archive does not have it */
    size_t argv, argc;         /* into op->argv */
    struct slice
        script; /* of EVAL and its kin: what runs, which outlives the op's end; p NULL: nobody knows it */
    bool conditional; /* a reply of 0, -1 or nil means that nothing was written */
    bool if_written;  /* runs only if the last step without this has written; answers 0 otherwise */
};

struct key_lane;
struct op_memory;
struct scope;

/* One of the op's keys, and its place in that key's lane. */
struct op_key {
    struct slice key;
    int64_t hash; /* archive_hash */
    struct op *op;
    struct key_lane *lane;
    struct op_key *next, **back;
    bool changed; /* the op has changed it */
    /* OP_COPY: the key was not in Redis before: no document, or a dead one, comes before it. That its version was made anew does
     * not say so: it may have been written when none were kept. */
    bool fresh;
    int64_t copied;  /* OP_COPY: the version that Redis gave; the one before it must be there */
    int64_t watched; /* the version it must have; -1: any; below: it must not be there. OP_WATCH: as it is */
};

struct op {
    struct op *next; /* in the list that its state asks for, or its owner's */
    struct op **back;
    enum op_state state;
    enum op_form form;
    enum resp resp;
    bool writes;  /* some step may write */
    uint8_t role; /* enum op_role */
    /* It may have been done before: it looks for its id, and is not done again. The reply is then worked out where it can be (the
     * length after a push, OK after SET), or is -INDOUBT. */
    bool second;
    struct write_id id;
    /* Under which it was sent: versions that it makes are of it, or of the key's present one when that is later. A write on a
     * document that is Redis' by a later one: ERR_MOVED. 0: nobody asks (the first epoch). */
    int64_t epoch;
    int64_t now_ms;                 /* OP_COPY: Redis' clock when it was sent; 0: the worker's */
    _Atomic bool cancelled;         /* its client is gone: it must not run any more */
    _Atomic bool timed_out;         /* its time to block is over: nil instead of parking */
    _Atomic bool unblocked;         /* and an error instead of nil: CLIENT UNBLOCK … ERROR */
    bool woken;                     /* was parked before */
    bool changed;                   /* it has changed some of its keys: whoever is parked there is woken */
    struct slice woken_by;          /* which of its keys has woken it; p NULL: none in particular */
    bool parks;                     /* it found nothing and is to wait */
    uint64_t seq;                   /* order of arrival */
    unsigned blocked;               /* lanes in which it is not first */
    int64_t queued_us, deadline_us; /* mono; past the deadline it is not begun any more */
    int64_t block_until_us;         /* mono; 0: it does not block, INT64_MAX: for ever */
    size_t blocking;                /* the step that does */
    struct op_step *steps;
    size_t nsteps, steps_cap;
    struct slice *argv;
    size_t nargv, argv_cap;
    struct op_key *keys;
    size_t nkeys, keys_cap;
    uint32_t *index; /* of many keys: their places + 1, by hash (open addressing); NULL: they are few */
    size_t index_size;
    char *reply; /* RESP */
    size_t reply_len, reply_cap;
    enum err error; /* instead of a reply */
    char detail[160];
    void *owner;              /* the maker's own */
    unsigned home;            /* the maker's own: where it wants to hear of the end */
    struct op_memory *memory; /* given out by op_get */
    bool scripted;            /* some step is a script */
    struct scope *scope;      /* what its scripts may touch; counted, NULL: no keys */
    struct slice *wanted;     /* keys that its script has used and that are not its own yet */
    size_t nwanted;
    char *published; /* requests of PUBLISH that its scripts have made: for Redis, when the op is done */
    size_t published_len, published_cap;
    unsigned publishes, restarts; /* how many those are; how often it ran again */
    bool pinned;                  /* parking has put an id in place of each "$" */
    struct op_step few_steps[OP_FEW_STEPS];
    struct slice few_argv[OP_FEW_ARGS];
    struct op_key few_keys[OP_FEW_KEYS];
    char bytes[]; /* the requests */
};

/* requests: one or more, as arrays of bulks (never inline), parsed before and so known to be whole, with as many arguments as their
 * rows allow. OP_WATCH: one, of which all arguments are keys. Steps may be changed until the op is submitted. */
struct op *op_new(enum op_form form, enum resp resp, struct slice requests);
void op_free(struct op *own_op);
/* The executor has had the op: another one that it has not, of the same commands, versions of keys and name. */
struct op *op_again(const struct op *op);
/* The op stands for one command, which may wait when it finds nothing. */
void op_may_block(struct op *op);
/* EXEC must find this version of key. */
void op_watch(struct op *op, struct slice key, int64_t version);
/* What is wanted becomes the op's own. Its keys move: they must be in no lane. */
void op_take_wanted(struct op *op);
/* n bytes that live as long as the op. */
char *op_get(struct op *op, size_t n);
/* The key's place in op->keys, op->nkeys when it isn't one. */
size_t op_find_key(const struct op *op, struct slice key);
/* A script has published something. What is thrown away with the reply is not published. */
void op_publish(struct op *op, struct slice request);
void op_reply_add(struct op *op, const char *p, size_t n);
void op_reply_clear(struct op *op);
void op_fail(struct op *op, enum err e, const char *detail);

#endif
