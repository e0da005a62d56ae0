#include "engine/jsontrim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *text;
    size_t max_messages;
    size_t max_bytes;
    enum jsontrim_status status;
    const char *result; /* NULL: the text itself */
    size_t count;
    size_t kept;
} rows[] = {
    {"no limits", "[1,2,3]", 0, 0, JSONTRIM_UNCHANGED, NULL, 3, 3},
    {"exactly full", "[1,2,3]", 3, 7, JSONTRIM_UNCHANGED, NULL, 3, 3},
    {"one over", "[1,2,3]", 2, 0, JSONTRIM_TRIMMED, "[2,3]", 3, 2},
    {"keep one", "[1,2,3]", 1, 0, JSONTRIM_TRIMMED, "[3]", 3, 1},
    {"empty", "[]", 1, 1, JSONTRIM_UNCHANGED, NULL, 0, 0},
    {"empty with blanks", " [ \n ] ", 1, 1, JSONTRIM_UNCHANGED, NULL, 0, 0},
    {"blanks between kept ones stay", " [ 1 , 2 ,\r\n\t3 ] \n", 2, 0, JSONTRIM_TRIMMED, "[2 ,\r\n\t3 ]", 3,
     2},
    {"messages",
     "[{\"role\":\"user\",\"content\":\"a ] \\\" [\"}, "
     "{\"role\":\"assistant\",\"content\":\"\xC3\xA9\\u00e9\"}]",
     1, 0, JSONTRIM_TRIMMED, "[{\"role\":\"assistant\",\"content\":\"\xC3\xA9\\u00e9\"}]", 2, 1},
    {"odd spelling of a kept number", "[1, 1.50E+01]", 1, 0, JSONTRIM_TRIMMED, "[1.50E+01]", 2, 1},
    {"repeated keys", "[0,{\"a\":1,\"a\":2}]", 1, 0, JSONTRIM_TRIMMED, "[{\"a\":1,\"a\":2}]", 2, 1},

    {"bytes: fits exactly after one", "[111,222,333]", 0, 9, JSONTRIM_TRIMMED, "[222,333]", 3, 2},
    {"bytes: one too many", "[111,222,333]", 0, 8, JSONTRIM_TRIMMED, "[333]", 3, 1},
    {"bytes: newest stays", "[111,222,333]", 0, 1, JSONTRIM_TRIMMED, "[333]", 3, 1},
    {"bytes: only one, too large", "[111]", 0, 2, JSONTRIM_UNCHANGED, NULL, 1, 1},
    {"bytes: dropping blanks is enough", "  [  111,222]  ", 0, 9, JSONTRIM_TRIMMED, "[111,222]", 2, 2},
    {"bytes: large in the middle", "[1,222222222222,3]", 0, 10, JSONTRIM_TRIMMED, "[3]", 3, 1},
    {"both: count is stricter", "[111,222,333]", 1, 9, JSONTRIM_TRIMMED, "[333]", 3, 1},
    {"both: bytes are stricter", "[111,222,333]", 2, 5, JSONTRIM_TRIMMED, "[333]", 3, 1},

    {"object", "{\"a\":[1,2]}", 1, 1, JSONTRIM_NOT_ARRAY, NULL, 0, 0},
    {"string", " \"[1,2]\"", 1, 1, JSONTRIM_NOT_ARRAY, NULL, 0, 0},
    {"number", "-12", 1, 1, JSONTRIM_NOT_ARRAY, NULL, 0, 0},
    {"literal", "null", 1, 1, JSONTRIM_NOT_ARRAY, NULL, 0, 0},

    {"nothing", "", 1, 1, JSONTRIM_INVALID, NULL, 0, 0},
    {"only blanks", " \n", 1, 1, JSONTRIM_INVALID, NULL, 0, 0},
    {"text", "hello [1,2]", 1, 1, JSONTRIM_INVALID, NULL, 0, 0},
    {"open", "[1,2", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"one bracket", "[", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"one closing bracket", "]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"bytes after it", "[1,2]x", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"two arrays", "[1,2][3]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"closes twice", "[1,2]]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"trailing comma", "[1,2,]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"leading comma", "[,1,2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"double comma", "[1,,2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"no comma", "[1 2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"NaN", "[1,NaN]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"Infinity", "[1,-Infinity]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"literal with a tail", "[1,nullx]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"number with a tail", "[1,1e5+3]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"single quotes", "['a','b']", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"bracket only inside a string", "[1,\"2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"escaped end of a string", "[1,\"\\\"]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"object that ends behind a comma", "[{\"1\":1,]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"bad in what would be dropped", "[tru,2,3]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"bad in what would be kept", "[1,2,tru]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"lone surrogate", "[1,\"\\ud800\"]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"byte order mark", "\xEF\xBB\xBF[1,2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"byte order mark inside", "[1,\xEF\xBB\xBF 2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"control byte as a blank", "[1,\x01 2]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
    {"control byte in an element", "[1,[\x1f]]", 1, 0, JSONTRIM_INVALID, NULL, 0, 0},
};

/* Checks a result against the expected text; the input is in a block of exactly its size. */
static void check(const char *name, struct slice text, enum jsontrim_status status, const char *result,
                  const struct jsontrim *got)
{
    size_t head = strlen(got->head);
    size_t len = head + got->tail.len;
    size_t want = result != NULL ? strlen(result) : text.len;

    if (len != want || (result != NULL && (memcmp(result, got->head, head) != 0 ||
                                           memcmp(result + head, got->tail.p, got->tail.len) != 0)))
        fail_msg("%s: %s%.*s", name, got->head, (int)got->tail.len, got->tail.p);
    if (status != JSONTRIM_TRIMMED)
        assert_ptr_equal(got->tail.p, text.p);
    else
        assert_true(got->tail.p > text.p && got->tail.p + got->tail.len <= text.p + text.len);
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t len = strlen(rows[i].text);
        char *own = malloc(len > 0 ? len : 1);
        struct slice text = {memcpy(own, rows[i].text, len), len};
        struct jsontrim got;

        enum jsontrim_status st = jsontrim(text, rows[i].max_messages, rows[i].max_bytes, &got);
        if (st != rows[i].status || got.count != rows[i].count || got.kept != rows[i].kept)
            fail_msg("%s: status %d, %zu of %zu", rows[i].name, (int)st, got.kept, got.count);
        check(rows[i].name, text, st, rows[i].result, &got);
        free(own);
    }
}

static void test_nul_bytes(void **state)
{
    static const char in_string[] = "[1,\"a\0b\"]";
    static const char as_blank[] = "[1,\0"
                                   "2]";
    static const char behind[] = "[1,2]\0";
    struct jsontrim got;

    assert_int_equal(jsontrim((struct slice){in_string, sizeof in_string - 1}, 1, 0, &got), JSONTRIM_INVALID);
    assert_int_equal(jsontrim((struct slice){as_blank, sizeof as_blank - 1}, 1, 0, &got), JSONTRIM_INVALID);
    assert_int_equal(jsontrim((struct slice){behind, sizeof behind - 1}, 1, 0, &got), JSONTRIM_INVALID);
    assert_int_equal(jsontrim((struct slice){NULL, 0}, 1, 0, &got), JSONTRIM_INVALID);
}

/* [0,1,2,…,n-1] */
static char *number_array(size_t n, size_t *ret_len)
{
    char *text = malloc(n * 12 + 3);
    size_t len = 0;

    text[len++] = '[';
    for (size_t i = 0; i < n; i++)
        len += (size_t)snprintf(text + len, 13, "%s%zu", i > 0 ? "," : "", i);
    text[len++] = ']';
    *ret_len = len;
    return text;
}

/* Every keep count around the sizes at which the memory of starts grows and wraps. */
static void test_many_counts(void **state)
{
    static const size_t keeps[] = {1,   2,   199, 200,  255,  256,  257,  511,
                                   512, 513, 999, 1023, 1024, 1025, 2998, 2999};
    size_t len = 0;
    char *text = number_array(3000, &len);

    for (size_t i = 0; i < sizeof keeps / sizeof keeps[0]; i++) {
        struct jsontrim got;
        char first[16];
        assert_int_equal(jsontrim((struct slice){text, len}, keeps[i], 0, &got), JSONTRIM_TRIMMED);
        assert_int_equal(got.count, 3000);
        assert_int_equal(got.kept, keeps[i]);
        int n = snprintf(first, sizeof first, "%zu%c", 3000 - keeps[i], keeps[i] > 1 ? ',' : ']');
        assert_memory_equal(got.tail.p, first, n);
        assert_ptr_equal(got.tail.p + got.tail.len, text + len);
    }
    struct jsontrim got;
    assert_int_equal(jsontrim((struct slice){text, len}, 3000, 0, &got), JSONTRIM_UNCHANGED);
    assert_int_equal(jsontrim((struct slice){text, len}, 1000000000, 0, &got), JSONTRIM_UNCHANGED);
    assert_int_equal(jsontrim((struct slice){text, len}, SIZE_MAX, SIZE_MAX, &got), JSONTRIM_UNCHANGED);
    free(text);
}

/* Every byte limit of one text: the longest suffix that fits, and never fewer than one element. */
static void test_every_byte_limit(void **state)
{
    size_t len = 0;
    char *text = number_array(120, &len);

    for (size_t max = 1; max < len; max++) {
        struct jsontrim got;
        assert_int_equal(jsontrim((struct slice){text, len}, 0, max, &got), JSONTRIM_TRIMMED);
        assert_true(got.tail.len + 1 <= max || got.kept == 1);
        /* One element more has three digits, or two below 100, or one below 10, and a comma. */
        size_t older = 119 - got.kept;
        size_t more = 1 + (older > 99 ? 3u : older > 9 ? 2u : 1u);
        assert_true(got.tail.len + 1 + more > max);
    }
    free(text);
}

static enum jsontrim_status trim_nested(size_t depth)
{
    char *text = malloc(2 * depth + 5);
    struct jsontrim got;

    memcpy(text, "[1,", 3);
    memset(text + 3, '[', depth);
    memset(text + 3 + depth, ']', depth + 1);
    enum jsontrim_status st = jsontrim((struct slice){text, 2 * depth + 4}, 1, 0, &got);
    free(text);
    return st;
}

static void test_nesting(void **state)
{
    assert_int_equal(trim_nested(1000), JSONTRIM_TRIMMED);
    assert_int_equal(trim_nested(1001), JSONTRIM_INVALID);
    assert_int_equal(trim_nested(1000000), JSONTRIM_INVALID);
}

/* A text of n commas at the top, or inside one element; every further byte belongs to no node. */
static enum jsontrim_status trim_commas(size_t n, int inside)
{
    char *text = malloc(2 * n + 8);
    size_t len = 0;
    struct jsontrim got;

    text[len++] = '[';
    if (inside)
        text[len++] = '[';
    for (size_t i = 0; i < n; i++) {
        text[len++] = '1';
        text[len++] = ',';
    }
    text[len++] = '1';
    if (inside)
        text[len++] = ']';
    text[len++] = ']';
    enum jsontrim_status st = jsontrim((struct slice){text, len}, 1, 0, &got);
    free(text);
    return st;
}

static void test_too_many_values(void **state)
{
    const size_t most = (size_t)1 << 20;

    assert_int_equal(trim_commas(most - 1, 0), JSONTRIM_TRIMMED);
    assert_int_equal(trim_commas(most, 0), JSONTRIM_INVALID);
    assert_int_equal(trim_commas(most - 1, 1), JSONTRIM_INVALID);
    assert_int_equal(trim_commas(1000, 1), JSONTRIM_UNCHANGED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),       cmocka_unit_test(test_nul_bytes),
        cmocka_unit_test(test_many_counts), cmocka_unit_test(test_every_byte_limit),
        cmocka_unit_test(test_nesting),     cmocka_unit_test(test_too_many_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
