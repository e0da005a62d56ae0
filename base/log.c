#include "base/log.h"
#include "base/clock.h"

#include <errno.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Also PIPE_BUF: a write of this size or less to a pipe is never mixed with another process's. */
#define LINE_MAX_BYTES 4096
/* What the end of a line may need after its last value was cut. */
#define LINE_RESERVE (sizeof "\",\"cut\":true}\n" - 1)

static atomic_int log_min = LOG_INFO;
static atomic_int log_least = LOG_INFO; /* log_min, or what the watcher wants when that is less */
static int watched_level = LOG_ERROR + 1;
static log_watcher watcher;
static atomic_int log_fmt = LOG_LOGFMT;
static atomic_int log_fd = STDERR_FILENO;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

struct line {
    size_t len;
    bool cut; /* something did not fit: only the end of the line is still to come */
    bool json;
    char text[LINE_MAX_BYTES];
};

const char *log_level_name(enum log_level level)
{
    return level_names[level];
}

void log_setup(enum log_level level, enum log_format format, int fd)
{
    atomic_store(&log_min, (int)level);
    atomic_store(&log_least, (int)level < watched_level ? (int)level : watched_level);
    atomic_store(&log_fmt, (int)format);
    atomic_store(&log_fd, fd);
}

void log_watch(enum log_level least, log_watcher who)
{
    watcher = who;
    watched_level = who != NULL ? (int)least : LOG_ERROR + 1;
    int written = atomic_load(&log_min);
    atomic_store(&log_least, written < watched_level ? written : watched_level);
}

int log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_least, memory_order_relaxed);
}

/* All of it or nothing, and nothing more once something was left out: an escape is never halved. */
static void put(struct line *l, const char *p, size_t n)
{
    if (l->cut || l->len + n > sizeof l->text - LINE_RESERVE) {
        l->cut = true;
        return;
    }
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* For the end of a string or line, which has its room in the reserve. */
static void put_end(struct line *l, const char *text)
{
    size_t n = strlen(text);
    memcpy(l->text + l->len, text, n);
    l->len += n;
}

/* The length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 when there is none; *ret_cp
 * its value. */
static size_t utf8_length(const unsigned char *p, size_t left, uint32_t *ret_cp)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : p[0] >= 0xC0 ? 2 : 0;
    uint32_t cp = n == 1 ? p[0] : n == 0 ? 0 : p[0] & (0x7Fu >> n);

    if (n == 0 || n > left || p[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3F);
    }
    if (cp < least[n] || cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        return 0;
    *ret_cp = cp;
    return n;
}

/* Control characters (also DEL and C1, which terminals obey). */
static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7F && cp < 0xA0);
}

static void put_control(struct line *l, uint32_t cp)
{
    char esc[8];
    const char *name = cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : cp == '\t' ? "\\t" : NULL;

    if (name == NULL) {
        snprintf(esc, sizeof esc, "\\u%04x", (unsigned)cp);
        name = esc;
    }
    put_text(l, name);
}

/* The inside of a quoted string. A byte that is not UTF-8 is shown as \xHH; JSON has no such escape, so there
 * the backslash itself is escaped and the reader sees the same text. */
static void put_escaped(struct line *l, const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;

    for (size_t i = 0; i < len && !l->cut;) {
        uint32_t cp = 0;
        size_t n = utf8_length(p + i, len - i, &cp);
        if (n == 0) {
            char esc[8];
            int m = snprintf(esc, sizeof esc, l->json ? "\\\\x%02x" : "\\x%02x", p[i]);
            put(l, esc, (size_t)m);
            n = 1;
        } else if (is_control(cp)) {
            put_control(l, cp);
        } else if (cp == '"' || cp == '\\') {
            const char esc[2] = {'\\', (char)cp};
            put(l, esc, sizeof esc);
        } else {
            put(l, text + i, n);
        }
        i += n;
    }
}

/* logfmt writes a word without quotes when nothing in it can be misread. */
static bool is_plain(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c <= ' ' || c >= 0x7F || c == '"' || c == '=' || c == '\\')
            return false;
    }
    return len > 0;
}

static void put_string(struct line *l, const char *text, size_t len)
{
    if (!l->json && is_plain(text, len)) {
        for (size_t i = 0; i < len && !l->cut; i++)
            put(l, text + i, 1);
        return;
    }
    put(l, "\"", 1);
    if (l->cut)
        return;
    put_escaped(l, text, len);
    put_end(l, "\"");
}

/* JSON has no NaN and no infinities. */
static void put_double(struct line *l, double v)
{
    char text[40];

    if (l->json && !isfinite(v))
        put_text(l, "null");
    else
        put(l, text, (size_t)snprintf(text, sizeof text, "%.10g", v));
}

static void put_value(struct line *l, const struct log_field *f)
{
    char text[24];

    switch (f->kind) {
    case LOG_KIND_INT:
        put(l, text, (size_t)snprintf(text, sizeof text, "%lld", (long long)f->num));
        break;
    case LOG_KIND_DBL:
        put_double(l, f->dbl);
        break;
    case LOG_KIND_STR:
        put_string(l, f->str != NULL ? f->str : "", f->str != NULL ? strlen(f->str) : 0);
        break;
    case LOG_KIND_BYTES:
        put_string(l, f->str, f->len);
        break;
    }
}

static void put_key(struct line *l, const char *key)
{
    if (!l->json) {
        put_text(l, l->len > 0 ? " " : "");
        put_text(l, key);
        put_text(l, "=");
        return;
    }
    put_text(l, l->len > 1 ? ",\"" : "\"");
    put_escaped(l, key, strlen(key));
    put_text(l, "\":");
}

/* A string may be cut short; any other field is there whole or not at all. */
static void put_field(struct line *l, const struct log_field *f)
{
    size_t start = l->len;

    if (l->cut)
        return;
    put_key(l, f->key);
    size_t value = l->len;
    put_value(l, f);
    if (l->cut && l->len == value)
        l->len = start;
}

static void put_time(struct line *l)
{
    char text[CLOCK_TEXT];

    clock_text_ms(clock_wall_us(), text);
    put_field(l, &LOG_STR("ts", text));
}

static void write_line(const struct line *l)
{
    ssize_t n = 0;

    do
        n = write(atomic_load(&log_fd), l->text, l->len);
    while (n < 0 && errno == EINTR);
}

static void emit_line(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line l;

    l.len = 0;
    l.cut = false;
    l.json = atomic_load(&log_fmt) == LOG_JSON;
    if (l.json)
        put_text(&l, "{");
    put_time(&l);
    put_field(&l, &LOG_STR("level", level_names[level]));
    put_field(&l, &LOG_STR("event", event));
    for (; fields->key != NULL; fields++)
        put_field(&l, fields);
    if (l.cut)
        put_end(&l, l.json ? ",\"cut\":true" : " cut=true");
    put_end(&l, l.json ? "}\n" : "\n");
    write_line(&l);
}

void log_emit(enum log_level level, const char *event, const struct log_field *fields)
{
    int saved = errno; /* callers log errno's text and then still use it */

    if (watcher != NULL && (int)level >= watched_level)
        watcher(level, event, fields);
    if ((int)level >= atomic_load_explicit(&log_min, memory_order_relaxed))
        emit_line(level, event, fields);
    errno = saved;
}
