#include "engine/pops.h"
#include "engine/number.h"

bool pops_count_arg(struct call *c, size_t arg, int64_t *ret)
{
    if (number_int(c->argv[arg], ret) && *ret >= 0)
        return true;
    call_error(c, "ERR value is out of range, must be positive");
    return false;
}

static bool natural_arg(struct call *c, size_t arg, int64_t *ret, const char *error)
{
    if (number_int(c->argv[arg], ret) && *ret > 0)
        return true;
    call_error(c, error);
    return false;
}

bool pops_many_args(struct call *c, size_t arg, const char *low, const char *high, struct pops_many *q)
{
    int64_t keys;

    if (!natural_arg(c, arg, &keys, "ERR numkeys should be greater than 0"))
        return false;
    if ((uint64_t)keys >= c->argc - arg - 1) {
        call_syntax_error(c);
        return false;
    }
    *q = (struct pops_many){.first = arg + 1, .keys = (size_t)keys, .count = 1};
    size_t end = q->first + q->keys, options = c->argc - end - 1;
    q->high = call_is(c, end, high);
    bool good = q->high || call_is(c, end, low);
    if (good && options >= 2 && call_is(c, end + 1, "count")) {
        if (!natural_arg(c, end + 2, &q->count, "ERR count should be greater than 0"))
            return false;
        options -= 2;
    }
    if (good && options == 0)
        return true;
    call_syntax_error(c);
    return false;
}

struct object *pops_first(struct call *c, size_t arg, size_t n, enum object_type type)
{
    bool wrong = false;

    for (size_t i = 0; i < n && !wrong; i++) {
        struct object *o = call_lookup_typed(c, c->argv[arg + i], type, &wrong);
        if (o != NULL)
            return o;
    }
    if (!wrong)
        call_null_array(c);
    return NULL;
}
