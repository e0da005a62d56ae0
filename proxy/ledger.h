/* proxy/ledger — what the proxies remember of who acts, in the archive's control document "placement":
 *
 *   { ep: 257, lost: 257, run: "<run id of the Redis that was claimed>", policies: { conv: "redis" | "archive" | "journal" } }
 *
 * Owns:       the policies' names.
 * Threads:    one at a time. */
#ifndef PROXY_LEDGER_H
#define PROXY_LEDGER_H

#include "base/slice.h"

#include <bson/bson.h>
#include <stddef.h>
#include <stdint.h>

enum acted {
    ACTED_NONE,
    ACTED_REDIS,
    ACTED_ARCHIVE, /* Redis has nothing that the archive lacks */
    ACTED_JOURNAL, /* it may have */
};

struct ledger_policy {
    char *name;
    enum acted acted;
};

struct ledger {
    int64_t version; /* of the control document; 0: there is none */
    int64_t epoch;   /* the present one */
    int64_t
        lost_epoch; /* connections greeted before this one may hold writes that must not be executed any more */
    char run_id[48]; /* the Redis that was claimed last; "": none */
    struct ledger_policy *policies;
    size_t npolicies;
};

void ledger_init(struct ledger *l); /* nothing is known: the first epoch */
void ledger_done(struct ledger *l);
enum acted ledger_acted(const struct ledger *l, const char *policy);
void ledger_set(struct ledger *l, const char *policy, enum acted acted);
/* Takes what the document says; the epoch never falls. */
void ledger_read(struct ledger *l, struct slice doc);
bson_t *ledger_write(const struct ledger *l);

#endif
