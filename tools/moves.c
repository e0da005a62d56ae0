#include "tools/moves.h"

#include "tools/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH       "/api/v1/moves"
#define TRIES      20 /* of asking a proxy that does not answer meanwhile */
#define LOOK_MS    250
#define LINE_LOOKS 8 /* where no bar can be drawn, a line every so many looks */

static volatile sig_atomic_t left;

static void on_leave(int number)
{
    left = 1;
}

struct wish {
    const char *policy, *word; /* "": the usual one; NULL: none given */
    double rate;
    bool repair, deep, yes, no_wait;
};

/* The value of an option that is argv[*i]: behind its "=", or the next argument. NULL: it is another option. */
static const char *value_of(const char *name, int argc, char **argv, int *i)
{
    size_t len = strlen(name);

    if (strncmp(argv[*i], name, len) != 0)
        return NULL;
    if (argv[*i][len] == '=')
        return argv[*i] + len + 1;
    return argv[*i][len] == '\0' && *i + 1 < argc ? argv[++*i] : NULL;
}

static bool read_rate(const char *text, double *ret)
{
    char *end;

    *ret = strtod(text, &end);
    return end != text && *end == '\0' && *ret >= 0 && *ret <= 1e7;
}

static bool read_flag(const char *arg, struct wish *w)
{
    const struct {
        const char *name;
        bool *flag;
    } flags[] = {{"--repair", &w->repair},
                 {"--deep", &w->deep},
                 {"--yes", &w->yes},
                 {"-y", &w->yes},
                 {"--no-wait", &w->no_wait}};

    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if (strcmp(arg, flags[i].name) != 0)
            continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

/* False after a message. */
static bool read_wish(int argc, char **argv, struct wish *w)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (read_flag(argv[i], w))
            continue;
        if ((value = value_of("--policy", argc, argv, &i)) != NULL) {
            w->policy = value;
        } else if ((value = value_of("--rate", argc, argv, &i)) != NULL) {
            if (!read_rate(value, &w->rate))
                return ctl_usage_error("expected keys a second, at most 10000000, not ", value), false;
        } else if (w->word == NULL && argv[i][0] != '-') {
            w->word = argv[i];
        } else {
            fprintf(stderr, "convctl: %s does not know %s; convctl --help explains\n", argv[0], argv[i]);
            return false;
        }
    }
    return true;
}

/* ---- watching ---- */

static const cJSON *find(const cJSON *doc, double id)
{
    const cJSON *move;

    cJSON_ArrayForEach(move, cJSON_GetObjectItemCaseSensitive(doc, "moves"))
    {
        if (screen_number(move, "id") == id)
            return move;
    }
    return NULL;
}

static bool is_over(const cJSON *move)
{
    const char *state = screen_text(move, "state");
    return strcmp(state, "waiting") != 0 && strcmp(state, "running") != 0;
}

static int code_of(const cJSON *move)
{
    bool found = screen_number(move, "found") > screen_number(move, "repaired");
    return strcmp(screen_text(move, "state"), "done") == 0 && !found ? EXIT_OK : EXIT_UNHEALTHY;
}

static void draw(const struct options *o, const cJSON *move, unsigned look)
{
    bool bar = isatty(STDOUT_FILENO), over = is_over(move);

    if (o->json && (over || (look + 1) % LINE_LOOKS == 0)) {
        char *own_text = cJSON_PrintUnformatted(move);
        puts(own_text != NULL ? own_text : "{}");
        free(own_text);
    } else if (!o->json && bar) {
        fputs("\r\033[K", stdout);
        screen_move(stdout, move, true);
        fputs(over ? "\n" : "", stdout);
    } else if (!o->json && (over || (look + 1) % LINE_LOOKS == 0)) {
        screen_move(stdout, move, false);
        putchar('\n');
    }
    if (over && !o->json)
        screen_move_end(stdout, move);
    fflush(stdout);
}

static void rest(void)
{
    struct timespec t = {.tv_nsec = LOOK_MS * 1000000L};
    nanosleep(&t, NULL);
}

/* One look at it. True: *ret_code is how it has ended. */
static bool look(const struct options *o, double id, unsigned n, unsigned *tries, int *ret_code)
{
    struct answer answer;
    cJSON *doc = ctl_call(o, "GET", PATH, NULL, &answer, ret_code);

    if (doc == NULL)
        return ++*tries >= TRIES;
    *tries = 0;
    const cJSON *move = find(doc, id);
    bool over = move == NULL || is_over(move);
    *ret_code = move != NULL ? code_of(move) : EXIT_UNHEALTHY;
    if (move != NULL)
        draw(o, move, n);
    else
        fprintf(stderr, "convctl: the proxy does not know this move any more: it was started again\n");
    cJSON_Delete(doc);
    answer_done(&answer);
    return over;
}

static int watch(const struct options *o, double id)
{
    struct sigaction action = {.sa_handler = on_leave};
    unsigned tries = 0;
    int code = EXIT_OK;

    sigaction(SIGINT, &action, NULL);
    for (unsigned n = 0; !left; n++) {
        if (look(o, id, n, &tries, &code))
            return code;
        rest();
    }
    fprintf(stderr, "\nconvctl: move %.0f goes on; convctl moves shows it, convctl abort %.0f ends it\n", id,
            id);
    return EXIT_OK;
}

/* ---- ordering ---- */

static void say_ordered(FILE *out, const cJSON *doc)
{
    fprintf(out, "move %.0f: %s of policy %s\n", screen_number(doc, "id"), screen_text(doc, "kind"),
            screen_text(doc, "policy"));
}

static void say_nothing(FILE *out, const cJSON *doc)
{
}

static int order(const struct options *o, const char *kind, const struct wish *w)
{
    struct options quiet = *o;
    cJSON *json = cJSON_CreateObject(), *doc = NULL;

    cJSON_AddStringToObject(json, "kind", kind);
    cJSON_AddStringToObject(json, "policy", w->policy);
    cJSON_AddBoolToObject(json, "repair", w->repair);
    cJSON_AddBoolToObject(json, "deep", w->deep);
    cJSON_AddNumberToObject(json, "rate", w->rate);
    quiet.json = o->json && w->no_wait; /* otherwise the JSON is that of the progress */
    int code = ctl_change_by(&quiet, PATH, json, o->json ? say_nothing : say_ordered, &doc);
    double id = screen_number(doc, "id");
    cJSON_Delete(doc);
    return code != EXIT_OK || w->no_wait ? code : watch(o, id);
}

int moves_run(struct options *o, int argc, char **argv)
{
    struct wish w = {.policy = ""};
    char question[160];

    if (!read_wish(argc, argv, &w))
        return EXIT_WRONG_USAGE;
    if (w.word != NULL)
        return ctl_usage_error("which argument is this: ", w.word);
    snprintf(question, sizeof question, "%s --repair changes what it finds wrong. Go on?", argv[0]);
    int code = w.repair ? ctl_confirm(w.yes, "a repair", question) : EXIT_OK;
    return code == EXIT_OK ? order(o, argv[0], &w) : code;
}

int moves_show(struct options *o, int argc, char **argv)
{
    if (argc > 1)
        return ctl_usage_error("moves takes no arguments: ", argv[1]);
    return ctl_show(o, PATH, screen_moves);
}

int moves_abort(struct options *o, int argc, char **argv)
{
    cJSON *json;
    char *end;

    if (argc != 2)
        return ctl_usage_error("abort needs the number of a move: convctl moves has them", "");
    double id = strtod(argv[1], &end);
    if (end == argv[1] || *end != '\0' || !(id >= 1))
        return ctl_usage_error("expected the number of a move, not ", argv[1]);
    json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "id", id);
    return ctl_change_by(o, PATH "/abort", json, screen_aborted, NULL);
}

/* ---- dual writes ---- */

int moves_dual_write(struct options *o, int argc, char **argv)
{
    struct wish w = {.policy = ""};
    cJSON *json;

    if (!read_wish(argc, argv, &w))
        return EXIT_WRONG_USAGE;
    bool on = w.word != NULL && strcmp(w.word, "on") == 0;
    if (w.word == NULL || (!on && strcmp(w.word, "off") != 0))
        return ctl_usage_error("expected dual-write on or dual-write off, not dual-write ",
                               w.word != NULL ? w.word : "");
    int code = ctl_confirm(w.yes, "dual-write",
                           on ? "All keys are copied to the archive, and every write from now on. Go on?"
                              : "Writes are not copied any more: what Redis loses is lost. Go on?");
    if (code != EXIT_OK)
        return code;
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "policy", w.policy);
    cJSON_AddBoolToObject(json, "on", on);
    return ctl_change_by(o, "/api/v1/dual-write", json, screen_dual_write, NULL);
}
