#include "tools/moves.h"

#include "tools/screen.h"

#include <string.h>
#include <unistd.h>

#define PATH       "/api/v1/moves"
#define TRIES      20 /* of asking a proxy that does not answer meanwhile */
#define LOOK_S     0.25
#define LINE_LOOKS 8 /* where no bar can be drawn, a line every so many looks */

struct wish {
    const char *policy; /* "": the usual one */
    double rate;
    bool repair, deep, no_wait;
};

static const char *policy_of(const struct args *args)
{
    const char *policy = args_value(args, "policy");
    return policy != NULL ? policy : "";
}

/* False after a message. */
static bool read_wish(const struct args *args, struct wish *w)
{
    bool verify = strcmp(args->command, "verify") == 0, audit = strcmp(args->command, "ttl-audit") == 0;

    *w = (struct wish){
        .policy = policy_of(args),
        .repair = (verify || audit) && args_flag(args, "repair"),
        .deep = verify && args_flag(args, "deep"),
        .no_wait = args_flag(args, "no-wait"),
    };
    return args_number(args, "rate", 0, 1e7, &w->rate);
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
    bool done = strcmp(screen_text(move, "state"), "done") == 0;
    return done && !screen_move_wrong(move) ? EXIT_OK : EXIT_UNHEALTHY;
}

static void draw(const struct options *o, const cJSON *move, unsigned look)
{
    bool bar = isatty(STDOUT_FILENO) && !o->quiet, over = is_over(move);
    bool due = over || (!o->quiet && (look + 1) % LINE_LOOKS == 0);

    if (o->json && due) {
        ctl_print(move);
    } else if (!o->json && bar) {
        fputs("\r\033[K", stdout);
        screen_move(stdout, move, true);
        fputs(over ? "\n" : "", stdout);
    } else if (!o->json && due) {
        screen_move(stdout, move, false);
        putchar('\n');
    }
    if (over && !o->json)
        screen_move_end(stdout, move);
    fflush(stdout);
}

/* One look at it. True: *ret_code is how it has ended. */
static bool look(const struct options *o, double id, unsigned n, unsigned *tries, int *ret_code)
{
    cJSON *doc = ctl_document(o, PATH, ret_code);

    if (doc == NULL)
        return *ret_code != EXIT_UNREACHABLE || ++*tries >= TRIES;
    *tries = 0;
    const cJSON *move = find(doc, id);
    bool over = move == NULL || is_over(move);
    *ret_code = move != NULL ? code_of(move) : EXIT_UNHEALTHY;
    if (move != NULL)
        draw(o, move, n);
    else
        fprintf(stderr, "convctl: the proxy does not know this move any more: it was started again\n");
    cJSON_Delete(doc);
    return over;
}

int moves_watch(const struct options *o, double id)
{
    unsigned tries = 0;
    int code = EXIT_OK;

    ctl_catch_interrupts();
    for (unsigned n = 0; !ctl_interrupted(); n++) {
        if (look(o, id, n, &tries, &code))
            return code;
        ctl_pause(LOOK_S);
    }
    fprintf(stderr, "\nconvctl: move %.0f goes on; convctl moves shows it, convctl abort %.0f ends it\n", id,
            id);
    return EXIT_INTERRUPTED;
}

/* ---- ordering ---- */

static void say_ordered(FILE *out, const cJSON *doc)
{
    fprintf(out, "move %.0f: %s of policy %s\n", screen_number(doc, "id"), screen_text(doc, "kind"),
            screen_text(doc, "policy"));
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
    int code = ctl_change(&quiet, PATH, json, o->json || o->quiet ? NULL : say_ordered, &doc);
    double id = screen_number(doc, "id");
    cJSON_Delete(doc);
    return code != EXIT_OK || w->no_wait ? code : moves_watch(o, id);
}

int moves_run(struct options *o, const struct args *args)
{
    struct wish w;
    char question[160];

    if (!read_wish(args, &w))
        return EXIT_WRONG_USAGE;
    snprintf(question, sizeof question, "%s --repair changes what it finds wrong. Go on?", args->command);
    int code = w.repair ? ctl_confirm(o->yes, "a repair", question) : EXIT_OK;
    return code == EXIT_OK ? order(o, args->command, &w) : code;
}

int moves_show(struct options *o, const struct args *args)
{
    return ctl_show(o, PATH, screen_moves);
}

static int by_id(const struct options *o, const struct args *args, const char *path, void (*say)(FILE *out, const cJSON *doc), double *ret_id)
{
    *ret_id = args_id(args->words[0]);
    if (*ret_id < 1)
        return ctl_usage_error("expected the number of a move, which convctl moves shows, not ", args->words[0]);
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "id", *ret_id);
    return ctl_change(o, path, json, say, NULL);
}

int moves_abort(struct options *o, const struct args *args)
{
    double id;
    return by_id(o, args, PATH "/abort", screen_aborted, &id);
}

int moves_resume(struct options *o, const struct args *args)
{
    bool no_wait = args_flag(args, "no-wait");
    struct options quiet = *o;
    double id;

    quiet.json = o->json && no_wait;
    int code = by_id(&quiet, args, PATH "/resume", o->json || o->quiet ? NULL : screen_resumed, &id);
    return code != EXIT_OK || no_wait ? code : moves_watch(o, id);
}

int moves_do(const struct options *o, const char *kind, const char *policy)
{
    struct wish w = {.policy = policy};
    return order(o, kind, &w);
}

/* ---- dual writes ---- */

int moves_dual_write(struct options *o, const struct args *args)
{
    bool on = strcmp(args->words[0], "on") == 0;

    if (!on && strcmp(args->words[0], "off") != 0)
        return ctl_usage_error("expected dual-write on or dual-write off, not dual-write ", args->words[0]);
    int code = ctl_confirm(o->yes, "dual-write",
                           on ? "All keys are copied to the archive, and every write from now on. Go on?"
                              : "Writes are not copied any more: what Redis loses is lost. Go on?");
    if (code != EXIT_OK)
        return code;
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "policy", policy_of(args));
    cJSON_AddBoolToObject(json, "on", on);
    return ctl_change(o, "/api/v1/dual-write", json, screen_dual_write, NULL);
}
