#include "engine/pattern.h"

static bool between(unsigned char c, unsigned char a, unsigned char b)
{
    return a <= b ? c >= a && c <= b : c >= b && c <= a;
}

/* One byte against the set that starts at `at`, behind its '['. Returns what follows the set. A set without
 * ']' ends with the pattern. An escaped byte is never the start of a range. */
static size_t match_set(struct slice p, size_t at, char c, bool *ret_matches)
{
    bool negated = at < p.len && p.p[at] == '^', found = false;

    at += negated;
    while (at < p.len && p.p[at] != ']') {
        if (p.p[at] == '\\' && at + 1 < p.len) {
            found = found || p.p[at + 1] == c;
            at += 2;
        } else if (at + 2 < p.len && p.p[at + 1] == '-') {
            found = found || between((unsigned char)c, (unsigned char)p.p[at], (unsigned char)p.p[at + 2]);
            at += 3;
        } else {
            found = found || p.p[at] == c;
            at++;
        }
    }
    *ret_matches = found != negated;
    return at < p.len ? at + 1 : at;
}

/* One element of the pattern (not a '*') against one byte. Returns what follows the element. */
static size_t match_one(struct slice p, size_t at, char c, bool *ret_matches)
{
    *ret_matches = true;
    if (p.p[at] == '?')
        return at + 1;
    if (p.p[at] == '[')
        return match_set(p, at + 1, c, ret_matches);
    if (p.p[at] == '\\' && at + 1 < p.len)
        at++;
    *ret_matches = p.p[at] == c;
    return at + 1;
}

bool pattern_match(struct slice pattern, struct slice text)
{
    /* After a '*' only the latest one needs to give way: an earlier '*' could not do better. */
    size_t at = 0, i = 0, star = 0, retry = 0;
    bool matches, starred = false;

    if (text.len == 0) /* Redis looks for no more than this, so that "**" does not match it */
        return pattern.len == 0 || (pattern.len == 1 && pattern.p[0] == '*');
    while (i < text.len) {
        if (at < pattern.len && pattern.p[at] == '*') {
            starred = true;
            star = ++at;
            retry = i;
            continue;
        }
        size_t next = at;
        matches = false;
        if (at < pattern.len)
            next = match_one(pattern, at, text.p[i], &matches);
        if (!matches && !starred)
            return false;
        at = matches ? next : star;
        i = matches ? i + 1 : ++retry;
    }
    while (at < pattern.len && pattern.p[at] == '*')
        at++;
    return at == pattern.len;
}
