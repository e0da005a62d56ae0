#include "proxy/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define ENDS              "the admin server ends"
#define CONNECTION_MEMORY 32768           /* headers of one connection */
#define DISCARD_MAX       (1024L * 1024L) /* of a body that is too long anyway; then the connection is closed */

struct http {
    const struct http_setup *setup;
    struct MHD_Daemon *daemon;
    char *path; /* of the unix socket, to be removed at the end */
    int port;
    bool stopping; /* like later, under later_lock */
    struct http_later *later;
};

struct http_request {
    struct MHD_Connection *connection;
    char *body;
    size_t len, discarded;
    char *rest; /* of the path, for http_rest */
    struct http *http;
    bool begun;               /* a handler has seen it */
    bool refused;             /* it came while the server stops: reply has its answer */
    struct http_later *later; /* its answer is still to come */
    struct http_reply reply;  /* and what came */
};

/* An answer that is still to come. */
struct http_later {
    struct http *http;           /* NULL: it stops, and the request has been answered */
    struct http_request *request;
    struct http_later *next, **back; /* of the server's */
    struct http_reply reply;
};

/* Guards http.later and what it leads to; not of the server, which may be gone before its last answer. */
static pthread_mutex_t later_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- replies ---- */

void http_reply_text(struct http_reply *reply, unsigned status, const char *type, char *own_body, size_t len)
{
    free(reply->own_body);
    *reply = (struct http_reply){.status = status, .type = type, .own_body = own_body, .len = len};
}

void http_reply_json(struct http_reply *reply, unsigned status, cJSON *own_doc)
{
    char *own_text = cJSON_Print(own_doc);

    cJSON_Delete(own_doc);
    if (own_text == NULL)
        abort();
    http_reply_text(reply, status, "application/json", own_text, strlen(own_text));
}

void http_reply_error(struct http_reply *reply, unsigned status, const char *format, ...)
{
    char sentence[1200];
    va_list args;
    cJSON *doc = cJSON_CreateObject();

    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    cJSON_AddStringToObject(doc, "error", sentence);
    http_reply_json(reply, status, doc);
}

static void reply_too_large(struct http_reply *reply)
{
    http_reply_error(reply, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %d bytes", HTTP_BODY_MAX);
}

/* ---- requests ---- */

const char *http_header(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *http_query_bytes(const struct http_request *r, const char *name, size_t *ret_len)
{
    const char *value = NULL;

    *ret_len = 0;
    MHD_lookup_connection_value_n(r->connection, MHD_GET_ARGUMENT_KIND, name, strlen(name), &value, ret_len);
    return value;
}

void http_peer(const struct http_request *r, char address[HTTP_PEER])
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *from = info != NULL ? info->client_addr : NULL;
    socklen_t len = from == NULL || from->sa_family == AF_UNIX ? 0
                    : from->sa_family == AF_INET6              ? sizeof(struct sockaddr_in6)
                                                               : sizeof(struct sockaddr_in);

    if (len == 0 || getnameinfo(from, len, address, HTTP_PEER, NULL, 0, NI_NUMERICHOST) != 0)
        snprintf(address, HTTP_PEER, "unix");
}

const char *http_body(const struct http_request *r, size_t *ret_len)
{
    *ret_len = r->len;
    return r->body != NULL ? r->body : "";
}

const char *http_rest(const struct http_request *r)
{
    return r->rest;
}

cJSON *http_body_json(const struct http_request *r, struct http_reply *reply)
{
    size_t len;
    const char *body = http_body(r, &len), *end = NULL;
    cJSON *doc = cJSON_ParseWithLengthOpts(body, len, &end, 0);

    if (doc != NULL && strspn(end, " \t\r\n") == (size_t)(body + len - end))
        return doc;
    http_reply_error(reply, 400, "the body is not JSON, near byte %zu", (size_t)(end - body));
    cJSON_Delete(doc);
    return NULL;
}

const char *http_member(const cJSON *doc, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(doc, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* A body that outgrows the limit is read to its end, within reason, so that the client sees the reply. */
static enum MHD_Result take_body(struct http_request *r, const char *data, size_t n)
{
    if (r->discarded > 0 || r->len + n > HTTP_BODY_MAX) {
        r->discarded += n;
        return r->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
    }
    char *grown = realloc(r->body, r->len + n + 1);
    if (grown == NULL)
        return MHD_NO;
    memcpy(grown + r->len, data, n);
    r->body = grown;
    r->len += n;
    r->body[r->len] = '\0';
    return MHD_YES;
}

/* ---- routing ---- */

static bool method_fits(const struct http_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

bool http_path_fits(const char *pattern, const char *path, struct slice *ret_rest)
{
    size_t fixed = strcspn(pattern, "+");

    *ret_rest = (struct slice){"", 0};
    if (strncmp(pattern, path, fixed) != 0)
        return false;
    if (pattern[fixed] == '\0')
        return path[fixed] == '\0';
    *ret_rest = (struct slice){path + fixed, strcspn(path + fixed, "/")};
    return ret_rest->len > 0 && strcmp(ret_rest->p + ret_rest->len, pattern + fixed + 1) == 0;
}

static bool path_fits(const struct http_route *route, const char *path)
{
    struct slice rest;
    return http_path_fits(route->path, path, &rest);
}

/* The methods of a path, for Allow; empty when there is no such path. */
static void methods_of(const struct http_setup *setup, const char *path, char *allow, size_t cap)
{
    size_t at = 0;

    allow[0] = '\0';
    for (size_t i = 0; i < setup->route_count && at < cap; i++)
        if (path_fits(&setup->routes[i], path))
            at +=
                (size_t)snprintf(allow + at, cap - at, "%s%s%s", at > 0 ? ", " : "", setup->routes[i].method,
                                 strcmp(setup->routes[i].method, "GET") == 0 ? ", HEAD" : "");
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";

    if (type == NULL || strncasecmp(type, json, sizeof json - 1) != 0)
        return false;
    char next = type[sizeof json - 1];
    return next == '\0' || next == ';' || next == ' ';
}

/* A page of another site can make a browser send forms and plain text here, but neither JSON nor a DELETE, without asking us
 * first. */
static void run(const struct http_setup *setup, const struct http_route *route, const struct http_request *r,
                struct http_reply *reply)
{
    if (!setup->guard(setup->ctx, route, r, reply))
        return;
    if (route->changes && strcmp(route->method, "DELETE") != 0 && !is_json(http_header(r, "Content-Type")))
        http_reply_error(reply, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                         "the body must be JSON: Content-Type: application/json");
    else if (r->discarded > 0)
        http_reply_error(reply, MHD_HTTP_CONTENT_TOO_LARGE, "the body is larger than %d bytes",
                         HTTP_BODY_MAX);
    else
        route->handler(setup->ctx, r, reply);
}

static void answer(const struct http_setup *setup, const char *method, const char *path,
                   struct http_request *r, struct http_reply *reply, char *allow, size_t allow_cap)
{
    struct slice rest;

    for (size_t i = 0; i < setup->route_count; i++)
        if (http_path_fits(setup->routes[i].path, path, &rest) && method_fits(&setup->routes[i], method)) {
            r->rest = strndup(rest.p, rest.len);
            if (r->rest == NULL)
                abort();
            run(setup, &setup->routes[i], r, reply);
            return;
        }
    methods_of(setup, path, allow, allow_cap);
    if (allow[0] != '\0')
        http_reply_error(reply, MHD_HTTP_METHOD_NOT_ALLOWED, "%s is not allowed here; allowed: %s", method,
                         allow);
    else
        http_reply_error(reply, MHD_HTTP_NOT_FOUND, "there is nothing here; GET /api lists what there is");
}

/* Nothing from elsewhere is loaded, and nobody shows our pages inside theirs. */
#define POLICY "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

static void add_headers(struct MHD_Response *response, const struct http_reply *reply, const char *allow)
{
    const struct {
        const char *name, *value;
    } headers[] = {
        {"Content-Type", reply->type},
        {"Cache-Control", reply->cache != NULL ? reply->cache : "no-store"},
        {"X-Content-Type-Options", "nosniff"},
        {"Referrer-Policy", "no-referrer"},
        {"Content-Security-Policy", POLICY},
        {"Content-Encoding", reply->encoding},
        {"ETag", reply->tag},
        {"Vary", reply->vary},
        {"Allow", allow[0] != '\0' ? allow : NULL},
        {"WWW-Authenticate", reply->status == MHD_HTTP_UNAUTHORIZED ? "Bearer realm=\"convproxy\"" : NULL},
    };

    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (headers[i].value != NULL)
            MHD_add_response_header(response, headers[i].name, headers[i].value);
}

static enum MHD_Result send_reply(struct MHD_Connection *connection, const struct http_reply *reply,
                                  const char *allow)
{
    struct MHD_Response *response =
        reply->own_body != NULL
            ? MHD_create_response_from_buffer(reply->len, reply->own_body, MHD_RESPMEM_MUST_FREE)
            : MHD_create_response_from_buffer(reply->len, (void *)reply->body, MHD_RESPMEM_PERSISTENT);

    if (response == NULL) {
        free(reply->own_body);
        return MHD_NO;
    }
    add_headers(response, reply, allow);
    enum MHD_Result ok = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return ok;
}

static bool announces_too_much(const struct http_request *r)
{
    const char *length = http_header(r, "Content-Length");
    return length != NULL && strtoull(length, NULL, 10) > HTTP_BODY_MAX;
}

/* The first call: a body that is announced as too long is not even read. */
static enum MHD_Result begin(struct http *h, struct MHD_Connection *connection, void **state)
{
    struct http_request *r = calloc(1, sizeof *r);
    struct http_reply reply = {0};

    if (r == NULL)
        return MHD_NO;
    r->connection = connection;
    r->http = h;
    *state = r;
    if (!announces_too_much(r))
        return MHD_YES;
    reply_too_large(&reply);
    return send_reply(connection, &reply, "");
}

/* ---- answers that come later ---- */

/* Under the lock. */
static void suspend(struct http_request *r, struct http_later *l)
{
    *l = (struct http_later){.http = r->http, .request = r, .next = r->http->later, .back = &r->http->later};
    if (l->next != NULL)
        l->next->back = &l->next;
    r->later = r->http->later = l;
    MHD_suspend_connection(r->connection);
}

/* Nobody would let its connection go on any more: whatever answer comes, it is this. */
static void refuse(struct http_request *r)
{
    r->refused = true;
    http_reply_error(&r->reply, MHD_HTTP_SERVICE_UNAVAILABLE, ENDS);
}

struct http_later *http_defer(const struct http_request *r)
{
    struct http_request *mine = (struct http_request *)r; /* the handler only borrows it */
    struct http_later *l = calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    pthread_mutex_lock(&later_lock);
    if (mine->http->stopping)
        refuse(mine);
    else
        suspend(mine, l);
    pthread_mutex_unlock(&later_lock);
    return l;
}

/* Under the lock: the request is answered when its connection goes on. */
static void resume(struct http_later *l, const struct http_reply *reply)
{
    l->request->reply = *reply;
    l->request->later = NULL;
    *l->back = l->next;
    if (l->next != NULL)
        l->next->back = l->back;
    l->http = NULL;
    MHD_resume_connection(l->request->connection);
}

void http_deferred(struct http_later *own_l, const struct http_reply *reply)
{
    pthread_mutex_lock(&later_lock);
    if (own_l->http != NULL)
        resume(own_l, reply);
    else
        free(reply->own_body);
    pthread_mutex_unlock(&later_lock);
    free(own_l);
}

/* Their answers will find nobody, and no more are deferred. */
static void end_deferred(struct http *h)
{
    struct http_reply reply = {0};

    pthread_mutex_lock(&later_lock);
    h->stopping = true;
    while (h->later != NULL) {
        http_reply_error(&reply, MHD_HTTP_SERVICE_UNAVAILABLE, ENDS);
        resume(h->later, &reply);
        reply = (struct http_reply){0};
    }
    pthread_mutex_unlock(&later_lock);
}

/* Whether the answer was deferred and is still to come. */
static bool must_wait(const struct http_request *r)
{
    pthread_mutex_lock(&later_lock);
    bool waits = r->later != NULL;
    pthread_mutex_unlock(&later_lock);
    return waits;
}

/* Called first with the headers, then with each piece of the body, then once more: that call answers. */
static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **state)
{
    struct http *h = ctx;
    struct http_request *r = *state;
    struct http_reply reply = {0};
    char allow[64] = "";

    if (r == NULL)
        return begin(h, connection, state);
    if (*size > 0) {
        size_t n = *size;
        *size = 0;
        return take_body(r, data, n);
    }
    if (!r->begun) {
        r->begun = true;
        answer(h->setup, method, path, r, &reply, allow, sizeof allow);
        if (reply.status != 0)
            return send_reply(connection, &reply, allow);
        if (!r->refused)
            return MHD_YES; /* deferred: this is called again when the connection goes on, be it at once */
    }
    if (must_wait(r))
        return MHD_YES;
    reply = r->reply;
    r->reply = (struct http_reply){0};
    return send_reply(connection, &reply, allow);
}

static void on_completed(void *ctx, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode code)
{
    struct http_request *r = *state;

    if (r == NULL)
        return;
    free(r->reply.own_body);
    free(r->rest);
    free(r->body);
    free(r);
    *state = NULL;
}

/* ---- the socket ---- */

static bool fail(struct reason *why, const char *what, int error)
{
    snprintf(why->text, sizeof why->text, "%s: %s", what, strerror(error));
    return false;
}

/* A socket that nobody listens on any more is left behind by a process that was killed. */
static void remove_stale(const struct sockaddr_un *addr)
{
    struct stat st;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && lstat(addr->sun_path, &st) == 0 && S_ISSOCK(st.st_mode) &&
        connect(fd, (const struct sockaddr *)addr, sizeof *addr) != 0 && errno == ECONNREFUSED)
        unlink(addr->sun_path);
    if (fd >= 0)
        close(fd);
}

static bool bind_unix(int fd, const char *path, struct reason *why)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    remove_stale(&addr);
    if (bind(fd, (struct sockaddr *)&addr, sizeof addr) != 0)
        return fail(why, path, errno);
    if (chmod(path, 0600) != 0) /* whoever can open it can change settings */
        return fail(why, path, errno);
    return true;
}

static bool bind_tcp(int fd, const struct addrinfo *to, const char *shown, struct reason *why)
{
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    return bind(fd, to->ai_addr, to->ai_addrlen) == 0 || fail(why, shown, errno);
}

static struct addrinfo *look_up(const struct net_address *address, char *shown, size_t cap,
                                struct reason *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV},
                    *list = NULL;
    char port[8];

    snprintf(port, sizeof port, "%d", address->port);
    snprintf(shown, cap, strchr(address->host, ':') != NULL ? "[%s]:%s" : "%s:%s", address->host, port);
    int rc = getaddrinfo(address->host, port, &hints, &list);
    if (rc == 0)
        return list;
    snprintf(why->text, sizeof why->text, "%s: %s", shown, gai_strerror(rc));
    return NULL;
}

/* A listening descriptor, or -1. */
static int open_listener(const struct net_address *address, struct reason *why)
{
    char shown[300] = "";
    struct addrinfo *to = NULL;

    if (address->path == NULL && (to = look_up(address, shown, sizeof shown, why)) == NULL)
        return -1;
    int fd = socket(to != NULL ? to->ai_family : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 || fail(why, "socket", errno);
    if (ok)
        ok = to != NULL ? bind_tcp(fd, to, shown, why) : bind_unix(fd, address->path, why);
    if (ok && listen(fd, HTTP_CONNECTIONS) != 0)
        ok = fail(why, shown, errno);
    if (to != NULL)
        freeaddrinfo(to);
    if (!ok && fd >= 0)
        close(fd);
    return ok ? fd : -1;
}

static int port_of(int fd)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;

    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    if (addr.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&addr)->sin_port);
    return addr.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&addr)->sin6_port) : 0;
}

/* ---- public ---- */

enum err http_start(const struct net_address *address, const struct http_setup *setup, struct http **ret_http,
                    struct reason *why)
{
    int fd = open_listener(address, why);
    if (fd < 0)
        return ERR_IO;
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL)
        abort();
    h->setup = setup;
    h->port = port_of(fd);
    h->path = address->path != NULL ? strdup(address->path) : NULL;
    h->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h, MHD_OPTION_LISTEN_SOCKET, fd,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)HTTP_IDLE_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
    if (h->daemon == NULL) {
        snprintf(why->text, sizeof why->text, "libmicrohttpd refused to start");
        close(fd);
        free(h->path);
        free(h);
        return ERR_IO;
    }
    *ret_http = h;
    return ERR_NONE;
}

int http_port(const struct http *h)
{
    return h->port;
}

void http_stop(struct http *own_h)
{
    if (own_h == NULL)
        return;
    end_deferred(own_h);
    MHD_stop_daemon(own_h->daemon);
    if (own_h->path != NULL)
        unlink(own_h->path);
    free(own_h->path);
    free(own_h);
}
