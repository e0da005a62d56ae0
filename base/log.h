/* base/log — one line an event, logfmt or JSON, to stderr or a file descriptor.
 * Owns:    the process-wide level, format and descriptor (log_setup; before that: info, logfmt, stderr), and who watches.
 * Threads: any; a line is one write(2), so lines never mix.
 * Rule:    lower layers return errors and do not log; the layer that decides logs once. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdint.h>
#include <stddef.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

struct log_field {
    const char *key;
    enum { LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_DBL, LOG_KIND_BYTES } kind;
    const char *str;
    size_t len;
    int64_t num;
    double dbl;
};

#define LOG_STR(k, v)      ((struct log_field){.key = (k), .kind = LOG_KIND_STR, .str = (v)})
#define LOG_BYTES(k, p, n) ((struct log_field){.key = (k), .kind = LOG_KIND_BYTES, .str = (p), .len = (n)})
#define LOG_INT(k, v)      ((struct log_field){.key = (k), .kind = LOG_KIND_INT, .num = (v)})
#define LOG_DBL(k, v)      ((struct log_field){.key = (k), .kind = LOG_KIND_DBL, .dbl = (v)})

void log_setup(enum log_level level, enum log_format format, int fd);
/* Whoever watches is told every event of these levels, also those that are not written, on the thread that logs. Once, before there are threads. */
typedef void (*log_watcher)(enum log_level level, const char *event, const struct log_field *fields);
void log_watch(enum log_level least, log_watcher watcher);
/* "debug", "info", "warn", "error" */
const char *log_level_name(enum log_level level);
/* Somebody writes or watches events of this level. */
int log_enabled(enum log_level level);

/* log_event(LOG_WARN, "redis_error", LOG_STR("reason", "timeout"), LOG_INT("after_ms", 500));
 * writes  ts=2026-11-21T08:00:00.123Z level=warn event=redis_error reason=timeout after_ms=500  */
#define log_event(level, event, ...)                                                                          \
    do {                                                                                                      \
        if (log_enabled(level))                                                                               \
            log_emit(level, event, (const struct log_field[]){__VA_ARGS__, {.key = NULL}});                   \
    } while (0)

/* fields ends with a row whose key is NULL. Values are quoted and escaped where needed; a line is cut at 4 KiB. */
void log_emit(enum log_level level, const char *event, const struct log_field *fields);

#endif
