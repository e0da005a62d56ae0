/* tools/doctor_patient — gathers what the checks of convctl doctor look at.
 * Owns:       what it has gathered, until patient_done.
 * Threads:    one.          Used by: tools/doctor. */
#ifndef TOOLS_DOCTOR_PATIENT_H
#define TOOLS_DOCTOR_PATIENT_H

#include "tools/doctor.h"

/* EXIT_OK, or another after a message. redis: a URL, or NULL for what the proxy's settings say; other: the admin server of another
 * proxy, or NULL. */
int patient_init(struct patient *p, const struct options *o, const char *redis, const char *other);
void patient_done(struct patient *p);

#endif
