/* tombstone.pml: one key is created, given a time to live, deleted and created again, in Redis and, after a failover, in
 * the archive. What was deleted or has expired never comes back; what was created is never taken for deleted.
 *
 * A value is the number of its incarnation, 0 for none. Client operations are one step: their races are failover.pml's. */

/* ---- situations ---- */
#ifndef OPS
#define OPS 4         /* operations of clients */
#endif
#ifndef FAILOVERS
#define FAILOVERS 1
#endif
#ifndef ARCHIVERS
#define ARCHIVERS 2
#endif
#ifndef TIDY
#define TIDY 0        /* ask as well that nothing is kept of what is gone */
#endif

/* ---- rules ---- */
#ifndef NO_TOMBSTONE
#define NO_TOMBSTONE 0    /* I13: a deletion removes the document */
#endif
#ifndef NO_AGREEMENT
#define NO_AGREEMENT 0    /* I13, H40: tombstones are collected by age, not when both stores agree */
#endif
#ifndef NO_GRACE
#define NO_GRACE 0        /* I13: a confirmed tombstone goes at once, while an old copy may be on its way */
#endif
#ifndef NO_CLAIMS
#define NO_CLAIMS 0       /* I13: stores agree although somebody holds a claim, and with it an old copy */
#endif
#ifndef NO_WATCH
#define NO_WATCH 0        /* H14: the version entry is removed without watching the key */
#endif
#ifndef NO_FLOOR
#define NO_FLOOR 0        /* H14: a key that is created anew starts with the clock, which may be behind */
#endif
#ifndef NO_FLOOR_EPOCH
#define NO_FLOOR_EPOCH 0  /* H14: the floor keeps the version and forgets the epoch */
#endif
#ifndef NO_LOGICAL
#define NO_LOGICAL 0      /* I13, H39: the archive shows an expired document until it is swept */
#endif
#ifndef NO_REAP_AT
#define NO_REAP_AT 0      /* H39: the TTL index removes expired documents, and their history with them */
#endif
#ifndef NO_ATOMIC_READ
#define NO_ATOMIC_READ 0  /* H25: value and time to live are read one after the other */
#endif
#ifndef NO_TTL_VERSION
#define NO_TTL_VERSION 0  /* H26: a change of the time to live is no write */
#endif

#define OLDER(e1, v1, e2, v2) ((e1) < (e2) || (e1) == (e2) && (v1) < (v2))
#define MAX(a, b)       ((a) > (b) -> (a) : (b))
#define PAST(n)         ((past >> (n)) & 1)
#define LOGICAL(s)      (s.val && !(s.ttl && PAST(s.val)) -> s.val : 0)
#define SHOWN(s)        (NO_LOGICAL -> s.val : LOGICAL(s))

mtype = { ACT_R, ACT_M };

typedef Value { byte val; bool ttl };
typedef Redis { byte val; bool ttl, dirty; byte ver, ho, floor, floor_ep };
typedef Document { bool here; byte val; bool ttl, archive, reap; byte ver, ep, bver, bep };

mtype st = ACT_R;
byte ep, failovers, ops, claims, born, past;   /* past: bit n, the time of incarnation n is over */
Value live;                                    /* what clients were told */
Redis r;
Document d;

inline redis_write(value, timed) {
  if
  :: r.ver == 0 -> r.ver = (NO_FLOOR -> 1 : r.floor + 1); r.ho = (NO_FLOOR_EPOCH -> 0 : r.floor_ep)
  :: else -> r.ver++
  fi;
  r.val = value; r.ttl = timed; r.dirty = true; live.val = value; live.ttl = timed; ops++
}

inline forget() {
  d.here = false; d.val = 0; d.ttl = false; d.archive = false; d.reap = false; d.ver = 0; d.ep = 0; d.bver = 0; d.bep = 0
}

inline archive_write(value, timed) {
  if :: !d.archive -> d.bver = d.ver; d.bep = d.ep; d.archive = true :: else fi;
  d.here = true; d.val = value; d.ttl = timed; d.ver++; d.ep = ep; d.reap = false;
  live.val = value; live.ttl = timed; ops++;
  if :: value == 0 && NO_TOMBSTONE -> forget() :: else fi
}

proctype Clients() {
  byte keep;
end:
  do
  :: d_step { st == ACT_R && ops < OPS && !LOGICAL(r) -> born++; redis_write(born, false) }
  :: d_step { st == ACT_R && ops < OPS && LOGICAL(r) -> redis_write(0, false) }
  :: d_step { st == ACT_R && ops < OPS && LOGICAL(r) && !r.ttl ->
       if
       :: NO_TTL_VERSION -> r.ttl = true; live.ttl = true; ops++
       :: else -> keep = r.val; redis_write(keep, true); keep = 0
       fi }
  :: d_step { st == ACT_M && ops < OPS && !LOGICAL(d) -> born++; archive_write(born, false) }
  :: d_step { st == ACT_M && ops < OPS && LOGICAL(d) -> archive_write(0, false) }
  :: d_step { st == ACT_M && ops < OPS && LOGICAL(d) && !d.ttl -> keep = d.val; archive_write(keep, true); keep = 0 }
  od
}

/* Time passes for a value that has a time to live; Redis removes it then or later, and tells nobody. */
proctype Time() {
end:
  do
  :: d_step { live.val && live.ttl && !PAST(live.val) -> past = past | (1 << live.val) }
  :: d_step { r.val && !LOGICAL(r) -> r.val = 0; r.ttl = false }
  :: d_step { NO_REAP_AT && d.val && !LOGICAL(d) -> forget() }
  od
}

proctype Archiver() {
  byte val, ver, ho; bool ttl;
end:
  do
  :: d_step { st == ACT_R && r.dirty -> r.dirty = false; claims++; val = r.val; ver = r.ver; ho = r.ho; ttl = r.ttl };
     if
     :: NO_ATOMIC_READ -> ttl = r.ttl
     :: else
     fi;
     if
     :: d_step { true -> r.dirty = true }                     /* a crash gives the claim back */
     :: d_step { !d.archive && (!d.here || OLDER(d.ep, d.ver, ho, ver)) ->
          d.here = true; d.val = val; d.ttl = ttl; d.ver = ver; d.ep = ho; d.reap = false;
          if :: val == 0 && NO_TOMBSTONE -> forget() :: else fi }
     :: d_step { d.archive || d.here && !OLDER(d.ep, d.ver, ho, ver) -> skip }
     fi;
     d_step { claims--; val = 0; ver = 0; ho = 0; ttl = false }
  od
}

#define AGREED (st == ACT_R && d.here && !d.archive && r.ver && d.ver == r.ver && d.ep == r.ho && \
                !LOGICAL(d) && !r.val && !r.dirty && (NO_CLAIMS || claims == 0))

/* The sequence D: both stores agree that there is nothing; the entries go from Redis, later the document. */
proctype Collector() {
  byte ver, ho;
end:
  do
  :: d_step { AGREED -> ver = r.ver; ho = r.ho };
     d_step {
       if
       :: NO_WATCH && r.ver || AGREED && r.ver == ver && r.ho == ho ->
          r.floor = MAX(r.floor, ver); r.floor_ep = MAX(r.floor_ep, ho); r.ver = 0; r.ho = 0;
          d.reap = (d.here && d.ver == ver && d.ep == ho)
       :: else
       fi;
       ver = 0; ho = 0 }
  :: d_step { d.reap && (NO_GRACE || claims == 0) -> forget() }
  :: d_step { NO_AGREEMENT && d.here && d.val == 0 -> forget() }
  od
}

/* A take-over with its flush, and the way back with its hand-off, each in one step. */
proctype Controller() {
end:
  do
  :: d_step { st == ACT_R && failovers < FAILOVERS && ops < OPS ->
       failovers++; ep++; st = ACT_M;
       if
       :: r.ver && (!d.here || OLDER(d.ep, d.ver, r.ho, r.ver)) && !(NO_TOMBSTONE && r.val == 0) ->
          d.here = true; d.val = live.val; d.ttl = live.ttl; d.ver = r.ver; d.ep = r.ho; d.reap = false
       :: r.ver && NO_TOMBSTONE && r.val == 0 -> forget()
       :: else
       fi }
  :: d_step { st == ACT_M ->
       ep++; st = ACT_R;
       if
       :: d.here ->
          if
          :: d.archive && OLDER(d.bep, d.bver, r.ho, r.ver) || !d.archive && OLDER(d.ep, d.ver, r.ho, r.ver) ->
             assert(false)                                    /* the flush left Redis nothing of its own */
          :: else
          fi;
          d.ver = MAX(d.ver, r.ver) + 1; d.ep = ep; d.archive = false; d.bver = 0; d.bep = 0; d.reap = false;
          r.val = d.val; r.ttl = d.ttl; r.ver = d.ver; r.ho = ep; r.dirty = false
       :: else -> r.dirty = (r.ver != 0)
       fi }
  od
}

proctype Watcher() {
end:
  do
  :: atomic { st == ACT_R && LOGICAL(r) != LOGICAL(live) -> assert(false) }
  :: atomic { st == ACT_M && SHOWN(d) != LOGICAL(live) -> assert(false) }
  od
}

init {
  byte i;
  atomic {
    do :: i < ARCHIVERS -> run Archiver(); i++ :: else -> break od;
    i = 0;
    run Clients(); run Time(); run Collector(); run Controller(); run Watcher()
  };
  timeout ->
  assert(st == ACT_R && LOGICAL(r) == LOGICAL(live) && LOGICAL(d) == LOGICAL(live));
  assert(!LOGICAL(live) || d.ttl == r.ttl);
  assert(!TIDY || LOGICAL(live) || r.ver == 0 && !d.here)
}
