#include "tools/commands.h"

#include <string.h>

enum {
#define GROUP(group_, title_) GROUP_##group_,
#define COMMAND(...)
#define OPTION(...)
#include "tools/commands.def"
#undef GROUP
    GROUPS
};

static const char *const titles[GROUPS] = {
#define GROUP(group_, title_) title_,
#include "tools/commands.def"
#undef GROUP
#undef COMMAND
};

static const struct ctl_command commands[] = {
#define GROUP(...)
#define COMMAND(group_, name_, run_, least_, most_, arguments_, words_, summary_, help_)                     \
    {GROUP_##group_, name_, least_, most_, arguments_, words_, summary_, help_},
#include "tools/commands.def"
#undef COMMAND
#undef OPTION
};

static const struct ctl_option options[] = {
#define COMMAND(...)
#define OPTION(commands_, letter_, name_, value_, help_) {commands_, letter_, name_, value_, help_},
#include "tools/commands.def"
#undef GROUP
#undef COMMAND
#undef OPTION
};

size_t commands_count(void)
{
    return sizeof commands / sizeof commands[0];
}

const struct ctl_command *commands_at(size_t i)
{
    return i < commands_count() ? &commands[i] : NULL;
}

const struct ctl_command *commands_find(const char *name)
{
    for (size_t i = 0; i < commands_count(); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

const char *commands_title(int group)
{
    return group >= 0 && group < GROUPS ? titles[group] : "";
}

size_t options_count(void)
{
    return sizeof options / sizeof options[0];
}

const struct ctl_option *options_at(size_t i)
{
    return i < options_count() ? &options[i] : NULL;
}

bool option_is_common(const struct ctl_option *option)
{
    return strcmp(option->commands, "*") == 0;
}

bool option_belongs(const struct ctl_option *option, const char *command)
{
    size_t len = strlen(command);

    for (const char *p = option->commands; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        if (strncmp(p, command, len) == 0 && (p[len] == ' ' || p[len] == '\0'))
            return true;
    return false;
}

bool option_is_of(const struct ctl_option *option, const char *command)
{
    return command == NULL ? option_is_common(option) : option_belongs(option, command);
}
