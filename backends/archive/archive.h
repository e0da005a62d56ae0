/* backends/archive/archive — the contract of an archive: a store of documents, one for each key, with compare-and-set on versions.
 * Three keep it: sqlite (embedded), mongo, and trace, which wraps either. tests/unit/backends/archive_suite.c is the contract
 * as tests; whatever passes it may be used.
 *
 * A document is BSON (engine/document makes its value part). The archive looks into none of it: what it must find again
 * stands beside it in struct archive_entry.
 *
 * Invariants: a commit is atomic: all of its writes, or none, whatever happens to the process or the machine; when it has
 *             returned ERR_NONE it is durable. A write happens only if the key's version is the expected one.
 *             Nothing expires by itself: an entry past its expiry is there until a sweep or a commit takes it away, and callers
 *             look at expire_ms.
 * Errors:     ERR_ARCHIVEDOWN  it was not done, and will not be
 *             ERR_ARCHIVELOST  it may or may not have been done (commit, control_set, clear, sweep only)
 *             ERR_RACE         a version was not the expected one; nothing was done
 *             ERR_ARCHIVEBAD   what is stored is damaged, or the archive refuses it for good (full, read-only, too large)
 *             Each call that fails leaves a line for people in archive_why(handle).
 * Threads:    archive_open, archive_close: one thread, before and after all others. A handle belongs to one [worker] at a time;
 *             handles of one archive may be used side by side. Calls may block for as long as the archive's time-outs
 *             allow, so never on a loop. */
#ifndef BACKENDS_ARCHIVE_ARCHIVE_H
#define BACKENDS_ARCHIVE_ARCHIVE_H

#include "base/err.h"
#include "base/slice.h"
#include "engine/arena.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_HASH_BITS 52 /* a cursor holds a hash, and clients may keep cursors in doubles */

/* What the archive knows of a key beside its document. */
struct archive_entry {
    struct slice key;
    int64_t hash;      /* archive_hash(key): the order of scans */
    int64_t version;   /* > 0, grows with every write to the key; a key that is made anew gets one above all it ever had */
    int64_t expire_ms; /* since 1970; -1: never */
    uint8_t type;      /* enum object_type; OBJECT_NONE: a tombstone */
    bool dirty;        /* the other store is owed a copy */
    uint8_t tier;      /* enum record_level, below 16 */
};

struct archive_found {
    int64_t version;  /* 0: there is no document */
    struct slice doc; /* BSON, in the caller's arena */
    bool dirty;       /* as it was committed; not of control documents */
};

struct archive_write {
    struct archive_entry entry;
    int64_t expected;  /* the version that must be there now; 0: no document */
    const bson_t *doc; /* NULL: the document goes; entry.version is not used then */
};

enum archive_filter { ARCHIVE_ALL, ARCHIVE_DIRTY };
struct archive_stats {
    int64_t documents; /* -1: not known */
    int64_t bytes;     /* -1: not known */
    bool racy;         /* its compare-and-set is not one step between processes: it is for one */
};

struct archive;        /* one for the process */
struct archive_handle; /* one for each worker */

/* What an implementation fills in. The functions below call them and say what they do. */
struct archive_ops {
    const char *kind; /* "sqlite", "mongo": for logs and metric labels */
    unsigned writers; /* see archive_writers */
    void (*close)(struct archive *own_a);
    struct archive_handle *(*attach)(struct archive *a);
    void (*detach)(struct archive_handle *own_h);
    enum err (*load)(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena, struct archive_found *found);
    enum err (*commit)(struct archive_handle *h, const struct archive_write *writes, size_t n);
    enum err (*scan)(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                     void (*each)(void *ctx, const struct archive_entry *e), void *ctx);
    enum err (*sweep)(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept);
    enum err (*control_get)(struct archive_handle *h, const char *name, struct arena *arena, struct archive_found *found);
    enum err (*control_set)(struct archive_handle *h, const char *name, int64_t expected, int64_t version, const bson_t *doc);
    enum err (*clear)(struct archive_handle *h);
    enum err (*stats)(struct archive_handle *h, struct archive_stats *ret);
    enum err (*ping)(struct archive_handle *h);
};

/* The first member of every implementation's struct. */
struct archive {
    const struct archive_ops *ops;
};
struct archive_handle {
    struct archive *archive;
    char why[160]; /* about the last call that failed */
};

/* An archive for one process at a time (sqlite) knows its owner; others take no notice. */
enum archive_owner {
    ARCHIVE_UNOWNED, /* tests, tools: nobody is asked */
    ARCHIVE_OWNED,   /* by this process, or it is not opened */
    ARCHIVE_HEIR,    /* by this process, as soon as its predecessor has left */
};

/* How to open one: from settings. Time-outs in ms. */
struct archive_options {
    const char *url;         /* "sqlite:PATH", "mongodb://…", "mongodb+srv://…" */
    unsigned workers;        /* handles that will be attached at most */
    enum archive_owner owner;
    bool *ret_taken;         /* becomes true when another process owns it; NULL: nobody asks */
    int64_t connect_timeout; /* mongo: connectTimeoutMS, serverSelectionTimeoutMS is the larger of it and 2 s */
    int64_t timeout;         /* mongo: socketTimeoutMS */
};

/* NULL: why says what is wrong, in one line; a server that can't be reached now is not wrong, calls say ERR_ARCHIVEDOWN then. */
struct archive *archive_open(const struct archive_options *options, char *why, size_t why_cap);
/* Whether a URL could be opened, by its form alone. False: why says what is wrong with it. */
bool archive_url_ok(const char *url, char *why, size_t why_cap);
/* All handles must be detached. NULL is fine. */
void archive_close(struct archive *own_a);
const char *archive_kind(const struct archive *a);
/* Workers that may commit side by side; 1: commits gain from being put together. */
unsigned archive_writers(const struct archive *a);

struct archive_handle *archive_attach(struct archive *a);
void archive_detach(struct archive_handle *own_h);
const char *archive_why(const struct archive_handle *h);

/* 0 … 2^ARCHIVE_HASH_BITS - 1; stored, so it never changes. */
int64_t archive_hash(struct slice key);

/* found[i] becomes what is stored for keys[i], expired or not. One consistent view of all n where the archive can. */
MUST_USE enum err archive_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                               struct archive_found *found);
/* All n writes, each of another key, or none. n is 1 or more. */
MUST_USE enum err archive_commit(struct archive_handle *h, const struct archive_write *writes, size_t n);
/* A page of entries with hash >= from_hash, in the order of their hashes: limit of them, and all others with the hash of the last
 * one, so that the next page begins at that hash + 1; fewer than limit: there are no more. Entries and their keys are valid
 * during each() only. An entry that is there during the whole of a scan is seen. */
MUST_USE enum err archive_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                               void (*each)(void *ctx, const struct archive_entry *e), void *ctx);
/* Deletes up to limit documents that are clean and whose expire_ms is before now_ms. */
MUST_USE enum err archive_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept);
/* Small named documents of the proxies' own, by compare-and-set on versions as above. Scans and clear do not see them. */
MUST_USE enum err archive_control_get(struct archive_handle *h, const char *name, struct arena *arena, struct archive_found *found);
MUST_USE enum err archive_control_set(struct archive_handle *h, const char *name, int64_t expected, int64_t version, const bson_t *doc);
/* Deletes all documents. */
MUST_USE enum err archive_clear(struct archive_handle *h);
MUST_USE enum err archive_stats(struct archive_handle *h, struct archive_stats *ret);
/* A round trip that shows that reads and writes would work now. */
MUST_USE enum err archive_ping(struct archive_handle *h);

#endif
