/* tests/unit/config/fixture — a configuration file for one test, and shorthands that fail the test when the step fails. */
#ifndef TESTS_CONFIG_FIXTURE_H
#define TESTS_CONFIG_FIXTURE_H

#include "config/config.h"

struct fixture {
    char folder[64];
    char file[96];
};

struct seen {
    char value[256], origin[256];
    size_t count;
};

/* An environment without variables. */
extern const char *const no_env[];

int set_up(void **state);
int tear_down(void **state);
void write_text(const struct fixture *f, const char *text);
void check_file(const struct fixture *f, const char *want);
/* The origin of a value in that line of the file. */
const char *place_of(const struct fixture *f, int line, char place[128]);
struct config *loaded(const char *file, const char *const *env, const char *const *sets);
void refused(const char *file, const char *const *env, const char *set, const char *want);
void see(void *ctx, const struct config_view *view);
void check_value(struct config *cfg, const char *name, const char *value, const char *origin);
void set_one(struct config *cfg, const char *name, const char *value);
void set_fails(struct config *cfg, const char *name, const char *value, const char *want);
void reload(struct config *cfg);
void rewrite(struct config *cfg);

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
