#include "proxy/listener.h"

#include "base/log.h"
#include "config/url.h"
#include "proxy/address.h"
#include "proxy/server.h"
#include "proxy/session.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG      4096
#define ACCEPT_BURST 64

struct listener {
    uv_poll_t poll; /* first */
    struct listener *next;
    struct loop *loop;
    int fd;
    bool secure; /* its clients speak TLS */
    bool
        exhausted; /* no descriptors or memory are left: stopped until listener_second, or accept would fail all the time */
};

/* ---- opening ---- */

static int try_bind(const struct addrinfo *a, bool share)
{
    int one = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (share)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int open_net(const struct net_address *address, bool check_free, char *why, size_t why_cap)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    char port[8];

    snprintf(port, sizeof port, "%d", address->port);
    int rc = getaddrinfo(address->host, port, &hints, &list);
    if (rc != 0) {
        snprintf(why, why_cap, "%s", gai_strerror(rc));
        return -1;
    }
    int fd = check_free ? try_bind(list, false) : 0; /* shared ports are refused to one who does not share */
    if (check_free && fd >= 0)
        close(fd);
    if (fd >= 0)
        fd = try_bind(list, true);
    freeaddrinfo(list);
    if (fd < 0)
        snprintf(why, why_cap, "%s%s", strerror(-fd),
                 fd == -EADDRINUSE ? "; a running convproxy can be taken over with --takeover" : "");
    return fd < 0 ? -1 : fd;
}

static bool is_listening(const struct sockaddr_un *addr)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && (connect(fd, (const struct sockaddr *)addr, sizeof *addr) == 0 || errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return yes;
}

static int open_unix(const char *path, char *why, size_t why_cap)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct addrinfo a = {
        .ai_family = AF_UNIX, .ai_addr = (struct sockaddr *)&addr, .ai_addrlen = sizeof addr};
    struct stat st;

    if (strlen(path) >= sizeof addr.sun_path) {
        snprintf(why, why_cap, "the path is too long");
        return -1;
    }
    strcpy(addr.sun_path, path);
    if (stat(path, &st) == 0 && S_ISSOCK(st.st_mode) && !is_listening(&addr))
        unlink(path); /* left behind by a process that was killed */
    int fd = try_bind(&a, false);
    if (fd < 0)
        snprintf(why, why_cap, "%s", strerror(-fd));
    return fd < 0 ? -1 : fd;
}

int listener_open(const char *address, bool check_free, char *why, size_t why_cap)
{
    struct net_address a;
    struct reason reason;

    if (!net_address_parse(address, &a, &reason)) {
        snprintf(why, why_cap, "%s", reason.text);
        return -1;
    }
    int fd = a.path != NULL ? open_unix(a.path, why, why_cap) : open_net(&a, check_free, why, why_cap);
    net_address_done(&a);
    return fd;
}

/* ---- accepting ---- */

static void adopt_as(struct loop *l, void *own_fd, bool secure)
{
    int fd = (int)(intptr_t)own_fd;
    if (l->closed) {
        close(fd);
        atomic_fetch_sub(&l->clients, 1);
        return;
    }
    session_new(l, fd, secure);
}

static void adopt(struct loop *l, void *own_fd)
{
    adopt_as(l, own_fd, false);
}

static void adopt_secure(struct loop *l, void *own_fd)
{
    adopt_as(l, own_fd, true);
}

static bool too_many(struct loop *l, int own_fd, bool secure)
{
    static const char text[] = "-ERR max number of clients reached\r\n";

    if ((int64_t)server_clients(l->server) < l->settings->max_clients)
        return false;
    counter_add(&l->stats->clients_refused, 1);
    ssize_t ignored = secure ? 0 : send(own_fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    (void)ignored;
    close(own_fd);
    return true;
}

static void accepted(struct loop *l, int own_fd, bool secure)
{
    if (too_many(l, own_fd, secure))
        return;
    struct loop *to = server_least_loop(l->server, l);
    atomic_fetch_add(&to->clients, 1);
    if (to == l)
        session_new(l, own_fd, secure);
    else
        loop_post(to, secure ? adopt_secure : adopt, (void *)(intptr_t)own_fd);
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
    struct listener *n = (struct listener *)handle;

    for (int i = 0; i < ACCEPT_BURST; i++) {
        int fd = accept4(n->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            accepted(n->loop, fd, n->secure);
            continue;
        }
        if (errno == EINTR || errno == ECONNABORTED)
            continue;
        if (errno == EAGAIN)
            return;
        log_event(LOG_ERROR, "accept_failed", LOG_STR("reason", strerror(errno)));
        uv_poll_stop(&n->poll);
        n->exhausted = true;
        return;
    }
}

void listener_second(struct loop *l)
{
    for (struct listener *n = l->listeners; n != NULL; n = n->next)
        if (n->exhausted) {
            n->exhausted = false;
            uv_poll_start(&n->poll, UV_READABLE, on_accept);
        }
}

static void add(struct loop *l, void *own_fd, bool secure)
{
    struct listener *n = calloc(1, sizeof *n);
    int fd = (int)(intptr_t)own_fd;

    if (n == NULL || l->closed || l->draining || uv_poll_init(&l->uv, &n->poll, fd) != 0) {
        close(fd);
        free(n);
        return;
    }
    n->fd = fd;
    n->secure = secure;
    n->loop = l;
    n->next = l->listeners;
    l->listeners = n;
    uv_poll_start(&n->poll, UV_READABLE, on_accept);
}

void listener_add(struct loop *l, void *own_fd)
{
    add(l, own_fd, false);
}

void listener_add_secure(struct loop *l, void *own_fd)
{
    add(l, own_fd, true);
}

void listener_pause(struct loop *l, void *fd)
{
    for (struct listener *n = l->listeners; n != NULL; n = n->next)
        if (n->fd == (int)(intptr_t)fd) {
            n->exhausted = false;
            uv_poll_stop(&n->poll);
        }
}

void listener_resume_all(struct loop *l, void *unused)
{
    for (struct listener *n = l->listeners; n != NULL; n = n->next)
        uv_poll_start(&n->poll, UV_READABLE, on_accept);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

void listener_close_all(struct loop *l)
{
    while (l->listeners != NULL) {
        struct listener *n = l->listeners;
        l->listeners = n->next;
        uv_poll_stop(&n->poll);
        close(n->fd);
        uv_close((uv_handle_t *)&n->poll, on_closed);
    }
}
