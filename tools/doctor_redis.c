/* The checks of convctl doctor about Redis. */
#include "tools/doctor.h"

#include "tools/paint.h"
#include "tools/screen.h"

#include <stdlib.h>
#include <string.h>

#define SAY(...)   snprintf(what, cap, __VA_ARGS__)
#define NEED_REDIS                                                                                           \
    if (p->info == NULL)                                                                                     \
    return SAY("Redis itself was not asked"), DOCTOR_SKIPPED

#define MIB         1048576.0
#define WASTE_BYTES (32 * MIB) /* below that fragmentation is nobody's trouble */

static bool is_well(const char *text)
{
    return text[0] == '\0' || strcmp(text, "ok") == 0;
}

enum verdict check_redis(const struct patient *p, char *what, size_t cap)
{
    bool up = screen_flag(p->state, "redis.up");

    SAY("%s %s%s", screen_text(p->state, "redis.url"), up ? "is up, version " : "is DOWN: ",
        screen_text(p->state, up ? "redis.version" : "redis.error"));
    return up ? DOCTOR_OK : DOCTOR_FAIL;
}

enum verdict check_redis_direct(const struct patient *p, char *what, size_t cap)
{
    bool down = !screen_flag(p->state, "redis.up");

    SAY("%s%s", p->info != NULL ? "Redis was asked itself" : "Redis could not be asked itself: ", p->info != NULL ? "" : p->why);
    return p->info != NULL ? DOCTOR_OK : down ? DOCTOR_SKIPPED : DOCTOR_WARN;
}

enum verdict check_redis_version(const struct patient *p, char *what, size_t cap)
{
    const char *version = screen_text(p->state, "redis.version");
    double major = strtod(version, NULL);

    if (strcmp(version, "-") == 0)
        return SAY("not known"), DOCTOR_SKIPPED;
    SAY("Redis is %s", version);
    return major >= 7 ? DOCTOR_OK : major >= 6 ? DOCTOR_WARN : DOCTOR_FAIL;
}

enum verdict check_redis_role(const struct patient *p, char *what, size_t cap)
{
    const char *role = p->info != NULL ? patient_info(p, "role") : screen_text(p->state, "redis.role");

    SAY("its role is %s", role);
    return strcmp(role, "slave") == 0 ? DOCTOR_FAIL : strcmp(role, "-") == 0 ? DOCTOR_SKIPPED : DOCTOR_OK;
}

enum verdict check_maxmemory(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    double most = patient_info_number(p, "maxmemory");
    SAY(most > 0 ? "maxmemory is %s" : "maxmemory is not set%.0s", paint_bytes(most));
    return most > 0 ? DOCTOR_OK : DOCTOR_WARN;
}

enum verdict check_eviction(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    const char *policy = patient_info(p, "maxmemory_policy");
    bool safe = strcmp(policy, "noeviction") == 0;
    SAY("maxmemory-policy is %s", policy);
    return safe ? DOCTOR_OK : patient_info_number(p, "maxmemory") > 0 ? DOCTOR_FAIL : DOCTOR_WARN;
}

enum verdict check_evicted(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    double n = patient_info_number(p, "evicted_keys");
    SAY("%s keys were evicted since Redis was started", paint_count(n));
    return n > 0 ? DOCTOR_FAIL : DOCTOR_OK;
}

enum verdict check_memory(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    double used = patient_info_number(p, "used_memory"), most = patient_info_number(p, "maxmemory");
    double peak = patient_info_number(p, "used_memory_peak"), part = most > 0 ? used / most : 0;
    if (most > 0)
        SAY("%s used of %s (%.0f%%), %s at most so far", paint_bytes(used), paint_bytes(most), part * 100, paint_bytes(peak));
    else
        SAY("%s used, %s at most so far", paint_bytes(used), paint_bytes(peak));
    return part > 0.95 ? DOCTOR_FAIL : part > 0.8 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_fragmentation(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    double used = patient_info_number(p, "used_memory"), resident = patient_info_number(p, "used_memory_rss");
    SAY("%s resident for %s used", paint_bytes(resident), paint_bytes(used));
    return resident - used > WASTE_BYTES && resident > 1.5 * used ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_persistence(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    bool aof = patient_info_number(p, "aof_enabled") == 1;
    const char *save = patient_config(p, "save");
    SAY("appendonly is %s, save is \"%s\"", aof ? "yes" : "no", save);
    return aof ? DOCTOR_OK : save[0] != '\0' ? DOCTOR_WARN : DOCTOR_FAIL;
}

enum verdict check_persistence_errors(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    const char *save = patient_info(p, "rdb_last_bgsave_status"), *rewrite = patient_info(p, "aof_last_bgrewrite_status"),
               *write = patient_info(p, "aof_last_write_status");
    bool well = is_well(save) && is_well(rewrite) && is_well(write);
    SAY("last BGSAVE %s, AOF rewrite %s, AOF write %s", save, rewrite, write);
    return well ? DOCTOR_OK : DOCTOR_FAIL;
}

/* Each thread: shared ones for two lanes and two protocol versions, one that subscribes, and the pinned ones. */
enum verdict check_redis_clients(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    double most = strtod(patient_config(p, "maxclients"), NULL), now = patient_info_number(p, "connected_clients");
    double rejected = patient_info_number(p, "rejected_connections");
    double wanted = screen_number(p->state, "threads") * (4 * strtod(patient_setting(p, "redis.connections"), NULL) + 1 +
                                                          strtod(patient_setting(p, "redis.pinned_max"), NULL));
    SAY("%s connections of at most %s, %s rejected; this proxy may want %s", paint_count(now), paint_count(most),
        paint_count(rejected), paint_count(wanted));
    if (most > 0 && now > 0.9 * most)
        return DOCTOR_FAIL;
    return rejected > 0 || (most > 0 && wanted > most) ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_redis_timeout(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    const char *timeout = patient_config(p, "timeout");
    SAY("timeout is %s", timeout);
    return strtod(timeout, NULL) > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_slowlog(const struct patient *p, char *what, size_t cap)
{
    NEED_REDIS;
    SAY("%lld slow commands within the last hour, the slowest took %.1f ms", (long long)p->slow, (double)p->slowest_us / 1000);
    return p->slow > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_latency(const struct patient *p, char *what, size_t cap)
{
    double p95 = screen_number(p->state, "redis.latencyMs.p95");

    SAY("95%% of answers within %.1f ms (%s)", p95, screen_text(p->state, "redis.latencyMs.of"));
    return p95 > 50 ? DOCTOR_FAIL : p95 > 10 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_clock(const struct patient *p, char *what, size_t cap)
{
    double ms = screen_number(p->state, "redis.clockOffsetMs") + 0.0;

    SAY("the clocks of Redis and the proxy differ by %.0f ms", ms);
    ms = ms < 0 ? -ms : ms;
    return ms > 500 ? DOCTOR_FAIL : ms > 400 ? DOCTOR_WARN : DOCTOR_OK;
}

/* ---- who else is there ---- */

static bool has(const char *line, size_t len, const char *text)
{
    return memmem(line, len, text, strlen(text)) != NULL;
}

/* Ours, this very connection, replicas, and exporters that only look. */
static bool is_known(const char *line, size_t len)
{
    static const char *const known[] = {" name=convproxy", " cmd=client", " flags=S", " name=redis_exporter", " cmd=info "};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (has(line, len, known[i]))
            return true;
    return false;
}

static unsigned count_lines(const struct patient *p, bool (*counts)(const char *line, size_t len), char *example, size_t cap)
{
    unsigned n = 0;

    example[0] = '\0';
    for (const char *line = p->clients; line != NULL && *line != '\0'; line += strcspn(line, "\n"), line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        const char *addr = memmem(line, len, " addr=", 6);
        if (len == 0 || !counts(line, len))
            continue;
        if (n++ == 0 && addr != NULL)
            snprintf(example, cap, "%.*s", (int)strcspn(addr + 6, " "), addr + 6);
    }
    return n;
}

static bool is_stranger(const char *line, size_t len)
{
    return !is_known(line, len);
}

static bool is_monitor(const char *line, size_t len)
{
    return has(line, len, " flags=O");
}

enum verdict check_strangers(const struct patient *p, char *what, size_t cap)
{
    char example[80];

    NEED_REDIS;
    unsigned n = count_lines(p, is_stranger, example, sizeof example);
    SAY(n > 0 ? "%u connections to Redis are not the proxy's, among them %s" : "%.0uonly the proxy is connected to Redis%s", n, example);
    return n > 0 ? DOCTOR_WARN : DOCTOR_OK;
}

enum verdict check_monitor(const struct patient *p, char *what, size_t cap)
{
    char example[80];

    NEED_REDIS;
    unsigned n = count_lines(p, is_monitor, example, sizeof example);
    SAY(n > 0 ? "%u clients run MONITOR on Redis, among them %s" : "%.0unobody runs MONITOR on Redis%s", n, example);
    return n > 0 ? DOCTOR_WARN : DOCTOR_OK;
}
