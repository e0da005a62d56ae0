/* base/mutant — whether this build lacks a rule of docs/protocol.md on purpose, so that tests can show that they would notice.
 * Invariants: every other build has a constant 0 in each of these places, and so no code. A build has one mutation at most; its
 *             version says so.          Used by: tests/chaos/mutants.py, by `meson setup -Dmutant=NAME`. */
#ifndef BASE_MUTANT_H
#define BASE_MUTANT_H

#include "mutant_choice.h" /* CONVPROXY_MUTANT, from the option */

enum mutant {
    MUTANT_none,
#define MUTANT_ROW(name, what) MUTANT_##name,
#include "base/mutant.def"
#undef MUTANT_ROW
};

#define MUTANT(name) (CONVPROXY_MUTANT == MUTANT_##name)

#endif
