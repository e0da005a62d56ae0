/* base/limits — the fixed limits, named in one place. Limits that operators may change are settings. */
#ifndef BASE_LIMITS_H
#define BASE_LIMITS_H

#define LIMIT_INLINE        (64 * 1024)   /* an inline line, as Redis (PROTO_INLINE_MAX_SIZE) */
#define LIMIT_ARGS          (1024 * 1024) /* arguments of a request; Redis 7.0 would take 2^31 */
#define LIMIT_STRANGER_ARGS  10       /* of a client that has to log in first; as Redis */
#define LIMIT_STRANGER_BULK  16384
#define LIMIT_STRANGER_OUT   (16 << 10) /* unread replies of such a client at which it is closed */
#define LIMIT_REPLY_LINE    (1024 * 1024) /* a line of a reply: status, error, number, length */
#define LIMIT_REPLY_ITEMS   (1ull << 40)  /* values still owed inside one reply */
#define LIMIT_COLLECT       (64u << 20)   /* a reply that must be seen whole before it is passed on */
#define LIMIT_MANAGED_VALUE (15u << 20)   /* a managed value: a document holds 16 MiB */
#define LIMIT_MULTI_BYTES   (64u << 20)   /* commands queued in one MULTI */
#define LIMIT_READ          (256 * 1024)  /* one read(2), and the size of a loop's read buffer */
#define LIMIT_CLIENT_HIGH   (1u << 20)    /* unread replies of a client at which its requests wait */
#define LIMIT_CLIENT_LOW    (256u << 10)  /* and at which they go on */
#define LIMIT_UPSTREAM_HIGH (8u << 20)    /* unsent bytes to Redis at which the clients of that connection wait */
#define LIMIT_UPSTREAM_LOW  (1u << 20)
#define LIMIT_HUGE_REQUEST  (32u << 10)   /* a request of more bytes, or with */
#define LIMIT_HUGE_ARGS     512           /* more arguments, goes on the second lane */

#endif
