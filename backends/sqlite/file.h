/* backends/sqlite/file — the archive's file and schema: makes them, and refuses those that are not ours.
 * Owns:    nothing.
 * Threads: any. */
#ifndef BACKENDS_SQLITE_FILE_H
#define BACKENDS_SQLITE_FILE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>

/* Makes the file and the directories above it when they are missing, for their owner alone. 0, or errno: it
 * can't be made, or not be written. */
int file_make(const char *path);
/* Makes the schema in an empty database. An SQLite code; SQLITE_MISMATCH: the file is someone else's or a newer convproxy's, and
 * *why (never NULL then) says which. */
int file_schema(sqlite3 *db, const char **why);
/* Whether file_schema's why says that a newer convproxy made it. */
bool file_is_newer(const char *why);

/* Makes the folders of the path that are not there. 0, or errno. */
int file_folders(const char *path);

#endif
