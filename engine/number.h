/* engine/number — numbers as Redis reads and prints them.
 * Source:  what redis-server 7.0.15 accepts and answers; the unit test compares with tables taken from it.
 * Threads: any; independent of the locale. */
#ifndef ENGINE_NUMBER_H
#define ENGINE_NUMBER_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define NUMBER_TEXT 5200 /* room for any printed number (long doubles print all digits) */
/* The printers end the text by a NUL that the length leaves out; buf has NUMBER_TEXT bytes, for an int 24 are enough. */

/* Strict: no blanks, no '+', no leading zeros, no "-0"; fits 64 bits. */
bool number_int(struct slice s, int64_t *ret);
/* As ZADD, GEOADD … read scores: strtod's forms, inf, no NaN, no blanks around. */
bool number_double(struct slice s, double *ret);
/* As SORT reads elements: blanks in front, an empty text and whatever follows a NUL are fine; a result too small for full
 * precision is not. */
bool number_sortable(struct slice s, double *ret);
/* As ranges of scores are read: the same, and any size is fine. */
bool number_bound(struct slice s, double *ret);
/* As INCRBYFLOAT reads: long double, no NaN. */
bool number_long_double(struct slice s, long double *ret);
size_t number_print_int(char *buf, int64_t value);
/* As replies print doubles: integers without point, else %.17g; inf, -inf, nan; -0. */
size_t number_print_double(char *buf, double value);
/* As INCRBYFLOAT stores: fixed notation, 17 digits, trailing zeros cut. */
size_t number_print_human(char *buf, long double value);

#endif
