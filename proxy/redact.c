#include "proxy/redact.h"

#include "config/glob.h"
#include "config/settings.h"

#include <string.h>

static const char *const parameters[] = {"requirepass", "masterauth", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"};

bool redact_is_secret(struct slice parameter)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (slice_is(parameter, parameters[i]))
            return true;
    return false;
}

bool redact_may_match(const char *pattern)
{
    for (size_t i = 0; i < sizeof parameters / sizeof parameters[0]; i++)
        if (glob_match(pattern, parameters[i]))
            return true;
    return false;
}

/* A secret of the proxy; a URL may hold one. */
static bool is_secret_setting(struct slice name)
{
    for (size_t i = 0; i < settings_row_count(); i++) {
        const struct setting_row *row = settings_row(i);
        bool url = strstr(row->name, "url") != NULL;
        if (slice_is(name, row->name))
            return url || setting_is_secret(row);
    }
    return false;
}

static bool hides_auth(const struct slice *argv, size_t i)
{
    return i >= 1;
}

/* HELLO 3 AUTH user password: the first AUTH is an option, wherever it stands from 2 on. */
static bool hides_hello(const struct slice *argv, size_t i)
{
    for (size_t at = 2; at < i; at++) {
        if (slice_is(argv[at], "auth")) {
            if (i <= at + 2)
                return true;
            at += 2;
        } else if (slice_is(argv[at], "setname")) {
            at++;
        }
    }
    return false;
}

static bool hides_users(const struct slice *argv, size_t i)
{
    return i >= 2;
}

/* MIGRATE host port key db timeout …: behind those come the options, and behind KEYS no more of them. */
static bool hides_migrate(const struct slice *argv, size_t i)
{
    for (size_t at = 6; at < i && !slice_is(argv[at], "keys"); at++) {
        size_t secrets = slice_is(argv[at], "auth") ? 1 : slice_is(argv[at], "auth2") ? 2 : 0;
        if (i <= at + secrets)
            return true;
        at += secrets;
    }
    return false;
}

static bool hides_config(const struct slice *argv, size_t i)
{
    return i >= 3 && i % 2 == 1 && (redact_is_secret(argv[i - 1]) || is_secret_setting(argv[i - 1]));
}

static const struct {
    const char *name;
    bool (*hides)(const struct slice *argv, size_t i);
} commands[] = {
    {"auth", hides_auth},           {"hello", hides_hello},     {"acl|setuser", hides_users}, {"acl|deluser", hides_users},
    {"migrate", hides_migrate}, {"config|set", hides_config},
};

bool redact_hides(const struct command *cmd, const struct slice *argv, size_t argc, size_t i)
{
    for (size_t c = 0; cmd != NULL && i < argc && c < sizeof commands / sizeof commands[0]; c++)
        if (strcmp(commands[c].name, cmd->name) == 0)
            return commands[c].hides(argv, i);
    return false;
}
