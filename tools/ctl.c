#include "tools/ctl.h"

#include "tools/screen.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

int ctl_usage_error(const char *what, const char *which)
{
    fprintf(stderr, "convctl: %s%s; convctl --help explains\n", what, which);
    return EXIT_WRONG_USAGE;
}

cJSON *ctl_call(const struct options *o, const char *method, const char *path, const char *json,
                struct answer *ret_answer, int *ret_code)
{
    char why[160];

    if (!client_call(&o->client, method, path, json, ret_answer, why, sizeof why)) {
        fprintf(stderr, "convctl: cannot reach convproxy at %s: %s\n", o->client.url, why);
        *ret_code = EXIT_UNREACHABLE;
        return NULL;
    }
    cJSON *doc = cJSON_Parse(ret_answer->body);
    if (doc == NULL) {
        fprintf(stderr, "convctl: what answers at %s is not convproxy (HTTP %d)\n", o->client.url,
                ret_answer->status);
        *ret_code = EXIT_UNREACHABLE;
        answer_done(ret_answer);
    }
    return doc;
}

cJSON *ctl_document(const struct options *o, const char *path, int *ret_code)
{
    struct answer answer;
    cJSON *doc = ctl_call(o, "GET", path, NULL, &answer, ret_code);

    if (doc == NULL)
        return NULL;
    if (answer.status != 200) {
        fprintf(stderr, "convctl: %s: %s\n", path, screen_text(doc, "error"));
        *ret_code = EXIT_UNHEALTHY;
        cJSON_Delete(doc);
        doc = NULL;
    }
    answer_done(&answer);
    return doc;
}

/* 503 is an answer too, where it is how health says that something is wrong. */
int ctl_show(const struct options *o, const char *path, void (*print)(FILE *out, const cJSON *doc))
{
    struct answer answer;
    int code;
    cJSON *doc = ctl_call(o, "GET", path, NULL, &answer, &code);

    if (doc == NULL)
        return code;
    const cJSON *healthy = cJSON_GetObjectItemCaseSensitive(doc, "healthy");
    bool refused = answer.status != 200 && (answer.status != 503 || healthy == NULL);
    if (refused)
        fprintf(stderr, "convctl: %s\n", screen_text(doc, "error"));
    else if (o->json)
        puts(answer.body);
    else
        print(stdout, doc);
    bool unwell = cJSON_IsFalse(healthy);
    cJSON_Delete(doc);
    answer_done(&answer);
    return refused || unwell ? EXIT_UNHEALTHY : EXIT_OK;
}

cJSON *ctl_order(const struct options *o, const char *method, const char *path, cJSON *own_json, int *ret_code)
{
    struct answer answer;
    char *own_text = own_json != NULL ? cJSON_PrintUnformatted(own_json) : NULL;
    cJSON *doc = ctl_call(o, method, path, own_text, &answer, ret_code);

    cJSON_Delete(own_json);
    free(own_text);
    if (doc == NULL)
        return NULL;
    bool ok = answer.status == 200;
    if (o->json)
        puts(answer.body);
    else if (!ok)
        fprintf(stderr, "convctl: refused: %s\n", screen_text(doc, "error"));
    answer_done(&answer);
    *ret_code = ok ? EXIT_OK : EXIT_UNHEALTHY;
    if (ok)
        return doc;
    cJSON_Delete(doc);
    return NULL;
}

int ctl_change(const struct options *o, const char *path, cJSON *own_json,
               void (*print)(FILE *out, const cJSON *doc), cJSON **ret_doc)
{
    int code;
    cJSON *doc = ctl_order(o, "POST", path, own_json, &code);

    if (doc != NULL && !o->json && print != NULL)
        print(stdout, doc);
    if (ret_doc != NULL)
        *ret_doc = doc;
    else
        cJSON_Delete(doc);
    return code;
}

void ctl_print(const cJSON *doc)
{
    char *own_text = cJSON_PrintUnformatted(doc);

    puts(own_text != NULL ? own_text : "{}");
    free(own_text);
}

char *ctl_path(const char *path, const char *value)
{
    char *text = malloc(strlen(path) + 3 * strlen(value) + 1), *at = text;

    if (text == NULL)
        abort();
    at += sprintf(at, "%s", path);
    for (; *value != '\0'; value++)
        at += sprintf(at, "%%%02X", (unsigned char)*value);
    return text;
}

int ctl_confirm(bool yes, const char *what, const char *question)
{
    char answer[16] = "";

    if (yes)
        return EXIT_OK;
    if (!isatty(STDIN_FILENO)) {
        fprintf(stderr, "convctl: %s needs --yes where nobody can be asked; convctl --help explains\n", what);
        return EXIT_WRONG_USAGE;
    }
    fflush(stdout);
    fprintf(stderr, "%s [y/N] ", question);
    bool agreed = fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    return ctl_interrupted() ? EXIT_INTERRUPTED : agreed ? EXIT_OK : EXIT_UNHEALTHY;
}

static void on_interrupt(int number)
{
    interrupted = 1;
}

void ctl_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESETHAND};

    if (interrupted)
        return;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool ctl_interrupted(void)
{
    return interrupted != 0;
}

void ctl_pause(double seconds)
{
    struct timespec t = {.tv_sec = (time_t)seconds, .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

    while (!interrupted && nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}
