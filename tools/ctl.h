/* tools/ctl — what the commands of convctl share: options, exit codes, and calls whose answers are shown.
 * Owns:       nothing between calls.
 * Invariants: whatever goes wrong is said in one line on stderr, and the exit code says which kind it was.
 * Threads:    one.          Used by: every command of convctl. */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include "tools/args.h"
#include "tools/client.h"

#include <cjson/cJSON.h>
#include <stdio.h>

enum exit_code { EXIT_OK, EXIT_UNHEALTHY, EXIT_WRONG_USAGE, EXIT_UNREACHABLE, EXIT_INTERRUPTED };

struct options {
    struct client client;
    bool json;
    bool quiet; /* no progress */
    bool yes;   /* nobody is asked */
    char *own_token;
};

/* Says what is wrong with the arguments; EXIT_WRONG_USAGE. */
int ctl_usage_error(const char *what, const char *which);
/* The parsed answer; NULL after a message. *ret_code is set then. */
cJSON *ctl_call(const struct options *o, const char *method, const char *path, const char *json,
                struct answer *ret_answer, int *ret_code);
/* A document that must be there; NULL after a message, also when the proxy refuses it (EXIT_UNHEALTHY). */
cJSON *ctl_document(const struct options *o, const char *path, int *ret_code);
/* Shows a document. */
int ctl_show(const struct options *o, const char *path, void (*print)(FILE *out, const cJSON *doc));
/* Sends a document, which is taken (NULL: none). The answer, or NULL after a message: EXIT_UNHEALTHY when the proxy refuses it. With
 * --json the answer is printed, a refusal too. */
cJSON *ctl_order(const struct options *o, const char *method, const char *path, cJSON *own_json, int *ret_code);
/* A POST of that: without --json what the proxy answers is printed (print NULL: it is not). ret_doc may be NULL, otherwise it gets the answer. */
int ctl_change(const struct options *o, const char *path, cJSON *own_json,
               void (*print)(FILE *out, const cJSON *doc), cJSON **ret_doc);
/* A document on standard output, in one line. */
void ctl_print(const cJSON *doc);
/* The path with a value behind it, every byte of which is escaped. malloc'ed. */
char *ctl_path(const char *path, const char *value);
/* Whoever sits at a terminal is asked; a script says --yes. EXIT_OK: go on. what: as in "a switch needs --yes". The question is
 * no output: it goes to stderr. */
int ctl_confirm(bool yes, const char *what, const char *question);
/* From now on the first SIGINT and the first SIGTERM do not end the program: they end ctl_pause, and ctl_interrupted is true. The next one
 * ends it where it is, for who does not want to wait for an answer. */
void ctl_catch_interrupts(void);
bool ctl_interrupted(void);
void ctl_pause(double seconds);

#endif
