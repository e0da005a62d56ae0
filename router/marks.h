/* router/marks — the proxy's own keys in Redis (docs/protocol.md has what each holds). Clients never see them. */
#ifndef ROUTER_MARKS_H
#define ROUTER_MARKS_H

#define MARKS_PREFIX      "cvp:"
#define MARKS_EPOCH       "cvp:ep"
#define MARKS_VERSION     "cvp:ver"
#define MARKS_SESSION     "cvp:sess"
#define MARKS_DIRTY       "cvp:dirty"
#define MARKS_BUSY        "cvp:busy:" /* and the proxy's id */
#define MARKS_SUSPECT     "cvp:suspect"

#define MARKS_CLIENT_NAME "convproxy-" /* "convproxy-<proxy>-<epoch>" */

#endif
