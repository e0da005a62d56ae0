/* tools/doctor — convctl doctor: looks at a deployment, and says of each finding what it is, why it matters and how to mend it.
 *
 *   documents of the admin server, Redis itself ─▶ patient ─▶ each row of tools/doctor.def ─▶ finding ─▶ text or JSON
 *
 * Owns:       the patient, for one examination.
 * Invariants: nothing is changed. What could not be asked is said, and never taken for well.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "tools/ctl.h"

#include <stdint.h>

enum verdict { DOCTOR_OK, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_SKIPPED };

struct link;
struct config;
struct settings;

struct patient {
    cJSON *state, *settings, *moves, *backups;
    char *metrics;
    /* Redis itself; info NULL: it could not be asked, and why says why. */
    char *info, *clients; /* INFO, CLIENT LIST */
    cJSON *config;        /* CONFIG GET * */
    int64_t slow, slowest_us; /* SLOWLOG of the last hour */
    char why[200];
    double disk_free_mib; /* that the archive's disk must have */
    const char *other_url;
    cJSON *other; /* its settings; NULL: it was not asked for, or does not answer */
};

int run_doctor(struct options *o, const struct args *args);

/* ---- for the checks ---- */

/* A setting's value; "" when there is none. */
const char *patient_setting(const struct patient *p, const char *name);
/* A sample of /metrics without labels; -1: there is none. */
double patient_metric(const struct patient *p, const char *name);
/* A field of Redis's INFO; "" and 0 when there is none. Valid until 16 calls later. */
const char *patient_info(const struct patient *p, const char *field);
double patient_info_number(const struct patient *p, const char *field);
/* Redis's CONFIG GET; "" when there is none. */
const char *patient_config(const struct patient *p, const char *name);

#define CHECK(name, look, why, mend) enum verdict look(const struct patient *p, char *what, size_t cap);
#include "tools/doctor.def"
#undef CHECK

#endif
