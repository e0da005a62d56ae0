/* tests/fuzz/fuzz_frame — framing in one piece against the same bytes in two or many (tests/fuzz/arrivals).
 * Property: status, ends of frames and settled bytes do not depend on how the bytes arrive, and frame_length
 * and frame_aggregate agree with frame_scan. */
#include "resp/frame.h"
#include "tests/fuzz/arrivals.h"
#include "tests/fuzz/check.h"

#include <string.h>

struct run {
    struct frame frame;
    enum frame_status status;
    size_t settled; /* bytes passed */
    size_t start;   /* of the frame that is not whole */
    size_t frames;
    uint64_t ends; /* a mix of all ends */
};

/* A frame from `start` to `end` of p was found by scanning; the other functions must find the same. */
static void check_frame(const char *p, size_t start, size_t end)
{
    int64_t items;
    const char *lf = memchr(p + start, '\n', end - start);

    CHECK(frame_length(p + start, end - start) == end - start);
    CHECK(frame_length(p + start, end - start - 1) == 0);
    size_t head = frame_aggregate(p + start, end - start, &items);
    CHECK((head > 0) == (strchr("*~>%|", p[start]) != NULL));
    if (head > 0)
        CHECK(items >= -1 && lf != NULL && head == (size_t)(lf - p) - start + 1);
}

/* Shows the run p[settled, end) in a block of just that size. */
static bool show(void *ctx, const char *p, size_t end)
{
    struct run *run = ctx;
    size_t from = run->settled;
    char *own = malloc(end - from > 0 ? end - from : 1);
    size_t used;

    CHECK(own != NULL);
    memcpy(own, p + from, end - from);
    do {
        run->status = frame_scan(&run->frame, own + (run->settled - from), end - run->settled, &used);
        CHECK(used <= end - run->settled);
        run->settled += used;
        if (run->status == FRAME_DONE) {
            CHECK(run->settled > run->start);
            CHECK(run->frame.owed == 0 && run->frame.body == 0 && !run->frame.tail);
            check_frame(p, run->start, run->settled);
            run->start = run->settled;
            run->frames++;
            run->ends = run->ends * 31 + run->settled;
        }
    } while (run->status == FRAME_DONE);
    free(own);
    return run->status != FRAME_BAD;
}

static void check_same(const struct run *a, const struct run *b)
{
    CHECK(a->status == b->status && a->frames == b->frames && a->ends == b->ends && a->start == b->start);
    if (a->status == FRAME_MORE)
        CHECK(a->settled == b->settled && a->frame.body == b->frame.body && a->frame.tail == b->frame.tail);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3 || size > 4096)
        return 0;
    struct run whole = {0}, two = {0}, many = {0};

    arrivals_play(data, size, show, &whole, &two, &many);
    check_same(&whole, &two);
    check_same(&whole, &many);
    return 0;
}
