#include "proxy/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

union any_address {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
};

static void print(const union any_address *a, char *buf, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "?";

    if (a->sa.sa_family == AF_INET) {
        inet_ntop(AF_INET, &a->v4.sin_addr, host, sizeof host);
        snprintf(buf, cap, "%s:%d", host, ntohs(a->v4.sin_port));
    } else if (a->sa.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a->v6.sin6_addr, host, sizeof host);
        snprintf(buf, cap, "[%s]:%d", host, ntohs(a->v6.sin6_port));
    } else {
        snprintf(buf, cap, "unix:0");
    }
}

void address_of_peer(int fd, char *buf, size_t cap)
{
    union any_address a = {.sa = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof a;
    getpeername(fd, &a.sa, &len);
    print(&a, buf, cap);
}

void address_of_self(int fd, char *buf, size_t cap)
{
    union any_address a = {.sa = {.sa_family = AF_UNSPEC}};
    socklen_t len = sizeof a;
    getsockname(fd, &a.sa, &len);
    print(&a, buf, cap);
}
