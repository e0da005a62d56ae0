/* main — the command line of convproxy: settings in, a server that runs, an exit code out. */

#include "config/config.h"
#include "config/settings.h"
#include "proxy/compatibility.h"
#include "proxy/events.h"
#include "proxy/metrics.h"
#include "proxy/server.h"
#include "proxy/usage.h"
#include "router/command_doc.h"
#include "router/place.h"
#include "version.h"

#include <ctype.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

#define EXIT_USAGE 2

struct options {
    const char *file;
    const char **sets;
    size_t nsets;
    bool check, takeover;
    const char *docs;
};

static const struct option longs[] = {
    {"config", required_argument, NULL, 'c'},   {"set", required_argument, NULL, 's'},
    {"check-config", no_argument, NULL, 'k'},   {"takeover", no_argument, NULL, 't'},
    {"docs", required_argument, NULL, 'd'},     {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'v'},        {"man", no_argument, NULL, 'm'},
    {NULL, 0, NULL, 0},
};

static int print_docs(const char *page)
{
    static const struct {
        const char *name;
        void (*print)(FILE *out);
    } pages[] = {{"settings", settings_markdown}, {"commands", commands_markdown}, {"compatibility", compatibility_markdown}, {"metrics", metrics_markdown}, {"places", place_markdown}, {"events", events_markdown}};

    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (strcmp(page, pages[i].name) == 0) {
            pages[i].print(stdout);
            return ferror(stdout) != 0;
        }
    fprintf(stderr, "convproxy: --docs %s: expected settings, commands, compatibility, metrics, places or events\n", page);
    return EXIT_USAGE;
}

/* A copy of NAME=VALUE, for as long as the process lives. A secret, or a URL that may hold one, is wiped where ps shows it. */
static const char *take_set(char *arg)
{
    char *copy = strdup(arg);
    size_t len = strcspn(arg, "=");
    char *name = strndup(arg, len);

    if (copy == NULL || name == NULL)
        abort();
    for (char *c = name; *c != '\0'; c++)
        *c = (char)tolower((unsigned char)*c);
    const struct setting_row *row = settings_row_find(name, false);
    char *value = arg + len + (arg[len] == '='), *at = strrchr(value, '@');
    if (row != NULL && setting_is_secret(row))
        memset(value, '*', strlen(value));
    else if (at != NULL && strstr(name, "url") != NULL)
        memset(value, '*', (size_t)(at - value));
    free(name);
    return copy;
}

/* Returns -1 to go on, otherwise the exit code. */
static int read_options(int argc, char **argv, struct options *o)
{
    int c;
    o->sets = calloc((size_t)argc, sizeof *o->sets);
    while ((c = getopt_long(argc, argv, "c:s:hv", longs, NULL)) != -1) {
        switch (c) {
        case 'c':
            o->file = optarg;
            break;
        case 's':
            o->sets[o->nsets++] = take_set(optarg);
            break;
        case 'k':
            o->check = true;
            break;
        case 't':
            o->takeover = true;
            break;
        case 'd':
            return print_docs(optarg);
        case 'h':
            usage_help(stdout);
            return 0;
        case 'm':
            usage_man(stdout);
            return 0;
        case 'v':
            puts("convproxy " CONVPROXY_VERSION);
            return 0;
        default:
            fputs("Try convproxy --help.\n", stderr);
            return EXIT_USAGE;
        }
    }
    if (optind == argc)
        return -1;
    fprintf(stderr, "convproxy: unexpected argument '%s'\nTry convproxy --help.\n", argv[optind]);
    return EXIT_USAGE;
}

static int start(const struct options *o)
{
    struct config *config = config_new();
    struct config_start from = {
        .file = o->file, .sets = o->sets, .set_count = o->nsets, .env = (const char *const *)environ};
    struct config_error error;
    char why[512];

    if (config_load(config, &from, &error) != ERR_NONE) {
        fprintf(stderr, "convproxy: %s\n", error.text);
        config_free(config);
        return EXIT_USAGE;
    }
    if (o->check) {
        puts("the settings are good");
        config_free(config);
        return 0;
    }
    struct server *server = server_new(config, o->file != NULL, o->takeover, why, sizeof why);
    if (server == NULL) {
        fprintf(stderr, "convproxy: %s\n", why);
        return 1;
    }
    return server_run(server);
}

int main(int argc, char **argv)
{
    struct options o = {0};
    int code = read_options(argc, argv, &o);
    if (code < 0)
        code = start(&o);
    for (size_t i = 0; i < o.nsets; i++)
        free((char *)o.sets[i]);
    free(o.sets);
    return code;
}
