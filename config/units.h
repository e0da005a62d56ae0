/* config/units — numbers with units, as people write them in a configuration.
 * Owns:    nothing.
 * Threads: any.          Used by: config/settings, tools. */
#ifndef CONFIG_UNITS_H
#define CONFIG_UNITS_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

enum units_result {
    UNITS_OK,
    UNITS_MALFORMED, /* not a number, or an unknown unit */
    UNITS_TOO_LARGE  /* well formed, but beyond int64 */
};

/* Room for every text that the printers below write. */
#define UNITS_TEXT 32

/* The parsers want the whole text (no blanks around it), ignore the case of units, and leave *ret untouched
 * on failure. */

/* Decimal digits, with an optional '-' in front. */
MUST_USE enum units_result units_parse_int(const char *text, int64_t *ret);
/* Digits and an optional unit, in redis.conf's meaning: k m g t are powers of 1000; kb mb gb tb and kib mib
 * gib tib are powers of 1024; b or nothing is bytes. */
MUST_USE enum units_result units_parse_bytes(const char *text, int64_t *ret);
/* Digits and an optional unit: ms, s, m or min, h, d. Without a unit the number counts bare_ms. *ret is in
 * ms. */
MUST_USE enum units_result units_parse_duration(const char *text, int64_t bare_ms, int64_t *ret);
/* "100/min": *ret_count for each *ret_ms. Units: s sec second, min minute, h hour, d day. The count is 1 or more; "" and "0" are
 * no rate: both become 0. */
MUST_USE enum units_result units_parse_rate(const char *text, int64_t *ret_count, int64_t *ret_ms);
/* 1 yes true on, 0 no false off. */
MUST_USE enum units_result units_parse_bool(const char *text, bool *ret);

/* The unit a duration is written in, in ms: 1000 for "2592000s"; 1 for a bare or malformed one. */
int64_t units_duration_unit(const char *text);

/* The shortest exact text: 67108864 is "64mb", 2592000000 ms is "30d"; 0 is "0". The parsers read it back. */
void units_print_bytes(int64_t bytes, char buf[UNITS_TEXT]);
void units_print_duration(int64_t ms, char buf[UNITS_TEXT]);

#endif
