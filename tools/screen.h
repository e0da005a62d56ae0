/* tools/screen — the admin server's documents as text for people.
 * Owns:       nothing.
 * Invariants: members that an older or newer proxy does not have count as 0 or "-"; no document makes it
 * fail. Control bytes in a document's texts are not passed on to the terminal. Threads:    any.          Used
 * by: tools/convctl. */
#ifndef TOOLS_SCREEN_H
#define TOOLS_SCREEN_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdio.h>

/* /api/v1/state. */
void screen_status(FILE *out, const cJSON *state);
/* The same with rates a second since the state before (NULL: none yet), which was seconds ago. */
void screen_watch(FILE *out, const cJSON *state, const cJSON *before, double seconds);
/* /healthz. */
void screen_health(FILE *out, const cJSON *health);
/* /api/v1/primary: what it is, and the answer to a change. */
void screen_placement(FILE *out, const cJSON *doc);
/* One policy of it. */
void screen_placement_of(FILE *out, const cJSON *item);
void screen_switched(FILE *out, const cJSON *doc);
/* /api/v1/archive/faults. */
void screen_faults(FILE *out, const cJSON *doc);
/* One of /api/v1/moves in a line without its end; bar: with a bar of its progress. And what there is to say when it is over. */
void screen_move(FILE *out, const cJSON *move, bool bar);
void screen_move_end(FILE *out, const cJSON *move);
/* Whether it has found something that is wrong, and has not repaired all of it. */
bool screen_move_wrong(const cJSON *move);
/* /api/v1/moves: all; the answer to an abort; that of /api/v1/dual-write. */
void screen_moves(FILE *out, const cJSON *doc);
void screen_aborted(FILE *out, const cJSON *doc);
void screen_resumed(FILE *out, const cJSON *doc);
void screen_dual_write(FILE *out, const cJSON *doc);
/* /api/v1/settings. */
void screen_settings(FILE *out, const cJSON *settings);

/* By a path like "redis.latencyMs.p95"; 0, "-" or false when there is none. A text is valid until 16 calls
 * later. */
double screen_number(const cJSON *doc, const char *path);
const char *screen_text(const cJSON *doc, const char *path);
bool screen_flag(const cJSON *doc, const char *path);

#endif
