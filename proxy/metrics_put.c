#include "proxy/metrics_put.h"

/* Label values: backslash, quote and line feed are escaped, as the format wants it. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || *text == '"')
            fprintf(out, "\\%c", *text);
        else
            putc(*text, out);
    }
}

/* Counts are written whole, not as 1.2e+07, so that people can read them. */
static void put_number(FILE *out, double value)
{
    if (value == (double)(int64_t)value)
        fprintf(out, "%.0f\n", value);
    else
        fprintf(out, "%.9g\n", value);
}

void metrics_put(FILE *out, const char *name, double value, const char *const *pairs)
{
    fputs(name, out);
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i += 2) {
        fprintf(out, "%s%s=\"", i == 0 ? "{" : ",", pairs[i]);
        put_escaped(out, pairs[i + 1]);
        putc('"', out);
    }
    fputs(pairs != NULL ? "} " : " ", out);
    put_number(out, value);
}

static const struct {
    int64_t us;
    const char *le;
} latency_bounds[] = {
    {50, "0.00005"}, {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"}, {2500, "0.0025"},
    {5000, "0.005"}, {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"}, {250000, "0.25"},
    {500000, "0.5"}, {1000000, "1"},  {2500000, "2.5"}, {10000000, "10"},
};

#define BOUNDS (sizeof latency_bounds / sizeof latency_bounds[0])

void metrics_put_histogram(FILE *out, const char *name, const struct hist_sum *h, const char *label,
                           const char *value)
{
    char full[80];

    snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i <= BOUNDS; i++) {
        const char *le = i < BOUNDS ? latency_bounds[i].le : "+Inf";
        double seen = (double)(i < BOUNDS ? hist_count_le(h, latency_bounds[i].us) : h->count);
        metrics_put(out, full, seen, label != NULL ? PAIRS(label, value, "le", le) : PAIRS("le", le));
    }
    snprintf(full, sizeof full, "%s_sum", name);
    metrics_put(out, full, (double)h->sum / 1e6, label != NULL ? PAIRS(label, value) : NULL);
    snprintf(full, sizeof full, "%s_count", name);
    metrics_put(out, full, (double)h->count, label != NULL ? PAIRS(label, value) : NULL);
}
