/* The checks of convctl doctor about the proxy itself. */
#include "tools/doctor.h"

#include "base/clock.h"
#include "tools/paint.h"
#include "tools/screen.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

#define SAY(...)     snprintf(what, cap, __VA_ARGS__)
#define MORE_FDS     512 /* that the proxy wants beside those of clients */
#define CERT_WARN_S  (14 * 86400.0)
#define CERT_FAIL_S  (3 * 86400.0)
#define NAMES_SHOWN  5

enum verdict check_version(const struct patient *p, char *what, size_t cap)
{
    const char *its = screen_text(p->state, "version");

    SAY("the proxy is %s, convctl %s", its, CONVPROXY_VERSION);
    return strcmp(its, CONVPROXY_VERSION) == 0 ? DOCTOR_OK : DOCTOR_WARN;
}

enum verdict check_health(const struct patient *p, char *what, size_t cap)
{
    bool healthy = screen_flag(p->state, "healthy");

    SAY("%s", healthy ? "managed keys are served" : screen_text(cJSON_GetArrayItem(paint_find(p->state, "reasons"), 0), ""));
    return healthy ? DOCTOR_OK : DOCTOR_FAIL;
}

enum verdict check_chaos(const struct patient *p, char *what, size_t cap)
{
    const cJSON *row = cJSON_GetArrayItem(paint_find(p->state, "chaos"), 0);
    const char *plan = screen_text(p->state, "archive.faults");

    SAY("no store suffers on purpose");
    if (row != NULL)
        SAY("%s suffers on purpose: %s, for %.0f s more", screen_text(row, "store"), screen_text(row, "fault"),
            screen_number(row, "secondsLeft"));
    else if (strcmp(plan, "-") != 0)
        SAY("a plan of faults is in force for the archive: %s", plan);
    else
        return DOCTOR_OK;
    return DOCTOR_WARN;
}

enum verdict check_faults_allowed(const struct patient *p, char *what, size_t cap)
{
    bool redis = strcmp(patient_setting(p, "redis.faults"), "yes") == 0;
    bool archive = strcmp(patient_setting(p, "archive.faults"), "yes") == 0;

    SAY("faults on purpose are %s%s%s", redis ? "allowed for Redis" : archive ? "allowed for the archive" : "not allowed",
        redis && archive ? " and the archive" : "", redis || archive ? " (game days)" : "");
    return redis || archive ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_admin_token(const struct patient *p, char *what, size_t cap)
{
    bool set = patient_setting(p, "admin.token")[0] != '\0';

    SAY("admin.token is %s; the admin server listens on %s", set ? "set" : "not set", patient_setting(p, "admin.listen"));
    return set || strncmp(patient_setting(p, "admin.listen"), "unix:", 5) == 0 ? DOCTOR_OK : DOCTOR_WARN;
}

enum verdict check_log_level(const struct patient *p, char *what, size_t cap)
{
    const char *level = patient_setting(p, "log.level");

    SAY("log.level is %s", level);
    return strcmp(level, "debug") == 0 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_file_limit(const struct patient *p, char *what, size_t cap)
{
    double limit = patient_metric(p, "process_max_fds"), open = patient_metric(p, "process_open_fds");
    double wanted = screen_number(p->state, "clients.max") + MORE_FDS;

    if (limit < 0)
        return SAY("the proxy does not tell its limit of open files"), DOCTOR_SKIPPED;
    SAY("%s files open of %s; max_clients wants %s", paint_count(open), paint_count(limit), paint_count(wanted));
    if (open > 0.9 * limit)
        return DOCTOR_FAIL;
    return limit < wanted ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_clients(const struct patient *p, char *what, size_t cap)
{
    double now = screen_number(p->state, "clients.connected"), most = screen_number(p->state, "clients.max");
    double refused = screen_number(p->state, "clients.refused");

    SAY("%s clients of at most %s, %s were refused", paint_count(now), paint_count(most), paint_count(refused));
    if (now > 0.95 * most)
        return DOCTOR_FAIL;
    return now > 0.8 * most || refused > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_certificate(const struct patient *p, char *what, size_t cap)
{
    double expires = patient_metric(p, "convproxy_tls_certificate_expires_seconds");
    double left = expires - (double)clock_wall_us() / 1e6;

    if (expires <= 0)
        return SAY("no TLS with clients"), DOCTOR_OK;
    if (left <= 0)
        return SAY("the certificate of tls.listen has expired"), DOCTOR_FAIL;
    SAY("the certificate of tls.listen expires in %s", paint_duration(left));
    return left < CERT_FAIL_S ? DOCTOR_FAIL : left < CERT_WARN_S ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- the environment ---- */

/* The environment of the proxy's process, or NULL: it runs elsewhere, or as somebody else. */
static char *environment_of(const struct patient *p, size_t *ret_len)
{
    char path[64], name[16] = "";
    char *text = NULL;

    snprintf(path, sizeof path, "/proc/%.0f/comm", screen_number(p->state, "pid"));
    FILE *in = fopen(path, "re");
    bool ours = in != NULL && fgets(name, sizeof name, in) != NULL && strcmp(name, "convproxy\n") == 0;
    if (in != NULL)
        fclose(in);
    snprintf(path, sizeof path, "/proc/%.0f/environ", screen_number(p->state, "pid"));
    in = ours ? fopen(path, "re") : NULL;
    if (in == NULL)
        return NULL;
    text = malloc(1 << 20);
    *ret_len = text != NULL ? fread(text, 1, (1 << 20) - 1, in) : 0;
    if (text != NULL)
        text[*ret_len] = '\0';
    fclose(in);
    return text;
}

static bool is_set(const char *environment, size_t len, const char *name, size_t name_len)
{
    for (const char *p = environment; p < environment + len; p += strlen(p) + 1)
        if (strncmp(p, name, name_len) == 0 && p[name_len] == '=')
            return true;
    return false;
}

/* The first of the setting's variables that is set though the value comes from elsewhere; its length, or 0. */
static size_t overridden(const cJSON *row, const char *environment, size_t len, const char **ret_name)
{
    const cJSON *env = cJSON_GetObjectItemCaseSensitive(row, "env");
    const char *source = screen_text(row, "source");

    if (!cJSON_IsString(env) || strncmp(source, "environment", 11) == 0)
        return 0;
    for (const char *p = env->valuestring; *p != '\0'; p += strcspn(p, "|"), p += *p == '|') {
        size_t n = strcspn(p, "|");
        *ret_name = p;
        if (is_set(environment, len, p, n))
            return n;
    }
    return 0;
}

enum verdict check_environment(const struct patient *p, char *what, size_t cap)
{
    size_t len = 0, name_len;
    char *environment = environment_of(p, &len);
    enum verdict verdict = DOCTOR_OK;
    const cJSON *row;
    const char *name;

    if (environment == NULL)
        return SAY("the proxy's environment can't be read from here"), DOCTOR_SKIPPED;
    SAY("no variable is overridden");
    cJSON_ArrayForEach(row, paint_find(p->settings, "settings"))
    {
        if ((name_len = overridden(row, environment, len, &name)) == 0)
            continue;
        SAY("%.*s is set, but %s comes from %s", (int)name_len, name, screen_text(row, "name"), screen_text(row, "source"));
        verdict = DOCTOR_WARN;
    }
    free(environment);
    return verdict;
}

/* ---- another proxy ---- */

/* What may well differ from machine to machine. */
static bool is_local(const char *name)
{
    static const char *const local[] = {"listen", "admin.", "tls.", "proxy.", "threads", "log.", "max_clients"};

    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++)
        if (strncmp(name, local[i], strlen(local[i])) == 0)
            return true;
    return false;
}

enum verdict check_other_proxy(const struct patient *p, char *what, size_t cap)
{
    struct patient other = {.settings = p->other};
    const cJSON *row;
    unsigned differ = 0;
    char names[200] = "";

    if (p->other_url == NULL)
        return SAY("no other proxy was named (--other URL)"), DOCTOR_OK;
    if (p->other == NULL)
        return SAY("%s does not answer", p->other_url), DOCTOR_FAIL;
    cJSON_ArrayForEach(row, paint_find(p->settings, "settings"))
    {
        const char *name = screen_text(row, "name"), *value = patient_setting(p, name);
        if (is_local(name) || strcmp(value, patient_setting(&other, name)) == 0)
            continue;
        if (differ++ < NAMES_SHOWN)
            snprintf(names + strlen(names), sizeof names - strlen(names), " %s", name);
    }
    SAY(differ > 0 ? "%u settings differ from those of %s:%s" : "%.0u%s has the same settings%s", differ, p->other_url, names);
    return differ > 0 ? DOCTOR_WARN : DOCTOR_OK;
}
