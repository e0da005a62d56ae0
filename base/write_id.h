/* base/write_id — the name of one write: the same in every attempt, and part of the state in both stores (I7).
 * A session is one connection to Redis (its writes are executed in the order of seq), or the archive's side of one process. */
#ifndef BASE_WRITE_ID_H
#define BASE_WRITE_ID_H

#include <stdint.h>

#define WRITE_SESSION 24 /* with the NUL; letters, digits and '-' */

struct write_id {
    char session[WRITE_SESSION];
    int64_t seq; /* from 1; 0: the write has no id */
};

#endif
