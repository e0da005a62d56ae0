/* proxy/lines — the lines of CONV's answers: redis-cli shows an array of texts well, whichever protocol it speaks.
 * Owns:       the lines; lines_answer leaves them to be freed with free().
 * Threads:    [loop] only.          Used by: proxy/local_conv, proxy/local_moves. */
#ifndef PROXY_LINES_H
#define PROXY_LINES_H

#include "proxy/session.h"

#define LINES    128 /* more are left out */
#define LINE_CAP 320

struct lines {
    size_t count;
    char text[LINES][LINE_CAP];
};

struct lines *lines_new(void);
__attribute__((format(printf, 2, 3))) void lines_add(struct lines *l, const char *format, ...);
void lines_put(struct chain *out, const struct lines *l);
/* Always true: the client is answered. */
bool lines_answer(struct session *s, const struct lines *l);
/* An argument as a C string, cut to fit. */
void lines_word(struct slice arg, char *buf, size_t cap);

#endif
