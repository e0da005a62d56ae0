/* tests/unit/executor/run_world — ops run on an archive of their own: SQLite in a new folder, inside trace.
 * Owns:    the folder, the archive, a run, the ops that were made.
 * Threads: one.          Used by: test_stores, test_copies, test_executor, test_journal. */
#ifndef UNIT_EXECUTOR_RUN_WORLD_H
#define UNIT_EXECUTOR_RUN_WORLD_H

#include "executor/record.h"
#include "executor/run.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define WORLD_OPS 256

struct world {
    char dir[64];
    struct archive *archive;
    struct archive_handle *handle;
    struct run *run;
    struct run_counts counts;
    struct arena arena;
    struct op *ops[WORLD_OPS];
    size_t nops;
    struct op_list batch; /* those that world_add has put there */
};

int world_setup(void **state);
int world_teardown(void **state);
/* Gives its handles back: somebody else closes the archive, and sets it to NULL. */
void world_detach(struct world *w);

/* An op of lines, each a request of words separated by blanks; the world frees it. More than one line: OP_EXEC. */
struct op *world_op(struct world *w, const char *lines);
/* The same with an epoch, a role and, unless seq is 0, the id (session, seq). */
struct op *world_write(struct world *w, enum op_role role, const char *session, int64_t seq,
                       const char *lines);
/* A copy of what Redis has done under version `copied`. */
struct op *world_copy(struct world *w, const char *session, int64_t seq, int64_t copied, const char *lines);
/* The ops that were made are done with. */
void world_forget(struct world *w);
void world_add(struct world *w, struct op *op);
/* Runs all that was added, in one batch. */
void world_run(struct world *w);
/* Runs the op alone, and says that its reply is this. NULL: says nothing. */
void world_expect(struct world *w, struct op *op, const char *reply);
void world_expect_error(struct world *w, struct op *op, enum err e);
/* The reply of a plain op of these lines. */
void world_ask(struct world *w, const char *lines, const char *reply);

/* What is stored for a key. */
struct stored {
    int64_t version; /* 0: nothing */
    bool dirty;
    int64_t expire_ms; /* the document's */
    uint8_t type;
    struct record record;
};
struct stored world_stored(struct world *w, const char *key);
/* Waits for nothing: the clock that the archive's side goes by, in ms. */
int64_t world_now(void);
void world_plan(struct world *w, const char *faults);

#define WORLD_EPOCH   300
#define WORLD_TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

#endif
