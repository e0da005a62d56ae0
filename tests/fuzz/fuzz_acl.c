/* tests/fuzz/fuzz_acl — rules, then a request. The input is lines: rules of a user up to an empty line, then the words of a
 * request. Properties: what a user was made of can be told and read again, with the same text and the same verdict on the
 * request; a user who may all is allowed all; taking all commands away denies all but what needs no login. */
#include "router/acl.h"
#include "tests/fuzz/check.h"

#include <string.h>

enum { WORDS_MAX = 64 };

struct words {
    struct slice items[WORDS_MAX];
    size_t count;
};

static const struct acl_words nothing_learned = {.learned = NULL, .foreseen = true};

/* The lines up to an empty one; what follows it stays. */
static struct words take_lines(struct slice *rest)
{
    struct words w = {.count = 0};
    while (rest->len > 0 && w.count < WORDS_MAX) {
        const char *end = memchr(rest->p, '\n', rest->len);
        size_t len = end != NULL ? (size_t)(end - rest->p) : rest->len, used = len + (end != NULL);
        struct slice line = {rest->p, len};
        *rest = (struct slice){rest->p + used, rest->len - used};
        if (len == 0)
            break;
        w.items[w.count++] = line;
    }
    return w;
}

static const struct command *row_of(const struct words *request)
{
    const struct command *cmd = request->count > 0 ? command_of(request->items, request->count) : NULL;
    return cmd != NULL && command_arity_ok(cmd, request->count) ? cmd : NULL;
}

static int verdict(const struct acl_user *u, const struct words *request)
{
    size_t arg;
    const struct command *cmd = row_of(request);
    if (cmd == NULL)
        return -1;
    enum acl_verdict v = acl_check(u, cmd, request->items, request->count, &arg);
    CHECK(arg <= request->count);
    CHECK(v == ACL_ALLOWED || !acl_user_may_all(u));
    return (int)v;
}

/* A pattern may hold what a line cannot: a parenthesis that ends a selector. */
static bool can_be_told(const char *line)
{
    size_t open = 0, close = 0;
    for (; *line != '\0'; line++) {
        open += *line == '(';
        close += *line == ')';
        if (*line == '"' || *line == '\\' || (unsigned char)*line < ' ')
            return false;
    }
    return open == 0 && close == 0;
}

static void check_told(const struct acl_user *u, const struct words *request)
{
    char *line = acl_line(u), *bad = NULL;
    struct words rules = {.count = 0};
    struct acl_user *again = acl_user_new(acl_user_name(u));

    CHECK(strncmp(line, "user fuzz ", 10) == 0);
    bool whole = can_be_told(line);
    for (char *save, *word = strtok_r(strdup(line) + 10, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        if (rules.count == WORDS_MAX)
            whole = false;
        else
            rules.items[rules.count++] = (struct slice){word, strlen(word)};
    }
    if (whole && acl_apply(again, rules.items, rules.count, &nothing_learned, &bad) == ACL_GOOD) {
        char *second = acl_line(again);
        CHECK(strcmp(line, second) == 0);
        CHECK(verdict(u, request) == verdict(again, request));
        free(second);
    }
    free(bad);
    free(line);
    if (rules.count > 0)
        free((char *)rules.items[0].p - 10);
    acl_user_unref(again);
}

static void check_denied(struct acl_user *own_u, const struct words *request)
{
    static const struct slice none[] = {{"clearselectors", 14}, {"-@all", 5}};
    char *bad = NULL;
    const struct command *cmd = row_of(request);

    CHECK(acl_apply(own_u, none, 2, &nothing_learned, &bad) == ACL_GOOD);
    CHECK(cmd == NULL || (cmd->flags & CMD_NO_AUTH) != 0 || verdict(own_u, request) == ACL_NO_COMMAND);
    acl_user_unref(own_u);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 4096)
        return 0;
    char *own = malloc(size + 1);
    CHECK(own != NULL);
    memcpy(own, data, size);
    struct slice rest = {own, size};
    struct words rules = take_lines(&rest), request = take_lines(&rest);
    struct acl_user *u = acl_user_new((struct slice){"fuzz", 4});
    char *bad = NULL;

    enum acl_error e = acl_apply(u, rules.items, rules.count, &nothing_learned, &bad);
    CHECK((e == ACL_GOOD) == (bad == NULL));
    CHECK(e == ACL_GOOD || acl_error_text(e)[0] != '\0');
    free(bad);
    verdict(u, &request);
    if (e == ACL_GOOD)
        check_told(u, &request);
    check_denied(acl_user_copy(u), &request);
    acl_user_unref(u);
    free(own);
    return 0;
}
