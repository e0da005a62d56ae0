#include "resp/build.h"
#include "base/decimal.h"

#include <stdarg.h>
#include <string.h>

#define HEADER_MOST 24

/* "<type><number>\r\n" into buf (at least HEADER_MOST bytes); returns its length. */
static size_t header(char *buf, char type, int64_t value)
{
    buf[0] = type;
    size_t len = 1 + decimal_print(buf + 1, value);
    buf[len++] = '\r';
    buf[len++] = '\n';
    return len;
}

/* Most are of one or two digits. */
static inline size_t short_header(char *buf, char type, size_t value)
{
    if (value >= 100)
        return header(buf, type, (int64_t)value);
    size_t len = 1;
    buf[0] = type;
    if (value >= 10)
        buf[len++] = (char)('0' + value / 10);
    buf[len] = (char)('0' + value % 10);
    buf[len + 1] = '\r';
    buf[len + 2] = '\n';
    return len + 3;
}

static void put_header(struct chain *c, char type, int64_t value)
{
    char buf[HEADER_MOST];
    chain_put(c, buf, header(buf, type, value));
}

/* One line. A CR or LF in the text, which may quote what a client sent, would start a second reply: it
 * becomes a space, as in Redis. */
static void put_line(struct chain *c, const char *type, const char *text)
{
    chain_put(c, type, 1);
    while (*text != '\0') {
        size_t n = strcspn(text, "\r\n");
        chain_put(c, text, n);
        text += n;
        if (*text != '\0') {
            chain_put(c, " ", 1);
            text++;
        }
    }
    chain_put(c, "\r\n", 2);
}

void build_status(struct chain *c, const char *text)
{
    put_line(c, "+", text);
}

void build_error(struct chain *c, const char *line)
{
    put_line(c, "-", line);
}

void build_err(struct chain *c, enum err e, const char *detail)
{
    char line[512];
    size_t n = err_line(line, sizeof line, e, detail);
    chain_put(c, line, n);
    chain_put(c, "\r\n", 2);
}

void build_int(struct chain *c, int64_t value)
{
    put_header(c, ':', value);
}

void build_bulk(struct chain *c, const void *p, size_t n)
{
    char *room = chain_room(c, n + HEADER_MOST + 2);
    size_t head;

    if (room == NULL) {
        put_header(c, '$', (int64_t)n);
        chain_put(c, p, n);
        chain_put(c, "\r\n", 2);
        return;
    }
    head = short_header(room, '$', n);
    if (n > 0)
        memcpy(room + head, p, n);
    memcpy(room + head + n, "\r\n", 2);
    chain_grow(c, head + n + 2);
}

void build_number(struct chain *c, int64_t value)
{
    char text[DECIMAL_MAX];
    build_bulk(c, text, decimal_print(text, value));
}

void build_double(struct chain *c, enum resp resp, const char *digits, size_t n)
{
    if (resp == RESP2) {
        build_bulk(c, digits, n);
        return;
    }
    chain_put(c, ",", 1);
    chain_put(c, digits, n);
    chain_put(c, "\r\n", 2);
}

void build_text(struct chain *c, const char *text)
{
    build_bulk(c, text, strlen(text));
}

void build_null(struct chain *c, enum resp resp)
{
    if (resp == RESP3)
        chain_put(c, "_\r\n", 3);
    else
        chain_put(c, "$-1\r\n", 5);
}

void build_null_array(struct chain *c, enum resp resp)
{
    if (resp == RESP3)
        chain_put(c, "_\r\n", 3);
    else
        chain_put(c, "*-1\r\n", 5);
}

void build_array(struct chain *c, size_t items)
{
    char buf[HEADER_MOST];
    chain_put(c, buf, short_header(buf, '*', items));
}

void build_map(struct chain *c, enum resp resp, size_t pairs)
{
    put_header(c, resp == RESP3 ? '%' : '*', (int64_t)(resp == RESP3 ? pairs : 2 * pairs));
}

void build_set(struct chain *c, enum resp resp, size_t items)
{
    put_header(c, resp == RESP3 ? '~' : '*', (int64_t)items);
}

void build_push(struct chain *c, enum resp resp, size_t items)
{
    put_header(c, resp == RESP3 ? '>' : '*', (int64_t)items);
}

void build_verbatim(struct chain *c, enum resp resp, const void *p, size_t n)
{
    if (resp == RESP2) {
        build_bulk(c, p, n);
        return;
    }
    put_header(c, '=', (int64_t)n + 4);
    chain_put(c, "txt:", 4);
    chain_put(c, p, n);
    chain_put(c, "\r\n", 2);
}

void build_request(struct chain *c, const struct slice *argv, size_t argc)
{
    build_array(c, argc);
    for (size_t i = 0; i < argc; i++)
        build_bulk(c, argv[i].p, argv[i].len);
}

void build_command(struct chain *c, const char *verb, ...)
{
    size_t argc = 1;
    va_list ap, again;

    va_start(ap, verb);
    va_copy(again, ap);
    while (va_arg(ap, const char *) != NULL)
        argc++;
    va_end(ap);
    build_array(c, argc);
    for (const char *arg = verb; arg != NULL; arg = va_arg(again, const char *))
        build_text(c, arg);
    va_end(again);
}
