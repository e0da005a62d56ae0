#include "tools/args.h"

#include "tools/commands.h"
#include "tools/ctl.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool is_of(const struct ctl_option *option, const char *command)
{
    return option_is_common(option) || command == NULL || option_belongs(option, command);
}

/* Two commands may give an option of the same name other meanings: its own row is the first choice. */
static int row_of(const struct args *a, const char *name, size_t len)
{
    for (size_t i = 0; i < options_count(); i++) {
        const struct ctl_option *option = options_at(i);
        if (is_of(option, a->command) && strlen(option->name) == len && strncmp(option->name, name, len) == 0)
            return (int)i;
    }
    return -1;
}

static int row_of_letter(const struct args *a, char letter)
{
    for (size_t i = 0; i < options_count(); i++)
        if (options_at(i)->letter == letter && is_of(options_at(i), a->command))
            return (int)i;
    return -1;
}

static bool unknown(const struct args *a, const char *arg)
{
    fprintf(stderr, "convctl: %s%sdoes not know %s; convctl %s%s--help explains\n",
            a->command != NULL ? a->command : "", a->command != NULL ? " " : "it ", arg,
            a->command != NULL ? a->command : "", a->command != NULL ? " " : "");
    return false;
}

/* A row's value is what follows "=" or the letter, or the next argument. */
static bool take(struct args *a, int row, const char *inside, int argc, char **argv, int *i)
{
    const struct ctl_option *option = options_at((size_t)row);

    if (option->value == NULL && inside != NULL)
        return ctl_usage_error("this option takes no value: --", option->name), false;
    if (option->value != NULL && inside == NULL) {
        if (*i + 1 >= argc)
            return ctl_usage_error("a value is missing behind --", option->name), false;
        inside = argv[++*i];
    }
    a->values[row] = inside != NULL ? inside : "";
    return true;
}

static bool read_long(struct args *a, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    size_t len = strcspn(name, "=");
    int row = row_of(a, name, len);

    if (row < 0)
        return unknown(a, argv[*i]);
    return take(a, row, name[len] == '=' ? name + len + 1 : NULL, argc, argv, i);
}

/* -jy is -j -y; -n5 is -n 5. */
static bool read_letters(struct args *a, int argc, char **argv, int *i)
{
    const char *arg = argv[*i];

    for (const char *p = arg + 1; *p != '\0'; p++) {
        int row = row_of_letter(a, *p);
        if (row < 0)
            return unknown(a, arg);
        if (options_at((size_t)row)->value != NULL)
            return take(a, row, p[1] != '\0' ? p + 1 : NULL, argc, argv, i);
        a->values[row] = "";
    }
    return true;
}

/* Options before the command are read before it is known: only those that all have are taken there. */
static bool is_early(const struct args *a, const char *arg)
{
    struct args none = {.command = "-"};
    int row = arg[1] == '-' ? row_of(&none, arg + 2, strcspn(arg + 2, "=")) : row_of_letter(&none, arg[1]);
    return a->command != NULL || row >= 0;
}

bool args_read(struct args *a, int argc, char **argv)
{
    bool words_only = false;

    assert(options_count() <= ARGS_OPTIONS);
    *a = (struct args){.words = (const char **)argv};
    for (int i = 1; i < argc; i++) {
        char *arg = argv[i];
        bool option = !words_only && arg[0] == '-' && arg[1] != '\0';
        if (option && strcmp(arg, "--") == 0) {
            words_only = true;
        } else if (option) {
            if (!is_early(a, arg))
                return unknown(a, arg);
            if (!(arg[1] == '-' ? read_long(a, argc, argv, &i) : read_letters(a, argc, argv, &i)))
                return false;
        } else if (a->command == NULL) {
            a->command = arg;
            if (commands_find(arg) == NULL)
                return ctl_usage_error("there is no command ", arg), false;
        } else {
            argv[a->count++] = arg; /* never beyond i */
        }
    }
    return true;
}

bool args_complete(const struct args *a)
{
    const struct ctl_command *command = commands_find(a->command);

    if (a->count >= command->least && a->count <= command->most)
        return true;
    if (a->count > command->most)
        fprintf(stderr, "convctl: %s: what is %s? ", a->command, a->words[command->most]);
    else
        fprintf(stderr, "convctl: %s: an argument is missing. ", a->command);
    fprintf(stderr, "Expected convctl %s%s%s; convctl %s --help explains\n", a->command,
            command->arguments[0] != '\0' ? " " : "", command->arguments, a->command);
    return false;
}

const char *args_value(const struct args *a, const char *name)
{
    int row = row_of(a, name, strlen(name));

    assert(row >= 0);
    return a->values[row];
}

bool args_flag(const struct args *a, const char *name)
{
    return args_value(a, name) != NULL;
}

static bool wrong(const char *name, const char *what, double least, double most, const char *text)
{
    fprintf(stderr, "convctl: --%s: expected %s from %g to %g, not '%s'\n", name, what, least, most, text);
    return false;
}

bool args_number(const struct args *a, const char *name, double least, double most, double *ret)
{
    const char *text = args_value(a, name);
    char *end;

    if (text == NULL)
        return true;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least) || value > most)
        return wrong(name, "a number", least, most, text);
    *ret = value;
    return true;
}

bool args_seconds(const struct args *a, const char *name, double least, double most, double *ret_s)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"", 1}, {"ms", 0.001}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    const char *text = args_value(a, name);
    char *end;

    if (text == NULL)
        return true;
    double value = strtod(text, &end);
    for (size_t i = 0; i < sizeof units / sizeof units[0] && end != text; i++) {
        if (strcmp(end, units[i].name) != 0 || !(value * units[i].seconds >= least) || value * units[i].seconds > most)
            continue;
        *ret_s = value * units[i].seconds;
        return true;
    }
    return wrong(name, "a time (10s, 500ms, 2m) of seconds", least, most, text);
}

const char *args_word(const struct args *a, int n)
{
    return n < a->count ? a->words[n] : NULL;
}

double args_id(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len < 16 && text[len] == '\0' ? strtod(text, NULL) : 0; /* a double holds 15 digits */
}
