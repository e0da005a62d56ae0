/* tests/fuzz/fuzz_request — requests in one piece against the same bytes in two or many (tests/fuzz/arrivals;
 * the first byte's high bit asks for a small max_bytes). Properties: the requests and the error do not depend
 * on how the bytes arrive; argv lies in the input or in the scratch; the bytes of a multi-bulk request are
 * what build_request makes of its argv, but for the count of an empty one; each argument is within max_bytes. */
#include "resp/build.h"
#include "resp/request.h"
#include "tests/fuzz/arrivals.h"
#include "tests/fuzz/check.h"

#include <string.h>

struct run {
    struct request request;
    struct request_progress progress;
    enum request_status status;
    size_t max;
    size_t taken; /* bytes of whole requests */
    size_t requests;
    uint64_t mix; /* of all requests: used, kind, arguments */
};

static void mix(struct run *run, const void *p, size_t n)
{
    const unsigned char *bytes = p;

    for (size_t i = 0; i < n; i++)
        run->mix = (run->mix ^ bytes[i]) * 1099511628211u;
}

/* What build_request makes of argv is what came. */
static void check_bytes(const struct request *r, const char *p)
{
    struct chunk_pool pool;
    struct chain built;

    chunk_pool_init(&pool);
    chain_init(&built, &pool);
    build_request(&built, r->argv, r->argc);
    struct slice flat = chain_flat(&built);
    CHECK(flat.len == r->used && memcmp(flat.p, p, flat.len) == 0);
    chain_clear(&built);
    chunk_pool_done(&pool);
}

static void take_request(struct run *run, const char *p, size_t n)
{
    const struct request *r = &run->request;

    CHECK(r->used > 0 && r->used <= n);
    CHECK(run->progress.at == 0 && run->progress.left == 0);
    CHECK(r->was_inline == (p[0] != '*'));
    for (size_t i = 0; i < r->argc; i++) {
        const char *home = r->was_inline ? r->scratch : p;
        size_t room = r->was_inline ? r->scratch_cap : r->used;
        struct slice arg = r->argv[i];
        CHECK(arg.p >= home && arg.p + arg.len <= home + room);
        CHECK(r->was_inline || arg.len <= run->max);
        mix(run, &arg.len, sizeof arg.len);
        mix(run, arg.p, arg.len);
    }
    if (!r->was_inline && r->argc > 0)
        check_bytes(r, p);
    mix(run, &r->used, sizeof r->used);
    mix(run, &r->argc, sizeof r->argc);
    run->taken += r->used;
    run->requests++;
}

/* Shows the run p[taken, end) in a block of just that size. */
static bool show(void *ctx, const char *p, size_t end)
{
    struct run *run = ctx;
    size_t from = run->taken;
    char *own = malloc(end - from > 0 ? end - from : 1);

    CHECK(own != NULL);
    memcpy(own, p + from, end - from);
    do {
        const char *at = own + (run->taken - from);
        run->status = request_parse(&run->request, &run->progress, at, end - run->taken, run->max);
        if (run->status == REQUEST_DONE)
            take_request(run, at, end - run->taken);
        else if (run->status == REQUEST_MORE)
            CHECK(run->progress.at <= end - run->taken);
    } while (run->status == REQUEST_DONE);
    free(own);
    return run->status != REQUEST_BAD;
}

static void check_same(const struct run *a, const struct run *b)
{
    CHECK(a->status == b->status && a->requests == b->requests && a->taken == b->taken && a->mix == b->mix);
    if (a->status == REQUEST_BAD)
        CHECK(strcmp(a->request.error, b->request.error) == 0 &&
              strncmp(a->request.error, "Protocol error: ", 16) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 4096)
        return 0;
    size_t max = data[0] & 128 ? 8 : 512u << 20;
    struct run whole = {.max = max}, two = {.max = max}, many = {.max = max};

    arrivals_play(data, size, show, &whole, &two, &many);
    check_same(&whole, &two);
    check_same(&whole, &many);
    request_done(&whole.request);
    request_done(&two.request);
    request_done(&many.request);
    return 0;
}
