#include "proxy/lines.h"

#include "proxy/slot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct lines *lines_new(void)
{
    struct lines *l = calloc(1, sizeof *l);
    if (l == NULL)
        abort();
    return l;
}

void lines_add(struct lines *l, const char *format, ...)
{
    va_list args;

    if (l->count == LINES)
        return;
    va_start(args, format);
    vsnprintf(l->text[l->count++], LINE_CAP, format, args);
    va_end(args);
}

void lines_put(struct chain *out, const struct lines *l)
{
    build_array(out, l->count);
    for (size_t i = 0; i < l->count; i++)
        build_text(out, l->text[i]);
}

bool lines_answer(struct session *s, const struct lines *l)
{
    lines_put(slot_answer(s), l);
    slot_answered(s);
    return true;
}

void lines_word(struct slice arg, char *buf, size_t cap)
{
    snprintf(buf, cap, "%.*s", (int)(arg.len < cap ? arg.len : cap - 1), arg.p);
}
