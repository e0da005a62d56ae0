#include "tests/unit/requests.h"

#include "resp/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX (64u << 20)

struct server {
    void (*answer)(void *ctx, const struct slice *argv, size_t argc);
    void *ctx;
    struct request request;
};

/* Answers what is whole in the input and returns how many bytes that was; *ret_bad: not RESP. */
static size_t answer_all(struct server *s, const char *p, size_t n, bool *ret_bad)
{
    struct request *r = &s->request;
    size_t used = 0;

    for (;;) {
        struct request_progress progress = {0};
        enum request_status status = request_parse(r, &progress, p + used, n - used, INPUT_MAX);
        *ret_bad = status == REQUEST_BAD;
        if (status != REQUEST_DONE)
            return used;
        used += r->used;
        if (r->argc > 0)
            s->answer(s->ctx, r->argv, r->argc);
        fflush(stdout);
    }
}

int requests_serve(void (*answer)(void *ctx, const struct slice *argv, size_t argc), void *ctx)
{
    struct server s = {.answer = answer, .ctx = ctx};
    char *input = malloc(INPUT_MAX);
    size_t have = 0;
    ssize_t n = 0;
    bool is_bad = input == NULL;

    request_init(&s.request);
    while (!is_bad && (n = read(STDIN_FILENO, input + have, INPUT_MAX - have)) > 0) {
        have += (size_t)n;
        size_t used = answer_all(&s, input, have, &is_bad);
        memmove(input, input + used, have - used);
        have -= used;
    }
    request_done(&s.request);
    free(input);
    return is_bad || n < 0;
}
