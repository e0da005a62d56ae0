#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const no_env[] = {NULL};

/* ---- a file for each test ---- */

int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    strcpy(f->folder, "/tmp/convproxy-config-XXXXXX");
    if (mkdtemp(f->folder) == NULL)
        return -1;
    snprintf(f->file, sizeof f->file, "%s/c.yaml", f->folder);
    *state = f;
    return 0;
}

int tear_down(void **state)
{
    struct fixture *f = *state;
    char link[128];
    snprintf(link, sizeof link, "%s/link.yaml", f->folder);
    unlink(link);
    unlink(f->file);
    int rc = rmdir(f->folder); /* fails when something was left behind */
    free(f);
    return rc;
}

void write_text(const struct fixture *f, const char *text)
{
    FILE *out = fopen(f->file, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

void check_file(const struct fixture *f, const char *want)
{
    char text[4096] = "";
    FILE *in = fopen(f->file, "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    assert_string_equal(text, want);
}

const char *place_of(const struct fixture *f, int line, char place[128])
{
    snprintf(place, 128, "%s:%d", f->file, line);
    return place;
}

/* ---- shorthands ---- */

struct config *loaded(const char *file, const char *const *env, const char *const *sets)
{
    struct config *cfg = config_new();
    struct config_error err;
    struct config_start start = {.file = file, .env = env, .sets = sets};
    while (sets != NULL && sets[start.set_count] != NULL)
        start.set_count++;
    if (config_load(cfg, &start, &err) != ERR_NONE)
        fail_msg("%s", err.text);
    return cfg;
}

void refused(const char *file, const char *const *env, const char *set, const char *want)
{
    struct config *cfg = config_new();
    struct config_error err;
    struct config_start start = {.file = file, .env = env, .sets = &set, .set_count = set != NULL};
    assert_int_equal(config_load(cfg, &start, &err), ERR_CONFIG);
    assert_string_equal(err.text, want);
    config_free(cfg);
}

void see(void *ctx, const struct config_view *view)
{
    struct seen *seen = ctx;
    snprintf(seen->value, sizeof seen->value, "%s", view->value);
    snprintf(seen->origin, sizeof seen->origin, "%s", view->origin);
    seen->count++;
}

void check_value(struct config *cfg, const char *name, const char *value, const char *origin)
{
    struct seen seen = {.count = 0};
    config_get(cfg, name, see, &seen);
    assert_int_equal(seen.count, 1);
    assert_string_equal(seen.value, value);
    assert_string_equal(seen.origin, origin);
}

void set_one(struct config *cfg, const char *name, const char *value)
{
    struct config_error err;
    if (config_set(cfg, &(struct config_pair){name, value}, 1, &err) != ERR_NONE)
        fail_msg("%s", err.text);
}

void set_fails(struct config *cfg, const char *name, const char *value, const char *want)
{
    struct config_error err;
    assert_int_equal(config_set(cfg, &(struct config_pair){name, value}, 1, &err), ERR_CONFIG);
    assert_string_equal(err.text, want);
}

void reload(struct config *cfg)
{
    struct config_report report = {0};
    struct config_error err;
    if (config_reload(cfg, &report, &err) != ERR_NONE)
        fail_msg("%s", err.text);
    assert_int_equal(report.pending.count + report.dropped.count, 0);
    config_report_done(&report);
}

void rewrite(struct config *cfg)
{
    struct config_report report = {0};
    struct config_error err;
    if (config_rewrite(cfg, &report, &err) != ERR_NONE)
        fail_msg("%s", err.text);
    assert_int_equal(report.shadowed.count, 0);
    config_report_done(&report);
}
