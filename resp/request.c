#include "resp/request.h"

#include "base/limits.h"
#include "resp/frame.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void request_init(struct request *r)
{
    *r = (struct request){0};
}

void request_done(struct request *r)
{
    free(r->argv);
    free(r->scratch);
    *r = (struct request){0};
}

static enum request_status bad(struct request *r, const char *text)
{
    snprintf(r->error, sizeof r->error, "Protocol error: %s", text);
    return REQUEST_BAD;
}

static void add_arg(struct request *r, const char *p, size_t len)
{
    if (r->argc == r->argv_cap) {
        r->argv_cap = r->argv_cap == 0 ? 64 : 2 * r->argv_cap;
        r->argv = realloc(r->argv, r->argv_cap * sizeof *r->argv);
        if (r->argv == NULL)
            abort();
    }
    r->argv[r->argc++] = (struct slice){p, len};
}

/* ---- multi-bulk ---- */

/* Reads "<type><number>\r\n" at p[*at]; moves *at behind it. what: the words of Redis's error. */
static enum request_status take_count(struct request *r, const char *p, size_t n, size_t *at,
                                      const char *what, int64_t *ret_count)
{
    const char *start = p + *at + 1; /* behind the type byte */
    size_t have = n - *at - 1;
    char text[48];
    const char *cr = memchr(start, '\r', have < LIMIT_INLINE ? have : LIMIT_INLINE);

    if (cr == NULL) {
        if (have < LIMIT_INLINE)
            return REQUEST_MORE;
        snprintf(text, sizeof text, "too big %s count string", what);
        return bad(r, text);
    }
    if ((size_t)(cr - p) + 1 >= n)
        return REQUEST_MORE;
    if (cr[1] != '\n' || !frame_count(start, (size_t)(cr - start), ret_count)) {
        snprintf(text, sizeof text, "invalid %s length", what[0] == 'm' ? "multibulk" : "bulk");
        return bad(r, text);
    }
    *at = (size_t)(cr - p) + 2;
    return REQUEST_DONE;
}

/* Like Redis, which writes the byte as it is but for those that would end the error's line. */
static enum request_status no_dollar(struct request *r, char got)
{
    char text[32];
    bool ends = got == '\r' || got == '\n' || got == '\0';

    snprintf(text, sizeof text, "expected '$', got '%c'", ends ? ' ' : got);
    return bad(r, text);
}

/* Takes one "$len\r\nbody\r\n" at p[*at]; keeps the argument when keep is set. Redis skips the two bytes
 * behind the body whatever they are; we insist on CR LF, because other servers do, and one that closes a
 * connection for it would make all clients of that connection pay. */
static enum request_status take_arg(struct request *r, const char *p, size_t n, size_t *at, size_t max,
                                    bool keep)
{
    int64_t len;
    size_t pos = *at;

    if (pos >= n)
        return REQUEST_MORE;
    if (p[pos] != '$')
        return no_dollar(r, p[pos]);
    enum request_status status = take_count(r, p, n, &pos, "bulk", &len);
    if (status != REQUEST_DONE)
        return status;
    if (len < 0 || (uint64_t)len > max || pos > max - (uint64_t)len + LIMIT_INLINE)
        return bad(r, "invalid bulk length");
    if (r->stranger && len > LIMIT_STRANGER_BULK)
        return bad(r, "unauthenticated bulk length");
    if (n - pos < (uint64_t)len + 2)
        return REQUEST_MORE;
    if (memcmp(p + pos + len, "\r\n", 2) != 0)
        return bad(r, "invalid bulk length");
    if (keep)
        add_arg(r, p + pos, (size_t)len);
    *at = pos + (size_t)len + 2;
    return REQUEST_DONE;
}

/* The common argument in one step, all of it there and within the limits. False: take_arg decides. */
static inline bool take_short_arg(struct request *r, const char *p, size_t n, size_t *at, size_t max, bool keep)
{
    size_t pos = *at, len, head = pos < n && p[pos] == '$' ? frame_short_header(p + pos, n - pos, &len) : 0;

    pos += head;
    if (head == 0 || len > max || pos > max - len + LIMIT_INLINE || n - pos < len + 2 ||
        (r->stranger && len > LIMIT_STRANGER_BULK) || p[pos + len] != '\r' || p[pos + len + 1] != '\n')
        return false;
    if (keep)
        add_arg(r, p + pos, len);
    *at = pos + len + 2;
    return true;
}

static enum request_status take_args(struct request *r, struct request_progress *g, const char *p, size_t n,
                                     size_t max, bool keep)
{
    while (g->left > 0) {
        enum request_status status = REQUEST_DONE;
        if (!take_short_arg(r, p, n, &g->at, max, keep))
            status = take_arg(r, p, n, &g->at, max, keep);
        if (status != REQUEST_DONE)
            return status;
        g->left--;
    }
    return REQUEST_DONE;
}

static enum request_status start_multibulk(struct request *r, struct request_progress *g, const char *p,
                                           size_t n)
{
    int64_t count;
    size_t small, at = frame_short_header(p, n, &small);
    enum request_status status = REQUEST_DONE;

    if (at > 0)
        count = (int64_t)small;
    else
        status = take_count(r, p, n, &at, "mbulk", &count);
    if (status != REQUEST_DONE)
        return status;
    if (count > LIMIT_ARGS)
        return bad(r, "invalid multibulk length");
    if (r->stranger && count > LIMIT_STRANGER_ARGS)
        return bad(r, "unauthenticated multibulk length");
    g->at = at;
    g->left = count > 0 ? (uint32_t)count : 0;
    return REQUEST_DONE;
}

static enum request_status parse_multibulk(struct request *r, struct request_progress *g, const char *p,
                                           size_t n, size_t max)
{
    bool fresh = g->at == 0;
    enum request_status status = fresh ? start_multibulk(r, g, p, n) : REQUEST_DONE;

    if (status == REQUEST_DONE)
        status = take_args(r, g, p, n, max, fresh);
    if (status == REQUEST_DONE && !fresh) {
        /* It came in pieces and its arguments were only counted: now that it is whole, collect them. */
        status = start_multibulk(r, g, p, n);
        if (status == REQUEST_DONE)
            status = take_args(r, g, p, n, max, true);
    }
    if (status != REQUEST_DONE)
        return status;
    r->used = g->at;
    *g = (struct request_progress){0};
    return REQUEST_DONE;
}

/* ---- inline ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* One escape inside double quotes, at p (behind the backslash): writes its byte, returns the bytes it took.
 */
static size_t take_escape(const char *p, const char *end, char *out)
{
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";

    if (end - p >= 3 && p[0] == 'x' && hex_digit(p[1]) >= 0 && hex_digit(p[2]) >= 0) {
        *out = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
        return 3;
    }
    const char *known = memchr(from, p[0], sizeof from - 1);
    *out = known != NULL ? to[known - from] : p[0];
    return 1;
}

/* A quoted part at p (behind its opening quote) is unescaped to *out. Returns the place behind the closing
 * quote, or NULL when it is missing or glued to the next word. */
static const char *take_quoted(const char *p, const char *end, char quote, char **out)
{
    while (p < end && *p != quote) {
        bool escape = *p == '\\' && p + 1 < end && (quote == '"' || p[1] == '\'');
        if (escape)
            p += 1 + take_escape(p + 1, end, *out);
        else
            **out = *p++;
        (*out)++;
    }
    if (p == end || (p + 1 < end && !isspace((unsigned char)p[1])))
        return NULL;
    return p + 1;
}

/* What ends a bare word. As in Redis, vertical tab and form feed don't, though they are skipped before one.
 */
static bool ends_word(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word at p to *out. Returns the place behind it, or NULL for unbalanced quotes; a closing quote ends it.
 */
static const char *take_word(const char *p, const char *end, char **out)
{
    while (p < end && !ends_word(*p)) {
        if (*p == '"' || *p == '\'')
            return take_quoted(p + 1, end, *p, out);
        *(*out)++ = *p++;
    }
    return p;
}

/* Splits a line into words: "double" quoted with escapes, 'single' with \' only. */
static bool split_line(struct request *r, const char *p, const char *end)
{
    char *out = r->scratch;
    for (;;) {
        while (p < end && isspace((unsigned char)*p))
            p++;
        if (p == end)
            return true;
        char *word = out;
        p = take_word(p, end, &out);
        if (p == NULL)
            return false;
        add_arg(r, word, (size_t)(out - word));
    }
}

static enum request_status parse_inline(struct request *r, struct request_progress *g, const char *p,
                                        size_t n)
{
    size_t seen = n <= LIMIT_INLINE ? n : LIMIT_INLINE + 1;
    const char *lf = memchr(p + g->at, '\n', seen - g->at);
    if (lf == NULL) {
        g->at = seen;
        return n > LIMIT_INLINE ? bad(r, "too big inline request") : REQUEST_MORE;
    }
    *g = (struct request_progress){0};
    size_t len = (size_t)(lf - p);
    if (r->scratch_cap < len + 1) {
        free(r->scratch);
        r->scratch_cap = LIMIT_INLINE + 1;
        r->scratch = malloc(r->scratch_cap);
        if (r->scratch == NULL)
            abort();
    }
    if (!split_line(r, p, lf)) /* a CR before the LF is a blank like others */
        return bad(r, "unbalanced quotes in request");
    r->was_inline = true;
    r->used = len + 1;
    return REQUEST_DONE;
}

enum request_status request_parse(struct request *r, struct request_progress *progress, const char *p,
                                  size_t n, size_t max_bytes)
{
    r->argc = 0;
    r->was_inline = false;
    if (n == 0)
        return REQUEST_MORE;
    return p[0] == '*' ? parse_multibulk(r, progress, p, n, max_bytes) : parse_inline(r, progress, p, n);
}

bool request_next(struct request *r, struct slice *rest, struct slice *ret_raw)
{
    struct request_progress progress = {0};

    if (rest->len == 0)
        return false;
    if (request_parse(r, &progress, rest->p, rest->len, SIZE_MAX / 2) != REQUEST_DONE)
        abort(); /* it was parsed before */
    *ret_raw = (struct slice){rest->p, r->used};
    *rest = (struct slice){rest->p + r->used, rest->len - r->used};
    return true;
}
