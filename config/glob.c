#include "config/glob.h"

#include <ctype.h>
#include <stddef.h>

static int lower(char c)
{
    return tolower((unsigned char)c);
}

/* The byte of a set at p, an escaped one included; *p moves behind it. */
static int set_byte(const char **p)
{
    if (**p == '\\' && (*p)[1] != '\0')
        (*p)++;
    return lower(*(*p)++);
}

/* One byte against the set that starts at p, behind its '['. Returns what follows the set, or NULL: no match.
 * A set without ']' ends with the pattern, as in Redis. */
static const char *match_set(const char *p, char c)
{
    bool negated = *p == '^', found = false;

    p += negated;
    while (*p != '\0' && *p != ']') {
        int from = set_byte(&p), to = from;
        if (p[0] == '-' && p[1] != '\0') {
            p++;
            to = set_byte(&p);
        }
        if (from > to) {
            int swap = from;
            from = to;
            to = swap;
        }
        found = found || (lower(c) >= from && lower(c) <= to);
    }
    if (*p == ']')
        p++;
    return found != negated ? p : NULL;
}

/* One element of the pattern (not a '*') against one byte: what follows the element, or NULL. */
static const char *match_one(const char *p, char c)
{
    if (*p == '?')
        return p + 1;
    if (*p == '[')
        return match_set(p + 1, c);
    if (*p == '\\' && p[1] != '\0')
        p++;
    return lower(*p) == lower(c) ? p + 1 : NULL;
}

bool glob_match(const char *pattern, const char *text)
{
    /* After a '*' only the latest one needs to give way: an earlier '*' could not do better. */
    const char *star = NULL, *retry = NULL;

    while (*text != '\0') {
        const char *next;
        if (*pattern == '*') {
            star = ++pattern;
            retry = text;
        } else if (*pattern != '\0' && (next = match_one(pattern, *text)) != NULL) {
            pattern = next;
            text++;
        } else if (star != NULL) {
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}
