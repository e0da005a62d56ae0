/* proxy/ledger — what the proxies agree on and remember of who acts, in the archive's control document "placement":
 *
 *   { ep: 257, lost: 257, run: "<run id of the Redis that was claimed>", serial: 12, members: ["3f2a91c0"],
 *     policies: { conv: { acted: "redis", place: "redis", want: "redis" } } }
 *
 * Owns:       the policies' names.
 * Threads:    one at a time. */
#ifndef PROXY_LEDGER_H
#define PROXY_LEDGER_H

#include "base/slice.h"
#include "router/place.h"

#include <bson/bson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_MEMBERS 16 /* proxies on one archive, at most */
#define LEDGER_ID      16

enum acted {
    ACTED_NONE,
    ACTED_REDIS,
    ACTED_ARCHIVE, /* Redis has nothing that the archive lacks */
    ACTED_JOURNAL, /* it may have */
};

enum wanted { WANTED_NOTHING, WANTED_REDIS, WANTED_ARCHIVE };

struct ledger_policy {
    char *name;
    enum acted acted;
    enum wanted wanted; /* the operator's last word, to whichever proxy */
    bool placed;
    enum place place; /* when placed: where all proxies are, or go */
};

struct ledger {
    int64_t version;    /* of the control document; 0: there is none */
    uint64_t serial;    /* grows with every change of place */
    int64_t epoch;      /* the present one */
    int64_t lost_epoch; /* connections greeted before this one may hold writes that must not be executed */
    char run_id[48];    /* the Redis that was claimed last; "": none */
    char members[LEDGER_MEMBERS][LEDGER_ID]; /* the proxies that have to be heard */
    size_t nmembers;
    struct ledger_policy *policies;
    size_t npolicies;
};

void ledger_init(struct ledger *l); /* nothing is known: the first epoch */
void ledger_done(struct ledger *l);
/* to becomes the same as from; it is freed first. */
void ledger_copy(struct ledger *to, const struct ledger *from);
/* The policy's row, made when there is none. */
struct ledger_policy *ledger_policy(struct ledger *l, const char *policy);
enum acted ledger_acted(const struct ledger *l, const char *policy);
enum wanted ledger_wanted(const struct ledger *l, const char *policy);
bool ledger_has_member(const struct ledger *l, const char *id);
/* False: there are too many. */
bool ledger_add_member(struct ledger *l, const char *id);
void ledger_remove_member(struct ledger *l, const char *id);
/* Takes what the document says; the epoch never falls. */
void ledger_read(struct ledger *l, struct slice doc);
bson_t *ledger_write(const struct ledger *l);

#endif
