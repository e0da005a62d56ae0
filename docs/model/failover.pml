/* failover.pml: one key in two stores, through the loss of Redis, the archive acting, and the way back.
 *
 * A value is a set of writes: bit i says that write i is in it, bit i+4 that it is in it twice. Merging is then "or".
 * Rules are removed with -DNO_..., situations are chosen with the others; README.md explains each of them. */

/* ---- situations ---- */
#ifndef N
#define N 1           /* writes, 1 to 4; write i belongs to proxy i % 2 */
#endif
#ifndef FAILOVERS
#define FAILOVERS 1   /* how often the archive may take over */
#endif
#ifndef MOVERS
#define MOVERS 1      /* workers that hand keys back, beside the writes that do it themselves */
#endif
#ifndef LOSS
#define LOSS 0        /* Redis restarts once: 0 never, 1 empty, 2 with an old state from its disk */
#endif
#ifndef AWAY
#define AWAY 0        /* one proxy may be absent during a take-over: paused, cut off or dead */
#endif
#ifndef ACKED
#define ACKED 0       /* write 0 is acknowledged when the run begins: in Redis at version 2, marked, not archived */
#endif
#ifndef BOTH
#define BOTH 0        /* ack class: 0 primary, 1 both */
#endif
#ifndef LATE
#define LATE 0        /* an update of the archive may be executed long after its sender gave up */
#endif

/* ---- rules ---- */
#ifndef NO_FENCE
#define NO_FENCE 0        /* I3: Redis executes whatever arrives, however old its window */
#endif
#ifndef NO_OWN
#define NO_OWN 0          /* I1, I3: the document's compare-and-set looks at the version, not at owner and epoch */
#endif
#ifndef NO_WAIT
#define NO_WAIT 0         /* I2: the archive acts before all older leases have ended */
#endif
#ifndef NO_ARM
#define NO_ARM 0          /* I3, H4: a connection is armed by whatever lease is there when it sends */
#endif
#ifndef NO_ACKCHECK
#define NO_ACKCHECK 0     /* I6: acknowledged without looking whether the lease still holds */
#endif
#ifndef NO_RESOLVE
#define NO_RESOLVE 0      /* I7, I16: a second attempt does not look whether the first one worked */
#endif
#ifndef NO_ATOMIC
#define NO_ATOMIC 0       /* I7, H5: a second attempt looks first and writes then, in two steps */
#endif
#ifndef NO_IDS
#define NO_IDS 0          /* I7: the ids of writes are not part of the state */
#endif
#ifndef NO_MARK
#define NO_MARK 0         /* I5: the mark is set after the write, by a proxy that may die in between */
#endif
#ifndef NO_CLAIM
#define NO_CLAIM 0        /* I9: read, copy, take the mark away; instead of claiming it first */
#endif
#ifndef NO_EPOCH
#define NO_EPOCH 0        /* I4, I10: copies are ordered by ver alone */
#endif
#ifndef NO_CONDITION
#define NO_CONDITION 0    /* I10: a restore overwrites whatever Redis has */
#endif
#ifndef NO_FLUSH
#define NO_FLUSH 0        /* I11: the archive acts without the writes that proxies still remember */
#endif
#ifndef NO_TORN
#define NO_TORN 0         /* I4, I11: a flush over a missing predecessor takes the version as if nothing were missing */
#endif
#ifndef NO_MERGE
#define NO_MERGE 0        /* I12: the newer version wins at failback */
#endif
#ifndef NO_DROP
#define NO_DROP 0         /* I12: the journal is replayed without dropping what Redis has already */
#endif
#ifndef NO_BASE
#define NO_BASE 0         /* I12: a hand-off that was begun is finished without looking at Redis again */
#endif
#ifndef NO_CONFIRM
#define NO_CONFIRM 0      /* C ends when no document belongs to the archive, restored or not */
#endif
#ifndef NO_IDENTITY
#define NO_IDENTITY 0     /* I14: a Redis that restarted is taken for the one that was there */
#endif

#define P 2
#define NOBODY P
#define HAS(x, i)      (((x) >> (i)) & 1)
#define TWICE(x, i)    (((x) >> ((i) + 4)) & 1)
#define WITH(x, i)     ((x) | (HAS(x, i) -> 16 << (i) : 1 << (i)))
#define REPLAY(x, j)   ((x) | (j) | ((NO_DROP || NO_IDS) -> ((x) & (j) & 15) << 4 : 0))
#define OLDER(e1, v1, e2, v2) ((e1) < (e2) || (e1) == (e2) && (v1) < (v2))
#define MAX(a, b)      ((a) > (b) -> (a) : (b))

mtype = { ACT_R, TAKE, ACT_M, CATCH };            /* who acts: the states R, T, M, C of the control document */
mtype = { IDLE, SENT, STALE, DONE, REFUSED };     /* a message to Redis; STALE: sent in a window that is over */

typedef Control { mtype st = ACT_R; byte ep; bit id; bool flushed[P] };
typedef Lease { bool on; mtype st; byte ep; bit id };
typedef Redis { byte val, ver, ho; bool dirty; bit id };
/* archive: owned by it. open: ahead of the state (bep, bver) of Redis by the journal j, until a restore is confirmed. */
typedef Document { byte val, ver, ep, j, bep, bver; bool archive, open };
typedef Write { mtype wire = IDLE; bool zombie, check; bool acked; bool gap; byte ver, ep };
typedef Update { bool on; byte ver, ep, by };                         /* an update of the document on its way */

Control ctl;
Lease lease[P];
Redis r, disk;
Document d;
Write w[N];
Update late[N];
byte failovers, acks;
byte away = NOBODY;
bool lost;

/* A lease ends, and with it the windows that were opened under it. */
inline end_lease(p) {
  lease[p].on = false; lease[p].st = 0; lease[p].ep = 0; lease[p].id = 0;
  i = p;
  do
  :: i < N -> if :: w[i].wire == SENT -> w[i].wire = STALE :: else fi; i = i + P
  :: else -> break
  od;
  i = 0
}

#define OLD(p) (lease[p].on && lease[p].ep != ctl.ep)
#define WANTS(p) (p < N && !w[p].acked || p + P < N && !w[(p + P) % N].acked)

proctype Clock() {
  byte i;
end:
  do
  :: d_step { lease[0].on -> end_lease(0) }
  :: d_step { lease[1].on -> end_lease(1) }
  :: d_step { !lease[0].on && ctl.st != TAKE && WANTS(0) ->
       lease[0].on = true; lease[0].st = ctl.st; lease[0].ep = ctl.ep; lease[0].id = ctl.id }
  :: d_step { !lease[1].on && ctl.st != TAKE && WANTS(1) ->
       lease[1].on = true; lease[1].st = ctl.st; lease[1].ep = ctl.ep; lease[1].id = ctl.id }
  od
}

/* Redis executes what it was sent, whenever it likes: late, frozen and thawed, or not at all. */
inline execute(i) {
  r.val = WITH(r.val, i); r.ver++; w[i].ver = r.ver; w[i].ep = r.ho;
  if :: NO_MARK :: r.dirty = true fi
}

#define CAN_RUN(i)  (i < N && (w[i].wire == SENT || w[i].wire == STALE))

inline deliver(i) {
  if
  :: w[i].wire == STALE && !NO_FENCE -> w[i].wire = REFUSED
  :: else ->
     if
     :: w[i].check && !NO_IDS && HAS(r.val, i)     /* the first attempt worked, or a hand-off brought it */
     :: else -> execute(i)
     fi;
     w[i].wire = DONE
  fi;
  w[i].check = false
}

proctype Server() {
end:
  do
  :: atomic { CAN_RUN(0) -> deliver(0) }
#if N > 1
  :: atomic { CAN_RUN(1) -> deliver(1) }
#endif
#if N > 2
  :: atomic { CAN_RUN(2) -> deliver(2) }
#endif
#if NO_FENCE
  :: atomic { w[0].zombie -> w[0].zombie = false; execute(0) }
#if N > 1
  :: atomic { w[1].zombie -> w[1].zombie = false; execute(1) }
#endif
#endif
  od
}

/* A restart: buffered messages die with the process, and so does what was not on the disk. */
inline restart() {
  r.val = disk.val; r.ver = disk.ver; r.ho = disk.ho; r.dirty = disk.dirty; r.id = 1; lost = true;
  disk.val = 0; disk.ver = 0; disk.ho = 0; disk.dirty = false;
  i = 0;
  do
  :: i < N -> if :: w[i].wire == SENT || w[i].wire == STALE -> w[i].wire = IDLE; w[i].check = false :: else fi; i++
  :: else -> break
  od;
  i = 0
}

proctype Restart() {
  byte i;
end:
  do
  :: d_step { LOSS && !lost && (failovers < FAILOVERS || ctl.st == TAKE || ctl.st == ACT_M) -> restart() }
  :: d_step { LOSS == 2 && !lost && (disk.ver != r.ver || disk.ho != r.ho || disk.dirty != r.dirty) ->
       disk.val = r.val; disk.ver = r.ver; disk.ho = r.ho; disk.dirty = r.dirty }
  od
}

/* The document is what Redis had at its version, no more and no less. */
inline exact() { d.j = 0; d.bep = 0; d.bver = 0; d.open = false }

/* One update of the document by a write under the archive's authority: the sequence M. */
inline journal(i, epoch) {
  if :: !d.open -> d.bep = d.ep; d.bver = d.ver; d.open = true :: else fi;
  d.val = WITH(d.val, i); d.j = d.j | (1 << i); d.ver++; d.ep = epoch; d.archive = true
}

#define ADMITS(epoch) (NO_OWN || d.ep <= (epoch))

#if LATE
proctype LateUpdate() {
end:
  do
  :: atomic { late[0].on -> if :: d.ver == late[0].ver && d.ep == late[0].ep && ADMITS(late[0].by) -> journal(0, late[0].by) :: else fi;
       late[0].on = false; late[0].ver = 0; late[0].ep = 0; late[0].by = 0 }
  od
}
#endif

/* The sequence H: hand the key over to Redis in the given epoch. Each step may be the last of this worker for long. */
inline hand_off(epoch) {
  do
  :: atomic { r.ho >= epoch && (d.ep < epoch || !d.archive) ->
       /* 6: restored; the journal has served its purpose */
       if :: !d.archive && d.ep == epoch -> exact() :: else fi; break }
  :: d.ep > epoch && !NO_OWN -> break                           /* this epoch is over */
  :: else ->
     d_step { dval = d.val; dver = d.ver; dep = d.ep; dj = d.j; begun = !d.archive && d.ep == epoch;
              if :: d.open -> bep = d.bep; bver = d.bver :: else -> bep = d.ep; bver = d.ver fi };
     d_step { s = r.val; rver = r.ver; rho = r.ho; rid = r.id };
     if
     :: rho >= epoch -> ok = false                              /* somebody else has finished it */
     :: rho < epoch && begun && (NO_BASE || !OLDER(bep, bver, rho, rver)) -> s = dval; ok = true
     :: else ->
        atomic {
          if
          :: dver == 0 -> skip
          :: dver > 0 && !OLDER(bep, bver, rho, rver) -> s = dval
          :: else -> if :: NO_MERGE -> if :: dj -> s = dval :: else fi :: else -> s = REPLAY(s, dj) fi
          fi;
          dval = s };
        d_step {
          if
          :: d.ver == dver && d.ep == dep && ADMITS(epoch) ->
             d.val = s; d.ver = MAX(dver, rver) + 1; d.ep = epoch; d.archive = false;
             d.bep = rho; d.bver = rver; d.open = true;
             dver = d.ver; ok = true
          :: else -> ok = false
          fi }
     fi;
     if
     :: ok -> d_step {
          if
          :: NO_CONDITION || r.id == rid && r.ho == rho && r.ver == rver && rho < epoch ->
             r.val = s; r.ver = dver; r.ho = epoch; r.dirty = false
          :: else
          fi }
     :: else
     fi
  od;
  atomic { dval = 0; dver = 0; dep = 0; dj = 0; bep = 0; bver = 0; s = 0; rver = 0; rho = 0; rid = 0; ok = false; begun = false }
}

#define HAND_OFF_LOCALS byte dval, dver, dep, dj, bep, bver, s, rver, rho; bit rid; bool ok, begun

proctype Op(byte i; byte p) {
  mtype st; byte ep; bit id; bool again;          /* the view: what this write was routed by */
  byte ver, dep2; bool found;
  HAND_OFF_LOCALS;
route:
  atomic { lease[p].on -> st = lease[p].st; ep = lease[p].ep; id = lease[p].id; ver = 0; dep2 = 0; found = false };
  if
  :: st == ACT_M ->
     atomic { found = (again && !NO_RESOLVE && !NO_IDS && HAS(d.val, i) && d.ep <= ep);
              ver = d.ver; dep2 = d.ep; again = true };
     if
     :: found
     :: else ->
        atomic {
          if
          :: d.ver == ver && d.ep == dep2 && ADMITS(ep) -> journal(i, ep); w[i].wire = IDLE
          :: LATE && !late[i].on && i == 0 -> late[i].on = true; late[i].ver = ver; late[i].ep = dep2; late[i].by = ep; goto route
          :: else -> goto route
          fi }
     fi
  :: else ->
     if :: st == CATCH -> hand_off(ep) :: else fi;
     /* send, on a connection that an earlier round trip armed */
     atomic {
       if
       :: !(lease[p].on && (NO_ARM || lease[p].ep == ep) && (NO_IDENTITY || r.id == id)) -> goto route
       :: else ->
          if
          :: again && NO_ATOMIC && !NO_RESOLVE && !NO_IDS && HAS(r.val, i) -> w[i].wire = DONE
          :: else ->
             if
             :: w[i].wire == SENT        /* the window is open: the first one may still run */
             :: else -> if :: NO_FENCE && w[i].wire == STALE -> w[i].zombie = !w[i].check :: else fi;
                w[i].wire = SENT; w[i].check = (again && !NO_RESOLVE && !NO_ATOMIC); again = true
             fi
          fi
       fi };
     if
     :: w[i].wire == DONE
     :: atomic { w[i].wire == REFUSED || w[i].wire == IDLE -> w[i].wire = IDLE; goto route }
     :: !lease[p].on -> goto route     /* no answer and no lease: unresolved */
     fi;
     if
     :: BOTH -> if :: HAS(d.val, i) && d.ep <= ep :: !lease[p].on -> goto route fi
     :: else
     fi
  fi;
  atomic {
    if
    :: NO_ACKCHECK || lease[p].on && lease[p].ep == ep -> w[i].acked = true; acks++
    :: else -> goto route
    fi }
}

/* The sequence A: claim the mark, read, compare-and-set; a crash with a claim gives the mark back. */
proctype Archiver() {
  byte val, ver, ho;
end:
  do
  :: d_step { r.dirty && (ctl.st == ACT_R || ctl.st == CATCH) -> r.dirty = NO_CLAIM; val = r.val; ver = r.ver; ho = r.ho };
     if
     :: d_step { true -> r.dirty = true }
     :: d_step { true ->
          if
          :: !d.archive && (NO_EPOCH -> d.ver < ver : OLDER(d.ep, d.ver, ho, ver)) ->
             d.val = val; d.ver = ver; d.ep = ho; exact()
          :: d.archive && !NO_CLAIM -> r.dirty = true
          :: else
          fi;
          if :: NO_CLAIM -> r.dirty = false :: else fi }
     fi;
     d_step { val = 0; ver = 0; ho = 0 }
  od
}

proctype Mover() {
  byte epoch;
  HAND_OFF_LOCALS;
end:
  do
  :: atomic { (ctl.st == CATCH && r.ho < ctl.ep || ctl.st == ACT_R && (d.archive || d.open) && r.id == ctl.id) -> epoch = ctl.ep };
     hand_off(epoch); epoch = 0
  od
}

/* What a proxy flushes in T: writes that Redis executed and the archive does not have. */
inline flush(i) {
  if
  :: i < N && w[i].wire == DONE && !HAS(d.val, i) ->
     if
     :: !d.archive && (NO_TORN || d.ep == w[i].ep && d.ver + 1 == w[i].ver) ->
        d.val = WITH(d.val, i); d.ver = w[i].ver; d.ep = w[i].ep; exact()
     :: else -> journal(i, ctl.ep)
     fi
  :: else
  fi
}

#define READY(p)    (NO_FLUSH || ctl.flushed[p] || away == p)
#define MISSES(i)   (w[i].wire == DONE && w[i].acked && !HAS(d.val, i))
/* A predecessor that is missing may still come from another member. */
#define IN_TURN(i, q) (!(i < N && w[i].wire == DONE && !HAS(d.val, i)) || d.ep == w[i].ep && d.ver + 1 == w[i].ver || READY(q))

proctype Controller() {
  byte i;
end:
  do
  :: d_step { (ctl.st == ACT_R || ctl.st == CATCH && failovers > 1) && failovers < FAILOVERS && acks < N ->
       failovers++; ctl.ep++; ctl.st = TAKE; ctl.flushed[0] = false; ctl.flushed[1] = false }
  :: d_step { (ctl.st == ACT_R || ctl.st == CATCH) && r.id != ctl.id && !NO_IDENTITY ->
       failovers++; ctl.ep++; ctl.st = TAKE; ctl.flushed[0] = false; ctl.flushed[1] = false }
  :: d_step { ctl.st == TAKE && !NO_FLUSH && away != 0 && !ctl.flushed[0] && !lease[0].on && IN_TURN(0, 1) ->
       flush(0); flush(2); ctl.flushed[0] = true }
  :: d_step { ctl.st == TAKE && !NO_FLUSH && away != 1 && !ctl.flushed[1] && !lease[1].on && IN_TURN(1, 0) ->
       flush(1); flush(3); ctl.flushed[1] = true }
  :: d_step { ctl.st == TAKE && (NO_WAIT || !OLD(0) && !OLD(1)) && READY(0) && READY(1) ->
       ctl.st = ACT_M; ctl.flushed[0] = false; ctl.flushed[1] = false;
       i = 0;
       do
       :: i < N -> if :: away == i % P && MISSES(i) -> w[i].gap = true :: else fi; i++
       :: else -> break
       od;
       i = 0 }
  :: d_step { ctl.st == ACT_M -> ctl.ep++; ctl.st = CATCH; ctl.id = r.id }
  :: d_step { ctl.st == CATCH && r.id == ctl.id && !OLD(0) && !OLD(1) &&
              (lost -> r.ho == ctl.ep : !d.archive && (NO_CONFIRM || !d.open)) -> ctl.st = ACT_R }
  od
}

/* What a client may see: in M every acknowledged write is in the archive, in R every one is in Redis. */
#define UNSEEN(i)  (i < N && w[i % N].acked && (BOTH || !w[i % N].gap) && \
                    (ctl.st == ACT_M && !HAS(d.val, i) || ctl.st == ACT_R && r.id == ctl.id && !HAS(r.val, i)))
proctype Watcher() {
end:
  do
  :: atomic { UNSEEN(0) || UNSEEN(1) || UNSEEN(2) -> assert(false) }
  od
}

init {
  byte i;
  atomic {
    if :: true :: AWAY -> away = 0 :: AWAY && N > 1 -> away = 1 fi;
    if
    :: ACKED -> w[0].wire = DONE; w[0].acked = true; w[0].ver = 1; acks = 1;
       r.val = 1; r.ver = 2; r.dirty = true; i = 1
    :: else
    fi;
    do :: i < N -> run Op(i, i % P); i++ :: else -> break od;
    i = 0;
    do :: i < MOVERS -> run Mover(); i++ :: else -> break od;
    i = 0;
    run Clock(); run Server(); run Archiver(); run Controller(); run Watcher();
    if :: LOSS -> run Restart() :: else fi;
#if LATE
    run LateUpdate()
#endif
  };
  /* Nothing is left to do for anybody. */
  timeout ->
  do
  :: i < N ->
     assert(w[i].acked);
     assert(!TWICE(r.val, i) && !TWICE(d.val, i));
     assert(ctl.st == ACT_M || HAS(r.val, i) || w[i].gap && lost && !BOTH);
     assert(ctl.st != ACT_M || HAS(d.val, i) || w[i].gap);
     assert(ctl.st != ACT_R || HAS(r.val, i) == HAS(d.val, i));
     i++
  :: else -> break
  od;
  assert(ctl.st == ACT_R && !r.dirty && !d.archive)
}
