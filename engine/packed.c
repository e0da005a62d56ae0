#include "engine/packed.h"

#include "base/limits.h"

#include <stdlib.h>
#include <zstd.h>

#define LEVEL 9 /* docs/tiers.md has what others would bring */

static bson_t *with_frame(const bson_t *doc, const void *frame, size_t n)
{
    bson_t *packed = bson_new();

    bson_copy_to_excluding_noinit(doc, packed, "v", NULL);
    if (BSON_APPEND_BINARY(packed, "z", BSON_SUBTYPE_BINARY, frame, (uint32_t)n))
        return packed;
    bson_destroy(packed);
    return NULL;
}

bson_t *packed_make(const bson_t *doc)
{
    bson_t *packed = NULL;
    bson_iter_t v;
    bson_t value;

    if (!bson_iter_init_find(&v, doc, "v"))
        return NULL;
    bson_init(&value);
    bson_append_iter(&value, "v", -1, &v);
    size_t most = ZSTD_compressBound(value.len);
    void *frame = malloc(most);
    if (frame == NULL)
        abort();
    size_t n = ZSTD_compress(frame, most, bson_get_data(&value), value.len, LEVEL);
    if (!ZSTD_isError(n) && n < value.len)
        packed = with_frame(doc, frame, n);
    free(frame);
    bson_destroy(&value);
    return packed;
}

static bool unpack(const bson_iter_t *z, struct arena *a, bson_iter_t *ret_v)
{
    const uint8_t *frame;
    bson_subtype_t kind;
    uint32_t n;
    bson_t value;

    bson_iter_binary(z, &kind, &n, &frame);
    unsigned long long size = ZSTD_getFrameContentSize(frame, n);
    if (size == 0 || size > 2 * (unsigned long long)LIMIT_MANAGED_VALUE) /* the errors are larger still */
        return false;
    uint8_t *bytes = arena_get(a, (size_t)size);
    return ZSTD_decompress(bytes, (size_t)size, frame, n) == size && bson_init_static(&value, bytes, (size_t)size) &&
           bson_iter_init_find(ret_v, &value, "v");
}

bool packed_find(const bson_t *doc, struct arena *a, bson_iter_t *ret_v)
{
    bson_iter_t z;

    if (bson_iter_init_find(ret_v, doc, "v"))
        return true;
    return bson_iter_init_find(&z, doc, "z") && BSON_ITER_HOLDS_BINARY(&z) && unpack(&z, a, ret_v);
}

const char *packed_version(void)
{
    return ZSTD_versionString();
}
