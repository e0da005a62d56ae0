/* tools/convctl — the operator's command: asks a running convproxy, changes its settings, and switches, over its admin server.
 * Exit codes: enum exit_code in tools/ctl.h; what each means is in tools/manual.c. */
#include "tools/backup.h"
#include "tools/change.h"
#include "tools/chaos.h"
#include "tools/cleanup.h"
#include "tools/commands.h"
#include "tools/completion.h"
#include "tools/ctl.h"
#include "tools/doctor.h"
#include "tools/export.h"
#include "tools/failover.h"
#include "tools/import_run.h"
#include "tools/look.h"
#include "tools/manual.h"
#include "tools/memory.h"
#include "tools/moves.h"
#include "tools/quarantine.h"
#include "tools/tenants.h"
#include "tools/tiers.h"
#include "version.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int run_help(struct options *o, const struct args *args)
{
    return args->count == 0 ? manual_list(stdout) : manual_command(stdout, args->words[0]);
}

static int run_completion(struct options *o, const struct args *args)
{
    return completion_print(stdout, args->words[0]);
}

static int (*const runs[])(struct options *o, const struct args *args) = {
#define GROUP(...)
#define COMMAND(group, name, run, ...) run,
#define OPTION(...)
#include "tools/commands.def"
#undef GROUP
#undef COMMAND
#undef OPTION
};

static bool read_token(struct options *o, const char *file)
{
    size_t room = 0;
    FILE *in = fopen(file, "re");

    if (in == NULL) {
        fprintf(stderr, "convctl: %s: %s\n", file, strerror(errno));
        return false;
    }
    ssize_t n = getline(&o->own_token, &room, in);
    fclose(in);
    if (n <= 0) {
        fprintf(stderr, "convctl: %s: there is no token in it\n", file);
        return false;
    }
    o->own_token[strcspn(o->own_token, "\r\n")] = '\0';
    return true;
}

/* The command line counts before the environment, and a token before a file of one; it is wiped where ps shows it. */
static bool find_token(struct options *o, const struct args *args)
{
    const char *file = args_value(args, "token-file"), *given = args_value(args, "token");

    if (given == NULL && file == NULL) {
        given = getenv("CONV_ADMIN_TOKEN");
        file = getenv("CONVCTL_TOKEN_FILE");
    }
    if (given != NULL && given[0] != '\0')
        o->own_token = strdup(given);
    else if (file != NULL && file[0] != '\0' && !read_token(o, file))
        return false;
    if (args_value(args, "token") != NULL)
        memset((char *)args_value(args, "token"), '*', strlen(given));
    o->client.token = o->own_token;
    if (o->own_token != NULL && strpbrk(o->own_token, "\r\n") != NULL)
        return ctl_usage_error("the token has a line break in it", ""), false;
    return true;
}

static bool find_url(struct options *o, const struct args *args)
{
    const char *url = args_value(args, "url"), *usual = getenv("CONVCTL_URL");

    if (url == NULL)
        url = usual != NULL && usual[0] != '\0' ? usual : "http://127.0.0.1:9380";
    o->client.url = url;
    return client_url_ok(url) || (ctl_usage_error("expected http://host:port or unix:/path, not ", url), false);
}

/* Options that answer by themselves. -1: go on. */
static int answer_options(const struct args *args)
{
    if (args_flag(args, "version"))
        return puts("convctl " CONVPROXY_VERSION) < 0;
    if (args_flag(args, "docs"))
        return manual_markdown(stdout);
    if (args_flag(args, "man"))
        return manual_man(stdout);
    if (args_flag(args, "help"))
        return args->command != NULL ? manual_command(stdout, args->command) : manual_list(stdout);
    return -1;
}

static int run(struct options *o, const struct args *args)
{
    if (args->command == NULL)
        return ctl_usage_error("which command? convctl --help has them", "");
    if (!args_complete(args) || !find_url(o, args) || !find_token(o, args))
        return EXIT_WRONG_USAGE;
    o->json = args_flag(args, "json");
    o->quiet = args_flag(args, "quiet");
    o->yes = args_flag(args, "yes");
    return runs[commands_find(args->command) - commands_at(0)](o, args);
}

/* Half an answer is none: whoever reads it must hear of that. */
static bool wrote_all(void)
{
    bool failed = ferror(stdout) != 0;

    errno = ENOSPC; /* that of an earlier write is not kept */
    if (fflush(stdout) == 0 && !failed)
        return true;
    fprintf(stderr, "convctl: standard output: %s\n", strerror(errno));
    return false;
}

int main(int argc, char **argv)
{
    struct options o = {0};
    struct args args;

    if (!args_read(&args, argc, argv))
        return EXIT_WRONG_USAGE;
    int code = answer_options(&args);
    if (code < 0)
        code = run(&o, &args);
    free(o.own_token);
    return wrote_all() || code != EXIT_OK ? code : EXIT_UNHEALTHY;
}
