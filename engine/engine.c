#include "engine/internal.h"

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#define SLOTS 1024 /* a power of two, at least twice the rows */

static const struct row {
    const char *name;
    call_fn run;
} rows[] = {
#define ENGINE(name, handler) {name, handler},
#include "engine/engine.def"
#undef ENGINE
    {NULL, NULL},
};
_Static_assert(sizeof rows / sizeof *rows <= SLOTS / 2, "SLOTS is too small");

static uint16_t slots[SLOTS]; /* a row's number + 1, or 0 */
static pthread_once_t built = PTHREAD_ONCE_INIT;

static size_t first_slot(const char *name)
{
    uint32_t h = 2166136261u;

    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * 16777619u;
    return (h ^ h >> 15) & (SLOTS - 1);
}

static void build(void)
{
    for (size_t i = 0; rows[i].name != NULL; i++) {
        size_t at = first_slot(rows[i].name);
        while (slots[at] != 0)
            at = (at + 1) & (SLOTS - 1);
        slots[at] = (uint16_t)(i + 1);
    }
}

call_fn engine_find(const char *name)
{
    pthread_once(&built, build);
    for (size_t at = first_slot(name); slots[at] != 0; at = (at + 1) & (SLOTS - 1)) {
        const struct row *row = &rows[slots[at] - 1];
        if (strcmp(row->name, name) == 0)
            return row->run;
    }
    return NULL;
}
