#include "router/policy.h"

#include <stdlib.h>
#include <string.h>

/* What follows the literal prefix. */
enum pattern_kind {
    PATTERN_EXACT,  /* nothing: "conv:all" */
    PATTERN_PREFIX, /* one "*" at the end: "conv:*" */
    PATTERN_GLOB    /* anything else: "tenant:*:wm:*" */
};

struct pattern {
    const char *prefix; /* borrowed from the settings */
    size_t prefix_len;
    enum pattern_kind kind;
    const char *rest; /* GLOB: from the first "*" on */
    const struct policy_conf *conf;
};

struct policy_set {
    size_t count;
    struct pattern patterns[];
};

static struct pattern compile(const char *text)
{
    size_t prefix_len = strcspn(text, "*");
    const char *rest = text + prefix_len;
    enum pattern_kind kind = PATTERN_GLOB;
    if (rest[0] == '\0')
        kind = PATTERN_EXACT;
    else if (rest[1] == '\0')
        kind = PATTERN_PREFIX;
    return (struct pattern){.prefix = text, .prefix_len = prefix_len, .kind = kind, .rest = rest};
}

/* Where the literal begins after a "*" that stands at p and takes at least one byte but no ':', or NULL. */
static const char *after_star(const char *p, const char *end, const char *literal, size_t len, bool last)
{
    while ((size_t)(end - p) > len && *p != ':') {
        p++;
        if (last && (size_t)(end - p) > len)
            continue;
        if (len == 0 || (*p == *literal && memcmp(p, literal, len) == 0))
            return p;
    }
    return NULL;
}

/* star points into the pattern, p into the key. The leftmost end of a "*" always serves: it can't cross ':',
 * so that a longer one leaves the next "*" nothing that a shorter one doesn't; no way back is needed, and no
 * pattern is slow. */
static bool glob(const char *star, const char *p, const char *end)
{
    for (;;) {
        const char *literal = star + 1;
        if (*literal == '\0')
            return true;
        size_t len = strcspn(literal, "*");
        bool last = literal[len] == '\0';
        p = after_star(p, end, literal, len, last);
        if (p == NULL || last)
            return p != NULL;
        p += len;
        star = literal + len;
    }
}

static bool pattern_matches(const struct pattern *pat, struct slice key)
{
    if (key.len < pat->prefix_len)
        return false;
    if (pat->prefix_len > 0 && (key.p[0] != pat->prefix[0] || memcmp(key.p, pat->prefix, pat->prefix_len) != 0))
        return false; /* most keys differ in the first byte */
    switch (pat->kind) {
    case PATTERN_EXACT:
        return key.len == pat->prefix_len;
    case PATTERN_PREFIX:
        return true;
    case PATTERN_GLOB:
        return glob(pat->rest, key.p + pat->prefix_len, key.p + key.len);
    }
    return false;
}

bool policy_match(const char *pattern, struct slice key)
{
    struct pattern compiled = compile(pattern);
    return pattern_matches(&compiled, key);
}

struct policy_set *policy_set_new(const struct settings *conf)
{
    struct policy_set *set = malloc(sizeof *set + conf->policy_count * sizeof set->patterns[0]);
    if (set == NULL)
        return NULL;
    set->count = conf->policy_count;
    for (size_t i = 0; i < set->count; i++) {
        set->patterns[i] = compile(conf->policies[i].match);
        set->patterns[i].conf = &conf->policies[i];
    }
    return set;
}

void policy_set_free(struct policy_set *set)
{
    free(set);
}

const struct policy_conf *policy_find(const struct policy_set *set, struct slice key)
{
    for (size_t i = 0; i < set->count; i++) {
        if (pattern_matches(&set->patterns[i], key))
            return set->patterns[i].conf;
    }
    return NULL;
}

const struct policy_conf *policy_of_key(const struct settings *conf, struct slice key)
{
    for (size_t i = 0; i < conf->policy_count; i++)
        if (policy_match(conf->policies[i].match, key))
            return &conf->policies[i];
    return NULL;
}

bool policy_tenant(struct slice key, int64_t segment, struct slice *ret)
{
    const char *p = key.p, *end = key.p + key.len;

    if (segment == 0)
        return false;
    for (; segment > 1; segment--) {
        p = p < end ? memchr(p, ':', (size_t)(end - p)) : NULL;
        if (p == NULL)
            return false;
        p++;
    }
    const char *colon = p < end ? memchr(p, ':', (size_t)(end - p)) : NULL;
    *ret = (struct slice){p, (size_t)((colon != NULL ? colon : end) - p)};
    return ret->len > 0;
}

static bool begins(struct slice s, const char *with, size_t len)
{
    return s.len >= len && (len == 0 || memcmp(s.p, with, len) == 0);
}

/* A pattern that takes some of the keys, but perhaps not all, settles nothing and hides what comes behind it. */
bool policy_of_prefix(const struct policy_set *set, struct slice prefix, const struct policy_conf **ret)
{
    *ret = NULL;
    for (size_t i = 0; i < set->count; i++) {
        const struct pattern *pat = &set->patterns[i];
        if (pat->kind == PATTERN_PREFIX && begins(prefix, pat->prefix, pat->prefix_len)) {
            *ret = pat->conf;
            return true;
        }
        struct slice other = {pat->prefix, pat->prefix_len};
        if (begins(other, prefix.p, prefix.len) ||
            (pat->kind == PATTERN_GLOB && begins(prefix, pat->prefix, pat->prefix_len)))
            return false;
    }
    return true;
}

bool policy_set_empty(const struct policy_set *set)
{
    return set->count == 0;
}

char *policy_glob(const char *pattern)
{
    char *glob = malloc(2 * strlen(pattern) + 1), *p = glob;

    if (glob == NULL)
        abort();
    for (; *pattern != '\0'; pattern++) {
        if (strchr("?[]\\", *pattern) != NULL)
            *p++ = '\\';
        *p++ = *pattern;
    }
    *p = '\0';
    return glob;
}
