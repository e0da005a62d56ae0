#include "backends/redis/redirect.h"

#include <stdlib.h>
#include <string.h>

#define PAUSE_US      10000 /* the first; each next one is twice as long, up to */
#define PAUSE_MOST_US 200000

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* Digits from p to the first that is none. False: there are none, or the number is beyond most. */
static bool take_number(const char **p, const char *end, int most, int *ret)
{
    int n = 0;

    if (*p == end || **p < '0' || **p > '9')
        return false;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        n = n * 10 + (**p - '0');
        if (n > most)
            return false;
    }
    *ret = n;
    return true;
}

/* "SLOT HOST:PORT", where an IPv6 address has no brackets: the last colon counts. */
static bool take_place(const char *p, const char *end, struct redirect *ret)
{
    if (!take_number(&p, end, 16383, &ret->slot) || p == end || *p++ != ' ')
        return false;
    const char *colon = memrchr(p, ':', (size_t)(end - p));
    if (colon == NULL || colon - p >= REDIRECT_HOST || memchr(p, ' ', (size_t)(end - p)) != NULL)
        return false;
    memcpy(ret->host, p, (size_t)(colon - p));
    ret->host[colon - p] = '\0';
    if (strcmp(ret->host, "?") == 0)
        ret->host[0] = '\0';
    p = colon + 1;
    return take_number(&p, end, 65535, &ret->port) && ret->port > 0 && p == end;
}

bool redirect_parse(const char *p, size_t n, struct redirect *ret)
{
    const char *end = p + n;

    *ret = (struct redirect){.kind = REDIRECT_NONE};
    if (n < 2 || end[-1] != '\n' || end[-2] != '\r')
        return false;
    end -= 2;
    if (end - p > 7 && memcmp(p, "-MOVED ", 7) == 0 && take_place(p + 7, end, ret))
        ret->kind = REDIRECT_MOVED;
    else if (end - p > 5 && memcmp(p, "-ASK ", 5) == 0 && take_place(p + 5, end, ret))
        ret->kind = REDIRECT_ASK;
    else if ((end - p > 10 && memcmp(p, "-TRYAGAIN ", 10) == 0) || (end - p > 13 && memcmp(p, "-CLUSTERDOWN ", 13) == 0))
        ret->kind = REDIRECT_LATER;
    return ret->kind != REDIRECT_NONE;
}

bool redirect_is_unfit(const char *p, size_t n)
{
    static const char *const words[] = {"-LOADING ", "-MASTERDOWN ", "-CLUSTERDOWN "};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (n > strlen(words[i]) && memcmp(p, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

static bool is_block(struct slice request)
{
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n";
    return request.len >= sizeof multi - 1 && memcmp(request.p, multi, sizeof multi - 1) == 0;
}

struct resend *resend_new(struct slice request, uint32_t replies)
{
    struct resend *r = must(calloc(1, sizeof *r));

    r->bytes = must(malloc(request.len + 1));
    memcpy(r->bytes, request.p, request.len);
    r->len = request.len;
    r->replies = replies;
    r->block = replies > 1 && is_block(request);
    return r;
}

void resend_free(struct resend *own_r)
{
    if (own_r == NULL)
        return;
    free(own_r->bytes);
    free(own_r->early);
    free(own_r);
}

/* A reply to one of the commands before EXEC. */
static void keep_early(struct resend *r, const char *p, size_t n, bool end)
{
    struct redirect to;

    r->early = must(realloc(r->early, r->early_len + n));
    memcpy(r->early + r->early_len, p, n);
    r->early_len += n;
    r->seen += end;
    if (p[0] == '-' && r->to.kind == REDIRECT_NONE && redirect_parse(p, n, &to))
        r->to = to;
}

/* The first bytes of the reply that counts. EXEC itself may be told, when something has moved since its commands were queued. */
static enum resend_verdict begin(struct resend *r, const char *p, size_t n, bool end)
{
    bool error = end && p[0] == '-';

    r->begun = true;
    if (error && r->to.kind == REDIRECT_NONE)
        redirect_parse(p, n, &r->to);
    if (error && r->to.kind != REDIRECT_NONE && (r->to.kind != REDIRECT_LATER || r->patient))
        return RESEND_AGAIN;
    return r->block ? RESEND_REPLAY : RESEND_PASS;
}

enum resend_verdict resend_take(struct resend *r, const char *p, size_t n, bool end)
{
    if (r->asks) {
        r->asks = !end;
        return RESEND_KEEP;
    }
    if (r->begun || (r->replies > 1 && !r->block))
        return RESEND_PASS;
    if (r->seen + 1 < r->replies) {
        keep_early(r, p, n, end);
        return RESEND_KEEP;
    }
    return begin(r, p, n, end);
}

static void begin_anew(struct resend *r)
{
    r->begun = false;
    r->seen = 0;
    r->early_len = 0;
    r->to.kind = REDIRECT_NONE;
}

bool resend_again(struct resend *r)
{
    begin_anew(r);
    return r->hops++ < REDIRECT_HOPS;
}

int64_t resend_pause_us(const struct resend *r)
{
    return r->waits < 5 ? PAUSE_US << r->waits : PAUSE_MOST_US;
}

void resend_later(struct resend *r)
{
    begin_anew(r);
    r->hops = 0;
    r->waits++;
}
