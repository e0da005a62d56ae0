/* proxy/members — the proxies that share an archive: what each has said of itself, and what follows when one falls silent.
 *
 * Each writes its own control document "member:<id>" several times a second, and then reads the ledger: that is its lease. Whoever
 * changes the ledger waits until each member has said that it is quiet under the new one, or has been silent for so long that its
 * lease is over whatever it has read (I2). Nobody's clock is compared with another's.
 * Owns:       the table.
 * Threads:    [main].          Used by: proxy/placement. */
#ifndef PROXY_MEMBERS_H
#define PROXY_MEMBERS_H

#include "proxy/ledger.h"

#define MEMBERS_LEASE_US  3000000  /* from the asking for the ledger */
#define MEMBERS_MARGIN_US 500000   /* clocks run at slightly different speeds */
#define MEMBERS_GONE_US   10000000 /* silent for so long: it is struck off */

/* What a member says. */
struct member_word {
    int64_t beat;   /* grows */
    uint64_t quiet; /* ledger.serial under which it is quiet: nothing that was sent before is under way */
    bool copied;    /* and what it owes the archive is there */
    bool lost;      /* it can't use Redis */
};

struct member {
    char id[LEDGER_ID];
    int64_t version;  /* of its document */
    int64_t heard_us; /* mono: when its beat was seen to grow; at first when it was seen at all */
    struct member_word word;
};

struct members {
    char self[LEDGER_ID];
    struct member list[LEDGER_MEMBERS];
    size_t n;
};

/* The table has the ledger's members, in its order. */
void members_follow(struct members *m, const struct ledger *l, int64_t now_us);
/* What was read of one. */
void members_hear(struct members *m, const char *id, int64_t version, struct slice doc, int64_t now_us);
bson_t *members_write(const struct member_word *word);

/* Which facts hold for all: under this serial, which came at since_us. A silent one counts as gone when its lease must be over. */
bool members_quiet(const struct members *m, uint64_t serial, int64_t since_us, int64_t now_us);
bool members_copied(const struct members *m, uint64_t serial, int64_t since_us, int64_t now_us);
/* Most of those that are heard say so. self_lost: ours, newer than what the table has. */
bool members_lost(const struct members *m, bool self_lost, int64_t now_us);
/* The first that is heard decides; others follow. */
bool members_leads(const struct members *m, int64_t now_us);
/* One that has been silent for too long; NULL: none. */
const char *members_gone(const struct members *m, int64_t now_us);

#endif
