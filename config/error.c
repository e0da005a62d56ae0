#include "config/error.h"

#include "config/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *or_abort(void *p)
{
    if (p == NULL) {
        fputs("convproxy: out of memory while reading the settings\n", stderr);
        abort();
    }
    return p;
}

void *must_alloc(size_t size)
{
    return or_abort(calloc(1, size));
}

void *must_grow(void *own_p, size_t size)
{
    return or_abort(realloc(own_p, size));
}

char *must_dup(const char *text)
{
    return or_abort(strdup(text));
}

char *must_copy(const char *p, size_t len)
{
    char *text = must_alloc(len + 1);
    memcpy(text, p, len);
    return text;
}

char *must_print(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    return or_abort(len < 0 ? NULL : text);
}

const char *quote(const char *text, char buf[QUOTE_TEXT])
{
    size_t len = strlen(text), most = QUOTE_TEXT - sizeof "'...'";
    bool cut = len > most;

    if (cut)
        for (len = most; len > 0 && ((unsigned char)text[len] & 0xC0) == 0x80;)
            len--; /* not inside a UTF-8 sequence */
    buf[0] = '\'';
    for (size_t i = 0; i < len; i++)
        buf[i + 1] = (unsigned char)text[i] < ' ' || text[i] == 0x7F ? '?' : text[i];
    strcpy(buf + len + 1, cut ? "...'" : "'");
    return buf;
}

bool because(struct reason *why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(why->text, sizeof why->text, format, args);
    va_end(args);
    return false;
}

void config_error_set(struct config_error *err, const char *label, const char *name, const char *reason)
{
    snprintf(err->name, sizeof err->name, "%s", name);
    snprintf(err->reason, sizeof err->reason, "%s", reason);
    snprintf(err->text, sizeof err->text, "%s%s%s", label, label[0] == '\0' ? "" : ": ", reason);
}
