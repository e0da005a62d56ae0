/* router/place — where a policy is between the two stores, and when it goes on: a pure function over place.def.
 *
 *   START ─▶ FIRST ─▶ CATCHUP ─▶ REDIS ⇄ DRAIN ─▶ LEAVE ─▶ ARCHIVE ⇄ CLAIM ─▶ RETURN ─▶ CATCHUP
 *                                  └────▶ LOSE ─▶ SETTLE ────▲
 *
 * Threads: any. */
#ifndef ROUTER_PLACE_H
#define ROUTER_PLACE_H

#include <stdint.h>
#include <stdio.h>

/* What loops do with the policy's keys (docs/protocol.md). */
enum phase { PHASE_REDIS, PHASE_HOLD, PHASE_ARCHIVE, PHASE_CATCHUP };

enum place {
#define PLACE(place, ...) PLACE_##place,
#define STEP(...)
#include "router/place.def"
#undef PLACE
#undef STEP
    PLACES
};

/* What is so at the moment; bits. */
enum fact {
    FACT_KNOWN = 1 << 0,         /* the control document was read */
    FACT_NEW = 1 << 1,           /* it says that nobody has acted yet … */
    FACT_LAST_REDIS = 1 << 2,    /* … Redis acted last … */
    FACT_LAST_ARCHIVE = 1 << 3,  /* … the archive did */
    FACT_ARCHIVE = 1 << 4,       /* the archive answers */
    FACT_ASKED = 1 << 5,         /* Redis was asked, with whatever result */
    FACT_THERE = 1 << 6,         /* something is there, perhaps not well */
    FACT_REDIS = 1 << 7,         /* it answers and takes writes */
    FACT_OURS = 1 << 8,          /* and is the one of this epoch, and no write is in doubt there */
    FACT_WELL = 1 << 9,          /* it has answered for long enough to act again */
    FACT_WANT_ARCHIVE = 1 << 10, /* the operator wants the archive to act */
    FACT_AUTOMATIC = 1 << 11,    /* Redis' loss makes the archive act */
    FACT_QUIET = 1 << 12,        /* each loop: nothing of the policy is under way */
    FACT_COPIED = 1 << 13,       /* no copy is on its way to the archive, and sync rests */
    FACT_NEARLY_CLEAN = 1 << 14, /* few marks are left in Redis */
    FACT_CLEAN = 1 << 15,        /* none, since all was quiet */
    FACT_CLAIMED = 1 << 16,      /* Redis was claimed for the present epoch */
    FACT_CAUGHT_UP = 1 << 17,    /* every key is Redis' */
    FACT_LATE = 1 << 18,         /* it has been in this place for longer than it may */
};
#define FACTS 19

/* Where it goes; `at` when it stays. */
enum place place_next(enum place at, uint32_t facts);
enum phase place_phase(enum place p);
int64_t place_limit_ms(enum place p); /* 0: none */
const char *place_name(enum place p); /* "start", "redis" … */
const char *place_help(enum place p);
const char *phase_name(enum phase p); /* "redis", "hold", "archive", "catchup" */
/* The page docs/places.md. */
void place_markdown(FILE *out);

#endif
