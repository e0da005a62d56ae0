/* backends/sqlite/sqlite — an archive in one SQLite file: embedded, durable when kill -9 or the machine stops it.
 * Owns:       a connection for each handle.
 * Invariants: a commit of n writes is one transaction in WAL mode with synchronous=FULL: one fsync, so many small commits
 *             gain from being put together. Several processes may use one file side by side.
 *             A file that is missing, locked, damaged or replaced makes calls fail, never archive_open; each call tries
 *             again, so that whatever was mended works without a restart.
 * Threads:    as archive.h says.          Used by: backends/archive. */
#ifndef BACKENDS_SQLITE_SQLITE_H
#define BACKENDS_SQLITE_SQLITE_H

#include "backends/archive/archive.h"

#define SQLITE_ARCHIVE_SCHEME "sqlite:"

/* "sqlite:PATH", relative to the working directory or absolute. Missing parent directories and the file are made when first
 * needed, for the owner alone. NULL: not such a URL, or the file was made by a newer convproxy. */
struct archive *sqlite_archive_open(const struct archive_options *options, char *why, size_t why_cap);
bool sqlite_archive_url_ok(const char *url, char *why, size_t why_cap);

#endif
