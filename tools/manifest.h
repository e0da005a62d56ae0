/* tools/manifest — a folder of convctl backup, and what its manifest.json says of it.
 *
 *   DIR/convproxy-20261121-224529/            a backup that is whole: it has a manifest
 *   DIR/convproxy-20261121-224529.incomplete/ one that runs, or has not come to its end
 *
 * Owns:       nothing between calls.
 * Invariants: manifest.json is written last, so a folder that has one had everything.
 * Threads:    one.          Used by: tools/backup, tools/import_run. */
#ifndef TOOLS_MANIFEST_H
#define TOOLS_MANIFEST_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define MANIFEST_FILE   "manifest.json"
#define MANIFEST_FORMAT "convproxy-backup"

/* A row of "files": name, kind, bytes and sha256 of a file in the folder. NULL: it can't be read. */
cJSON *manifest_row(const char *folder, const char *name, const char *kind);
/* Writes it, and sees to it that all of the folder is on the disk. False: errno. */
bool manifest_write(const char *folder, const cJSON *manifest);
/* NULL: there is none, or it is damaged. */
cJSON *manifest_read(const char *folder);
bool manifest_is_folder(const char *path);
/* Whether all files are there and as they were. What is wrong is said, a line each. */
bool manifest_check(const char *folder, FILE *complaints);
/* The path of its export. */
bool manifest_keys_file(const char *folder, char *path, size_t cap);

#endif
