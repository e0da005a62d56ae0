#include "proxy/inside.h"

#include "proxy/login.h"
#include "proxy/loop.h"
#include "proxy/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* The session was counted for the loop before. */
static void adopt(struct loop *l, void *own_fd)
{
    int fd = (int)(intptr_t)own_fd;

    if (l->closed) {
        close(fd);
        atomic_fetch_sub(&l->clients, 1);
        return;
    }
    struct session *s = session_new(l, fd, false);
    if (s != NULL)
        login_inside(s);
}

bool inside_open(struct server *s, struct link *l, int64_t patience_ms)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        link_fail(l, strerror(errno));
        return false;
    }
    struct loop *to = server_least_loop(s, server_loop(s, 0));
    atomic_fetch_add(&to->clients, 1);
    bool ok = fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0 && loop_try_post(to, adopt, (void *)(intptr_t)ends[1]);
    if (ok) {
        link_take(l, ends[0], patience_ms);
        return true;
    }
    atomic_fetch_sub(&to->clients, 1);
    close(ends[0]);
    close(ends[1]);
    link_fail(l, "this process ends");
    return false;
}
