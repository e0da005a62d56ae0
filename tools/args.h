/* tools/args — the arguments of one call of convctl, checked by the rows of tools/commands.def.
 * Owns:       nothing: words and values point into argv.
 * Invariants: options may stand before and after the command, and among its words; "--" ends them.
 * Threads:    one.          Used by: every command of convctl. */
#ifndef TOOLS_ARGS_H
#define TOOLS_ARGS_H

#include <stdbool.h>

#define ARGS_OPTIONS 128 /* rows that tools/commands.def may have */

struct args {
    const char *command; /* NULL: none given */
    const char **words;  /* that follow it */
    int count;
    const char *values[ARGS_OPTIONS]; /* by the option's row; NULL: not given, "" for a flag */
};

/* argv is read from [1] and put in another order. False after a message. */
bool args_read(struct args *a, int argc, char **argv);
/* Whether the number of words is right. False after a message. */
bool args_complete(const struct args *a);

/* name must be in a row. The value of an option, or NULL. */
const char *args_value(const struct args *a, const char *name);
bool args_flag(const struct args *a, const char *name);
/* *ret stays as it is where the option is not given. False after a message. */
bool args_number(const struct args *a, const char *name, double least, double most, double *ret);
/* A time like 10s, 500ms, 2m, 1h or 3 (seconds), as args_number. */
bool args_seconds(const struct args *a, const char *name, double least, double most, double *ret_s);
/* A whole number from 1 on, in digits, as a word or after an option; 0: it is none. */
double args_id(const char *text);
/* The nth word, or NULL. */
const char *args_word(const struct args *a, int n);

#endif
