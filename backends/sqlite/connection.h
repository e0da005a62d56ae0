/* backends/sqlite/connection — one SQLite connection of one handle: opened when needed, closed when it went wrong.
 * Owns:       the connection, its prepared statements.
 * Invariants: outside a call no transaction is open. After an error that a new connection might not have, the old one is closed
 *             and the next call opens another.
 * Threads:    one at a time. */
#ifndef BACKENDS_SQLITE_CONNECTION_H
#define BACKENDS_SQLITE_CONNECTION_H

#include "base/err.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum statement {
#define STATEMENT(name, text) STATEMENT_##name,
#include "backends/sqlite/statements.def"
#undef STATEMENT
    STATEMENT_COUNT_OF
};

struct connection {
    const char *path; /* borrowed */
    char *why;        /* borrowed: where a line about an error goes */
    size_t why_cap;
    int busy_ms; /* how long to wait for another one's lock */
    sqlite3 *db; /* NULL: not open */
    sqlite3_stmt *statements[STATEMENT_COUNT_OF];
    bool broken; /* to be closed at the end of the call */
    /* Borrowed, of all connections to the file: grows when one found it read-only. SQLite lets the connections of a process
     * share what they know of that, so all must be opened anew before one can write again. */
    atomic_uint *reopened;
    unsigned opened_at; /* *reopened then */
};

void connection_init(struct connection *c, const char *path, int busy_ms, atomic_uint *reopened, char *why,
                     size_t why_cap);
void connection_done(struct connection *c);
/* Opens it, or opens it anew when another file has taken the place of the one that was open. */
MUST_USE enum err connection_ready(struct connection *c);
/* Prepared, reset, nothing bound yet. NULL: connection_failed() was called. */
sqlite3_stmt *connection_statement(struct connection *c, enum statement which);
/* Runs one that returns no rows; s may be NULL. Resets it. Returns SQLite's code. */
int connection_step(sqlite3_stmt *s);
/* Turns SQLite's code into ours; a line about it goes to why. */
enum err connection_failed(struct connection *c, int rc, const char *doing);
/* The same for a code that says nothing about the connection: why is the line itself. */
enum err connection_refused(struct connection *c, enum err e, const char *line);

MUST_USE enum err connection_begin(struct connection *c, enum statement begin);
/* Commits when so_far is ERR_NONE, else takes everything back. Returns so_far, or what went wrong with the commit.
 * Must follow every connection_begin and connection_ready, also those that failed. */
MUST_USE enum err connection_end(struct connection *c, enum err so_far);

#endif
