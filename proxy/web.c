#include "proxy/web.h"

#include <string.h>
#include <strings.h>

bool web_wants_page(const struct http_request *r)
{
    const char *accept = http_header(r, "Accept");
    return accept != NULL && strcasestr(accept, "text/html") != NULL;
}

/* "gzip" as one of the words, and not with q=0. */
static bool takes_gzip(const struct http_request *r)
{
    const char *given = http_header(r, "Accept-Encoding");

    for (const char *word = given; word != NULL && *word != '\0'; word += *word == ',') {
        size_t len = strcspn(word, ",");
        const char *begin = word + strspn(word, " \t");
        word += len;
        if (strncasecmp(begin, "gzip", 4) != 0 || strchr(" \t;,", begin[4]) == NULL)
            continue;
        const char *weight = memmem(begin, (size_t)(word - begin), "q=0", 3);
        bool none = weight != NULL && strspn(weight + 3, ".0") == strcspn(weight + 3, " \t,;");
        return !none;
    }
    return false;
}

/* If-None-Match: a list of tags, or "*". */
static bool has_it(const struct http_request *r, const char *tag)
{
    const char *given = http_header(r, "If-None-Match");
    return given != NULL && (strcmp(given, "*") == 0 || strstr(given, tag) != NULL);
}

static const struct web_file *find(const char *name)
{
    for (size_t i = 0; i < web_file_count; i++)
        if (strcmp(web_files[i].name, name) == 0)
            return &web_files[i];
    return NULL;
}

void web_reply(const struct http_request *r, const char *name, struct http_reply *reply)
{
    const struct web_file *f = find(name);

    if (f == NULL) {
        http_reply_error(reply, 404, "there is no such file; GET /api lists what there is");
        return;
    }
    bool packed = takes_gzip(r);
    const char *tag = packed ? f->packed_tag : f->tag;
    bool same = has_it(r, tag);
    *reply = (struct http_reply){.status = same ? 304 : 200, .type = f->type, .cache = "no-cache", .tag = tag};
    reply->vary = "Accept-Encoding";
    if (same)
        return;
    reply->encoding = packed ? "gzip" : NULL;
    reply->body = packed ? f->packed : f->plain;
    reply->len = packed ? f->packed_len : f->plain_len;
}
