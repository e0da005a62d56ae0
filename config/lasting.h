/* config/lasting — what must stay as it was at the start, whoever changes settings while the process runs.
 * Owns:    nothing.
 * Threads: any.          Used by: config/config. */
#ifndef CONFIG_LASTING_H
#define CONFIG_LASTING_H

#include "base/err.h"
#include "config/error.h"
#include "config/settings.h"

/* ERR_CONFIG: fresh can't follow was without a restart; *err says which setting, and why. */
enum err lasting_check(const struct settings *was, const struct settings *fresh, struct config_error *err);

#endif
