/* proxy/handover_wire — the messages between a process that leaves and its successor.
 * A unix socket of type SOCK_SEQPACKET keeps them whole: one message is one packet, with a descriptor or
 * without.
 *
 *   successor                          the process that runs
 *   HELLO ──────────────────────────▶  another version, or not now: REFUSED
 *         ◀── STATE …, LISTENER (one each), OFFERED; STATE again, before anything else, when it has changed
 *   READY ──────────────────────────▶  the successor accepts on the listeners it has named
 *         ◀── CLIENT, PIECE …          once for each client
 *   TAKEN ──────────────────────────▶  so many clients are the successor's; it serves none before it has said
 * so ◀── DONE                     there are no more BYE   ──────────────────────────▶  the successor listens
 * on the hand-over socket
 *
 * Invariants: the first 16 bytes of HELLO and REFUSED are the same in all versions, so that versions can
 * tell. Threads:    any.          Used by: proxy/handover, takeover. */
#ifndef PROXY_HANDOVER_WIRE_H
#define PROXY_HANDOVER_WIRE_H

#include "base/err.h"
#include "proxy/parcel.h"

#include <sys/un.h>

#define WIRE_VERSION 3
#define WIRE_DATA    65536 /* most bytes in a message, behind its head */

enum wire_kind {
    WIRE_HELLO = 1, /* data: who */
    WIRE_REFUSED,   /* data: why */
    WIRE_LISTENER,  /* fd; number: its place; data: its address, as in the setting */
    WIRE_OFFERED,   /* that were all listeners; number: the first client id that the successor may give */
    WIRE_READY,     /* data: a byte for each listener, 1: the successor accepts there */
    WIRE_CLIENT,    /* fd; data: struct wire_client */
    WIRE_PIECE,     /* data: bytes of the last client's parts */
    WIRE_TAKEN,     /* number: how many clients so far */
    WIRE_DONE,
    WIRE_BYE,
    WIRE_CANCEL, /* data: why; the process that runs goes on, the successor must not */
    WIRE_STATE,  /* data: bytes of what proxy/bequest tells; number: how many come behind them */
};

struct wire_head {
    char magic[4];
    uint16_t version;
    uint16_t kind;
    uint64_t number;
};

/* Both ends are on one machine and of one version: no byte order, no packing. */
struct wire_client {
    int64_t age_us, idle_us;
    uint64_t lens[PARCEL_PARTS];
    int32_t db;
    uint8_t resp, no_evict, no_touch, mute, known, unused[7];
};

struct wire_message {
    enum wire_kind kind;
    uint16_t version;
    uint64_t number;
    size_t len;
    int fd; /* -1: none; the receiver's */
    struct {
        struct wire_head head;
        char data[WIRE_DATA + 1]; /* a NUL stands behind the last byte */
    } packet;
};

/* A socket, and path as its address; or a negative errno. */
MUST_USE int wire_socket(const char *path, struct sockaddr_un *ret_address);
/* Whether the other end is this user, or root. */
MUST_USE bool wire_peer_trusted(int sock);

/* Sends one message; fd < 0: without a descriptor. 0, -EAGAIN, or another negative errno. */
MUST_USE int wire_send(int sock, enum wire_kind kind, uint64_t number, struct slice data, int fd);
MUST_USE int wire_send_text(int sock, enum wire_kind kind, const char *text);
/* 1: a message; 0: the other end is gone, and nothing of what it has sent is left; or a negative errno:
 * -EAGAIN, -EBADMSG when it is not one of ours. */
MUST_USE int wire_receive(int sock, struct wire_message *m);

/* The head of a parcel, which stays the caller's, descriptor included. */
MUST_USE int wire_send_client(int sock, const struct parcel *p);
/* NULL when m, which is a CLIENT, makes no sense. Takes its descriptor. */
MUST_USE struct parcel *wire_read_client(struct wire_message *m);

#endif
