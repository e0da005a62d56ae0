/* tests/unit/settings_of — settings for a test, from the texts that --set takes. */
#ifndef TESTS_UNIT_SETTINGS_OF_H
#define TESTS_UNIT_SETTINGS_OF_H

#include "config/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

/* settings_unref it. A bad text fails the test. */
static inline const struct settings *settings_of(const char *const *sets, size_t count)
{
    struct config_start start = {.sets = sets, .set_count = count};
    struct config_error error;
    struct config *config = config_new();

    if (config_load(config, &start, &error) != ERR_NONE)
        fail_msg("%s", error.text);
    const struct settings *s = config_current(config);
    config_free(config);
    return s;
}

#endif
