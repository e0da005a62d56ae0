#include "tools/doctor.h"

#include "tools/doctor_patient.h"
#include "tools/screen.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    enum verdict (*look)(const struct patient *p, char *what, size_t cap);
    const char *why, *mend;
} checks[] = {
#define CHECK(name, look, why, mend) {name, look, why, mend},
#include "tools/doctor.def"
#undef CHECK
};
#define CHECKS (sizeof checks / sizeof checks[0])

static const struct {
    const char *name, *title, *colour;
} verdicts[] = {
    [DOCTOR_OK] = {"ok", "ok", "\033[32m"},
    [DOCTOR_WARN] = {"warn", "WARN", "\033[33m"},
    [DOCTOR_FAIL] = {"fail", "FAIL", "\033[31m"},
    [DOCTOR_SKIPPED] = {"skipped", "skipped", "\033[36m"},
};

struct finding {
    enum verdict verdict;
    char what[400];
};

static void put_title(const struct finding *f, bool colour)
{
    fprintf(stdout, "%s%-8s%s", colour ? verdicts[f->verdict].colour : "", verdicts[f->verdict].title, colour ? "\033[0m" : "");
}

/* What is well is told in a line, or not at all. */
static void put_finding(size_t i, const struct finding *f, bool all, bool colour)
{
    bool brief = f->verdict == DOCTOR_OK || f->verdict == DOCTOR_SKIPPED;

    if (brief && !all)
        return;
    put_title(f, colour);
    printf("%-18s %s\n", checks[i].name, f->what);
    if (!brief)
        printf("        why    %s\n        mend   %s\n", checks[i].why, checks[i].mend);
}

static cJSON *finding_json(size_t i, const struct finding *f)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddStringToObject(row, "name", checks[i].name);
    cJSON_AddStringToObject(row, "verdict", verdicts[f->verdict].name);
    cJSON_AddStringToObject(row, "what", f->what);
    cJSON_AddStringToObject(row, "why", checks[i].why);
    cJSON_AddStringToObject(row, "mend", checks[i].mend);
    return row;
}

static void tell_json(const struct finding *findings, const unsigned *counts)
{
    cJSON *doc = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(doc, "checks");

    for (size_t i = 0; i < CHECKS; i++)
        cJSON_AddItemToArray(list, finding_json(i, &findings[i]));
    for (int v = DOCTOR_OK; v <= DOCTOR_SKIPPED; v++)
        cJSON_AddNumberToObject(doc, verdicts[v].name, counts[v]);
    ctl_print(doc);
    cJSON_Delete(doc);
}

static void tell_text(const struct finding *findings, const unsigned *counts, bool all)
{
    const char *no_color = getenv("NO_COLOR");
    bool colour = isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');

    for (size_t i = 0; i < CHECKS; i++)
        put_finding(i, &findings[i], all, colour);
    printf("%u checks: %u ok, %u to look at, %u failed, %u skipped%s\n", (unsigned)CHECKS, counts[DOCTOR_OK], counts[DOCTOR_WARN],
           counts[DOCTOR_FAIL], counts[DOCTOR_SKIPPED], all || counts[DOCTOR_OK] + counts[DOCTOR_SKIPPED] == 0 ? "" : " (--all shows all)");
}

static cJSON *check_json(size_t i)
{
    cJSON *row = cJSON_CreateObject();

    cJSON_AddStringToObject(row, "name", checks[i].name);
    cJSON_AddStringToObject(row, "why", checks[i].why);
    cJSON_AddStringToObject(row, "mend", checks[i].mend);
    return row;
}

static int list_checks(bool json)
{
    cJSON *list = cJSON_CreateArray();

    for (size_t i = 0; i < CHECKS; i++) {
        cJSON_AddItemToArray(list, check_json(i));
        if (!json)
            printf("%-18s %s\n%-18s mend: %s\n", checks[i].name, checks[i].why, "", checks[i].mend);
    }
    if (json)
        ctl_print(list);
    cJSON_Delete(list);
    return EXIT_OK;
}

int run_doctor(struct options *o, const struct args *args)
{
    struct finding findings[CHECKS];
    unsigned counts[DOCTOR_SKIPPED + 1] = {0};
    struct patient p;
    double mib = 256;

    if (args_flag(args, "list"))
        return list_checks(o->json);
    if (!args_number(args, "disk-free", 0, 1e9, &mib))
        return EXIT_WRONG_USAGE;
    if (args_value(args, "other") != NULL && !client_url_ok(args_value(args, "other")))
        return ctl_usage_error("expected http://host:port or unix:/path, not ", args_value(args, "other"));
    int code = patient_init(&p, o, args_value(args, "redis"), args_value(args, "other"));
    p.disk_free_mib = mib;
    for (size_t i = 0; i < CHECKS && code == EXIT_OK; i++) {
        findings[i].verdict = checks[i].look(&p, findings[i].what, sizeof findings[i].what);
        counts[findings[i].verdict]++;
    }
    patient_done(&p);
    if (code != EXIT_OK)
        return code;
    if (o->json)
        tell_json(findings, counts);
    else
        tell_text(findings, counts, args_flag(args, "all"));
    bool bad = counts[DOCTOR_FAIL] > 0 || (args_flag(args, "strict") && counts[DOCTOR_WARN] > 0);
    return bad ? EXIT_UNHEALTHY : EXIT_OK;
}
