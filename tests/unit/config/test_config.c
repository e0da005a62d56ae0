/* The holder: precedence, errors with their place, changes while running, reload, threads. */
#include "config/config.h"

#include "config/glob.h"
#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- loading ---- */

static void test_defaults(void **state)
{
    struct config *cfg = loaded(NULL, no_env, NULL);
    const struct settings *s = config_current(cfg);
    assert_int_equal(s->listen.count, 1);
    assert_string_equal(s->listen.items[0], "127.0.0.1:6380");
    assert_int_equal(s->max_memory, 1073741824);
    assert_int_equal(s->redis_timeout, 500);
    assert_int_equal(s->policy_count, 1);
    assert_string_equal(s->policies[0].name, "conv");
    assert_string_equal(s->policies[0].match, "conv:*");
    assert_int_equal(s->policies[0].ttl, INT64_C(2592000000));
    assert_int_equal(s->policies[0].max_messages, 200);
    assert_int_equal(s->policies[0].primary, STORE_REDIS);
    assert_int_equal(s->policies[0].ack, ACK_BOTH);
    assert_true(s->policies[0].dual_write);
    check_value(cfg, "conv.ttl", "30d", "default");
    config_free(cfg);
    assert_string_equal(s->redis_url, "redis://127.0.0.1:6379/0"); /* a reference outlives the holder */
    settings_unref(s);
}

static void test_precedence(void **state)
{
    struct fixture *f = *state;
    static const char *const env[] = {"REDIS_SOCKET_TIMEOUT_MS=700", "CONV_TTL_SECONDS=120",
                                      "CONV_LOG_LEVEL=", "CONV_MAX_MESSAGES=9", NULL};
    static const char *const sets[] = {"CONV.TTL=3d", "redis.timeout=800ms", "redis.timeout=900ms", NULL};
    char place[128];
    write_text(f, "redis:\n  timeout: 600ms\n  connect_timeout: 99ms\npolicies:\n  - name: conv\n    "
                  "max_bytes: 1kb\n    max_messages: 8\n");
    struct config *cfg = loaded(f->file, env, sets);
    check_value(cfg, "redis.connect_timeout", "99ms", place_of(f, 3, place));
    check_value(cfg, "redis.slow_timeout", "30s", "default");
    check_value(cfg, "redis.timeout", "900ms", "--set");
    check_value(cfg, "conv.ttl", "3d", "--set");
    check_value(cfg, "conv.max_messages", "9", "environment CONV_MAX_MESSAGES");
    check_value(cfg, "log.level", "info", "default"); /* an empty variable is none */
    set_one(cfg, "CONV.ttl", "60");
    check_value(cfg, "conv.ttl", "1min", "run time");
    check_value(cfg, "conv.max_bytes", "1kb", place_of(f, 6, place));
    config_free(cfg);
}

static void test_policies(void **state)
{
    struct fixture *f = *state;
    static const char *const env[] = {"CONV_MAX_MESSAGES=7", "MEMORY_DEFAULT_TTL_SECONDS=3600", NULL};
    char place[128];
    write_text(
        f,
        "policies:\n- {name: chat, match: 'chat:*'}\n- {name: conv}\n- {name: t, match: 't:*:x', ttl: 5s}\n");
    struct config *cfg = loaded(f->file, env, NULL);
    const struct settings *s = config_current(cfg);
    assert_int_equal(s->policy_count, 3);
    assert_string_equal(s->policies[1].name, "conv");
    assert_int_equal(s->policies[1].index, 1);
    assert_string_equal(s->policies[1].match, "conv:*");
    settings_unref(s);
    check_value(cfg, "chat.ttl", "1h", "environment MEMORY_DEFAULT_TTL_SECONDS");
    check_value(cfg, "conv.ttl", "30d", "default");
    check_value(cfg, "t.ttl", "5s", place_of(f, 4, place));
    check_value(cfg, "chat.max_messages", "200", "default");
    check_value(cfg, "conv.max_messages", "7", "environment CONV_MAX_MESSAGES");
    config_free(cfg);
}

static void test_load_errors(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *error; /* the error follows the file's name */
    } rows[] = {
        {"policies:\n  - name: conv\n    ttl: 30x\n", ":3: policies.conv.ttl: '30x' is not a duration; "
                                                      "expected a number and a unit such as 500ms, 10s, 30d"},
        {"redis:\n  url: redis://u:hunter2@h/x\n",
         ":2: redis.url: what follows the '/' is not a database number; expected "
         "redis[s]://[user:password@]host[:port][/db] or unix:///path[?db=N]"},
        {"proxy: {output_soft: 64mb, output_hard: 32mb}\n",
         ":1: proxy.output_soft: above proxy.output_hard; expected at most that"},
        {"redis:\n  backoff_min: 2s\n",
         ":2: redis.backoff_min: above redis.backoff_max; expected at most that"},
        {"archive: {url: ''}\npolicies:\n  - name: conv\n    primary: mongo\n",
         ":4: policies.conv.primary: an archive is needed, but archive.url is empty"},
        {"policies:\n  - name: conv\n  - name: b\n    match: \"conv:*\"\n",
         ":4: policies.b.match: 'conv:*' is the pattern of policy 'conv'; expected another one"},
        {"listen: [\"h:1\", \"h:2\"]\ntls: {listen: [\"h:3\", \"h:2\"], cert: c, key: k}\n",
         ":2: tls.listen: an address of listen; expected one of its own"},
        {"redis:\n\turl: x\n", ":2: a tab at the start of the line; YAML wants spaces"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char want[512];
        write_text(f, rows[i].text);
        snprintf(want, sizeof want, "%s%s", f->file, rows[i].error);
        refused(f->file, no_env, NULL, want);
    }
    refused("/nonexistent/c.yaml", no_env, NULL,
            "/nonexistent/c.yaml: cannot be read: No such file or directory");
}

static void test_env_and_set_errors(void **state)
{
    struct fixture *f = *state;
    refused(NULL, (const char *[]){"CONV_TTL_SECONDS=soon", NULL}, NULL,
            "environment CONV_TTL_SECONDS: 'soon' is not a duration; expected a number and a unit such as "
            "500ms, 10s, 30d");
    refused(NULL, (const char *[]){"CONV_STORE_PRIMARY=mongo", NULL}, "archive.url=",
            "environment CONV_STORE_PRIMARY: an archive is needed, but archive.url is empty");
    refused(NULL, (const char *[]){"MEMORY_DEFAULT_TTL_SECONDS=x", NULL}, NULL,
            "environment MEMORY_DEFAULT_TTL_SECONDS: 'x' is not a duration; expected a number and a unit "
            "such as 500ms, "
            "10s, 30d");
    refused(NULL, no_env, "conv.ttl=soon",
            "--set conv.ttl: 'soon' is not a duration; expected a number and a unit such as 500ms, 10s, 30d");
    refused(NULL, no_env, "conv.tll=1", "--set conv.tll: there is no setting named 'conv.tll'");
    refused(NULL, no_env, "chat.ttl=1", "--set chat.ttl: there is no policy named 'chat'");
    refused(NULL, no_env, "conv.ttl", "--set conv.ttl: no '=' after the name; expected NAME=VALUE");
    refused(NULL, no_env, "=1", "--set : no '=' after the name; expected NAME=VALUE");
    refused(NULL, no_env, "admin.listen=0.0.0.0:9390",
            "admin.token: empty; expected a secret, because admin.listen is not loopback");
    refused(NULL, no_env, "tls.listen=127.0.0.1:1", "tls.cert: empty; expected a file, because tls.listen is set");
    refused(NULL, no_env, "tls.cert=a.pem", "tls.key: empty; a certificate and its key come together");
    refused(NULL, no_env, "redis.tls_key=a.pem", "redis.tls_cert: empty; a certificate and its key come together");
    refused(NULL, no_env, "tls.client_certs=yes",
            "tls.ca: empty; expected a file or a folder, because tls.client_certs is not no");
    write_text(f, "policies:\n- {name: chat, match: 'chat:*'}\n");
    refused(f->file, (const char *[]){"CONV_TTL_SECONDS=60", NULL}, NULL,
            "environment CONV_TTL_SECONDS: there is no policy named 'conv'");
}

static void test_admin_token(void **state)
{
    static const char *const sets[] = {"admin.listen=0.0.0.0:9390", "admin.token=s3cret", NULL};
    struct config *cfg = loaded(NULL, no_env, sets);
    set_fails(
        cfg, "admin.token", "",
        "CONFIG SET failed (possibly related to argument 'admin.token') - empty; expected a secret, because "
        "admin.listen is not loopback");
    config_free(cfg);
}

/* ---- CONFIG GET and SET ---- */

static void test_set(void **state)
{
    struct config *cfg = loaded(NULL, no_env, (const char *[]){"archive.url=", NULL});
    set_fails(cfg, "x.y", "1", "Unknown option or number of arguments for CONFIG SET - 'x.y'");
    set_fails(cfg, "chat.ttl", "1", "Unknown option or number of arguments for CONFIG SET - 'chat.ttl'");
    set_fails(
        cfg, "proxy.threads", "2",
        "CONFIG SET failed (possibly related to argument 'proxy.threads') - can't be changed while running");
    set_fails(cfg, "Conv.TTL", "30x",
              "CONFIG SET failed (possibly related to argument 'conv.ttl') - '30x' is not a duration; "
              "expected a number and "
              "a unit such as 500ms, 10s, 30d");
    set_fails(
        cfg, "conv.primary", "mongo",
        "CONFIG SET failed (possibly related to argument 'conv.primary') - an archive is needed, but archive.url is empty");
    set_fails(cfg, "redis.timeout", "1ms",
              "CONFIG SET failed (possibly related to argument 'redis.timeout') - '1ms' is too small; "
              "expected 10ms to 60s");
    struct config_error err;
    struct config_pair pairs[] = {{"conv.ttl", "1d"}, {"redis.timeout", "1s"}, {"conv.max_messages", "many"}};
    assert_int_equal(config_set(cfg, pairs, 3, &err), ERR_CONFIG);
    assert_string_equal(err.name, "conv.max_messages");
    assert_string_equal(err.reason, "'many' is not a number; expected a whole number");
    check_value(cfg, "conv.ttl", "30d", "default"); /* none of the three */
    check_value(cfg, "redis.timeout", "500ms", "default");
    pairs[2] = (struct config_pair){"CONV.TTL", "2d"};
    assert_int_equal(config_set(cfg, pairs, 3, &err), ERR_CONFIG);
    assert_string_equal(err.text,
                        "CONFIG SET failed (possibly related to argument 'conv.ttl') - duplicate parameter");
    pairs[2] = (struct config_pair){"conv.max_messages", "5"};
    assert_int_equal(config_set(cfg, pairs, 3, &err), ERR_NONE);
    check_value(cfg, "conv.ttl", "1d", "run time");
    check_value(cfg, "redis.timeout", "1s", "run time");
    check_value(cfg, "conv.max_messages", "5", "run time");
    config_free(cfg);
}

/* Values that are only right together can be set together. */
static void test_set_together(void **state)
{
    struct config *cfg = loaded(NULL, no_env, NULL);
    struct config_error err;
    const struct config_pair pairs[] = {{"proxy.output_soft", "100mb"}, {"proxy.output_hard", "200mb"}};
    assert_int_equal(config_set(cfg, pairs, 1, &err), ERR_CONFIG);
    assert_int_equal(config_set(cfg, pairs, 2, &err), ERR_NONE);
    check_value(cfg, "proxy.output_soft", "100mb", "run time");
    config_free(cfg);
}

static size_t matches(struct config *cfg, const char *pattern)
{
    struct seen seen = {.count = 0};
    config_get(cfg, pattern, see, &seen);
    return seen.count;
}

/* Each policy has all rows of its kind. */
static size_t policy_rows(void)
{
    size_t n = 0;
    for (size_t i = 0; i < settings_row_count(); i++)
        n += settings_row(i)->policy;
    return n;
}

static void test_get_patterns(void **state)
{
    struct config *cfg = loaded(NULL, no_env, NULL);
    assert_int_equal(matches(cfg, "*"), settings_row_count());
    assert_int_equal(matches(cfg, "conv.*"), policy_rows());
    assert_int_equal(matches(cfg, "CONV.MAX_*"), 2);
    assert_int_equal(matches(cfg, "log.?????"), 1);
    assert_int_equal(matches(cfg, "[cl]*"), policy_rows() + 1 + 2);
    assert_int_equal(matches(cfg, "nothing"), 0);
    assert_int_equal(matches(cfg, ""), 0);
    config_free(cfg);
}

static void test_glob(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool match;
    } rows[] = {
        {"", "", true},           {"*", "", true},          {"a", "", false},        {"", "a", false},
        {"a*b*c", "aXbYc", true}, {"a*b*c", "aXbY", false}, {"**", "abc", true},     {"?", "", false},
        {"a?c", "abc", true},     {"[abc]", "B", true},     {"[^abc]", "b", false},  {"[^abc]", "d", true},
        {"[a-c]x", "bx", true},   {"[c-a]x", "bx", true},   {"[a-c]x", "dx", false}, {"\\*", "*", true},
        {"\\*", "a", false},      {"[\\]]", "]", true},     {"[a", "a", true},       {"a\\", "a\\", true},
        {"*a", "aaab", false},    {"*ab", "aaab", true},    {"a[-]b", "a-b", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (glob_match(rows[i].pattern, rows[i].text) != rows[i].match)
            fail_msg("'%s' and '%s'", rows[i].pattern, rows[i].text);
    char text[4001], pattern[2001]; /* no exponential time */
    memset(text, 'a', 4000);
    text[4000] = '\0';
    for (size_t i = 0; i < 2000; i += 2)
        memcpy(pattern + i, "*a", 2);
    strcpy(pattern + 1998, "*b");
    assert_false(glob_match(pattern, text));
}

static void test_secrets(void **state)
{
    static const char *const env[] = {"REDIS_URL=redis://u:hunter2@h:1/0", "REDIS_PASSWORD=hunter2", NULL};
    static const char *const sets[] = {"admin.token=hunter2", NULL};
    struct config *cfg = loaded(NULL, env, sets);
    check_value(cfg, "redis.url", "redis://u:***@h:1/0", "environment REDIS_URL");
    check_value(cfg, "redis.password", "***", "environment REDIS_PASSWORD");
    check_value(cfg, "admin.token", "***", "--set");
    const struct settings *s = config_current(cfg);
    assert_string_equal(s->redis_url, "redis://u:hunter2@h:1/0");
    assert_string_equal(s->redis_password, "hunter2");
    settings_unref(s);
    struct config_error err;
    assert_int_equal(config_set(cfg, &(struct config_pair){"redis.password", "hunter2\n"}, 1, &err),
                     ERR_CONFIG);
    assert_null(strstr(err.text, "hunter2"));
    assert_int_equal(config_set(cfg, &(struct config_pair){"redis.url", "redis://u:hunter2@:x"}, 1, &err),
                     ERR_CONFIG);
    assert_null(strstr(err.text, "hunter2"));
    set_one(cfg, "redis.password", "");
    check_value(cfg, "redis.password", "", "run time"); /* "not set" is no secret */
    config_free(cfg);
}

/* ---- telling others ---- */

struct listener {
    struct config *cfg;
    int calls;
    int64_t ttl;
    bool again; /* change something from inside the call, once */
};

static void on_change(void *ctx, const struct settings *now)
{
    struct listener *l = ctx;
    const struct settings *current = config_current(l->cfg); /* would hang if a lock were held */
    settings_unref(current);
    l->calls++;
    l->ttl = now->policies[0].ttl;
    if (l->again) {
        l->again = false;
        set_one(l->cfg, "conv.ttl", "9s");
    }
}

static void test_subscribe(void **state)
{
    struct config *cfg = loaded(NULL, no_env, NULL);
    struct listener a = {.cfg = cfg}, b = {.cfg = cfg};
    struct config_error err;
    config_subscribe(cfg, on_change, &a);
    config_subscribe(cfg, on_change, &b);
    set_one(cfg, "conv.ttl", "5s");
    assert_int_equal(a.calls, 1);
    assert_int_equal(b.calls, 1);
    assert_int_equal(a.ttl, 5000);
    assert_int_equal(config_set(cfg, &(struct config_pair){"conv.ttl", "x"}, 1, &err), ERR_CONFIG);
    assert_int_equal(a.calls, 1); /* no change, no call */
    a.again = true;
    set_one(cfg, "conv.ttl", "7s");
    assert_int_equal(a.calls, 3);
    assert_int_equal(b.calls, 3);
    assert_int_equal(b.ttl, 9000);
    config_free(cfg);
}

/* ---- reload ---- */

static void test_reload(void **state)
{
    struct fixture *f = *state;
    char place[128];
    write_text(f, "redis: {timeout: 600ms}\npolicies:\n- {name: conv, ttl: 1d}\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    struct listener l = {.cfg = cfg};
    config_subscribe(cfg, on_change, &l);
    set_one(cfg, "conv.max_messages", "3");
    write_text(f, "policies:\n- {name: conv, ttl: 2d, max_messages: 8}\n- {name: new, match: 'n:*'}\n");
    reload(cfg);
    assert_int_equal(l.calls, 2);
    assert_int_equal(l.ttl, 2 * 86400000);
    check_value(cfg, "redis.timeout", "500ms", "default");
    check_value(cfg, "conv.max_messages", "3", "run time");
    check_value(cfg, "new.match", "n:*", place_of(f, 3, place));
    config_free(cfg);
}

static void test_reload_refused(void **state)
{
    struct fixture *f = *state;
    struct config_report report = {0};
    struct config_error err;
    char want[256];
    write_text(f, "redis: {timeout: 600ms}\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    write_text(f, "redis: {timeout: 700ms}\nlog: {level: loud}\n");
    assert_int_equal(config_reload(cfg, &report, &err), ERR_CONFIG);
    snprintf(want, sizeof want,
             "%s:2: log.level: 'loud' is not known here; expected debug, info, warn or error", f->file);
    assert_string_equal(err.text, want);
    write_text(f, "redis: [\n");
    assert_int_equal(config_reload(cfg, &report, &err), ERR_CONFIG);
    unlink(f->file);
    assert_int_equal(config_reload(cfg, &report, &err), ERR_CONFIG);
    snprintf(want, sizeof want, "%s:1", f->file);
    check_value(cfg, "redis.timeout", "600ms", want); /* all as before */
    config_free(cfg);
}

static void test_reload_restart_rows(void **state)
{
    struct fixture *f = *state;
    struct config_report report = {0};
    struct config_error err;
    write_text(f, "listen: 'h:1'\nproxy: {threads: 2, user: nobody}\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    write_text(f, "listen: ['h:1', 'h:2']\nproxy: {threads: 3, user: nobody}\nredis: {timeout: 1s}\n");
    assert_int_equal(config_reload(cfg, &report, &err), ERR_NONE);
    assert_int_equal(report.pending.count, 2);
    assert_string_equal(report.pending.items[0], "listen");
    assert_string_equal(report.pending.items[1], "proxy.threads");
    config_report_done(&report);
    const struct settings *s = config_current(cfg);
    assert_int_equal(s->threads, 2);
    assert_int_equal(s->listen.count, 1);
    assert_int_equal(s->redis_timeout, 1000);
    settings_unref(s);
    set_one(cfg, "conv.ttl", "1d"); /* a later change does not let them in */
    s = config_current(cfg);
    assert_int_equal(s->threads, 2);
    settings_unref(s);
    config_free(cfg);
}

static void test_reload_drops_policy(void **state)
{
    struct fixture *f = *state;
    struct config_report report = {0};
    struct config_error err;
    write_text(f, "policies:\n- {name: conv}\n- {name: old, match: 'o:*'}\n");
    struct config *cfg = loaded(f->file, no_env, NULL);
    set_one(cfg, "old.ttl", "1d");
    set_one(cfg, "conv.ttl", "2d");
    write_text(f, "policies:\n- {name: conv}\n");
    assert_int_equal(config_reload(cfg, &report, &err), ERR_NONE);
    assert_int_equal(report.dropped.count, 1);
    assert_string_equal(report.dropped.items[0], "old.ttl");
    config_report_done(&report);
    assert_int_equal(matches(cfg, "old.*"), 0);
    check_value(cfg, "conv.ttl", "2d", "run time");
    config_free(cfg);
}

/* ---- threads ---- */

enum { WRITERS = 2, READERS = 3, ROUNDS = 300 };

struct crowd {
    struct config *cfg;
    atomic_bool stop;
    atomic_int torn;
    _Atomic int64_t told;
    atomic_int telling;
};

/* Every change sets both to the same number; a snapshot in which they differ was torn. */
static void *write_settings(void *arg)
{
    struct crowd *crowd = arg;
    for (int i = 1; i <= ROUNDS; i++) {
        char text[16];
        struct config_error err;
        snprintf(text, sizeof text, "%d", i);
        const struct config_pair pairs[] = {{"conv.max_messages", text}, {"slowlog.len", text}};
        if (config_set(crowd->cfg, pairs, 2, &err) != ERR_NONE)
            atomic_fetch_add(&crowd->torn, 1);
    }
    return NULL;
}

static void *read_settings(void *arg)
{
    struct crowd *crowd = arg;
    while (!atomic_load(&crowd->stop)) {
        const struct settings *s = config_current(crowd->cfg);
        if (s->policies[0].max_messages != s->slowlog_len)
            atomic_fetch_add(&crowd->torn, 1);
        settings_unref(s);
        struct seen seen = {.count = 0};
        config_get(crowd->cfg, "conv.max_messages", see, &seen);
    }
    return NULL;
}

static void on_crowd_change(void *ctx, const struct settings *now)
{
    struct crowd *crowd = ctx;
    if (atomic_fetch_add(&crowd->telling, 1) != 0) /* one call at a time */
        atomic_fetch_add(&crowd->torn, 1);
    atomic_store(&crowd->told, now->slowlog_len);
    atomic_fetch_sub(&crowd->telling, 1);
}

static void test_threads(void **state)
{
    struct fixture *f = *state;
    static const char *const sets[] = {"conv.max_messages=5", "slowlog.len=5", NULL};
    pthread_t threads[WRITERS + READERS];
    struct config_report report = {0};
    struct config_error err;
    write_text(f, "log: {level: warn}\n");
    struct crowd crowd = {.cfg = loaded(f->file, no_env, sets)};
    config_subscribe(crowd.cfg, on_crowd_change, &crowd);
    for (int i = 0; i < WRITERS + READERS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, i < WRITERS ? write_settings : read_settings, &crowd), 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(config_reload(crowd.cfg, &report, &err), ERR_NONE);
        config_report_done(&report);
    }
    for (int i = 0; i < WRITERS + READERS; i++) {
        if (i == WRITERS)
            atomic_store(&crowd.stop, true);
        pthread_join(threads[i], NULL);
    }
    const struct settings *s = config_current(crowd.cfg);
    assert_int_equal(crowd.torn, 0);
    assert_int_equal(s->slowlog_len, ROUNDS);
    assert_int_equal(crowd.told, ROUNDS); /* the last word that subscribers heard is the last change */
    settings_unref(s);
    config_free(crowd.cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        WITH_FILE(test_precedence),
        WITH_FILE(test_policies),
        WITH_FILE(test_load_errors),
        WITH_FILE(test_env_and_set_errors),
        cmocka_unit_test(test_admin_token),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_set_together),
        cmocka_unit_test(test_get_patterns),
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_secrets),
        cmocka_unit_test(test_subscribe),
        WITH_FILE(test_reload),
        WITH_FILE(test_reload_refused),
        WITH_FILE(test_reload_restart_rows),
        WITH_FILE(test_reload_drops_policy),
        WITH_FILE(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
