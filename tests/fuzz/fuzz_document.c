/* tests/fuzz/fuzz_document — documents that others may have written. Input: a BSON document; its length is
 * put right, so that inputs may be cut anywhere. Properties: it is refused with a reason, or what it holds is
 * encoded to a document that is decoded again and encoded to the same bytes; and what of its bytes counts as
 * text is what libbson takes for UTF-8 without NUL. */
#include "engine/document.h"
#include "engine/record.h"
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

/* From several places on, as words of eight bytes are looked at. */
static void check_text(const char *p, size_t n)
{
    for (size_t from = 0; from < 10 && from < n; from++)
        CHECK(record_is_text((struct slice){p + from, n - from}) ==
              bson_utf8_validate(p + from, n - from, false));
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
    check_text((const char *)own, size);
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
