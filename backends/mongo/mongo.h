/* backends/mongo/mongo — an archive in a MongoDB database, or in what speaks its protocol.
 * Owns:       a client pool; a client (one connection to a server) for each handle, since a handle is one worker's: a pool
 *             in which each worker waits for its turn would add a lock and a time-out, and save no connection.
 * Invariants: collection "keys" holds the documents of archive_write with these fields of ours beside theirs:
 *               _id   document_id(key)             ver   version; 0 or less: locked by a commit, intent.h
 *               h     hash                         dirty the other store is owed a copy
 *               due   Date|null, the expiry        kind  enum object_type
 *               wid   which attempt wrote it       in    the commit that locks it; absent otherwise
 *             Collection "control" holds named documents ("doc:NAME"), commits under way, and scratch documents of probes.
 *             What a server can do is found out at the first call that reaches it, and shown to be done (probe.c).
 *             FerretDB 1 does not make an update one step with its filter: there, commits of one process take turns, and
 *             several proxies on one such server may lose updates.
 * Threads:    as archive.h says; libmongoc's own threads watch the servers.          Used by: backends/archive. */
#ifndef BACKENDS_MONGO_MONGO_H
#define BACKENDS_MONGO_MONGO_H

#include "backends/archive/archive.h"

/* "mongodb://…/DATABASE", "mongodb+srv://…": the database is "convproxy" when none is named. */
struct archive *mongo_archive_open(const struct archive_options *options, char *why, size_t why_cap);
bool mongo_archive_url_ok(const char *url, char *why, size_t why_cap);

#endif
