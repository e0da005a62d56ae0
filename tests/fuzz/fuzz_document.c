/* tests/fuzz/fuzz_document — documents that others may have written. Input: a BSON document; its length is
 * put right, so that inputs may be cut anywhere. Property: it is refused with a reason, or what it holds is
 * encoded to a document that is decoded again and encoded to the same bytes. */
#include "engine/document.h"
#include "tests/fuzz/check.h"

#include <string.h>

static void check_stable(const struct object *o, struct arena *a)
{
    bson_t first = BSON_INITIALIZER, second = BSON_INITIALIZER;
    struct object again;
    const char *why;

    CHECK(document_encode(o, &first) == ERR_NONE);
    CHECK(document_decode(&first, a, &again, &why) == ERR_NONE);
    CHECK(again.type == o->type && again.encoding == o->encoding && again.expire_ms == o->expire_ms);
    CHECK(document_encode(&again, &second) == ERR_NONE);
    CHECK(bson_equal(&first, &second));
    bson_destroy(&first);
    bson_destroy(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *why = NULL;
    struct arena arena;
    struct object o;
    bson_t doc;

    if (size < 5 || size > 1u << 20)
        return 0;
    /* A block of its own, so that a read one byte too far is seen. */
    uint8_t *own = malloc(size);
    CHECK(own != NULL);
    memcpy(own, data, size);
    uint32_t len = BSON_UINT32_TO_LE((uint32_t)size);
    memcpy(own, &len, sizeof len);
    own[size - 1] = 0;
    arena_init(&arena);
    CHECK(bson_init_static(&doc, own, size));
    if (document_decode(&doc, &arena, &o, &why) == ERR_NONE)
        check_stable(&o, &arena);
    else
        CHECK(why != NULL);
    arena_done(&arena);
    free(own);
    return 0;
}
