#include "proxy/usage.h"

#include "config/mdoc.h"
#include "config/settings.h"
#include "version.h"

#include <string.h>

static const struct {
    const char *letter, *name, *value, *help;
} options[] = {
    {"c", "config", "FILE", "reads settings from a YAML file"},
    {"s", "set", "NAME=VALUE", "sets one setting; may be repeated"},
    {NULL, "check-config", NULL, "reads the settings, says what is wrong with them, and exits"},
    {NULL, "takeover", NULL, "takes the port and the clients over from the convproxy that listens on proxy.handover"},
    {NULL, "docs", "PAGE", "prints a reference page: settings, commands, compatibility, metrics, events or places"},
    {NULL, "man", NULL, "prints the man page"},
    {"h", "help", NULL, "this text"},
    {"v", "version", NULL, "the version"},
};
#define OPTIONS (sizeof options / sizeof options[0])

static const char about[] = "a proxy in front of Redis that keeps conversations";
static const char signal_text[] = "TERM drains and ends, INT ends at once, HUP reads the file again.";
static const char order_text[] = "default < file < environment < --set < changed while running.";

void usage_help(FILE *out)
{
    fprintf(out, "convproxy %s — %s\n\nUsage: convproxy [--config FILE] [--set NAME=VALUE]... [--takeover]\n\n", CONVPROXY_VERSION, about);
    for (size_t i = 0; i < OPTIONS; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s%s%s--%s%s%s", options[i].letter != NULL ? "-" : "  ", options[i].letter != NULL ? options[i].letter : "",
                 options[i].letter != NULL ? ", " : "  ", options[i].name, options[i].value != NULL ? " " : "",
                 options[i].value != NULL ? options[i].value : "");
        fprintf(out, "  %-22s %s\n", text, options[i].help);
    }
    fprintf(out, "\nSignals: %s\nPrecedence: %s\n\nSettings:\n", signal_text, order_text);
    settings_help(out);
}

static void man_options(FILE *out)
{
    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < OPTIONS; i++) {
        fputs(".It ", out);
        if (options[i].letter != NULL)
            fprintf(out, "Fl %s , ", options[i].letter);
        fputs("Fl \\-", out);
        mdoc_word(out, options[i].name, (int)strlen(options[i].name));
        if (options[i].value != NULL)
            fprintf(out, " Ar %s", options[i].value);
        putc('\n', out);
        mdoc_text(out, options[i].help);
    }
    fputs(".El\n", out);
}

static void man_setting(FILE *out, const struct setting_row *row)
{
    char text[200];

    fprintf(out, ".It Cm %s%s\n", row->policy ? "POLICY." : "", row->name);
    mdoc_text(out, row->help);
    snprintf(text, sizeof text, "(default: %s; %s%s%s)", row->def[0] != '\0' ? row->def : "empty",
             row->when == SETTING_WHEN_LIVE ? "live" : "after a restart", row->env != NULL ? "; environment: " : "",
             row->env != NULL ? row->env : "");
    mdoc_text(out, text);
}

void usage_man(FILE *out)
{
    fputs(".Dd $Mdocdate: November 21 2026 $\n.Dt CONVPROXY 1\n.Os\n.Sh NAME\n.Nm convproxy\n.Nd ", out);
    mdoc_text(out, about);
    fputs(".Sh SYNOPSIS\n.Nm\n.Op Fl \\-config Ar FILE\n.Op Fl \\-set Ar NAME=VALUE ...\n.Op Fl \\-takeover\n.Sh DESCRIPTION\n", out);
    mdoc_text(out, "Clients speak to it as to Redis. Keys that policies name are kept in an archive, too, which takes Redis's place when that is lost.");
    fputs(".Pp\nThe options are:\n", out);
    man_options(out);
    fputs(".Sh SIGNALS\n", out);
    mdoc_text(out, signal_text);
    fputs(".Sh SETTINGS\nWhat counts more stands further right:\n", out);
    mdoc_text(out, order_text);
    fputs(".Bl -tag -width Ds\n", out);
    for (size_t i = 0; i < settings_row_count(); i++)
        man_setting(out, settings_row(i));
    fputs(".El\n.Sh SEE ALSO\n.Xr convctl 1\n", out);
}
