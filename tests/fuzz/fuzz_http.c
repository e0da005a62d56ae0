/* One HTTP request through the admin server's routes, guard, queries, bodies and handlers, as libmicrohttpd hands them over; the rest of the
 * process is tests/unit/proxy/fake_server. Whatever comes, there is exactly one answer with a known status, JSON answers are JSON, errors
 * say why, and nothing tells a secret.
 *
 *   input: "METHOD /path?a=b&c=%41" LF  { "Name: value" LF }  LF  body */
#include "base/log.h"
#include "proxy/admin.h"
#include "tests/fuzz/check.h"
#include "tests/unit/proxy/fake_server.h"

#include <cjson/cJSON.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define TOKEN "s3cret-token"
#define PAIRS 32
#define PIECE 777 /* bytes of a body in one call */

struct pair {
    char *name, *value;
    size_t len;
};

struct MHD_Connection {
    struct pair headers[PAIRS], query[PAIRS];
    size_t nheaders, nquery;
    bool suspended, resumed;
    unsigned answers, status;
    struct MHD_Response *response;
};

struct MHD_Response {
    char *own_body;
    const char *body;
    size_t len;
    const char *type;
};

/* What the proxy's http.c has given to MHD_start_daemon. */
static MHD_AccessHandlerCallback handler;
static MHD_RequestCompletedCallback completed;
static void *handler_ctx;
static int listening = -1;
static bool told_token; /* the request has it: an answer may repeat what was asked */

/* ---- libmicrohttpd, as far as proxy/http.c uses it ---- */

struct MHD_Daemon *MHD_start_daemon(unsigned int flags, uint16_t port, MHD_AcceptPolicyCallback apc, void *apc_ctx,
                                    MHD_AccessHandlerCallback dh, void *dh_ctx, ...)
{
    va_list args;

    handler = dh;
    handler_ctx = dh_ctx;
    va_start(args, dh_ctx);
    for (int option = va_arg(args, int); option != MHD_OPTION_END; option = va_arg(args, int)) {
        if (option == MHD_OPTION_LISTEN_SOCKET) {
            listening = va_arg(args, int);
        } else if (option == MHD_OPTION_NOTIFY_COMPLETED) {
            completed = va_arg(args, MHD_RequestCompletedCallback);
            (void)va_arg(args, void *);
        } else if (option == MHD_OPTION_CONNECTION_MEMORY_LIMIT) {
            (void)va_arg(args, size_t);
        } else {
            (void)va_arg(args, unsigned);
        }
    }
    va_end(args);
    return (struct MHD_Daemon *)&handler;
}

void MHD_stop_daemon(struct MHD_Daemon *daemon)
{
    close(listening);
}

static const struct pair *find(const struct pair *pairs, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(pairs[i].name, name) == 0)
            return &pairs[i];
    return NULL;
}

enum MHD_Result MHD_lookup_connection_value_n(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *key, size_t key_size,
                                              const char **value, size_t *size)
{
    const struct pair *p = kind == MHD_HEADER_KIND ? find(c->headers, c->nheaders, key) : find(c->query, c->nquery, key);

    if (p == NULL)
        return MHD_NO;
    *value = p->value;
    *size = p->len;
    return MHD_YES;
}

const char *MHD_lookup_connection_value(struct MHD_Connection *c, enum MHD_ValueKind kind, const char *key)
{
    const char *value = NULL;
    size_t len;

    return MHD_lookup_connection_value_n(c, kind, key, strlen(key), &value, &len) == MHD_YES ? value : NULL;
}

const union MHD_ConnectionInfo *MHD_get_connection_info(struct MHD_Connection *c, enum MHD_ConnectionInfoType type, ...)
{
    return NULL;
}

struct MHD_Response *MHD_create_response_from_buffer(size_t size, void *buffer, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *r = calloc(1, sizeof *r);

    CHECK(r != NULL);
    *r = (struct MHD_Response){.own_body = mode == MHD_RESPMEM_MUST_FREE ? buffer : NULL, .body = buffer, .len = size};
    return r;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *r, const char *header, const char *content)
{
    CHECK(strpbrk(content, "\r\n") == NULL);
    if (strcmp(header, "Content-Type") == 0)
        r->type = content;
    return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *c, unsigned int status, struct MHD_Response *r)
{
    CHECK(!c->suspended);
    c->answers++;
    c->status = status;
    c->response = r;
    return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *r)
{
}

void MHD_suspend_connection(struct MHD_Connection *c)
{
    c->suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *c)
{
    CHECK(c->suspended);
    c->resumed = true;
}

/* ---- one request ---- */

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c != '\0' ? strchr(digits, c | 0x20) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static size_t decode(char *text)
{
    char *to = text;

    for (const char *p = text; *p != '\0'; p++) {
        bool is_hex = p[0] == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0;
        *to++ = is_hex ? (char)(hex(p[1]) * 16 + hex(p[2])) : *p == '+' ? ' ' : *p;
        p += is_hex ? 2 : 0;
    }
    *to = '\0';
    return (size_t)(to - text);
}

static void add(struct pair *pairs, size_t *n, char *name, char *value)
{
    if (*n == PAIRS)
        return;
    pairs[*n] = (struct pair){name, value, strlen(value)};
    ++*n;
}

static void take_query(struct MHD_Connection *c, char *query)
{
    char *save = NULL;

    for (char *p = strtok_r(query, "&", &save); p != NULL; p = strtok_r(NULL, "&", &save)) {
        char *value = strchr(p, '=');
        if (value == NULL)
            continue;
        *value++ = '\0';
        decode(p);
        add(c->query, &c->nquery, p, value);
        if (c->nquery > 0)
            c->query[c->nquery - 1].len = decode(value);
    }
}

static void take_headers(struct MHD_Connection *c, char *lines)
{
    char *save = NULL;

    for (char *p = strtok_r(lines, "\n", &save); p != NULL; p = strtok_r(NULL, "\n", &save)) {
        char *value = strstr(p, ": ");
        if (value == NULL)
            continue;
        *value = '\0';
        add(c->headers, &c->nheaders, p, value + 2);
    }
}

static bool is_json(const struct MHD_Response *r)
{
    return r->type != NULL && strcmp(r->type, "application/json") == 0;
}

static void check_answer(const struct MHD_Connection *c)
{
    const struct MHD_Response *r = c->response;

    CHECK(c->answers == 1 && c->status >= 200 && c->status < 600 && r != NULL && r->type != NULL);
    CHECK(told_token || r->len == 0 || memmem(r->body, r->len, TOKEN, strlen(TOKEN)) == NULL);
    CHECK(c->status < 400 || is_json(r));
    if (!is_json(r))
        return;
    cJSON *doc = cJSON_ParseWithLength(r->body, r->len);
    CHECK(doc != NULL);
    bool health = cJSON_HasObjectItem(doc, "healthy") || cJSON_HasObjectItem(doc, "ready");
    CHECK(c->status < 400 || health || cJSON_IsString(cJSON_GetObjectItem(doc, "error")));
    cJSON_Delete(doc);
}

/* As libmicrohttpd does: the headers, the body in pieces, the end; and again when it was suspended and goes on. */
static void deliver(struct MHD_Connection *c, const char *method, const char *path, const char *body, size_t len)
{
    void *state = NULL;
    size_t none = 0;

    CHECK(handler(handler_ctx, c, path, method, "HTTP/1.1", NULL, &none, &state) == MHD_YES);
    for (size_t at = 0, n; at < len && c->answers == 0; at += n) {
        size_t left = n = len - at < PIECE ? len - at : PIECE;
        if (handler(handler_ctx, c, path, method, "HTTP/1.1", body + at, &left, &state) != MHD_YES)
            break;
        CHECK(left == 0);
    }
    if (c->answers == 0)
        CHECK(handler(handler_ctx, c, path, method, "HTTP/1.1", NULL, &none, &state) == MHD_YES);
    CHECK(!c->suspended || c->resumed); /* there is no clerk: it is answered at once */
    c->suspended = false;
    if (c->answers == 0)
        CHECK(handler(handler_ctx, c, path, method, "HTTP/1.1", NULL, &none, &state) == MHD_YES);
    check_answer(c);
    completed(NULL, c, &state, MHD_REQUEST_TERMINATED_COMPLETED_OK);
    CHECK(state == NULL);
    free(c->response->own_body);
    free(c->response);
}

/* Cuts the text in place at the first occurrence of end; what follows it, or NULL. */
static char *cut(char *text, const char *end)
{
    char *at = text != NULL ? strstr(text, end) : NULL;

    if (at == NULL)
        return NULL;
    *at = '\0';
    return at + strlen(end);
}

static void request(char *text, size_t size)
{
    struct MHD_Connection c = {.nheaders = 0};
    char *body = cut(text, "\n\n"), *headers = cut(text, "\n"), *path = cut(text, " "), *query = cut(path, "?");

    if (path == NULL)
        return;
    if (query != NULL)
        take_query(&c, query);
    if (headers != NULL)
        take_headers(&c, headers);
    decode(path);
    deliver(&c, text, path, body, body != NULL ? (size_t)(text + size - body) : 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sets[] = {"log.level=error", "admin.listen=127.0.0.1:0", "admin.token=" TOKEN, "archive.faults=yes"};
    /* With a token half of the requests would end at the guard. */
    bool asks = size > 0 && data[size - 1] == '!';
    char why[300], *text = calloc(1, size + 1);

    CHECK(text != NULL);
    memcpy(text, data, size);
    told_token = memmem(data, size, TOKEN, strlen(TOKEN)) != NULL;
    log_setup(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    fake_stats();
    struct server *s = fake_server_new(sets, asks ? 4 : 2);
    fake_server_place(s, "conv", PLACE_REDIS);
    struct admin *admin = admin_start(s, why, sizeof why);
    CHECK(admin != NULL);
    request(text, size);
    admin_stop(admin);
    fake_server_free(s);
    free(text);
    return 0;
}
