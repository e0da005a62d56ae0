#include "proxy/told.h"

#include "base/clock.h"

#include <bson/bson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without the beginning of a character at its end. */
static size_t cut_at(struct slice s, size_t cap)
{
    size_t n = s.len < cap ? s.len : cap;

    for (int i = 0; n < s.len && i < 3 && n > 0 && ((unsigned char)s.p[n] & 0xC0) == 0x80; i++)
        n--;
    return n;
}

static bool is_text(struct slice s)
{
    return s.len == 0 || bson_utf8_validate(s.p, s.len, false);
}

/* cJSON wants an end. */
static cJSON *string_of(const char *p, size_t n)
{
    char *copy = strndup(n > 0 ? p : "", n);
    if (copy == NULL)
        abort();
    cJSON *item = cJSON_CreateString(copy);
    free(copy);
    return item;
}

cJSON *told_text(struct slice s, size_t cap)
{
    size_t n = cut_at(s, cap), at = 0;
    char *text = malloc(4 * n + 4);

    if (text == NULL)
        abort();
    for (size_t i = 0; i < n;) {
        size_t len = 1;
        while (len <= 4 && i + len <= n && !bson_utf8_validate(s.p + i, len, false))
            len++;
        if (len <= 4 && i + len <= n) {
            memcpy(text + at, s.p + i, len);
            at += len;
            i += len;
        } else {
            at += (size_t)sprintf(text + at, "\\x%02x", (unsigned char)s.p[i++]);
        }
    }
    if (n < s.len)
        at += (size_t)sprintf(text + at, "…");
    text[at] = '\0';
    cJSON *item = cJSON_CreateString(text);
    free(text);
    return item;
}

static cJSON *base64_of(const char *p, size_t n)
{
    char *text = malloc(4 * (n / 3 + 1) + 1);
    if (text == NULL)
        abort();
    EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)p, (int)n);
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "base64", text);
    free(text);
    return item;
}

cJSON *told_bytes(struct slice s, size_t cap)
{
    bool text = is_text(s);
    size_t n = text ? cut_at(s, cap) : s.len < cap ? s.len : cap;
    cJSON *item = text ? string_of(s.p, n) : base64_of(s.p, n);

    if (n == s.len)
        return item;
    cJSON *cut = cJSON_CreateObject();
    cJSON_AddItemToObject(cut, "cut", item);
    cJSON_AddNumberToObject(cut, "bytes", (double)s.len);
    return cut;
}

char *told_read(const cJSON *item, size_t *ret_len)
{
    const cJSON *packed = cJSON_GetObjectItemCaseSensitive(item, "base64");

    if (cJSON_IsString(item)) {
        *ret_len = strlen(item->valuestring);
        return strdup(item->valuestring);
    }
    if (!cJSON_IsString(packed))
        return NULL;
    const char *text = packed->valuestring;
    size_t len = strlen(text), pad = len - strcspn(text, "=");
    char *bytes = malloc(len / 4 * 3 + 1);
    if (bytes == NULL)
        abort();
    int n = len % 4 == 0 && pad <= 2 ? EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text, (int)len) : -1;
    if (n < 0) {
        free(bytes);
        return NULL;
    }
    *ret_len = (size_t)n - pad;
    return bytes;
}

cJSON *told_time(int64_t us)
{
    char text[CLOCK_TEXT];

    clock_text_ms(us, text);
    return cJSON_CreateString(text);
}
