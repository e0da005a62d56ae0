/* Rewriting: what changes in the file, what stays, and what is refused. */
#include "config/config.h"

#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void test_rewrite(void **state)
{
    struct fixture *f = *state;
    char place[128];
    write_text(f, "# Our proxy.\n"
                  "redis:\n"
                  "  url: \"redis://h:1\"   # the big one\n"
                  "  timeout: 600ms # long\n"
                  "\n"
                  "admin: { listen: \"127.0.0.1:9390\" }\n"
                  "log:\n"
                  "  # level: debug\n"
                  "policies:\n"
                  "  - name: chat   # first\n"
                  "    match: \"chat:*\"\n"
                  "    ttl: 1d\n"
                  "  - { name: conv }\n"
                  "# the end\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    set_one(cfg, "redis.timeout", "750ms");
    set_one(cfg, "redis.password", "a \"b\" \\c: #d");
    set_one(cfg, "admin.token", "t");
    set_one(cfg, "log.level", "warn");
    set_one(cfg, "chat.ttl", "2d");
    set_one(cfg, "chat.match", "c:*");
    set_one(cfg, "chat.ack", "primary");
    set_one(cfg, "conv.max_messages", "9");
    set_one(cfg, "slowlog.len", "7");
    rewrite(cfg);
    check_file(f, "# Our proxy.\n"
                  "redis:\n"
                  "  url: \"redis://h:1\"   # the big one\n"
                  "  timeout: 750ms # long\n"
                  "  password: \"a \\\"b\\\" \\\\c: #d\"\n"
                  "\n"
                  "admin: { listen: \"127.0.0.1:9390\", token: t }\n"
                  "log:\n"
                  "  level: warn\n"
                  "  # level: debug\n"
                  "policies:\n"
                  "  - name: chat   # first\n"
                  "    match: \"c:*\"\n"
                  "    ttl: 2d\n"
                  "    ack: primary\n"
                  "  - { name: conv, max_messages: 9 }\n"
                  "# the end\n"
                  "slowlog:\n"
                  "  len: 7\n");
    check_value(cfg, "redis.password", "***", place_of(f, 5, place));
    check_value(cfg, "admin.listen", "127.0.0.1:9390", place_of(f, 7, place));
    config_free(cfg);
    cfg = loaded(f->file, no_env, NULL); /* the next start has it all */
    const struct settings *s = config_current(cfg);
    assert_string_equal(s->redis_password, "a \"b\" \\c: #d");
    assert_int_equal(s->redis_timeout, 750);
    assert_int_equal(s->policies[0].ack, ACK_PRIMARY);
    assert_int_equal(s->slowlog_len, 7);
    settings_unref(s);
    config_free(cfg);
}

/* What was rewritten is the file's: a later edit and reload counts. */
static void test_rewrite_then_edit(void **state)
{
    struct fixture *f = *state;
    write_text(f, "redis: {timeout: 600ms}\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    set_one(cfg, "redis.timeout", "700ms");
    rewrite(cfg);
    check_file(f, "redis: {timeout: 700ms}\n");
    write_text(f, "redis: {timeout: 800ms}\n");
    reload(cfg);
    const struct settings *s = config_current(cfg);
    assert_int_equal(s->redis_timeout, 800);
    settings_unref(s);
    config_free(cfg);
}

static void check_rewrite(const struct fixture *f, const char *before, const char *after)
{
    write_text(f, before);
    struct config *cfg = loaded(f->file, no_env, NULL);
    set_one(cfg, "conv.ttl", "2d");
    rewrite(cfg);
    check_file(f, after);
    config_free(cfg);
}

static void test_rewrite_layouts(void **state)
{
    const struct fixture *f = *state;
    check_rewrite(f, "", "policies:\n  - name: conv\n    ttl: 2d\n");
    check_rewrite(f, "log: {level: warn}", "log: {level: warn}\npolicies:\n  - name: conv\n    ttl: 2d\n");
    check_rewrite(f, "log:\r\n  level: warn\r\n",
                  "log:\r\n  level: warn\r\npolicies:\r\n  - name: conv\r\n    ttl: 2d\r\n");
    check_rewrite(f, "policies: # none\nlog:\n", "policies: # none\n  - name: conv\n    ttl: 2d\nlog:\n");
    check_rewrite(f, "policies: []\n", "policies: [{ name: conv, ttl: 2d }]\n");
    check_rewrite(f, "policies:\n- name: conv", "policies:\n- name: conv\n  ttl: 2d");
    check_rewrite(f, "policies: [{name: conv, ttl: '1d'}]\n", "policies: [{name: conv, ttl: 2d}]\n");
    check_rewrite(f, "policies:\n  -\n     match: x\n     name: conv\n  - name: b\n",
                  "policies:\n  -\n     match: x\n     name: conv\n     ttl: 2d\n  - name: b\n");
    check_rewrite(f, "\xEF\xBB\xBF# \xE2\x82\xAC\npolicies:\n  - {name: conv, ttl: 1d} # \xE2\x82\xAC\n",
                  "\xEF\xBB\xBF# \xE2\x82\xAC\npolicies:\n  - {name: conv, ttl: 2d} # \xE2\x82\xAC\n");
}

/* A layout that cannot be edited safely is left alone, and the run-time value stays in force. */
static void test_rewrite_refused(void **state)
{
    struct fixture *f = *state;
    struct config_report report = {0};
    struct config_error err;
    char want[256];
    static const char text[] = "{ log: {level: warn} }\n";
    write_text(f, text);
    struct config *cfg = loaded(f->file, no_env, NULL);
    set_one(cfg, "conv.ttl", "2d");
    assert_int_equal(config_rewrite(cfg, &report, &err), ERR_CONFIG);
    snprintf(want, sizeof want,
             "%s: 'conv.ttl' could not be written into this file's layout; expected sections with one "
             "setting a line",
             f->file);
    assert_string_equal(err.text, want);
    check_file(f, text);
    check_value(cfg, "conv.ttl", "2d", "run time");
    config_free(cfg);
    cfg = loaded(NULL, no_env, NULL);
    assert_int_equal(config_rewrite(cfg, &report, &err), ERR_CONFIG);
    assert_string_equal(err.text, "no config file");
    config_free(cfg);
}

static void test_rewrite_shadowed(void **state)
{
    struct fixture *f = *state;
    struct config_report report = {0};
    struct config_error err;
    static const char *const env[] = {"CONV_TTL_SECONDS=60", NULL};
    write_text(f, "log: {}\n");
    struct config *cfg = loaded(f->file, env, NULL);
    set_one(cfg, "conv.ttl", "2d");
    set_one(cfg, "log.level", "warn");
    assert_int_equal(config_rewrite(cfg, &report, &err), ERR_NONE);
    assert_int_equal(report.shadowed.count, 1);
    assert_string_equal(report.shadowed.items[0], "conv.ttl");
    config_report_done(&report);
    check_file(f, "log: { level: warn }\npolicies:\n  - name: conv\n    ttl: 2d\n");
    check_value(cfg, "conv.ttl", "2d", "run time");
    config_free(cfg);
}

/* Mode, link and folder are as before; a file that is gone is made anew, for its owner only. */
static void test_rewrite_file(void **state)
{
    struct fixture *f = *state;
    char link[128];
    struct stat st;
    snprintf(link, sizeof link, "%s/link.yaml", f->folder);
    write_text(f, "log: {}\n");
    assert_int_equal(chmod(f->file, 0640), 0);
    assert_int_equal(symlink("c.yaml", link), 0);
    struct config *cfg = loaded(link, no_env, NULL);
    set_one(cfg, "log.level", "warn");
    rewrite(cfg);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    check_file(f, "log: { level: warn }\n");
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    config_free(cfg);
    unlink(link);
    cfg = loaded(f->file, no_env, NULL);
    unlink(f->file);
    set_one(cfg, "redis.password", "p");
    rewrite(cfg);
    check_file(f, "redis:\n  password: p\n");
    assert_int_equal(stat(f->file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    config_free(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FILE(test_rewrite),         WITH_FILE(test_rewrite_then_edit), WITH_FILE(test_rewrite_layouts),
        WITH_FILE(test_rewrite_refused), WITH_FILE(test_rewrite_shadowed),  WITH_FILE(test_rewrite_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
