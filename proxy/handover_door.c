#include "proxy/handover_door.h"

#include "proxy/handover_wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 8

static int failed(const char *path, const char *reason, char *why, size_t why_cap)
{
    snprintf(why, why_cap, "proxy.handover %s: %s", path, reason);
    return -1;
}

/* Whether a process listens there. */
static bool is_answered(const char *path)
{
    struct sockaddr_un address;
    int sock = wire_socket(path, &address);
    bool answered = true;

    if (sock >= 0) {
        answered =
            connect(sock, (const struct sockaddr *)&address, sizeof address) == 0 || errno != ECONNREFUSED;
        close(sock);
    }
    return answered;
}

/* 0 when nothing is in the way any more. */
static int clear_place(const char *path, char *why, size_t why_cap)
{
    struct stat st;

    if (lstat(path, &st) != 0)
        return 0;
    if (!S_ISSOCK(st.st_mode))
        return failed(path, "there is a file that is not a socket", why, why_cap);
    if (is_answered(path))
        return failed(path, "a running process listens there; take over from it with --takeover", why,
                      why_cap);
    unlink(path);
    return 0;
}

static int bind_private(const char *path, char *why, size_t why_cap)
{
    struct sockaddr_un address;
    int sock = wire_socket(path, &address);

    if (sock < 0)
        return failed(path, strerror(-sock), why, why_cap);
    /* On Linux the mode of the socket becomes that of its name. */
    if (fchmod(sock, 0600) == 0 && bind(sock, (struct sockaddr *)&address, sizeof address) == 0 &&
        listen(sock, BACKLOG) == 0)
        return sock;
    failed(path, strerror(errno), why, why_cap);
    close(sock);
    return -1;
}

/* Listens under a name of its own first. */
static int bind_instead(const char *path, char *why, size_t why_cap)
{
    char name[sizeof((struct sockaddr_un *)0)->sun_path + sizeof ".new"];

    snprintf(name, sizeof name, "%s.new", path);
    unlink(name);
    int sock = bind_private(name, why, why_cap);
    if (sock < 0 || rename(name, path) == 0)
        return sock;
    failed(path, strerror(errno), why, why_cap);
    unlink(name);
    close(sock);
    return -1;
}

static bool read_mark(const char *path, struct door_mark *mark)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return false;
    *mark = (struct door_mark){st.st_dev, st.st_ino};
    return true;
}

int door_open(const char *path, bool replace, struct door_mark *ret_mark, char *why, size_t why_cap)
{
    if (!replace && clear_place(path, why, why_cap) != 0)
        return -1;
    int sock = replace ? bind_instead(path, why, why_cap) : bind_private(path, why, why_cap);
    if (sock < 0 || read_mark(path, ret_mark))
        return sock;
    close(sock);
    return failed(path, strerror(errno), why, why_cap);
}

bool door_is(const char *path, const struct door_mark *mark)
{
    struct door_mark now;
    return read_mark(path, &now) && now.device == mark->device && now.inode == mark->inode;
}

void door_remove(const char *path, const struct door_mark *mark)
{
    if (door_is(path, mark))
        unlink(path);
}
