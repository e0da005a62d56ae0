#include "backends/trace/faults.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIT(op)      (1u << (op))
#define ALL          (BIT(TRACE_OPS) - 1)
#define CAS          (BIT(TRACE_COMMIT) | BIT(TRACE_CONTROL_SET))
#define WRITES       (CAS | BIT(TRACE_SWEEP) | BIT(TRACE_CLEAR))
#define COUNT(table) (sizeof(table) / sizeof(table)[0])

/* What op= may say. The first TRACE_OPS rows are the operations, in their order. */
static const struct {
    const char *name;
    unsigned ops;
} targets[] = {
    {"load", BIT(TRACE_LOAD)},
    {"commit", BIT(TRACE_COMMIT)},
    {"scan", BIT(TRACE_SCAN)},
    {"sweep", BIT(TRACE_SWEEP)},
    {"control_get", BIT(TRACE_CONTROL_GET)},
    {"control_set", BIT(TRACE_CONTROL_SET)},
    {"clear", BIT(TRACE_CLEAR)},
    {"stats", BIT(TRACE_STATS)},
    {"ping", BIT(TRACE_PING)},
    {"control", BIT(TRACE_CONTROL_GET) | BIT(TRACE_CONTROL_SET)},
    {"all", ALL},
};

/* What error= may say, and for which operations the contract has it. */
static const struct {
    const char *name;
    enum err code;
    unsigned ops;
    bool skip;
} errors[] = {
    {"", ERR_NONE, 0, false},
    {"down", ERR_ARCHIVEDOWN, ALL, true},
    {"lost-before", ERR_ARCHIVELOST, WRITES, true},
    {"lost-after", ERR_ARCHIVELOST, WRITES, false},
    {"race", ERR_RACE, CAS, true},
    {"bad", ERR_ARCHIVEBAD, ALL, true},
};

const char *trace_op_name(enum trace_op op)
{
    return targets[op].name;
}

/* ---- text → plan ---- */

/* A word of the plan is "name" or "name=value". */
struct word {
    const char *name;
    size_t name_len;
    const char *value; /* NULL: there is no '=' */
    size_t value_len;
};

struct parser {
    struct faults plan;
    struct fault_rule *rule; /* of the clause that is read; NULL: it has no op= yet */
    char *why;
    size_t why_cap;
};

__attribute__((format(printf, 2, 3))) static bool refuse(struct parser *p, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(p->why, p->why_cap, format, args);
    va_end(args);
    return false;
}

static bool is(const char *p, size_t len, const char *name)
{
    return strlen(name) == len && memcmp(p, name, len) == 0;
}

/* Digits at *p, up to max. Moves *p behind them. */
static bool take_number(const char **p, const char *end, uint64_t max, uint64_t *ret)
{
    const char *from = *p;
    uint64_t n = 0;

    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++) {
        uint64_t digit = (uint64_t)(**p - '0');
        if (n > (max - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret = n;
    return *p > from && n <= max;
}

static bool take_text(const char **p, const char *end, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(end - *p) < n || memcmp(*p, text, n) != 0)
        return false;
    *p += n;
    return true;
}

static bool read_op(struct parser *p, struct word w)
{
    unsigned i = 0;

    while (i < COUNT(targets) && !is(w.value, w.value_len, targets[i].name))
        i++;
    if (i == COUNT(targets))
        return refuse(p, "there is no operation '%.*s'", (int)w.value_len, w.value);
    if (p->rule != NULL)
        return refuse(p, "two op= in one clause; clauses end with ';'");
    if (p->plan.count == FAULT_RULES)
        return refuse(p, "more than %d clauses", FAULT_RULES);
    p->rule = &p->plan.rules[p->plan.count++];
    *p->rule = (struct fault_rule){.target = i, .fail = -1};
    return true;
}

static bool read_delay(struct parser *p, struct word w)
{
    const char *at = w.value, *end = w.value + w.value_len;
    uint64_t low, high;
    bool good = take_number(&at, end, FAULT_DELAY_MAX, &low);

    high = low;
    if (good && take_text(&at, end, ".."))
        good = take_number(&at, end, FAULT_DELAY_MAX, &high) && low <= high;
    if (!good || !take_text(&at, end, "ms") || at != end)
        return refuse(p, "delay=%.*s: it is 100ms or 10..100ms, at most %d", (int)w.value_len, w.value,
                      FAULT_DELAY_MAX);
    p->rule->delay_min_ms = (int64_t)low;
    p->rule->delay_max_ms = (int64_t)high;
    return true;
}

static bool read_fail(struct parser *p, struct word w)
{
    const char *at = w.value, *end = w.value + w.value_len;
    uint64_t n;
    bool good = take_number(&at, end, INT64_MAX, &n);
    bool percent = good && take_text(&at, end, "%");

    if (!good || at != end || (percent && n > 100))
        return refuse(p, "fail=%.*s: it is a number of calls, or 0%% to 100%%", (int)w.value_len, w.value);
    p->rule->fail = (int64_t)n;
    p->rule->percent = percent;
    return true;
}

static bool read_error(struct parser *p, struct word w)
{
    unsigned i = 1;

    while (i < COUNT(errors) && !is(w.value, w.value_len, errors[i].name))
        i++;
    if (i == COUNT(errors))
        return refuse(p, "there is no error '%.*s'; there are down, lost-before, lost-after, race, bad",
                      (int)w.value_len, w.value);
    p->rule->error = i;
    return true;
}

static bool read_hang(struct parser *p, struct word w)
{
    p->rule->hang = true;
    return true;
}

static bool read_log(struct parser *p, struct word w)
{
    p->rule->log = true;
    return true;
}

static bool read_seed(struct parser *p, struct word w)
{
    const char *at = w.value, *end = w.value + w.value_len;

    if (!take_number(&at, end, UINT64_MAX, &p->plan.seed) || at != end)
        return refuse(p, "seed=%.*s: it is a number", (int)w.value_len, w.value);
    return true;
}

static const struct {
    const char *name;
    bool value; /* it has one */
    bool alone; /* it needs no op= before it */
    bool (*read)(struct parser *p, struct word w);
} fields[] = {
    {"op", true, true, read_op},        {"delay", true, false, read_delay}, {"fail", true, false, read_fail},
    {"error", true, false, read_error}, {"hang", false, false, read_hang},  {"log", false, false, read_log},
    {"seed", true, true, read_seed},
};

static bool read_word(struct parser *p, struct word w)
{
    size_t i = 0;

    while (i < COUNT(fields) && !is(w.name, w.name_len, fields[i].name))
        i++;
    if (i == COUNT(fields))
        return refuse(p, "'%.*s' is not known; there are op, delay, fail, error, hang, log, seed",
                      (int)w.name_len, w.name);
    if (fields[i].value != (w.value != NULL))
        return refuse(p, "%s %s value", fields[i].name, fields[i].value ? "needs a" : "takes no");
    if (p->rule == NULL && !fields[i].alone)
        return refuse(p, "%s stands before op=", fields[i].name);
    return fields[i].read(p, w);
}

/* What only the whole of a clause can tell. */
static bool end_clause(struct parser *p)
{
    const struct fault_rule *r = p->rule;

    p->rule = NULL;
    if (r == NULL)
        return true;
    const char *op = targets[r->target].name;
    if ((r->fail >= 0) != (r->error != 0))
        return refuse(p, "op=%s: %s", op, r->error != 0 ? "error= needs fail=" : "fail= needs error=");
    if (r->error != 0 && (errors[r->error].ops & targets[r->target].ops) == 0)
        return refuse(p, "op=%s can't fail with %s", op, errors[r->error].name);
    if (r->fail < 0 && !r->hang && !r->log && r->delay_max_ms == 0)
        return refuse(p, "op=%s: nothing is to happen; there are delay, fail, hang, log", op);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct word word_at(const char *p)
{
    size_t n = strcspn(p, " \t\r\n;");
    const char *equal = memchr(p, '=', n);

    if (equal == NULL)
        return (struct word){p, n, NULL, 0};
    return (struct word){p, (size_t)(equal - p), equal + 1, n - (size_t)(equal + 1 - p)};
}

static bool read_all(struct parser *p, const char *text)
{
    while (*text != '\0') {
        if (is_blank(*text)) {
            text++;
        } else if (*text == ';') {
            text++;
            if (!end_clause(p))
                return false;
        } else {
            struct word w = word_at(text);
            if (!read_word(p, w))
                return false;
            text += strcspn(text, " \t\r\n;");
        }
    }
    return end_clause(p);
}

bool faults_parse(const char *text, struct faults *ret, char *why, size_t why_cap)
{
    struct parser p = {.plan = {.seed = 1}, .why = why, .why_cap = why_cap};

    if (!read_all(&p, text))
        return false;
    p.plan.random = p.plan.seed;
    *ret = p.plan;
    return true;
}

/* ---- plan → text ---- */

struct text {
    char *buf;
    size_t cap;
    size_t len; /* what it would be with room enough */
};

__attribute__((format(printf, 2, 3))) static void say(struct text *t, const char *format, ...)
{
    size_t at = t->len < t->cap ? t->len : t->cap;
    va_list args;

    va_start(args, format);
    int n = vsnprintf(t->cap > 0 ? t->buf + at : NULL, t->cap - at, format, args);
    va_end(args);
    t->len += n > 0 ? (size_t)n : 0;
}

static void say_rule(struct text *t, const struct fault_rule *r)
{
    say(t, "op=%s", targets[r->target].name);
    if (r->delay_min_ms < r->delay_max_ms)
        say(t, " delay=%lld..%lldms", (long long)r->delay_min_ms, (long long)r->delay_max_ms);
    else if (r->delay_max_ms > 0)
        say(t, " delay=%lldms", (long long)r->delay_max_ms);
    if (r->fail >= 0)
        say(t, " fail=%lld%s error=%s", (long long)r->fail, r->percent ? "%" : "", errors[r->error].name);
    if (r->hang)
        say(t, " hang");
    if (r->log)
        say(t, " log");
}

size_t faults_print(const struct faults *f, char *buf, size_t cap)
{
    struct text t = {buf, cap, 0};

    say(&t, "%s", "");
    for (size_t i = 0; i < f->count; i++) {
        say(&t, "%s", i > 0 ? "; " : "");
        say_rule(&t, &f->rules[i]);
    }
    if (f->count > 0 && f->seed != 1)
        say(&t, "; seed=%llu", (unsigned long long)f->seed);
    return t.len;
}

/* ---- a call meets the plan ---- */

unsigned faults_ops(const struct faults *f)
{
    unsigned ops = 0;

    for (size_t i = 0; i < f->count; i++)
        ops |= targets[f->rules[i].target].ops;
    return ops;
}

/* SplitMix64: any seed will do, also 0. */
static uint64_t draw(struct faults *f, uint64_t below)
{
    uint64_t x = f->random += 0x9e3779b97f4a7c15u;

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (x ^ (x >> 31)) % below;
}

static bool fails_now(struct faults *f, struct fault_rule *r)
{
    if (r->percent)
        return draw(f, 100) < (uint64_t)r->fail;
    if (r->fail <= 0)
        return false;
    r->fail--;
    return true;
}

struct fault faults_draw(struct faults *f, enum trace_op op)
{
    struct fault met = {.error = ERR_NONE};

    for (size_t i = 0; i < f->count; i++) {
        struct fault_rule *r = &f->rules[i];
        if ((targets[r->target].ops & BIT(op)) == 0)
            continue;
        uint64_t spread = (uint64_t)(r->delay_max_ms - r->delay_min_ms);
        met.delay_us += 1000 * r->delay_min_ms + (spread > 0 ? (int64_t)draw(f, 1000 * spread + 1) : 0);
        met.hang |= r->hang;
        met.log |= r->log;
        bool can = met.error == ERR_NONE && (errors[r->error].ops & BIT(op)) != 0;
        if (!can || !fails_now(f, r))
            continue;
        met.error = errors[r->error].code;
        met.skip = errors[r->error].skip;
        met.name = errors[r->error].name;
    }
    return met;
}
