/* The checks of convctl doctor about the archive, and about what lies between the stores. */
#include "tools/doctor.h"

#include "base/clock.h"
#include "tools/paint.h"
#include "tools/screen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#define SAY(...)      snprintf(what, cap, __VA_ARGS__)
#define DAY_S         86400.0
#define BACKUP_WARN_S (26 * 3600.0)
#define BACKUP_FAIL_S (7 * DAY_S)
#define VERIFY_WARN_S (8 * DAY_S)
#define LAG_WARN_S    3
#define LAG_FAIL_S    300
#define FLAPS         3

enum verdict check_archive(const struct patient *p, char *what, size_t cap)
{
    const char *kind = screen_text(p->state, "archive.kind");
    bool up = screen_flag(p->state, "archive.up");

    SAY("%s, %s%s", kind, up ? "up" : "DOWN: ", up ? "" : screen_text(p->state, "archive.error"));
    if (up)
        SAY("%s, up, %s documents, %s", kind, paint_count(screen_number(p->state, "archive.documents")),
            paint_bytes(screen_number(p->state, "archive.bytes")));
    return up ? DOCTOR_OK : strcmp(kind, "none") == 0 ? DOCTOR_WARN : DOCTOR_FAIL;
}

enum verdict check_archive_latency(const struct patient *p, char *what, size_t cap)
{
    double ping = screen_number(p->state, "archive.latencyMs.ping"), p95 = screen_number(p->state, "archive.latencyMs.p95");

    SAY("95%% of its operations within %.1f ms, a ping takes %.1f ms", p95, ping);
    return p95 > 1000 ? DOCTOR_FAIL : p95 > 100 ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- room ---- */

/* SQLite's path is the proxy's: relative to its folder, which is known where it runs on this machine. */
static bool sqlite_folder(const struct patient *p, char *path, size_t cap)
{
    const char *url = patient_setting(p, "archive.url");

    if (strncmp(url, "sqlite:", 7) != 0)
        return false;
    const char *slash = strrchr(url + 7, '/');
    int len = slash != NULL ? (int)(slash - (url + 7)) : 0;
    if (url[7] == '/')
        snprintf(path, cap, "%.*s", len > 0 ? len : 1, url + 7);
    else
        snprintf(path, cap, "/proc/%.0f/cwd/%.*s", screen_number(p->state, "pid"), len, url + 7);
    return true;
}

enum verdict check_disk(const struct patient *p, char *what, size_t cap)
{
    char path[512];
    struct statvfs fs;

    if (!sqlite_folder(p, path, sizeof path))
        return SAY("the archive keeps no file here"), DOCTOR_OK;
    if (statvfs(path, &fs) != 0)
        return SAY("the folder of %s can't be looked at from here", patient_setting(p, "archive.url")), DOCTOR_SKIPPED;
    double room = (double)fs.f_bavail * (double)fs.f_frsize, used = screen_number(p->state, "archive.bytes");
    double wanted = p->disk_free_mib * 1048576 > used ? p->disk_free_mib * 1048576 : used;
    SAY("%s free where the archive of %s lies; at least %s should be", paint_bytes(room), paint_bytes(used), paint_bytes(wanted));
    return room < wanted / 4 ? DOCTOR_FAIL : room < wanted ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- policies ---- */

enum verdict check_guarantee(const struct patient *p, char *what, size_t cap)
{
    enum verdict verdict = DOCTOR_OK;
    const cJSON *policy;

    SAY("every policy has the promise that its settings allow");
    cJSON_ArrayForEach(policy, paint_find(p->state, "policies"))
    {
        const cJSON *lowered = cJSON_GetArrayItem(paint_find(policy, "guarantee.loweredBy"), 0);
        bool none = strcmp(screen_text(policy, "guarantee.level"), "none") == 0;
        if (lowered == NULL)
            continue;
        SAY("%s: %s, because %s", screen_text(policy, "name"), screen_text(policy, "guarantee.promise"), screen_text(lowered, ""));
        verdict = none ? DOCTOR_FAIL : verdict == DOCTOR_OK ? DOCTOR_WARN : verdict;
        if (none)
            break;
    }
    return verdict;
}

enum verdict check_persist_errors(const struct patient *p, char *what, size_t cap)
{
    double n = screen_number(p->state, "persistErrors");

    SAY("%s writes were not stored since the proxy was started", paint_count(n));
    return n > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

/* The largest of these numbers; 0: there are none. */
static double most_of(const cJSON *list, const char *member)
{
    double most = 0;
    const cJSON *row;

    cJSON_ArrayForEach(row, list)
    {
        most = fmax(most, screen_number(row, member));
    }
    return most;
}

enum verdict check_flapping(const struct patient *p, char *what, size_t cap)
{
    double most = most_of(paint_find(p->state, "policies"), "failovers");

    SAY("%s failovers since the proxy was started, %s ago", paint_count(most), paint_duration(screen_number(p->state, "uptimeSeconds")));
    return most >= FLAPS ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_lag(const struct patient *p, char *what, size_t cap)
{
    double dirty = screen_number(p->state, "sync.dirtyKeys"), lag = screen_number(p->state, "sync.copyLagSeconds");

    SAY("%s keys are owed to the archive, without a break for %s", paint_count(dirty), paint_duration(lag));
    return lag > LAG_FAIL_S ? DOCTOR_FAIL : lag > LAG_WARN_S ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_quarantine(const struct patient *p, char *what, size_t cap)
{
    double entries = patient_metric(p, "conv_quarantine_entries");
    double n = entries >= 0 ? entries : screen_number(p->state, "sync.quarantined");

    SAY("%s states are in quarantine", paint_count(n));
    return n > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- moves ---- */

/* The newest of this kind, however it has ended; NULL: the proxy remembers none. */
static const cJSON *last_move(const struct patient *p, const char *kind)
{
    const cJSON *move, *found = NULL;

    cJSON_ArrayForEach(move, paint_find(p->moves, "moves"))
    {
        if (strcmp(screen_text(move, "kind"), kind) == 0 && (found == NULL || screen_number(move, "id") > screen_number(found, "id")))
            found = move;
    }
    return found;
}

static bool left_over(const cJSON *move, double *ret)
{
    *ret = screen_number(move, "found") - screen_number(move, "repaired");
    return *ret > 0;
}

/* For how long it has been over, in s; negative: it is not over. */
static double age_of(const cJSON *move)
{
    struct tm utc = {0};

    if (strptime(screen_text(move, "endedAt"), "%Y-%m-%dT%H:%M:%SZ", &utc) == NULL)
        return -1;
    return (double)clock_wall_us() / 1e6 - (double)timegm(&utc);
}

enum verdict check_backfill(const struct patient *p, char *what, size_t cap)
{
    const cJSON *move = last_move(p, "backfill");
    const char *state = screen_text(move, "state");

    SAY("none was needed since the proxy was started");
    if (move == NULL)
        return DOCTOR_OK;
    SAY("the last one (move %.0f of policy %s) is %s", screen_number(move, "id"), screen_text(move, "policy"), state);
    return strcmp(state, "done") == 0 ? DOCTOR_OK : strcmp(state, "failed") == 0 ? DOCTOR_FAIL : DOCTOR_WARN;
}

enum verdict check_verify(const struct patient *p, char *what, size_t cap)
{
    const cJSON *move = last_move(p, "verify");
    double age = move != NULL ? age_of(move) : -1;

    SAY("the stores were not compared since the proxy was started");
    if (age >= 0)
        SAY("the last verify ended %s ago: %s", paint_duration(age), screen_text(move, "state"));
    return age >= 0 && age < VERIFY_WARN_S && strcmp(screen_text(move, "state"), "done") == 0 ? DOCTOR_OK : DOCTOR_WARN;
}

enum verdict check_mismatches(const struct patient *p, char *what, size_t cap)
{
    double n = 0;
    bool differ = left_over(last_move(p, "verify"), &n);

    SAY("the last verify has left %s keys that differ", paint_count(n > 0 ? n : 0));
    return differ ? DOCTOR_FAIL : DOCTOR_OK;
}

enum verdict check_missing_ttl(const struct patient *p, char *what, size_t cap)
{
    double n = 0;
    bool missing = left_over(last_move(p, "ttl-audit"), &n);

    SAY("the last ttl-audit has left %s keys without an expiry", paint_count(n > 0 ? n : 0));
    return missing ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- backups ---- */

enum verdict check_backups(const struct patient *p, char *what, size_t cap)
{
    double newest = most_of(paint_find(p->backups, "backups"), "lastSuccess");

    if (newest == 0)
        return SAY("no backup has succeeded yet"), DOCTOR_WARN;
    double age = (double)clock_wall_us() / 1e6 - newest / 1000;
    SAY("the last backup succeeded %s ago", paint_duration(age > 0 ? age : 0));
    return age > BACKUP_FAIL_S ? DOCTOR_FAIL : age > BACKUP_WARN_S ? DOCTOR_WARN : DOCTOR_OK;
}
