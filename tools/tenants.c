#include "tools/tenants.h"

#include "tools/paint.h"

#include <stdlib.h>
#include <string.h>

#define PATH       "/api/v1/tenants"
#define NAME_SHOWN 28

static const char *const classes[] = {"default", "search", "bulk"};
#define CLASSES (sizeof classes / sizeof classes[0])

/* ---- a policy ---- */

/* "100/min"; "": there is none. The texts are those of the document. */
static const char *limit_of(const cJSON *settings, const char *policy, const char *class)
{
    char name[200];

    snprintf(name, sizeof name, "%.100s.limit_%s", policy, class);
    const cJSON *value = paint_find(paint_row(paint_find(settings, "settings"), "name", name), "value");
    return cJSON_IsString(value) ? value->valuestring : "";
}

static void say_limits(const cJSON *p, const cJSON *settings)
{
    bool any = false;

    for (size_t i = 0; i < CLASSES; i++) {
        const char *limit = limit_of(settings, screen_text(p, "policy"), classes[i]);
        if (limit[0] == '\0')
            continue;
        printf(any ? "   %s %s" : "  limits   %s %s", classes[i], limit);
        any = true;
    }
    if (any)
        puts(" (each tenant)");
}

/* Bytes are not known while the archive acts, malformed keys are counted where the policy has a format. */
static void say_count(const cJSON *p)
{
    if (paint_find(p, "countedAt") == NULL) {
        puts("  counted  not yet");
        return;
    }
    printf("  counted  %s keys of %s tenants in %s at %s", paint_count(screen_number(p, "keys")), paint_count(screen_number(p, "tenantCount")),
           screen_text(p, "store"), screen_text(p, "countedAt"));
    if (paint_find(p, "bytes") != NULL)
        printf("   %s", paint_bytes(screen_number(p, "bytes")));
    printf("   without TTL %s", paint_count(screen_number(p, "withoutTtl")));
    if (paint_find(p, "malformed") != NULL)
        printf("   malformed %s", paint_count(screen_number(p, "malformed")));
    putchar('\n');
    paint_list(stdout, p, "malformedKeys", "  no JSON");
}

/* ---- a tenant ---- */

static double sum_of(const cJSON *classes_of)
{
    const cJSON *n;
    double sum = 0;

    cJSON_ArrayForEach(n, classes_of)
    {
        sum += n->valuedouble;
    }
    return sum;
}

static const char *known(const cJSON *t, const char *name, const char *(*paint)(double n))
{
    return paint_find(t, name) != NULL ? paint(screen_number(t, name)) : "-";
}

static void say_head(void)
{
    printf("  %-*s %11s %11s %11s %11s %11s %11s\n", NAME_SHOWN, "tenant", "keys", "bytes", "oldest", "without TTL", "taken", "refused");
}

static void say_tenant(const cJSON *t)
{
    const cJSON *name = paint_find(t, "tenant");
    bool used = paint_find(t, "taken") != NULL;
    int len = 2;

    fputs("  ", stdout);
    len += cJSON_IsString(name) && name->valuestring[0] != '\0' ? paint_value(stdout, name, 8 * NAME_SHOWN) : printf("(no tenant)");
    printf("%*s %11s %11s %11s %11s %11s %11s\n", len < NAME_SHOWN + 2 ? NAME_SHOWN + 2 - len : 0, "", known(t, "keys", paint_count),
           known(t, "bytes", paint_bytes), known(t, "oldestSeconds", paint_duration), known(t, "withoutTtl", paint_count),
           used ? paint_count(sum_of(paint_find(t, "taken"))) : "-", used ? paint_count(sum_of(paint_find(t, "limited"))) : "-");
}

/* Who asks for one tenant wants to know which limit it has met. */
static void say_classes(const cJSON *t)
{
    const cJSON *taken = paint_find(t, "taken"), *limited = paint_find(t, "limited");

    for (size_t i = 0; i < CLASSES && taken != NULL; i++)
        printf("    class %-8s %s taken, %s refused\n", classes[i], paint_count(screen_number(taken, classes[i])),
               paint_count(screen_number(limited, classes[i])));
    if (taken != NULL)
        printf("    silent for %s\n", paint_duration(screen_number(t, "silentSeconds")));
}

/* ---- all ---- */

static void say_policy(const cJSON *p, const cJSON *settings, bool one)
{
    const cJSON *t, *tenants = paint_find(p, "tenants");
    int shown = cJSON_GetArraySize(tenants);

    printf("policy     %s  %s   ", screen_text(p, "policy"), screen_text(p, "match"));
    if (screen_number(p, "segment") > 0)
        printf("part %.0f of the key is the tenant\n", screen_number(p, "segment"));
    else
        puts("who asks is the tenant");
    say_limits(p, settings);
    say_count(p);
    if (shown > 0)
        say_head();
    cJSON_ArrayForEach(t, tenants)
    {
        say_tenant(t);
        if (one)
            say_classes(t);
    }
    if (!one && screen_number(p, "tenantCount") > shown)
        printf("  and others (--limit N shows more)\n");
}

static int say_all(const struct options *o, const cJSON *doc, bool one)
{
    int code = EXIT_OK;
    const cJSON *p;
    cJSON *settings = ctl_document(o, "/api/v1/settings?match=*.limit_*", &code);

    cJSON_ArrayForEach(p, paint_find(doc, "policies"))
    {
        say_policy(p, settings, one);
    }
    if (cJSON_GetArraySize(paint_find(doc, "policies")) == 0)
        puts("no policy has tenants: set tenant_segment, or limits (docs/rate-limits.md)");
    cJSON_Delete(settings);
    return code;
}

static bool is_known(const cJSON *doc)
{
    const cJSON *p;
    int n = 0;

    cJSON_ArrayForEach(p, paint_find(doc, "policies"))
    {
        n += cJSON_GetArraySize(paint_find(p, "tenants"));
    }
    return n > 0;
}

/* malloc'ed. */
static char *path_of(const char *policy, const char *tenant, double limit)
{
    char start[64];

    snprintf(start, sizeof start, PATH "?limit=%.0f", limit);
    char *own_policy = policy != NULL ? ctl_path("&policy=", policy) : strdup("");
    char *own_tenant = tenant != NULL ? ctl_path("&tenant=", tenant) : strdup("");
    size_t cap = strlen(start) + strlen(own_policy) + strlen(own_tenant) + 1;
    char *path = malloc(cap);
    if (path == NULL)
        abort();
    snprintf(path, cap, "%s%s%s", start, own_policy, own_tenant);
    free(own_policy);
    free(own_tenant);
    return path;
}

int run_tenants(struct options *o, const struct args *args)
{
    const char *tenant = args_word(args, 0);
    double limit = 20;
    int code;

    if (!args_number(args, "limit", 1, 10000, &limit))
        return EXIT_WRONG_USAGE;
    char *own_path = path_of(args_value(args, "policy"), tenant, limit);
    cJSON *doc = ctl_document(o, own_path, &code);
    free(own_path);
    if (doc == NULL)
        return code;
    code = EXIT_OK;
    if (o->json)
        ctl_print(doc);
    else
        code = say_all(o, doc, tenant != NULL);
    bool failed = cJSON_IsString(paint_find(doc, "error")), unknown = tenant != NULL && !is_known(doc);
    if (failed)
        fprintf(stderr, "convctl: the last count has failed: %s\n", screen_text(doc, "error"));
    if (unknown)
        fprintf(stderr, "convctl: no tenant %s is known\n", tenant);
    cJSON_Delete(doc);
    return failed || unknown ? EXIT_UNHEALTHY : code;
}
