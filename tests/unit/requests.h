/* tests/unit/requests — the main loop of a test program that is asked over pipes: RESP requests on stdin.
 * Threads: one.          Used by: engine_cli, plan_cli. */
#ifndef UNIT_REQUESTS_H
#define UNIT_REQUESTS_H

#include "base/slice.h"

/* Gives each request to answer as soon as it is whole, until stdin ends. What was printed is flushed before the next read.
 * Returns the program's exit status: 1 when stdin held something else, or could not be read. */
int requests_serve(void (*answer)(void *ctx, const struct slice *argv, size_t argc), void *ctx);

#endif
