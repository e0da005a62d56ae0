#include "tools/manual.h"

#include "config/mdoc.h"
#include "tools/commands.h"
#include "tools/ctl.h"

#include <string.h>

#define COLUMN 34 /* where the help of --help begins */
#define WIDTH  78

static const char about[] = "convctl asks a running convproxy how it is, changes its settings, and switches between its stores.";

static const struct {
    int code;
    const char *means;
} exits[] = {
    {EXIT_OK, "all is well, and what was asked is done"},
    {EXIT_UNHEALTHY, "the proxy is unhealthy, refused what was asked, was answered with no, or something was found or has failed"},
    {EXIT_WRONG_USAGE, "wrong usage, or nobody could be asked"},
    {EXIT_UNREACHABLE, "the proxy cannot be reached"},
    {EXIT_INTERRUPTED, "interrupted; export, import and restore go on with --resume, moves and switches by themselves"},
};

static const struct {
    const char *name, *means;
} variables[] = {
    {"CONVCTL_URL", "the admin server, where --url is not given"},
    {"CONV_ADMIN_TOKEN", "the token, where neither --token nor --token-file is given"},
    {"CONVCTL_TOKEN_FILE", "a file with the token, where none of these is given"},
    {"CONVCTL_PROXY", "where clients connect, where --proxy is not given"},
    {"CONVCTL_PASSWORD", "the password of clients, for commands that read or write keys"},
    {"CONVCTL_CA", "who vouches for the proxy's certificate (rediss://)"},
    {"REDIS_URL", "Redis itself, for backup, where --redis is not given; also REDIS_PASSWORD, REDIS_TLS_CA and so on"},
    {"NO_COLOR", "set to anything: no colours; there are none anyway where the output is not a terminal"},
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* ---- lines ---- */

/* Words from column on, broken before WIDTH; the first line is at the column already. */
static void put_wrapped(FILE *out, const char *text, int column)
{
    int at = column;

    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at > column && at + len > WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            putc(' ', out);
        }
        fprintf(out, "%.*s", len, text);
        at += len + 1;
        text += len + (text[len] == ' ');
    }
    putc('\n', out);
}

static void put_row(FILE *out, const char *what, const char *text)
{
    int len = fprintf(out, "  %s", what);

    fprintf(out, len + 1 >= COLUMN ? "\n%*s" : "%*s", len + 1 >= COLUMN ? COLUMN : COLUMN - len, "");
    put_wrapped(out, text, COLUMN);
}

static void option_text(const struct ctl_option *option, char *text, size_t cap)
{
    char letter[8] = "    ";

    if (option->letter != 0)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(text, cap, "%s--%s%s%s", letter, option->name, option->value != NULL ? " " : "",
             option->value != NULL ? option->value : "");
}

static void command_text(const struct ctl_command *command, char *text, size_t cap)
{
    snprintf(text, cap, "%s%s%s", command->name, command->arguments[0] != '\0' ? " " : "", command->arguments);
}

/* Options of a command; NULL: those of all. */
static void put_options(FILE *out, const char *command)
{
    char text[128];

    for (size_t i = 0; i < options_count(); i++) {
        const struct ctl_option *option = options_at(i);
        if (!option_is_of(option, command))
            continue;
        option_text(option, text, sizeof text);
        put_row(out, text, option->help);
    }
}

static bool has_options(const char *command)
{
    for (size_t i = 0; i < options_count(); i++)
        if (option_belongs(options_at(i), command))
            return true;
    return false;
}

/* ---- --help ---- */

static void put_exits(FILE *out)
{
    char code[8];

    fputs("\nExit codes:\n", out);
    for (size_t i = 0; i < COUNT(exits); i++) {
        snprintf(code, sizeof code, "%d", exits[i].code);
        put_row(out, code, exits[i].means);
    }
    fputs("\nEnvironment:\n", out);
    for (size_t i = 0; i < COUNT(variables); i++)
        put_row(out, variables[i].name, variables[i].means);
}

int manual_list(FILE *out)
{
    char text[256];

    put_wrapped(out, about, 0);
    fputs("\nUsage: convctl [OPTIONS] COMMAND [ARGUMENTS] [OPTIONS]\n", out);
    for (size_t i = 0; i < commands_count(); i++) {
        const struct ctl_command *command = commands_at(i);
        if (i == 0 || commands_at(i - 1)->group != command->group)
            fprintf(out, "\n%s:\n", commands_title(command->group));
        command_text(command, text, sizeof text);
        put_row(out, text, command->summary);
    }
    fputs("\nOptions of all commands:\n", out);
    put_options(out, NULL);
    put_exits(out);
    fputs("\nconvctl help COMMAND tells more, and its options.\n", out);
    return EXIT_OK;
}

int manual_command(FILE *out, const char *name)
{
    const struct ctl_command *command = commands_find(name);
    char text[256];

    if (command == NULL)
        return ctl_usage_error("there is no command ", name);
    command_text(command, text, sizeof text);
    fprintf(out, "convctl %s%s\n\n", text, has_options(name) ? " [OPTIONS]" : "");
    fprintf(out, "%s: %s\n\n", command->name, command->summary);
    put_wrapped(out, command->help, 0);
    if (has_options(name))
        fputs("\nOptions:\n", out);
    put_options(out, name);
    fputs("\nOptions of all commands:\n", out);
    put_options(out, NULL);
    return EXIT_OK;
}

/* ---- docs/convctl.md ---- */

static void markdown_options(FILE *out, const char *command)
{
    char text[128];

    if (command != NULL && !has_options(command))
        return;
    fputs("\n| option | |\n|---|---|\n", out);
    for (size_t i = 0; i < options_count(); i++) {
        const struct ctl_option *option = options_at(i);
        if (!option_is_of(option, command))
            continue;
        option_text(option, text, sizeof text);
        fprintf(out, "| `%s` | %s |\n", text + strspn(text, " "), option->help);
    }
}

static void markdown_command(FILE *out, const struct ctl_command *command)
{
    char text[256];

    command_text(command, text, sizeof text);
    fprintf(out, "\n### %s\n\n```\nconvctl %s%s\n```\n\n%s: %s\n\n%s\n", command->name, text,
            has_options(command->name) ? " [OPTIONS]" : "", command->name, command->summary, command->help);
    markdown_options(out, command->name);
}

int manual_markdown(FILE *out)
{
    fprintf(out,
            "# convctl\n\n<!-- Generated by convctl --docs; edit tools/commands.def. -->\n\n%s\n"
            "\n```\nconvctl [OPTIONS] COMMAND [ARGUMENTS] [OPTIONS]\n```\n\n"
            "`make install` also installs the completions of bash, zsh and fish, and the man pages convctl(1) and convproxy(1).\n",
            about);
    fputs("\n## Options of all commands\n", out);
    markdown_options(out, NULL);
    fputs("\n## Exit codes\n\n| code | |\n|---|---|\n", out);
    for (size_t i = 0; i < COUNT(exits); i++)
        fprintf(out, "| %d | %s |\n", exits[i].code, exits[i].means);
    fputs("\n## Environment\n\n| variable | |\n|---|---|\n", out);
    for (size_t i = 0; i < COUNT(variables); i++)
        fprintf(out, "| `%s` | %s |\n", variables[i].name, variables[i].means);
    for (size_t i = 0; i < commands_count(); i++) {
        const struct ctl_command *command = commands_at(i);
        if (i == 0 || commands_at(i - 1)->group != command->group)
            fprintf(out, "\n## %s\n", commands_title(command->group));
        markdown_command(out, command);
    }
    return EXIT_OK;
}

/* ---- the man page ---- */

static void man_options(FILE *out, const char *command)
{
    if (command != NULL && !has_options(command))
        return;
    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < options_count(); i++) {
        const struct ctl_option *option = options_at(i);
        if (!option_is_of(option, command))
            continue;
        fputs(".It ", out);
        if (option->letter != 0)
            fprintf(out, "Fl %c , ", option->letter);
        fprintf(out, "Fl \\-%s", option->name);
        if (option->value != NULL)
            fprintf(out, " Ar %s", option->value);
        putc('\n', out);
        mdoc_text(out, option->help);
    }
    fputs(".El\n", out);
}

static void man_command(FILE *out, const struct ctl_command *command)
{
    char summary[512];

    fprintf(out, ".It Cm %s", command->name);
    if (command->arguments[0] != '\0') {
        fputs(" Ar \"", out);
        mdoc_word(out, command->arguments, (int)strlen(command->arguments));
        putc('"', out);
    }
    putc('\n', out);
    snprintf(summary, sizeof summary, "%s.", command->summary);
    mdoc_text(out, summary);
    mdoc_text(out, command->help);
    man_options(out, command->name);
}

static void man_commands(FILE *out)
{
    fputs(".Sh COMMANDS\n", out);
    for (size_t i = 0; i < commands_count(); i++) {
        const struct ctl_command *command = commands_at(i);
        bool first = i == 0 || commands_at(i - 1)->group != command->group;
        bool last = i + 1 == commands_count() || commands_at(i + 1)->group != command->group;
        if (first)
            fprintf(out, ".Ss %s\n.Bl -tag -width Ds\n", commands_title(command->group));
        man_command(out, command);
        if (last)
            fputs(".El\n", out);
    }
}

int manual_man(FILE *out)
{
    fputs(
            ".Dd $Mdocdate: November 21 2026 $\n.Dt CONVCTL 1\n.Os\n.Sh NAME\n.Nm convctl\n"
            ".Nd asks and steers a running convproxy\n.Sh SYNOPSIS\n.Nm\n.Op Ar options\n.Ar command\n"
            ".Op Ar arguments\n.Sh DESCRIPTION\n",
            out);
    mdoc_text(out, about);
    fputs(".Pp\nOptions may stand before and after the command.\nThose of all commands are:\n", out);
    man_options(out, NULL);
    man_commands(out);
    fputs(".Sh ENVIRONMENT\n.Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < COUNT(variables); i++) {
        fprintf(out, ".It Ev %s\n", variables[i].name);
        mdoc_text(out, variables[i].means);
    }
    fputs(".El\n.Sh EXIT STATUS\n.Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < COUNT(exits); i++) {
        fprintf(out, ".It %d\n", exits[i].code);
        mdoc_text(out, exits[i].means);
    }
    fputs(".El\n.Sh SEE ALSO\n.Xr convproxy 1\n", out);
    return EXIT_OK;
}
