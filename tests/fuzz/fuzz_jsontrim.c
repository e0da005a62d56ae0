/* tests/fuzz/fuzz_jsontrim — the trim against a whole parse of the same text by cJSON.
 * Input: two bytes for the limits (max_messages = first & 15, max_bytes = 8 * (second & 15)), then the text;
 * so "30[1,2]" keeps three messages and has no limit of bytes. Property: what cJSON reads as an array is
 * trimmed to exactly its last elements, byte for byte, within both limits; what it doesn't read is left
 * alone. */
#include "engine/jsontrim.h"
#include "tests/fuzz/check.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>

static bool json_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Where this module is meant to be stricter than cJSON: control bytes and a byte order mark. */
static bool outside_json(struct slice text)
{
    if (text.len >= 3 && memcmp(text.p, "\xEF\xBB\xBF", 3) == 0)
        return true;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] < 0x20 && !json_blank(text.p[i]))
            return true;
    return false;
}

static bool maybe_deep(struct slice text)
{
    size_t open = 0;

    for (size_t i = 0; i < text.len; i++)
        open += text.p[i] == '[' || text.p[i] == '{';
    return open >= 1000;
}

static cJSON *parse_whole(const char *p, size_t len)
{
    char *copy = malloc(len + 1);

    CHECK(copy != NULL);
    memcpy(copy, p, len);
    copy[len] = '\0';
    cJSON *item = cJSON_ParseWithLengthOpts(copy, len + 1, NULL, 1);
    free(copy);
    return item;
}

/* The elements of `after` are the last `kept` ones of `before`. */
static void check_elements(const cJSON *before, const cJSON *after, const struct jsontrim *got)
{
    const cJSON *a = before->child;
    const cJSON *b = after->child;

    CHECK((size_t)cJSON_GetArraySize(after) == got->kept);
    for (size_t i = got->kept; i < got->count; i++)
        a = a->next;
    for (; b != NULL; a = a->next, b = b->next) {
        char *x = cJSON_PrintUnformatted(a);
        char *y = cJSON_PrintUnformatted(b);
        CHECK(x != NULL && y != NULL && strcmp(x, y) == 0);
        free(x);
        free(y);
    }
    CHECK(a == NULL);
}

static void check_trimmed(struct slice text, const cJSON *before, const struct jsontrim *got)
{
    size_t len = 1 + got->tail.len;
    char *joined = malloc(len);

    /* The tail is the input's own memory and reaches to its last byte that is not blank. */
    CHECK(strcmp(got->head, "[") == 0);
    CHECK(got->tail.p > text.p && got->tail.p + got->tail.len <= text.p + text.len);
    for (const char *p = got->tail.p + got->tail.len; p < text.p + text.len; p++)
        CHECK(json_blank(*p));
    CHECK(!json_blank(got->tail.p[0]) && got->tail.p[got->tail.len - 1] == ']');
    CHECK(len < text.len && joined != NULL);
    joined[0] = '[';
    memcpy(joined + 1, got->tail.p, got->tail.len);
    cJSON *after = parse_whole(joined, len);
    CHECK(cJSON_IsArray(after));
    check_elements(before, after, got);
    cJSON_Delete(after);
    free(joined);
}

/* No more was dropped than the limits ask for. */
static void check_not_greedy(struct slice text, const struct jsontrim *got, size_t max_messages,
                             size_t max_bytes)
{
    struct jsontrim one_more;

    if (got->kept == got->count || (max_messages > 0 && got->kept >= max_messages))
        return;
    enum jsontrim_status st = jsontrim(text, got->kept + 1, 0, &one_more);
    CHECK(st == JSONTRIM_TRIMMED || st == JSONTRIM_UNCHANGED);
    size_t bare = 0; /* bytes of the text that keeps one element more, without the blanks around it */
    if (st == JSONTRIM_TRIMMED) {
        bare = 1 + one_more.tail.len;
    } else {
        const char *p = text.p;
        const char *end = text.p + text.len;
        while (json_blank(end[-1]))
            end--;
        while (*p != '[')
            p++;
        for (p++; json_blank(*p);)
            p++;
        bare = 1 + (size_t)(end - p);
    }
    CHECK(max_bytes > 0 && bare > max_bytes);
}

static void check_array(struct slice text, const cJSON *whole, enum jsontrim_status st,
                        const struct jsontrim *got, size_t max_messages, size_t max_bytes)
{
    CHECK(st == JSONTRIM_TRIMMED || st == JSONTRIM_UNCHANGED);
    CHECK(got->count == (size_t)cJSON_GetArraySize(whole) && got->kept <= got->count);
    size_t len = strlen(got->head) + got->tail.len;
    if (max_messages > 0)
        CHECK(got->kept <= max_messages);
    if (max_bytes > 0)
        CHECK(len <= max_bytes || got->kept <= 1);
    CHECK(got->count == 0 || got->kept > 0);
    if (st == JSONTRIM_TRIMMED)
        check_trimmed(text, whole, got);
    check_not_greedy(text, got, max_messages, max_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    size_t max_messages = data[0] & 15;
    size_t max_bytes = 8 * (size_t)(data[1] & 15);
    /* A block of its own, so that a read one byte too far is seen. */
    char *own = malloc(size - 2 > 0 ? size - 2 : 1);
    CHECK(own != NULL);
    memcpy(own, data + 2, size - 2);
    struct slice text = {own, size - 2};
    struct jsontrim got;

    enum jsontrim_status st = jsontrim(text, max_messages, max_bytes, &got);
    if (st != JSONTRIM_TRIMMED)
        CHECK(got.head[0] == '\0' && got.tail.p == text.p && got.tail.len == text.len &&
              got.kept == got.count);
    cJSON *whole = parse_whole(text.p, text.len);
    if (outside_json(text))
        CHECK(st == JSONTRIM_INVALID || st == JSONTRIM_NOT_ARRAY);
    else if (cJSON_IsArray(whole))
        check_array(text, whole, st, &got, max_messages, max_bytes);
    else if (whole != NULL)
        CHECK(st == JSONTRIM_NOT_ARRAY);
    else if (!maybe_deep(text))
        CHECK(st == JSONTRIM_INVALID || st == JSONTRIM_NOT_ARRAY);
    cJSON_Delete(whole);
    free(own);
    return 0;
}
