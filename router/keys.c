#include "router/keys.h"

#include <string.h>

struct visit {
    const struct slice *argv;
    size_t argc;
    bool (*each)(void *ctx, struct key_ref ref);
    void *ctx;
    int count;
    bool stopped;
};

/* Visits the keys of one specification; false: the arguments are malformed. */
typedef bool finder(struct visit *v, const struct keyspec *spec);

static void visit_key(struct visit *v, size_t arg, bool write, unsigned needs)
{
    v->count++;
    v->stopped = !v->each(v->ctx, (struct key_ref){.arg = (uint32_t)arg, .write = write, .needs = (uint8_t)needs});
}

/* The argument after the keyword, or 0. A negative start looks backwards from the end. */
static size_t after_keyword(const struct visit *v, const struct keyspec *spec)
{
    ptrdiff_t argc = (ptrdiff_t)v->argc;
    ptrdiff_t step = spec->index < 0 ? -1 : 1;
    for (ptrdiff_t i = spec->index < 0 ? argc + spec->index : spec->index; i > 0 && i < argc; i += step) {
        if (slice_is(v->argv[i], spec->keyword))
            return (size_t)i + 1;
    }
    return 0;
}

/* Where the specification begins, or 0 when these arguments don't have it: PFMERGE without sources, no STORE.
 */
static size_t begin_of(const struct visit *v, const struct keyspec *spec)
{
    if (spec->begin == BEGIN_KEYWORD)
        return after_keyword(v, spec);
    return spec->begin == BEGIN_INDEX && (size_t)spec->index < v->argc ? (size_t)spec->index : 0;
}

/* Most commands: the argument at an index, and no other. */
static bool is_single(const struct keyspec *spec)
{
    return spec->begin == BEGIN_INDEX && spec->a == 0 && spec->b == 1 && spec->c <= 1;
}

static bool find_range(struct visit *v, const struct keyspec *spec)
{
    if (is_single(spec)) {
        if ((size_t)spec->index < v->argc)
            visit_key(v, (size_t)spec->index, spec->write, spec->needs);
        return true;
    }
    ptrdiff_t argc = (ptrdiff_t)v->argc;
    ptrdiff_t first = (ptrdiff_t)begin_of(v, spec);
    ptrdiff_t limit = spec->c > 1 ? spec->c : 1;
    if (first == 0)
        return true;
    if ((argc - first) % limit != 0)
        return false;
    ptrdiff_t last = spec->a >= 0 ? first + spec->a : first + (argc - first) / limit + spec->a;
    if (last >= argc || (last >= first && (last - first + 1) % spec->b != 0))
        return false; /* the second: MSET key without a value */
    for (ptrdiff_t i = first; i <= last && !v->stopped; i += spec->b)
        visit_key(v, (size_t)i, spec->write, spec->needs);
    return true;
}

/* Redis's own strictness: digits only, no leading zero. False also for what no argument list can hold. */
static bool parse_count(struct slice text, size_t *ret_count)
{
    size_t n = 0;
    if (text.len == 0 || text.len > 10 || (text.p[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.p[i] < '0' || text.p[i] > '9')
            return false;
        n = n * 10 + (size_t)(text.p[i] - '0');
    }
    *ret_count = n;
    return true;
}

static bool find_counted(struct visit *v, const struct keyspec *spec)
{
    size_t begin = begin_of(v, spec);
    size_t count;
    if (begin == 0)
        return true;
    size_t first = begin + (size_t)spec->b;
    size_t step = (size_t)spec->c;
    if (begin + (size_t)spec->a >= v->argc || !parse_count(v->argv[begin + (size_t)spec->a], &count))
        return false;
    if (count > 0 && (first >= v->argc || count - 1 > (v->argc - 1 - first) / step))
        return false;
    for (size_t i = 0; i < count && !v->stopped; i++)
        visit_key(v, first + i * step, spec->write, spec->needs);
    return true;
}

static bool find_nothing(struct visit *v, const struct keyspec *spec)
{
    (void)v, (void)spec;
    return true;
}

/* SORT key [BY pattern] [LIMIT offset count] [GET pattern …] [ASC|DESC] [ALPHA] [STORE destination]: an
 * option's own arguments are jumped over, for a pattern may be called "store"; the last STORE counts. */
static bool find_sort_store(struct visit *v, const struct keyspec *spec)
{
    size_t store = 0;
    for (size_t i = 2; i < v->argc; i++) {
        if (slice_is(v->argv[i], "limit"))
            i += 2;
        else if (slice_is(v->argv[i], "by") || slice_is(v->argv[i], "get"))
            i += 1;
        else if (slice_is(v->argv[i], "store"))
            store = ++i;
    }
    if (store >= v->argc)
        return false;
    if (store != 0)
        visit_key(v, store, spec->write, spec->needs);
    return true;
}

enum { MIGRATE_KEY = 3, MIGRATE_OPTIONS = 6 };

/* The argument after KEYS, or 0. A password or a key may be called "keys", so that only the first option
 * counts. */
static size_t migrate_list(const struct visit *v)
{
    for (size_t i = MIGRATE_OPTIONS; i < v->argc; i++) {
        if (slice_is(v->argv[i], "keys"))
            return i + 1;
        if (slice_is(v->argv[i], "auth2"))
            i += 2;
        else if (slice_is(v->argv[i], "auth"))
            i += 1;
    }
    return 0;
}

/* MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key …] */
static bool find_migrate(struct visit *v, const struct keyspec *spec)
{
    size_t list = v->argv[MIGRATE_KEY].len == 0 ? migrate_list(v) : 0;
    if (spec->begin == BEGIN_INDEX) {
        if (list == 0)
            visit_key(v, MIGRATE_KEY, spec->write, spec->needs);
        return true;
    }
    for (size_t i = list; i != 0 && i < v->argc && !v->stopped; i++)
        visit_key(v, i, spec->write, spec->needs);
    return true;
}

/* BITFIELD key [GET type offset | SET … | INCRBY … | OVERFLOW …] … */
static bool find_bitfield(struct visit *v, const struct keyspec *spec)
{
    bool write = false;
    for (size_t i = 2; i < v->argc && !write; i += 3)
        write = !slice_is(v->argv[i], "get");
    visit_key(v, (size_t)spec->index, write, write ? KEY_BOTH : KEY_READ);
    return true;
}

static finder *const finders[] = {
    [FIND_NONE] = find_nothing,      [FIND_RANGE] = find_range,     [FIND_KEYNUM] = find_counted,
    [FIND_UNKNOWN] = find_nothing,   [FIND_SORT] = find_sort_store, [FIND_MIGRATE] = find_migrate,
    [FIND_BITFIELD] = find_bitfield,
};

int keys_each(const struct command *cmd, const struct slice *argv, size_t argc,
              bool (*each)(void *ctx, struct key_ref ref), void *ctx)
{
    struct visit v = {.argv = argv, .argc = argc, .each = each, .ctx = ctx};
    if (!command_arity_ok(cmd, argc))
        return -1;
    for (unsigned i = 0; i < cmd->nspecs && !v.stopped; i++) {
        const struct keyspec *spec = &cmd->specs[i];
        if (!spec->not_key && !finders[spec->find](&v, spec))
            return -1;
    }
    return v.count;
}
