#include "config/events.h"

#include "config/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool events_fail(struct reader *r, size_t line, const char *format, ...)
{
    struct reason why;
    va_list args;
    va_start(args, format);
    vsnprintf(why.text, sizeof why.text, format, args);
    va_end(args);
    char *label = must_print("%s:%zu", r->path, line);
    config_error_set(r->err, label, "", why.text);
    free(label);
    return false;
}

size_t events_line(const struct reader *r)
{
    return r->event.start_mark.line + 1;
}

static bool line_starts_with_tab(const struct reader *r, size_t line)
{
    const char *p = r->text, *end = r->text + r->len;
    for (size_t n = 1; n < line && p != NULL; n++)
        if ((p = memchr(p, '\n', (size_t)(end - p))) != NULL)
            p++;
    if (p == NULL)
        return false;
    while (p < end && *p == ' ')
        p++;
    return p < end && *p == '\t';
}

static bool fail_parser(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem == NULL ? "unreadable" : p->problem;

    if (p->error == YAML_READER_ERROR) {
        size_t line = 1;
        for (size_t i = 0; i < p->problem_offset && i < r->len; i++)
            line += r->text[i] == '\n';
        return events_fail(r, line, "not a UTF-8 text: %s", problem);
    }
    size_t line = p->problem_mark.line + 1;
    if (line_starts_with_tab(r, line))
        return events_fail(r, line, "a tab at the start of the line; YAML wants spaces");
    return events_fail(r, line, "not valid YAML: %s%s%s", problem, p->context == NULL ? "" : ", ",
                       p->context == NULL ? "" : p->context);
}

/* Marks mostly come in order, so the search goes on from the last one. */
size_t events_byte(struct reader *r, const yaml_mark_t *mark)
{
    if (mark->index < r->seen_chars)
        r->seen_chars = r->seen_bytes = 0;
    while (r->seen_chars < mark->index && r->seen_bytes < r->len) {
        r->seen_bytes++;
        while (r->seen_bytes < r->len && ((unsigned char)r->text[r->seen_bytes] & 0xC0) == 0x80)
            r->seen_bytes++;
        r->seen_chars++;
    }
    return r->seen_bytes;
}

/* Refuses what has a meaning in YAML that a settings file has no use for. */
static bool check_plainness(struct reader *r)
{
    const yaml_event_t *e = &r->event;
    const yaml_char_t *anchor = NULL, *tag = NULL;

    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        if (strlen((const char *)e->data.scalar.value) != e->data.scalar.length)
            return events_fail(r, events_line(r), "a NUL byte in a text");
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    }
    if (anchor != NULL || e->type == YAML_ALIAS_EVENT)
        return events_fail(
            r, events_line(r),
            "anchors (&) and aliases (*) are not supported; quote a text that starts with * or &");
    if (tag != NULL)
        return events_fail(r, events_line(r), "tags (!) are not supported; quote a text that starts with !");
    return true;
}

bool events_next(struct reader *r)
{
    yaml_event_delete(&r->event);
    if (!yaml_parser_parse(&r->parser, &r->event)) {
        memset(&r->event, 0, sizeof r->event);
        return fail_parser(r);
    }
    return check_plainness(r);
}

const char *events_text(const struct reader *r)
{
    return (const char *)r->event.data.scalar.value;
}

/* "key:" with nothing behind it. */
bool events_nothing(const struct reader *r)
{
    return r->event.type == YAML_SCALAR_EVENT && r->event.data.scalar.length == 0 &&
           r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

const char *events_shape(const struct reader *r)
{
    switch (r->event.type) {
    case YAML_MAPPING_START_EVENT:
        return "a mapping";
    case YAML_SEQUENCE_START_EVENT:
        return "a list";
    default:
        return events_nothing(r) ? "nothing" : "a text";
    }
}

bool events_open(struct reader *r)
{
    if (!yaml_parser_initialize(&r->parser))
        return false;
    /* Told the encoding, libyaml does not take a file of another one for what it is not. */
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)r->text, r->len);
    return true;
}

void events_close(struct reader *r)
{
    yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}
