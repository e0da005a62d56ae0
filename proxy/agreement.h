/* proxy/agreement — the ledger: how one proxy keeps it, and how several agree on it by compare-and-set, rounds and leases
 * (proxy/members).
 * Invariants: what is to be saved is made of the ledger that was read last; when another was faster it is read again first.
 * Threads:    [main].          Used by: proxy/placement. */
#ifndef PROXY_AGREEMENT_H
#define PROXY_AGREEMENT_H

#include "proxy/placement_state.h"

/* p->next becomes a copy of the ledger, to be changed and then saved, unless it is one already. */
void agreement_begin(struct placement *p);
/* This process may change places: alone, or as the first of the proxies that is heard. */
bool agreement_decides(const struct placement *p, int64_t now_us);
/* The archive has just failed: nothing is asked of it, or decided that has to be saved. */
bool agreement_rests(const struct placement *p);
/* Membership, and the operator's word, which all proxies are to hear. */
void agreement_amend(struct placement *p);
/* Reads, saves, or goes round, when one of it is due. */
void agreement_keep(struct placement *p);

/* For errands. */
void agreement_read(void *ctx, enum err e, const struct archive_found *found);
void agreement_saved(void *ctx, enum err e);
void agreement_rounded(void *ctx, enum err e, const struct round *r);

#endif
