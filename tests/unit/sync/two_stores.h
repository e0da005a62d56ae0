/* tests/unit/sync/two_stores — a redis-server, a SQLite archive, and what happens between them at chosen moments.
 * Owns:    both, a link, a handle, from two_stores_open to two_stores_close. The archive is wrapped: a hook sees its commits.
 * Threads: one; others may attach handles of their own. */
#ifndef TESTS_UNIT_SYNC_TWO_STORES_H
#define TESTS_UNIT_SYNC_TWO_STORES_H

#include "backends/archive/archive.h"
#include "executor/record.h"
#include "sync/link.h"
#include "tests/unit/sync/sync_redis.h"

struct two_stores;

/* A commit is about to be done (after false), or was done. What it returns is the commit's result: ERR_NONE before means that it is done. */
typedef enum err (*two_stores_hook)(struct two_stores *t, int commit, bool after);

struct wrapped {
    struct archive base; /* first */
    struct archive *inner;
    struct two_stores *owner;
};

struct two_stores {
    struct sync_redis redis;
    struct wrapped archive;
    struct archive_handle *handle; /* of the wrapped one */
    struct link *link;
    struct arena arena;
    char dir[48];
    two_stores_hook hook; /* NULL: none */
    int commits;          /* since hook was set */
};

/* False: there is no redis-server here. */
bool two_stores_open(struct two_stores *t);
void two_stores_close(struct two_stores *t);
void two_stores_set_hook(struct two_stores *t, two_stores_hook hook);
/* After its connection was lost. */
void two_stores_link(struct two_stores *t);

/* The one of a test, for cmocka; where there is no redis-server, two_stores_need ends the test as skipped. */
extern struct two_stores *world;
int two_stores_set_up(void **state);
int two_stores_tear_down(void **state);
void two_stores_need(void);

/* What a test puts into the archive, and finds there. */
struct two_doc {
    const char *key;
    const char *elements; /* of a list, separated by blanks; NULL: a tombstone */
    int64_t version, expire_ms;
    bool dirty;
    struct record record;
};

/* Replaces whatever is there. expire_ms 0: none. */
void two_stores_put(struct two_stores *t, const struct two_doc *d);
/* "[a b] redis clean", "none archive dirty base 7 j 2", "absent" …; until the next call. */
const char *two_stores_line(struct two_stores *t, const char *key);
int64_t two_stores_version(struct two_stores *t, const char *key);
/* The document's record; in the arena. */
struct record two_stores_record(struct two_stores *t, const char *key);

/* One write as the proxy sends it: RPUSH, version, mark, session. Returns the version. */
int64_t two_stores_append(struct two_stores *t, const char *key, const char *element, const char *session,
                          int64_t seq);
/* The journal of r gets an RPUSH of element to key. */
void two_stores_journal(struct two_stores *t, struct record *r, const char *key, const char *element,
                        const char *session, int64_t seq);
int64_t two_stores_redis_version(struct two_stores *t, const char *key);
struct slice two_stores_key(const char *key);

#endif
