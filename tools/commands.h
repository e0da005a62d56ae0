/* tools/commands — the rows of tools/commands.def: which commands and options there are, and what is said about them.
 * Owns:       nothing.
 * Invariants: what is not in a row is not accepted on the command line.
 * Threads:    any.          Used by: tools/args, tools/manual, tools/completion, tools/convctl. */
#ifndef TOOLS_COMMANDS_H
#define TOOLS_COMMANDS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define MANY INT_MAX

struct ctl_command {
    int group; /* commands_title has its title; rows of a group stand together */
    const char *name;
    int least, most; /* words that follow the name */
    const char *arguments, *words, *summary, *help;
};

struct ctl_option {
    const char *commands;
    char letter; /* 0: none */
    const char *name;
    const char *value; /* NULL: a flag */
    const char *help;
};

size_t commands_count(void);
const struct ctl_command *commands_at(size_t i);
/* NULL: there is none. */
const struct ctl_command *commands_find(const char *name);
const char *commands_title(int group);

size_t options_count(void);
const struct ctl_option *options_at(size_t i);
/* Of all commands. */
bool option_is_common(const struct ctl_option *option);
/* An option of that command, not a common one. */
bool option_belongs(const struct ctl_option *option, const char *command);
/* The same; NULL stands for the common ones. */
bool option_is_of(const struct ctl_option *option, const char *command);

#endif
