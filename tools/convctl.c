/* tools/convctl — the operator's command: asks a running convproxy, changes its settings, and switches, over its admin server.
 * Exit codes: 0 all is well; 1 the proxy is unhealthy, or refused what was asked; 2 wrong usage; 3 it
 * cannot be reached. */
#include "base/clock.h"
#include "tools/ctl.h"
#include "tools/moves.h"
#include "tools/screen.h"
#include "version.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SWITCH_LOOK_S 0.1
#define SWITCH_LOOKS  600 /* that a switch is watched for at most */

static volatile sig_atomic_t interrupted;

static const char help_text[] =
    "convctl asks a running convproxy how it is, and changes its settings.\n\n"
    "  convctl [OPTIONS] status                    the whole picture, once\n"
    "  convctl [OPTIONS] watch [-n S] [-c COUNT]   the same with rates, every S seconds (1), COUNT times "
    "(for ever)\n"
    "  convctl [OPTIONS] health                    ok, or what is wrong\n"
    "  convctl [OPTIONS] settings [get PATTERN]    settings with value, live or restart, and where they come "
    "from\n"
    "  convctl [OPTIONS] settings set NAME=VALUE…  changes settings at once, all or none\n"
    "  convctl [OPTIONS] primary                   which store answers for each policy\n"
    "  convctl [OPTIONS] primary redis|mongo [--policy NAME] [--yes]\n"
    "                                              lets that store answer from now on (mongo: the archive,\n"
    "                                              whichever it is), and waits until it does\n"
    "  convctl [OPTIONS] dual-write on|off [--policy NAME] [--yes]\n"
    "                                              copies of all writes in the other store; on: and of what "
    "is there\n"
    "  convctl [OPTIONS] backfill|drain [MOVE]     copies every key, or every key that is owed, to the "
    "archive\n"
    "  convctl [OPTIONS] verify [--deep] [--repair] [MOVE]\n"
    "                                              compares both stores, by versions or by content\n"
    "  convctl [OPTIONS] ttl-audit [--repair] [MOVE]\n"
    "                                              looks for keys without an expiry\n"
    "    MOVE: --policy NAME  --rate KEYS-A-SECOND  --no-wait  --yes (with --repair)\n"
    "  convctl [OPTIONS] moves                     those that run, wait or are over\n"
    "  convctl [OPTIONS] abort ID                  ends one\n"
    "  convctl [OPTIONS] fault [PLAN]              shows or sets the faults of the archive, for game days;\n"
    "                                              \"\" ends them; needs the setting archive.faults\n\n"
    "  -u, --url URL           the admin server: http://host:port or unix:/path (http://127.0.0.1:9380)\n"
    "  -t, --token TOKEN       admin.token, for changes; safer: the file, or the variable CONV_ADMIN_TOKEN\n"
    "  -T, --token-file FILE   reads it from the first line of FILE\n"
    "  -j, --json              the proxy's answer as it is; watch prints one line each time\n"
    "  -h, --help              this text\n"
    "  -v, --version           the version\n\n"
    "Exit codes: 0 all is well; 1 the proxy is unhealthy, refused the change, or a move has failed or found "
    "something;\n"
    "2 wrong usage; 3 it cannot be reached.\n";

/* ---- status, health ---- */

static int run_status(struct options *o, int argc, char **argv)
{
    if (argc > 1)
        return ctl_usage_error("status takes no arguments: ", argv[1]);
    return ctl_show(o, "/api/v1/state", screen_status);
}

static int run_health(struct options *o, int argc, char **argv)
{
    if (argc > 1)
        return ctl_usage_error("health takes no arguments: ", argv[1]);
    return ctl_show(o, "/healthz", screen_health);
}

/* ---- watch ---- */

static void on_interrupt(int number)
{
    interrupted = 1;
}

static void pause_for(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds,
                         .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (!interrupted && nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

static void draw(const struct options *o, const cJSON *state, const cJSON *before, double seconds)
{
    char clock[16];
    time_t now = time(NULL);
    struct tm local;

    localtime_r(&now, &local);
    strftime(clock, sizeof clock, "%H:%M:%S", &local);
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    printf("%-10s %s   %s   every %g s\n", "watch", clock, o->client.url, o->interval_s);
    screen_watch(stdout, state, before, seconds);
}

static void print_line(cJSON *state)
{
    char *own_text = cJSON_PrintUnformatted(state);

    puts(own_text != NULL ? own_text : "{}");
    free(own_text);
}

/* Goes on while the proxy cannot be reached: that is when somebody watches. */
static int watch(const struct options *o)
{
    cJSON *before = NULL;
    int64_t before_us = 0;
    int code = EXIT_OK;

    for (long round = 0; !interrupted && (o->rounds == 0 || round < o->rounds); round++) {
        struct answer answer;
        if (round > 0)
            pause_for(o->interval_s);
        if (interrupted)
            break;
        cJSON *state = ctl_call(o, "GET", "/api/v1/state", NULL, &answer, &code);
        if (state == NULL)
            continue;
        int64_t now_us = clock_mono_us();
        if (o->json)
            print_line(state);
        else
            draw(o, state, before, (double)(now_us - before_us) / 1e6);
        fflush(stdout);
        code = screen_flag(state, "healthy") ? EXIT_OK : EXIT_UNHEALTHY;
        answer_done(&answer);
        cJSON_Delete(before);
        before = state;
        before_us = now_us;
    }
    cJSON_Delete(before);
    return interrupted ? EXIT_OK : code;
}

static int run_watch(struct options *o, int argc, char **argv)
{
    int c;
    char *end;

    optind = 1;
    while ((c = getopt(argc, argv, "+n:c:")) != -1) {
        if (c == '?')
            return EXIT_WRONG_USAGE;
        double value = strtod(optarg, &end);
        if (end == optarg || *end != '\0' || !(value > 0) || value > 86400)
            return ctl_usage_error("expected a number above 0, at most 86400: ", optarg);
        if (c == 'n')
            o->interval_s = value;
        else
            o->rounds = value < 1 ? 1 : (long)value;
    }
    if (optind < argc)
        return ctl_usage_error("watch does not know ", argv[optind]);
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return watch(o);
}

/* ---- settings ---- */

static int settings_get(const struct options *o, const char *pattern)
{
    char path[1024] = "/api/v1/settings?match=";
    size_t at = strlen(path);

    for (const char *p = pattern; *p != '\0'; p++) {
        if (at + 4 > sizeof path)
            return ctl_usage_error("the pattern is too long: ", pattern);
        at += (size_t)snprintf(path + at, 4, "%%%02X", (unsigned char)*p);
    }
    return ctl_show(o, path, screen_settings);
}

static void print_changed(FILE *out, const cJSON *doc)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "changed"))
    {
        fprintf(out, "%s = %s\n", screen_text(item, "name"), screen_text(item, "value"));
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "warnings"))
    {
        fprintf(stderr, "convctl: warning: %s\n", screen_text(item, ""));
    }
}

static int settings_set(const struct options *o, int argc, char **argv)
{
    cJSON *doc = cJSON_CreateObject();
    char name[128];

    for (int i = 0; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        if (equals == NULL || equals == argv[i] || (size_t)(equals - argv[i]) >= sizeof name) {
            cJSON_Delete(doc);
            return ctl_usage_error("expected NAME=VALUE: ", argv[i]);
        }
        snprintf(name, sizeof name, "%.*s", (int)(equals - argv[i]), argv[i]);
        cJSON_AddStringToObject(doc, name, equals + 1);
    }
    return ctl_change_by(o, "/api/v1/settings", doc, print_changed, NULL);
}

static int run_settings(struct options *o, int argc, char **argv)
{
    if (argc == 1)
        return settings_get(o, "*");
    if (strcmp(argv[1], "get") == 0 && argc == 3)
        return settings_get(o, argv[2]);
    if (strcmp(argv[1], "set") == 0 && argc > 2)
        return settings_set(o, argc - 2, argv + 2);
    return ctl_usage_error(
        "expected settings, settings get PATTERN, or settings set NAME=VALUE…, not settings ", argv[1]);
}

/* ---- primary ---- */

struct wish {
    const char *store;
    const char *policy; /* "": the usual one */
    bool yes;
};

/* False after a message. */
static bool read_wish(int argc, char **argv, struct wish *w)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--yes") == 0 || strcmp(argv[i], "-y") == 0)
            w->yes = true;
        else if (strcmp(argv[i], "--policy") == 0 && i + 1 < argc)
            w->policy = argv[++i];
        else if (strncmp(argv[i], "--policy=", 9) == 0)
            w->policy = argv[i] + 9;
        else if (w->store == NULL && argv[i][0] != '-')
            w->store = argv[i];
        else
            return ctl_usage_error("primary does not know ", argv[i]), false;
    }
    static const char *const stores[] = {"redis", "mongo", "archive"};
    for (size_t i = 0; i < sizeof stores / sizeof stores[0] && w->store != NULL; i++)
        if (strcmp(w->store, stores[i]) == 0)
            return true;
    return ctl_usage_error("expected primary redis or primary mongo, not primary ",
                           w->store != NULL ? w->store : ""),
           false;
}

static int confirm(const struct wish *w)
{
    char question[160];

    snprintf(question, sizeof question, "Commands on these keys go to %s from now on. Switch?", w->store);
    return ctl_confirm(w->yes, "a switch", question);
}

/* ---- until the switch is done ---- */

static const cJSON *placed(const cJSON *doc, const char *policy)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, "placement"))
    {
        if (strcmp(screen_text(item, "policy"), policy) == 0)
            return item;
    }
    return NULL;
}

/* Requests wait no more, and the store answers; Redis also while keys are still given back to it. */
static bool is_there(const cJSON *item, const char *store)
{
    return strcmp(screen_text(item, "acting"), store) == 0 &&
           strcmp(screen_text(item, "phase"), "hold") != 0 &&
           strcmp(screen_text(item, "place"), "drain") != 0;
}

/* A line for each place that the policy goes through. EXIT_OK: the store answers. */
static int wait_until_there(const struct options *o, const char *policy, const char *store)
{
    char place[32] = "";
    int code = EXIT_UNHEALTHY;

    for (int look = 0; look < SWITCH_LOOKS && !interrupted; look++) {
        struct answer answer;
        cJSON *doc = ctl_call(o, "GET", "/api/v1/primary", NULL, &answer, &code);
        if (doc == NULL)
            return code;
        const cJSON *item = placed(doc, policy);
        bool there = item != NULL && is_there(item, store);
        if (!o->json && strcmp(place, screen_text(item, "place")) != 0)
            screen_placement_of(stdout, item);
        snprintf(place, sizeof place, "%s", screen_text(item, "place"));
        fflush(stdout);
        cJSON_Delete(doc);
        answer_done(&answer);
        if (there)
            return EXIT_OK;
        pause_for(SWITCH_LOOK_S);
    }
    fprintf(stderr, "convctl: the switch goes on; convctl primary shows how far it is\n");
    return EXIT_UNHEALTHY;
}

static int run_primary(struct options *o, int argc, char **argv)
{
    struct wish w = {.policy = ""};
    cJSON *switched = NULL, *json;

    if (argc == 1)
        return ctl_show(o, "/api/v1/primary", screen_placement);
    if (!read_wish(argc, argv, &w))
        return EXIT_WRONG_USAGE;
    int code = o->json ? EXIT_OK : ctl_show(o, "/api/v1/primary", screen_placement);
    if (code == EXIT_OK)
        code = confirm(&w);
    if (code != EXIT_OK)
        return code;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "policy", w.policy);
    cJSON_AddStringToObject(json, "store", w.store);
    code = ctl_change_by(o, "/api/v1/primary", json, screen_switched, &switched);
    if (switched == NULL)
        return code;
    char policy[64];
    snprintf(policy, sizeof policy, "%s", screen_text(switched, "policy"));
    cJSON_Delete(switched);
    return wait_until_there(o, policy, strcmp(w.store, "redis") == 0 ? "redis" : "archive");
}

/* ---- fault ---- */

static int run_fault(struct options *o, int argc, char **argv)
{
    if (argc > 2)
        return ctl_usage_error("the plan must be one argument, in quotes: ", argv[2]);
    if (argc == 1)
        return ctl_show(o, "/api/v1/archive/faults", screen_faults);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "plan", argv[1]);
    return ctl_change_by(o, "/api/v1/archive/faults", json, screen_faults, NULL);
}

/* ---- main ---- */

static const struct command {
    const char *name;
    int (*run)(struct options *o, int argc, char **argv);
} commands[] = {{"status", run_status},          {"watch", run_watch},     {"health", run_health},
                {"settings", run_settings},      {"primary", run_primary}, {"fault", run_fault},
                {"backfill", moves_run},         {"drain", moves_run},     {"verify", moves_run},
                {"ttl-audit", moves_run},        {"moves", moves_show},    {"abort", moves_abort},
                {"dual-write", moves_dual_write}};

static bool read_token(struct options *o, const char *file)
{
    size_t room = 0;
    FILE *in = fopen(file, "re");

    if (in == NULL) {
        fprintf(stderr, "convctl: %s: %s\n", file, strerror(errno));
        return false;
    }
    free(o->own_token);
    o->own_token = NULL;
    ssize_t n = getline(&o->own_token, &room, in);
    fclose(in);
    if (n <= 0) {
        fprintf(stderr, "convctl: %s: there is no token in it\n", file);
        return false;
    }
    o->own_token[strcspn(o->own_token, "\r\n")] = '\0';
    o->client.token = o->own_token;
    return true;
}

/* Returns -1 to go on, otherwise the exit code. */
static int read_option(struct options *o, int c)
{
    switch (c) {
    case 'u':
        o->client.url = optarg;
        return -1;
    case 't':
        o->client.token = optarg;
        return -1;
    case 'T':
        return read_token(o, optarg) ? -1 : EXIT_WRONG_USAGE;
    case 'j':
        o->json = true;
        return -1;
    case 'h':
        fputs(help_text, stdout);
        return EXIT_OK;
    case 'v':
        puts("convctl " CONVPROXY_VERSION);
        return EXIT_OK;
    default:
        return EXIT_WRONG_USAGE;
    }
}

static int read_options(struct options *o, int argc, char **argv)
{
    static const struct option names[] = {{"url", required_argument, NULL, 'u'},
                                          {"token", required_argument, NULL, 't'},
                                          {"token-file", required_argument, NULL, 'T'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {"version", no_argument, NULL, 'v'},
                                          {NULL, 0, NULL, 0}};
    int c, code = -1;

    while (code < 0 && (c = getopt_long(argc, argv, "+u:t:T:jhv", names, NULL)) != -1)
        code = read_option(o, c);
    if (code < 0 && !client_url_ok(o->client.url))
        code = ctl_usage_error("expected http://host:port or unix:/path, not ", o->client.url);
    if (code < 0 && o->client.token != NULL && strpbrk(o->client.token, "\r\n") != NULL)
        code = ctl_usage_error("the token has a line break in it", "");
    return code;
}

static int run_command(struct options *o, int argc, char **argv)
{
    if (argc == 0)
        return ctl_usage_error("which command? convctl --help has them", "");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(o, argc, argv);
    return ctl_usage_error("there is no command ", argv[0]);
}

int main(int argc, char **argv)
{
    const char *token = getenv("CONV_ADMIN_TOKEN");
    struct options o = {
        .client = {.url = "http://127.0.0.1:9380", .token = token != NULL && token[0] != '\0' ? token : NULL},
        .interval_s = 1,
    };
    int code = read_options(&o, argc, argv);

    if (code < 0)
        code = run_command(&o, argc - optind, argv + optind);
    free(o.own_token);
    if (fflush(stdout) != 0 && code == EXIT_OK)
        code = EXIT_UNHEALTHY;
    return code;
}
