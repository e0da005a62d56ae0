/* tools/tenants — convctl tenants: the keys of each tenant, and what it has used of its limits.
 * Owns:       nothing.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_TENANTS_H
#define TOOLS_TENANTS_H

#include "tools/ctl.h"

int run_tenants(struct options *o, const struct args *args);

#endif
