/* proxy/quarantined — what operators do with the quarantine (sync/quarantine): look, put back, drop.
 * Owns:       how many entries there were when they were counted last.
 * Invariants: what is put back is written by a client of the proxy (proxy/inside), in one transaction: version, marks, trim and copies are those of
 *             any write, and the policy's TTL begins anew. What the key held until then is put aside before, so that it can be undone; the
 *             entry goes only when its state has been written.
 * Threads:    the clerk's; quarantined_entries: any; quarantined_second: main.          Used by: proxy/admin_quarantine, proxy/local_quarantine. */
#ifndef PROXY_QUARANTINED_H
#define PROXY_QUARANTINED_H

#include "proxy/clerk.h"
#include "proxy/viewed.h"

#include <cjson/cJSON.h>

#define QUARANTINED_MOST 100 /* entries of one answer */

/* All return an HTTP status, and a document: what docs/admin-api.md has, or {error}. */
unsigned quarantined_list(const struct clerk_tools *t, int64_t after, int64_t count, cJSON **ret_doc);
unsigned quarantined_show(const struct clerk_tools *t, int64_t number, const struct viewed_page *page, cJSON **ret_doc);
/* as: another key, which must be managed and not exist; p NULL: its own. by: who orders it, for the log. */
unsigned quarantined_restore(const struct clerk_tools *t, int64_t number, struct slice as, const char *by, cJSON **ret_doc);
unsigned quarantined_drop(const struct clerk_tools *t, int64_t number, const char *by, cJSON **ret_doc);

/* -1: not known. */
int64_t quarantined_entries(void);
/* Once a second: has them counted when that is due. */
void quarantined_second(const struct server *s);

#endif
