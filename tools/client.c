#include "tools/client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

struct place {
    char host[256], port[8];
    const char *path; /* of a unix socket, or NULL */
};

static bool parse_url(const char *url, struct place *p)
{
    const char *colon, *end;

    memset(p, 0, sizeof *p);
    if (strncmp(url, "unix:/", 6) == 0) {
        p->path = url + 5;
        return strlen(p->path) < sizeof((struct sockaddr_un *)0)->sun_path;
    }
    if (strncmp(url, "http://", 7) != 0)
        return false;
    url += 7;
    bool v6 = url[0] == '[';
    colon = v6 ? strstr(url, "]:") : strchr(url, ':');
    if (colon == NULL)
        return false;
    end = colon;
    colon += v6;
    size_t port_len = strspn(colon + 1, "0123456789");
    bool whole = colon[1 + port_len] == '\0' || strcmp(colon + 1 + port_len, "/") == 0;
    if (!whole || port_len == 0 || port_len >= sizeof p->port || (size_t)(end - url) >= sizeof p->host)
        return false;
    memcpy(p->host, url + v6, (size_t)(end - url) - v6);
    memcpy(p->port, colon + 1, port_len);
    return p->host[0] != '\0';
}

bool client_url_ok(const char *url)
{
    struct place p;
    return parse_url(url, &p);
}

static bool fail(char *why, size_t cap, const char *text)
{
    snprintf(why, cap, "%s", text);
    return false;
}

static int connect_one(int family, const struct sockaddr *addr, socklen_t len)
{
    struct timeval limit = {.tv_sec = CLIENT_TIMEOUT_S};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, addr, len) == 0)
        return fd;
    int error = errno == EINPROGRESS ? ETIMEDOUT : errno;
    close(fd);
    errno = error;
    return -1;
}

/* A name may have several addresses (localhost has two): the first that answers is taken. */
static int connect_tcp(const struct place *p, char *why, size_t cap)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    int rc = getaddrinfo(p->host, p->port, &hints, &list), fd = -1;

    if (rc != 0) {
        fail(why, cap, gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        fd = connect_one(a->ai_family, a->ai_addr, a->ai_addrlen);
    if (fd < 0)
        fail(why, cap, strerror(errno));
    freeaddrinfo(list);
    return fd;
}

static int connect_to(const struct place *p, char *why, size_t cap)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    if (p->path == NULL)
        return connect_tcp(p, why, cap);
    snprintf(local.sun_path, sizeof local.sun_path, "%s", p->path);
    int fd = connect_one(AF_UNIX, (struct sockaddr *)&local, sizeof local);
    if (fd < 0)
        fail(why, cap, strerror(errno));
    return fd;
}

static char *request_text(const struct client *c, const struct place *p, const char *method, const char *path,
                          const char *json, size_t *ret_len)
{
    char *own_text = NULL;
    bool v6 = strchr(p->host, ':') != NULL;
    FILE *out = open_memstream(&own_text, ret_len);

    if (out == NULL)
        abort();
    fprintf(out, "%s %s HTTP/1.0\r\nConnection: close\r\n", method, path);
    if (p->path == NULL)
        fprintf(out, v6 ? "Host: [%s]:%s\r\n" : "Host: %s:%s\r\n", p->host, p->port);
    if (c->token != NULL)
        fprintf(out, "Authorization: Bearer %s\r\n", c->token);
    if (json != NULL)
        fprintf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(json));
    fprintf(out, "\r\n%s", json != NULL ? json : "");
    fclose(out);
    return own_text;
}

static bool send_all(int fd, const char *p, size_t n, char *why, size_t cap)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return fail(why, cap, strerror(errno));
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool receive_all(int fd, char **ret_text, char *why, size_t cap)
{
    size_t len = 0, room = 65536;
    char *text = malloc(room);

    for (;;) {
        if (text == NULL || room > CLIENT_ANSWER_MAX)
            break;
        ssize_t n = recv(fd, text + len, room - len - 1, 0);
        if (n == 0) {
            text[len] = '\0';
            *ret_text = text;
            return true;
        }
        if (n < 0 && errno != EINTR) {
            free(text);
            return fail(why, cap, errno == EAGAIN ? "no answer" : strerror(errno));
        }
        len += n > 0 ? (size_t)n : 0;
        if (room - len < 2) {
            char *grown = realloc(text, room *= 2);
            if (grown == NULL)
                break;
            text = grown;
        }
    }
    free(text);
    return fail(why, cap, "the answer is too long");
}

static bool read_answer(char *own_text, struct answer *ret_answer, char *why, size_t cap)
{
    const char *body = strstr(own_text, "\r\n\r\n");
    int status = 0;

    if (body == NULL || sscanf(own_text, "HTTP/1.%*d %d", &status) != 1) {
        free(own_text);
        return fail(why, cap, "what answers there is not HTTP");
    }
    *ret_answer = (struct answer){status, own_text, body + 4};
    return true;
}

bool client_call(const struct client *c, const char *method, const char *path, const char *json,
                 struct answer *ret_answer, char *why, size_t why_cap)
{
    struct place place;
    size_t len;
    char *text = NULL;

    if (!parse_url(c->url, &place))
        return fail(why, why_cap, "not a URL like http://127.0.0.1:9380 or unix:/path");
    int fd = connect_to(&place, why, why_cap);
    if (fd < 0)
        return false;
    char *request = request_text(c, &place, method, path, json, &len);
    bool ok = send_all(fd, request, len, why, why_cap) && receive_all(fd, &text, why, why_cap);
    free(request);
    close(fd);
    return ok && read_answer(text, ret_answer, why, why_cap);
}

void answer_done(struct answer *a)
{
    free(a->text);
    *a = (struct answer){0};
}
