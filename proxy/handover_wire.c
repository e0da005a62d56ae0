#include "proxy/handover_wire.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_FDS 4 /* room for more than the one that we send: what else comes is closed, not leaked */

static const char magic[4] = "cvph";

int wire_socket(const char *path, struct sockaddr_un *ret_address)
{
    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof ret_address->sun_path)
        return -ENAMETOOLONG;
    strcpy(ret_address->sun_path, path);
    int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return sock < 0 ? -errno : sock;
}

bool wire_peer_trusted(int sock)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    return getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* ---- sending ---- */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(MAX_FDS * sizeof(int))];
};

static void attach_fd(struct msghdr *msg, union control *control, int fd)
{
    memset(control, 0, sizeof *control);
    msg->msg_control = control->bytes;
    msg->msg_controllen = CMSG_SPACE(sizeof fd);
    struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
}

int wire_send(int sock, enum wire_kind kind, uint64_t number, struct slice data, int fd)
{
    struct wire_head head = {.version = WIRE_VERSION, .kind = (uint16_t)kind, .number = number};
    struct iovec iov[2] = {{&head, sizeof head}, {(char *)data.p, data.len}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = data.len > 0 ? 2 : 1};
    union control control;
    ssize_t n;

    memcpy(head.magic, magic, sizeof magic);
    if (fd >= 0)
        attach_fd(&msg, &control, fd);
    do
        n = sendmsg(sock, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

int wire_send_text(int sock, enum wire_kind kind, const char *text)
{
    return wire_send(sock, kind, 0, (struct slice){text, strlen(text)}, -1);
}

/* ---- receiving ---- */

/* The first descriptor that came with the message; others are closed. */
static int received_fd(struct msghdr *msg)
{
    int first = -1;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0); at += sizeof(int)) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + at, sizeof fd);
            if (first < 0)
                first = fd;
            else
                close(fd);
        }
    }
    return first;
}

/* When the other end closes before it has read everything, the kernel tells so once, ahead of what it had
 * sent. */
static ssize_t receive_packet(int sock, struct msghdr *msg)
{
    bool told = false;
    for (;;) {
        ssize_t n = recvmsg(sock, msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
        if (n >= 0 || (errno != EINTR && (errno != ECONNRESET || told)))
            return n < 0 ? -errno : n;
        told = errno == ECONNRESET;
    }
}

static int look_at(struct wire_message *m, const struct msghdr *msg, size_t n)
{
    const struct wire_head *head = &m->packet.head;

    if (n < sizeof *head || (msg->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
        memcmp(head->magic, magic, sizeof magic) != 0)
        return -EBADMSG;
    m->kind = (enum wire_kind)head->kind;
    m->version = head->version;
    m->number = head->number;
    m->len = n - sizeof *head;
    m->packet.data[m->len] = '\0';
    return 1;
}

int wire_receive(int sock, struct wire_message *m)
{
    union control control;
    struct iovec iov = {&m->packet, sizeof m->packet.head + WIRE_DATA};
    struct msghdr msg = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control};

    m->fd = -1;
    ssize_t n = receive_packet(sock, &msg);
    if (n <= 0)
        return (int)n;
    m->fd = received_fd(&msg);
    int rc = look_at(m, &msg, (size_t)n);
    if (rc < 0 && m->fd >= 0) {
        close(m->fd);
        m->fd = -1;
    }
    return rc;
}

/* ---- clients ---- */

int wire_send_client(int sock, const struct parcel *p)
{
    struct wire_client c = {
        .age_us = p->age_us,
        .idle_us = p->idle_us,
        .db = p->db,
        .resp = (uint8_t)p->resp,
        .no_evict = p->no_evict,
        .no_touch = p->no_touch,
        .mute = p->mute,
        .known = p->known,
    };
    for (int i = 0; i < PARCEL_PARTS; i++)
        c.lens[i] = p->lens[i];
    return wire_send(sock, WIRE_CLIENT, p->id, (struct slice){(const char *)&c, sizeof c}, p->fd);
}

struct parcel *wire_read_client(struct wire_message *m)
{
    struct wire_client c;
    struct parcel *p = parcel_new();

    p->fd = m->fd;
    m->fd = -1;
    if (p->fd < 0 || m->len != sizeof c)
        goto bad;
    memcpy(&c, m->packet.data, sizeof c);
    if ((c.resp != RESP2 && c.resp != RESP3) || c.db < 0 || !parcel_reserve(p, c.lens))
        goto bad;
    p->id = m->number;
    p->age_us = c.age_us;
    p->idle_us = c.idle_us;
    p->db = c.db;
    p->resp = (enum resp)c.resp;
    p->no_evict = c.no_evict;
    p->no_touch = c.no_touch;
    p->mute = c.mute;
    p->known = c.known;
    return p;
bad:
    parcel_free(p);
    return NULL;
}
