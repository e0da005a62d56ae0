#include "engine/jsontrim.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Where the last `limit` elements start: grows to that many entries, then the newest overwrites the oldest.
 */
#define STARTS_INLINE 256
struct starts {
    const char **at;
    size_t cap;
    size_t limit;
    size_t seen;
    const char *few[STARTS_INLINE];
};

struct scan {
    const char *p;
    const char *close; /* the closing bracket */
    size_t room;       /* max_bytes */
    const char
        *fit; /* the oldest element from which on the text fits into room; while there is none, the newest */
    size_t fit_index;
    bool fits;
    struct starts starts;
};

static void starts_init(struct starts *s, size_t limit)
{
    s->at = s->few;
    s->cap = limit < STARTS_INLINE ? limit : STARTS_INLINE;
    s->limit = limit;
    s->seen = 0;
}

static void starts_done(struct starts *s)
{
    if (s->at != s->few)
        free(s->at);
}

static bool starts_grow(struct starts *s)
{
    size_t cap = s->cap > s->limit / 2 ? s->limit : s->cap * 2;
    const char **at = malloc(cap * sizeof *at);

    if (at == NULL)
        return false;
    memcpy(at, s->at, s->seen * sizeof *at);
    starts_done(s);
    s->at = at;
    s->cap = cap;
    return true;
}

static bool starts_add(struct starts *s, const char *p)
{
    if (s->seen == s->cap && s->cap < s->limit && !starts_grow(s))
        return false;
    if (s->limit > 0)
        s->at[s->seen % s->cap] = p;
    s->seen++;
    return true;
}

/* The oldest start that is still remembered; valid once seen >= limit. */
static const char *starts_oldest(const struct starts *s)
{
    return s->at[s->seen % s->cap];
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static const char *skip_blanks(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    return p;
}

static bool starts_value(char c)
{
    return c != '\0' && strchr("[{\"-0123456789tfn", c) != NULL;
}

/* cJSON takes every byte up to 32 for a blank, NUL included; JSON knows four. No early exit, so that the
 * compiler can compare many bytes at once. */
static bool has_control_byte(struct slice text)
{
    unsigned char found = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.p[i];
        found |= (unsigned char)((c < 0x20) & (c != '\t') & (c != '\n') & (c != '\r'));
    }
    return found != 0;
}

/* Each value that cJSON makes a node for (64 bytes and more) stands behind one of these, or is the first. A
 * text of 15 MiB could otherwise take 600 MB and two seconds of the loop. In a conversation of that size
 * fewer than one byte in 15 is such a mark. */
#define MARKS_MAX ((size_t)1 << 20)

static bool has_too_many_marks(struct slice text)
{
    size_t marks = 0;

    if (text.len <= MARKS_MAX)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];
        marks += (size_t)((c == ',') | (c == '[') | (c == '{') | (c == ':'));
    }
    return marks > MARKS_MAX;
}

/* Moves s->p behind the element it stands on. Each element is parsed and freed alone. The closing bracket is
 * kept out of cJSON's buffer: older 1.7.15 packages look one byte past the end after a comma in an object
 * (CVE-2023-53154), and this makes that byte ours. */
static bool skip_element(struct scan *s)
{
    const char *end = NULL;

    /* cJSON would take a byte order mark in front of each element. */
    if (s->p == s->close || !starts_value(*s->p))
        return false;
    cJSON *item = cJSON_ParseWithLengthOpts(s->p, (size_t)(s->close - s->p), &end, 0);
    if (item == NULL)
        return false;
    cJSON_Delete(item);
    s->p = end;
    return true;
}

static bool note_element(struct scan *s)
{
    if (!s->fits) {
        s->fit = s->p;
        s->fit_index = s->starts.seen;
        s->fits = (size_t)(s->close + 1 - s->p) < s->room; /* one byte is for the bracket in front */
    }
    return starts_add(&s->starts, s->p);
}

/* From behind the opening bracket to the closing one. */
static bool scan_elements(struct scan *s)
{
    s->p = skip_blanks(s->p, s->close);
    if (s->p == s->close)
        return true;
    for (;;) {
        if (!note_element(s) || !skip_element(s))
            return false;
        s->p = skip_blanks(s->p, s->close);
        if (s->p == s->close)
            return true;
        if (*s->p != ',')
            return false;
        s->p = skip_blanks(s->p + 1, s->close);
    }
}

/* How many of the oldest elements must go. */
static size_t count_drops(const struct scan *s, struct slice text, size_t max_messages, size_t max_bytes)
{
    size_t count = s->starts.seen;
    size_t drops = 0;

    if (max_messages > 0 && count > max_messages)
        drops = count - max_messages;
    if (max_bytes > 0 && text.len > max_bytes && s->fit_index > drops)
        drops = s->fit_index;
    return drops;
}

static enum jsontrim_status cut(struct scan *s, struct slice text, size_t max_messages, size_t max_bytes,
                                struct jsontrim *ret)
{
    if (!scan_elements(s))
        return JSONTRIM_INVALID;
    ret->count = ret->kept = s->starts.seen;
    bool over = (max_messages > 0 && ret->count > max_messages) || (max_bytes > 0 && text.len > max_bytes);
    if (!over || ret->count == 0)
        return JSONTRIM_UNCHANGED;
    size_t drops = count_drops(s, text, max_messages, max_bytes);
    const char *from = drops == s->fit_index ? s->fit : starts_oldest(&s->starts);
    size_t len = (size_t)(s->close + 1 - from);
    if (len + 1 == text.len)
        return JSONTRIM_UNCHANGED;
    ret->kept = ret->count - drops;
    ret->head = "[";
    ret->tail = (struct slice){from, len};
    return JSONTRIM_TRIMMED;
}

/* Decides by the first and the last byte that are not blank; an array costs a scan only when both are
 * brackets. */
static enum jsontrim_status look_at_ends(struct slice text, const char **ret_open, const char **ret_close)
{
    if (text.len == 0)
        return JSONTRIM_INVALID;
    const char *end = text.p + text.len;
    const char *open = skip_blanks(text.p, end);
    if (open == end || !starts_value(*open))
        return JSONTRIM_INVALID;
    if (*open != '[')
        return JSONTRIM_NOT_ARRAY;
    while (is_blank(end[-1]))
        end--;
    if (end[-1] != ']' || end - 1 == open)
        return JSONTRIM_INVALID;
    *ret_open = open;
    *ret_close = end - 1;
    return JSONTRIM_UNCHANGED;
}

enum jsontrim_status jsontrim(struct slice text, size_t max_messages, size_t max_bytes, struct jsontrim *ret)
{
    struct scan s;
    const char *open = NULL;

    *ret = (struct jsontrim){.head = "", .tail = text};
    enum jsontrim_status status = look_at_ends(text, &open, &s.close);
    if (status != JSONTRIM_UNCHANGED)
        return status;
    if (has_control_byte(text) || has_too_many_marks(text))
        return JSONTRIM_INVALID;
    s.p = open + 1;
    s.room = max_bytes;
    s.fit = NULL;
    s.fit_index = 0;
    s.fits = false;
    /* n elements take 2n + 1 bytes, so a short text cannot be over the count. */
    starts_init(&s.starts, max_messages < text.len / 2 ? max_messages : 0);
    status = cut(&s, text, max_messages, max_bytes, ret);
    starts_done(&s.starts);
    return status;
}
