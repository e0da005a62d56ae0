/* Any bytes as a configuration file: loaded, looked at, changed, rewritten. What loads must survive a rewrite
 * with the same values; what does not must say why in one line. */
#include "config/config.h"
#include "config/rewrite.h"
#include "config/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                                      \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            abort();                                                                                         \
    } while (0)

static void count(void *ctx, const struct config_view *view)
{
    MUST(view->name[0] != '\0' && view->origin[0] != '\0');
    MUST(strpbrk(view->value, "\r\n") == NULL);
    ++*(size_t *)ctx;
}

static void check_error(const struct config_error *err)
{
    size_t len = strnlen(err->text, sizeof err->text);
    MUST(len > 0 && len < sizeof err->text);
    MUST(strpbrk(err->text, "\r\n") == NULL);
}

/* Every value that config_set takes can be written into this text and read back, or is refused with a reason.
 */
static void rewrite_text(const char *text, const char *name, const char *value)
{
    struct config_error err;
    struct yaml_doc doc;
    char *edited;

    if (rewrite_value("fuzz", text, name, value, &edited, &err) != ERR_NONE) {
        check_error(&err);
        return;
    }
    MUST(yaml_parse("fuzz", edited, strlen(edited), &doc, &err) == ERR_NONE);
    const struct yaml_entry *entry = yaml_find(&doc, name);
    MUST(entry != NULL && strcmp(entry->value, value) == 0);
    MUST(strncmp(edited + entry->begin, value, 1) == 0 || edited[entry->begin] == '"');
    yaml_doc_done(&doc);
    free(edited);
}

static size_t rows_of(bool policy)
{
    size_t n = 0;
    for (size_t i = 0; i < settings_row_count(); i++)
        n += settings_row(i)->policy == policy;
    return n;
}

static void use(struct config *cfg, const char *text)
{
    const struct settings *s = config_current(cfg);
    struct config_error err;
    struct config_report report = {0};
    size_t values = 0;

    MUST(s->policy_count > 0 && s->listen.count > 0);
    config_get(cfg, "*", count, &values);
    MUST(values == rows_of(false) + rows_of(true) * s->policy_count);
    settings_unref(s);
    if (config_set(cfg, &(struct config_pair){"conv.max_messages", "3"}, 1, &err) != ERR_NONE)
        check_error(&err);
    if (config_reload(cfg, &report, &err) != ERR_NONE)
        check_error(&err);
    config_report_done(&report);
    rewrite_text(text, "redis.password", "a \"b\"\\ #c");
    rewrite_text(text, "conv.ttl", "1d");
    rewrite_text(text, "log.level", "warn");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_error err;
    struct config_start start = {.file = NULL};
    char path[32];
    int fd = memfd_create("fuzz_yaml", 0);
    char *text = calloc(1, size + 1);

    MUST(fd >= 0 && text != NULL && write(fd, data, size) == (ssize_t)size);
    memcpy(text, data, size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    start.file = path;
    struct config *cfg = config_new();
    if (config_load(cfg, &start, &err) == ERR_NONE)
        use(cfg, text);
    else
        check_error(&err);
    config_free(cfg);
    free(text);
    close(fd);
    return 0;
}
