#include "config/mdoc.h"

#include <stdbool.h>
#include <string.h>

#define WIDTH 70 /* where lines of the page's source are broken: escapes make them longer */

static const struct {
    char byte;
    const char *escape;
} escapes[] = {{'\\', "\\e"}, {'-', "\\-"}, {'"', "\\(dq"}, {'\'', "\\(aq"}};

/* The bytes of the character that begins at p; *ret_code is its number. What is not UTF-8 is one byte. */
static int character(const char *p, int left, unsigned *ret_code)
{
    unsigned char first = (unsigned char)*p;
    int len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;

    if (len > left)
        len = 1;
    *ret_code = len == 1 ? first : first & (0xffu >> (len + 1));
    for (int i = 1; i < len; i++)
        *ret_code = *ret_code << 6 | ((unsigned char)p[i] & 0x3f);
    return len;
}

void mdoc_word(FILE *out, const char *word, int len)
{
    unsigned code;

    for (int i = 0; i < len;) {
        int n = character(word + i, len - i, &code);
        const char *escape = NULL;
        for (size_t k = 0; k < sizeof escapes / sizeof escapes[0] && n == 1; k++)
            if (word[i] == escapes[k].byte)
                escape = escapes[k].escape;
        if (escape != NULL)
            fputs(escape, out);
        else if (n > 1)
            fprintf(out, "\\[u%04X]", code);
        else
            putc(word[i], out);
        i += n;
    }
}

void mdoc_text(FILE *out, const char *text)
{
    int at = 0;

    while (*text != '\0') {
        int len = (int)strcspn(text, " ");
        if (at > 0)
            putc(at + len > WIDTH ? '\n' : ' ', out);
        at = at + len > WIDTH ? 0 : at;
        if (at == 0 && (text[0] == '.' || text[0] == '\''))
            fputs("\\&", out);
        mdoc_word(out, text, len);
        at += len + 1;
        bool sentence = len > 1 && text[len - 1] == '.' && text[len] == ' ' && text[len - 2] != '.';
        if (sentence)
            putc('\n', out);
        at = sentence ? 0 : at;
        text += len + (text[len] == ' ');
    }
    putc('\n', out);
}
