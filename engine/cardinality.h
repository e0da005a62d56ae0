/* engine/cardinality — how many different elements were seen: the arithmetic of HyperLogLog, with Redis's hash and estimator, so
 * that both count the same.
 * Threads: any.          Used by: hyperloglog. */
#ifndef ENGINE_CARDINALITY_H
#define ENGINE_CARDINALITY_H

#include "base/slice.h"

#include <stdint.h>

#define CARDINALITY_REGISTERS 16384 /* 2^14: 14 bits of the hash choose one */
#define CARDINALITY_VALUES    64    /* that a register of 6 bits may hold; honest ones end at 51 */

/* The register of an element, and the value that it must have at least. */
unsigned cardinality_register(struct slice element, uint8_t *ret_value);
/* registers: CARDINALITY_REGISTERS values below CARDINALITY_VALUES. */
int64_t cardinality_estimate(const uint8_t *registers);

#endif
