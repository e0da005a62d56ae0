/* proxy/topics — which clients of a loop hear which channels, patterns and shard channels.
 *
 *      topic "news" ──▶ link ──▶ link                  what a message is sent along
 *                        │         │
 *      client 7 ─────────┘         │   client 9 ───────┘   what UNSUBSCRIBE without names goes through
 *
 * Owns:       the topics and the links.
 * Invariants: a client hears a topic once. A topic is there as long as somebody hears it, or holds it (topics_hold): who asks Redis
 *             about it, and a SUBSCRIBE that waits.
 * Threads:    [loop] only.          Used by: proxy/subscriber, pubsub. */
#ifndef PROXY_TOPICS_H
#define PROXY_TOPICS_H

#include "base/hashed.h"
#include "proxy/headcount.h"

#include <stdbool.h>

struct link;
struct loop;
struct session;

struct topic {
    struct hashed_node node; /* first */
    struct link *links, **tail; /* who hears it, in the order of their subscriptions */
    size_t listeners;
    size_t holds;
    size_t awaited; /* of these: SUBSCRIBEs that wait for it */
    uint64_t asked; /* the number of the last question to Redis about it */
    char *refusal;  /* Redis's last answer was this error */
    bool on;        /* Redis sends its messages, on the present connection */
    bool counted;   /* proxy/headcount has heard that Redis may: until it has confirmed the end */
    uint8_t kind;   /* enum topic_kind */
    struct slice name;
};

struct link {
    struct hashed_node node; /* first */
    struct topic *topic;
    struct session *session;
    struct link *next, **back;       /* of the topic */
    struct link *of_next, **of_back; /* of the session, per kind */
};

/* What a client hears; a session without subscriptions has none. */
struct subscriptions {
    struct link *links[TOPIC_KINDS], **tails[TOPIC_KINDS];
    size_t counts[TOPIC_KINDS];
};

/* All zero: empty. */
struct topics {
    struct hashed named[TOPIC_KINDS];
    struct hashed links; /* by topic and session */
};

struct topic *topics_find(const struct topics *t, enum topic_kind kind, struct slice name); /* or NULL */
/* Found or made, and held once more. */
struct topic *topics_hold(struct topics *t, enum topic_kind kind, struct slice name);
/* Nobody hears it and nobody waits to. */
bool topics_is_unwanted(const struct topic *topic);
/* One hold less; a topic that nobody hears or holds is gone then. */
void topics_let_go(struct topics *t, struct topic *topic);

/* The session hears it from now on. False: it did already. */
bool topics_link(struct topics *t, struct topic *topic, struct session *s);
struct link *topics_linked(const struct topics *t, const struct topic *topic, const struct session *s); /* or NULL */
/* The topic must be held. */
void topics_unlink(struct topics *t, struct link *own_link);

#endif
