/* stores.pml: one key in Redis and in the archive as docs/protocol.md has it: epochs, one number for a version, ids in sessions,
 * no window for a write. Clients append through one or two connections, each with its own pipeline.
 *
 * A list is a number with three bits for each element, the newest in the lowest. A version is epoch * 16 + counter.
 * Rules are removed with -DNO_..., situations are chosen with the others; README.md explains each of them. */

/* ---- situations ---- */
#ifndef N
#define N 2            /* appends, 1 to 4 */
#endif
#ifndef SPLIT
#define SPLIT 9        /* the first append that goes through the second connection; 9: all through the first */
#endif
#ifndef FAILOVERS
#define FAILOVERS 1    /* how often Redis is lost without having changed */
#endif
#ifndef MOVERS
#define MOVERS 1       /* workers that hand keys over */
#endif
#ifndef LOSS
#define LOSS 0         /* Redis changes once: 1 restarts empty, 2 restarts with an old state, 3 is emptied while it runs */
#endif
#ifndef AWAY
#define AWAY 0         /* the proxy of one connection may be absent during the take-over: paused or cut off */
#endif
#ifndef BOTH
#define BOTH 0         /* ack: 0 primary, 1 both */
#endif
#ifndef LATE
#define LATE 0         /* copies may reach the archive at any later time: a paused proxy's, or a frozen server's */
#endif
#ifndef ZOMBIE
#define ZOMBIE 0       /* a dead proxy's write to the archive is executed at any later time */
#endif

/* ---- rules ---- */
#ifndef NO_KILL
#define NO_KILL 0            /* I3: connections of earlier epochs are left open */
#endif
#ifndef NO_GREETING
#define NO_GREETING 0        /* I3: a new connection does not look at cvp:ep */
#endif
#ifndef NO_NAME_FIRST
#define NO_NAME_FIRST 0      /* I3: it looks first and takes its name, by which it would be closed, then */
#endif
#ifndef NO_IDENTITY
#define NO_IDENTITY 0        /* I14: nobody notices a restart */
#endif
#ifndef NO_SESS_REPLY
#define NO_SESS_REPLY 0      /* H19: what HSET cvp:sess answers is not looked at */
#endif
#ifndef NO_RESET
#define NO_RESET 0           /* H19: versions of a Redis without cvp:ep count */
#endif
#ifndef NO_KILL_FIRST
#define NO_KILL_FIRST 0      /* H19: a Redis without cvp:ep is claimed like any other: first cvp:ep, then the connections */
#endif
#ifndef NO_WAIT
#define NO_WAIT 0            /* I2: the archive acts, or keys are handed over, while connections still have the view before */
#endif
#ifndef NO_ACKCHECK
#define NO_ACKCHECK 0        /* I6: a reply is passed on however late it is read */
#endif
#ifndef NO_FLUSH
#define NO_FLUSH 0           /* I11: the archive acts without the copies that wait */
#endif
#ifndef NO_TORN
#define NO_TORN 0            /* I11: a copy whose predecessor is missing is left to a snapshot that nobody can take */
#endif
#ifndef NO_RESOLVE
#define NO_RESOLVE 0         /* I7: a second attempt in the archive does not look for the first */
#endif
#ifndef NO_LOOKUP
#define NO_LOOKUP 0          /* I7: nor does one in Redis, in cvp:sess and the document */
#endif
#ifndef NO_RESOLVED_FIRST
#define NO_RESOLVED_FIRST 0  /* I7: CATCHUP begins while writes of living proxies are unresolved */
#endif
#ifndef NO_COVER
#define NO_COVER 0           /* I12: all of the journal is replayed over Redis' tail, whatever cvp:sess says */
#endif
#ifndef NO_COUNT
#define NO_COUNT 0           /* I12: also a tail that is all in the journal decides the order */
#endif
#ifndef NO_FIRST
#define NO_FIRST 0           /* I12: counts also after a commit, when base is later than the journal */
#endif
#ifndef NO_TAIL
#define NO_TAIL 0            /* I12: the document always wins */
#endif
#ifndef NO_BASE
#define NO_BASE 0            /* I12: a commit does not note the version of the Redis that it has merged */
#endif
#ifndef NO_NEW_JOURNAL
#define NO_NEW_JOURNAL 0     /* I12: the archive's first write after a commit goes on with the journal before it */
#endif
#ifndef NO_READ_EPOCH
#define NO_READ_EPOCH 0      /* I14: the hand-over reads a state without looking whose Redis it is */
#endif
#ifndef NO_CONTINUE
#define NO_CONTINUE 0        /* a hand-over that somebody has committed in this epoch is committed again */
#endif
#ifndef NO_CONDITION
#define NO_CONDITION 0       /* I10: a restore overwrites whatever is there */
#endif
#ifndef NO_COPY_EPOCH
#define NO_COPY_EPOCH 0      /* I14: nor does the copier */
#endif
#ifndef NO_EP_WATCH
#define NO_EP_WATCH 0        /* I3: a restore looks at the key's version alone, not at cvp:ep: it may be very late */
#endif
#ifndef NO_CLAIM
#define NO_CLAIM 0           /* I9: read, copy, take the mark away; instead of claiming it first */
#endif
#ifndef NO_RAISE
#define NO_RAISE 0           /* I4: keys that a changed Redis still has keep their versions */
#endif
#ifndef NO_REMEMBER
#define NO_REMEMBER 0        /* that Redis has changed is forgotten when CATCHUP is broken off */
#endif
#ifndef NO_OWN
#define NO_OWN 0             /* I9: a mark goes, and a copy counts as done, when the archive is newer, whoever wrote there */
#endif
#ifndef NO_PREDECESSOR
#define NO_PREDECESSOR 0     /* I10: a copy of one write is taken when it is newer */
#endif

#if LOSS > 0
#define G              (FAILOVERS + 2)                /* sessions that a connection has, one after the other */
#else
#define G              (FAILOVERS + 1)
#endif
#define S(c, g)        ((c) * G + (g))
#define V(e, n)        ((e) << 4 | (n))
#define EP(v)          ((v) >> 4)
#define COUNT(v)       ((v) & 15)
#define NEXT(v, e)     (EP(v) >= (e) -> (v) + 1 : V(e, COUNT(v) + 1))
#define NOW            8                              /* the counter of a key that is new */
#define MAX(a, b)      ((a) > (b) -> (a) : (b))

#define AT(l, n)       (((l) >> (3 * (n))) & 7)
#define HAS(l, x)      (AT(l, 0) == (x) || AT(l, 1) == (x) || AT(l, 2) == (x) || AT(l, 3) == (x) || AT(l, 4) == (x))
#define WITH(l, x)     ((l) << 3 | (x))
#define DEAD           7                              /* the dead proxy's write */
#define OF(x)          ((x) == DEAD -> 2 : ((x) < SPLIT -> 0 : 1))
#define FIRST(c)       ((c) == 0 -> 1 : SPLIT)
#define LAST(c)        ((c) == 0 && SPLIT <= N -> SPLIT - 1 : N)
#define CONNECTIONS    (SPLIT <= N -> 2 : 1)
/* No element twice, and those of one connection in the order in which they were sent. */
#define PAIR(l, n, m)  (AT(l, m) == 0 || AT(l, n) != AT(l, m) && (OF(AT(l, n)) != OF(AT(l, m)) || AT(l, n) > AT(l, m)))
#define GOOD(l)        (PAIR(l, 0, 1) && PAIR(l, 0, 2) && PAIR(l, 0, 3) && PAIR(l, 1, 2) && PAIR(l, 1, 3) && PAIR(l, 2, 3) && \
                        PAIR(l, 0, 4) && PAIR(l, 1, 4) && PAIR(l, 2, 4) && PAIR(l, 3, 4))

mtype = { ACT_R, HOLD, ACT_M, CLAIM, CATCH };

typedef Control { mtype st = ACT_R; byte ep = 1; bit id; bool changed };
typedef View { bool valid; mtype st; byte ep; bit id };
typedef Redis { short list; byte ver, ep; bit id; bool dirty; byte sess[2 * G] };
/* archive: it wrote last. dirty: a hand-over was committed and is not confirmed. base: the version of the Redis that the
 * document contains. j: what the archive has done since. */
typedef Document { short list; byte ver; bool archive, dirty; byte base; short j };
typedef Session { bool open, named, unknown; byte ep, sent, ran, bad };  /* sent, ran: the last that was sent, executed */

Control ctl;
View view[2];
Redis r, disk;
Document d;
Session ses[2 * G];
byte gen[2];              /* the present one of each connection */
byte id_of[N + 1];        /* 1 + the number of the session in which append x was sent to Redis; 0: the archive's session */
byte reply[N + 1];        /* what Redis answered: the version; 0: nothing yet */
byte got[N + 1];          /* the same, when it has been read */
byte acked;               /* bit x */
byte gap;                 /* bit x: acknowledged, and not in the archive when it began to act */
byte head[2];             /* the first that is not acknowledged */
byte next[2];             /* the next to be sent on the present session */
byte handed;              /* the last epoch in which the key was handed over */
byte failovers;
byte away = 2;
bool changed, carrying;
byte z_ver, z_ep; bool z_on;

#define ACKED(x)        ((acked >> (x)) & 1)
#define COVERED(x, sess) (id_of[x] && sess[(id_of[x] -> id_of[x] - 1 : 0)] >= (x))
#define STRANGER        (r.id != ctl.id || r.ep == 0)
#define QUIET(c)        ((c) >= CONNECTIONS || !view[c].valid || view[c].ep == ctl.ep)

inline acknowledge(c, x) {
  acked = acked | (1 << (x));
  do :: head[c] <= LAST(c) && ACKED(head[c]) -> head[c]++ :: else -> break od
}

/* ---- Redis ---- */

inline execute(s) {
  x = ses[s].ran + 1;
  if :: r.ver == 0 -> r.ver = V(ses[s].ep, NOW) :: else fi;
  r.ver++; r.list = WITH(r.list, x); r.dirty = true; r.sess[s] = x; reply[x] = r.ver; ses[s].ran = x;
  if :: ses[s].unknown -> ses[s].unknown = false; if :: NO_SESS_REPLY :: else -> ses[s].bad = x fi :: else fi;
  assert(GOOD(r.list));
  x = 0
}

#define CAN_RUN(s) (s < 2 * G && ses[s].open && ses[s].ran < ses[s].sent)

proctype Server() {
  byte x, s;
end:
  do
  :: atomic { CAN_RUN(0) -> execute(0) }
  :: atomic { CAN_RUN(1) -> execute(1) }
  :: atomic { CAN_RUN(2) -> execute(2) }
  :: atomic { CAN_RUN(3) -> execute(3) }
#if FAILOVERS > 1 || LOSS > 0
  :: atomic { CAN_RUN(4) -> execute(4) }
  :: atomic { CAN_RUN(5) -> execute(5) }
#endif
  :: d_step { (LOSS == 1 || LOSS == 2) && !changed ->          /* a restart: what was in buffers is gone */
       changed = true; r.id = 1;
       r.list = disk.list; r.ver = disk.ver; r.ep = disk.ep; r.dirty = disk.dirty;
       s = 0;
       do :: s < 2 * G -> r.sess[s] = disk.sess[s]; disk.sess[s] = 0; ses[s].open = false; s++ :: else -> break od;
       s = 0; disk.list = 0; disk.ver = 0; disk.ep = 0; disk.dirty = false }
  :: d_step { LOSS == 3 && !changed ->                         /* FLUSHALL: connections live on */
       changed = true;
       r.list = 0; r.ver = 0; r.ep = 0; r.dirty = false;
       s = 0;
       do :: s < 2 * G -> r.sess[s] = 0; ses[s].unknown = ses[s].open; s++ :: else -> break od;
       s = 0 }
  :: d_step { LOSS == 2 && !changed && (disk.ver != r.ver || disk.ep != r.ep || disk.dirty != r.dirty) ->
       disk.list = r.list; disk.ver = r.ver; disk.ep = r.ep; disk.dirty = r.dirty;
       s = 0;
       do :: s < 2 * G -> disk.sess[s] = r.sess[s]; s++ :: else -> break od;
       s = 0 }
  od
}

/* ---- the archive ---- */

/* A write under the archive's authority. Its first one begins a journal, also on a document that a hand-over has committed: Redis
 * has either got that state, or nothing that the document has not. */
inline journal(x, epoch) {
  if :: !d.archive && !(d.dirty && NO_NEW_JOURNAL) -> d.base = d.ver; d.j = 0 :: else fi;
  d.list = WITH(d.list, x); d.j = WITH(d.j, x); d.dirty = true; d.ver = NEXT(d.ver, epoch); d.archive = true;
  assert(GOOD(d.list))
}

/* The document is what Redis had at its version, no more and no less. */
inline exact() { d.archive = false; d.dirty = false; d.base = 0; d.j = 0 }

#define ADMITS(epoch)   (d.archive || EP(d.ver) <= (epoch))
#define FITS(x)         (!d.archive && !HAS(d.list, x) && (NO_PREDECESSOR -> d.ver < got[x] : d.ver + 1 == got[x]))

inline copy(x) { d.list = WITH(d.list, x); d.ver = got[x]; exact(); assert(GOOD(d.list)) }

#define COPIES(x)       (LATE || view[OF(x)].valid && view[OF(x)].ep == ctl.ep)

/* Copies of single writes, by many workers; and whole states for what is marked. */
proctype Copier() {
  short list; byte ver; bit id;
end:
  do
  :: d_step { COPIES(1) && got[1] && FITS(1) -> copy(1) }
#if N > 1
  :: d_step { COPIES(2) && got[2] && FITS(2) -> copy(2) }
#endif
#if N > 2
  :: d_step { COPIES(3) && got[3] && FITS(3) -> copy(3) }
#endif
#if N > 3
  :: d_step { COPIES(4) && got[4] && FITS(4) -> copy(4) }
#endif
  :: d_step { r.dirty && r.ver && (ctl.st == ACT_R || ctl.st == CATCH && handed == ctl.ep) &&
              (!STRANGER || NO_COPY_EPOCH && r.id == ctl.id) ->
       r.dirty = NO_CLAIM; list = r.list; ver = r.ver; id = r.id; carrying = true };
     if
     :: d_step { true -> r.dirty = true }                      /* given back, or its proxy died */
     :: d_step { true ->
          if
          :: d.archive && !NO_OWN -> if :: id == r.id -> r.dirty = true :: else fi     /* the mark stays */
          :: else -> if :: d.ver < ver -> d.list = list; d.ver = ver; exact() :: else fi
          fi;
          if :: NO_CLAIM -> r.dirty = false :: else fi }
     fi;
     d_step { list = 0; ver = 0; id = 0; carrying = false }
  od
}

/* A proxy that died has sent a write to the archive; nobody waits for it. */
proctype Zombie() {
end:
  do
  :: d_step { ZOMBIE && !z_on && z_ep == 0 && ctl.st == ACT_M -> z_on = true; z_ver = d.ver; z_ep = ctl.ep }
  :: d_step { z_on -> z_on = false; if :: d.ver == z_ver && ADMITS(z_ep) -> journal(DEAD, z_ep) :: else fi; z_ver = 0 }
  od
}

/* ---- the hand-over ---- */

/* s: Redis' list, with what the journal has and Redis has not. */
inline replay(j) {
  n = 5; covered = 0; rest = 0;
  do
  :: n > 0 -> n--;
     x = AT(j, n);
     if
     :: x == 0
     :: x && x != DEAD && !NO_COVER && COVERED(x % (N + 1), rsess) -> covered++
     :: else -> rest = WITH(rest, x)
     fi
  :: else -> break
  od;
  if
  :: !NO_COUNT && (archive || NO_FIRST) && covered == COUNT(rver) - COUNT(base) -> s = list
  :: else ->
     s = rlist; n = 5;
     do
     :: n > 0 -> n--; if :: AT(rest, n) -> s = WITH(s, AT(rest, n)) :: else fi
     :: else -> break
     od
  fi;
  n = 0; x = 0; covered = 0; rest = 0
}

inline forget() {
  ver = 0; list = 0; j = 0; base = 0; rlist = 0; rver = 0; rid = 0; s = 0; to = 0; ok = false;
  n = 0;
  do :: n < 2 * G -> rsess[n] = 0; n++ :: else -> break od;
  n = 0
}

#define OURS    (ctl.st == CATCH && (NO_WAIT || QUIET(0) && QUIET(1)))
#define TO_DO   (OURS && (handed < ctl.ep || d.archive || d.dirty) || ctl.st == ACT_R && (d.archive || d.dirty) && !STRANGER)

proctype Mover() {
  byte epoch, ver, base, rver, to, n, x, covered; short list, j, rlist, s, rest; bit rid; bool ok, archive, dirty;
  byte rsess[2 * G];
end:
  do
  :: d_step { TO_DO -> epoch = ctl.ep; ver = d.ver; list = d.list; j = d.j; archive = d.archive; dirty = d.dirty;
       base = (dirty -> d.base : d.ver) };
     d_step { ok = (NO_READ_EPOCH || r.ep == epoch && r.id == ctl.id); rlist = r.list; rver = r.ver; rid = r.id;
       n = 0;
       do :: n < 2 * G -> rsess[n] = r.sess[n]; n++ :: else -> break od;
       n = 0 };
     if
     :: !ok
     :: ok && !archive && rver >= ver && !(!dirty && ctl.changed && !NO_RAISE && EP(rver) < epoch) -> ok = false;
        /* Redis has it, and perhaps more */
        if
        :: dirty -> d_step { if :: d.ver == ver && !d.archive && d.dirty -> exact() :: else fi; ok = true }
        :: else -> ok = true
        fi
     :: else -> ok = false;
        if
        :: !archive && dirty && EP(ver) == epoch && rver == base && !NO_CONTINUE -> s = list; to = ver; ok = true
        :: else ->
           d_step {
             if
             :: rver <= base || NO_TAIL -> s = list
             :: else -> replay(j)
             fi;
             assert(!(BOTH && !AWAY && !ZOMBIE && j) || s == list);
             if
             :: d.ver == ver ->
                to = NEXT(MAX(ver, rver), epoch);
                d.list = s; d.ver = to; d.archive = false; d.dirty = true;
                d.base = (NO_BASE -> base : rver);
                ok = true;
                assert(GOOD(d.list))
             :: else
             fi }
        fi;
        if
        :: ok ->
           ok = false;
           d_step {
             if
             :: r.id == rid && (NO_CONDITION || r.ver == rver) && (NO_EP_WATCH || r.ep == epoch) ->
                r.list = s; r.ver = to; r.dirty = false; ok = true; assert(GOOD(r.list))
             :: else
             fi };
           if
           :: ok -> d_step { if :: d.ver == to && !d.archive && d.dirty -> exact() :: else fi }
           :: else
           fi
        :: else
        fi
     fi;
     d_step { if :: ok && ctl.ep == epoch && handed < epoch -> handed = epoch :: else fi;
              epoch = 0; archive = false; dirty = false; forget() }
  od
}

/* ---- the proxy's side of a connection ---- */

#define SES       ses[S(c, gen[c])]
#define SERVES    (view[c].st == ACT_R || view[c].st == CATCH && handed == view[c].ep)
#define KNOWS(x)  (HAS(d.list, x) && (view[c].st == ACT_M || !d.archive && !d.dirty))

proctype Connection(byte c) {
  byte x, seen, ep, tried; bool usable;
end:
  do
  /* a new view; every older session is given up, and what was not answered on it is unresolved */
  :: d_step { !view[c].valid && head[c] <= LAST(c) && ctl.st != HOLD && ctl.st != CLAIM && view[c].ep != ctl.ep ->
       view[c].valid = true; view[c].st = ctl.st; view[c].ep = ctl.ep; view[c].id = ctl.id; usable = false; next[c] = 0 }
  :: d_step { view[c].valid && view[c].ep != ctl.ep && away != c && ctl.st != CLAIM ->
       view[c].valid = false; view[c].st = 0; usable = false; next[c] = 0 }
  /* the greeting; who was paused does not know that its view is over */
  :: atomic { !usable && SERVES && head[c] <= LAST(c) &&
              (NO_GREETING || r.ep == view[c].ep) && (NO_IDENTITY || r.id == view[c].id) ->
       if :: ses[S(c, gen[c])].sent -> gen[c]++ :: else fi;
       assert(gen[c] < G);
       SES.open = true; SES.ep = view[c].ep; SES.named = !NO_NAME_FIRST; usable = true; next[c] = head[c] };
     if :: NO_NAME_FIRST -> SES.named = true :: else fi
  /* send: a write of an earlier session only when that is known to have not been executed, and in a new one's name */
  :: atomic { usable && next[c] && next[c] <= LAST(c) ->
       x = next[c];
       if
       :: !NO_LOOKUP && SES.sent == 0 && (id_of[x] && id_of[x] != S(c, gen[c]) + 1 || (tried >> x) & 1) &&
          (COVERED(x, r.sess) || HAS(d.list, x)) ->
          if
          :: view[c].valid && view[c].ep == ctl.ep && !STRANGER && (!BOTH && COVERED(x, r.sess) || KNOWS(x)) ->
             acknowledge(c, x); next[c]++
          :: else
          fi
       :: else ->
          if :: SES.sent == 0 -> SES.ran = x - 1 :: else fi;
          SES.sent = x; id_of[x] = S(c, gen[c]) + 1; reply[x] = 0; got[x] = 0; next[c]++
       fi;
       x = 0 }
  /* a reply; the connection may have lost its view meanwhile */
  :: atomic { usable && SES.sent && head[c] <= LAST(c) ->
       x = head[c];
       do :: x <= LAST(c) && got[x] -> x++ :: else -> break od;
       if
       :: x <= LAST(c) && id_of[x] == S(c, gen[c]) + 1 && reply[x] && (SES.bad == 0 || x < SES.bad) -> got[x] = reply[x]
       :: else
       fi;
       x = 0 }
  :: atomic { usable && head[c] <= LAST(c) && got[head[c]] && id_of[head[c]] == S(c, gen[c]) + 1 &&
              (NO_ACKCHECK || view[c].valid) &&
              (!BOTH || HAS(d.list, head[c]) && !d.archive || NO_OWN && d.ver >= got[head[c]]) ->
       acknowledge(c, head[c]) }
  /* the archive acts: one after the other, unresolved ones first, which look for themselves */
  :: atomic { view[c].valid && view[c].st == ACT_M && head[c] <= LAST(c) ->
       x = head[c]; seen = d.ver; ep = view[c].ep; tried = tried | (1 << x);
       if :: !NO_RESOLVE && HAS(d.list, x) -> acknowledge(c, x); x = 0 :: else fi };
     if
     :: x ->
        atomic {
          if
          :: d.ver == seen && ADMITS(ep) ->
             journal(x, ep);
             if :: view[c].valid && view[c].ep == ep -> acknowledge(c, x) :: else fi
          :: else
          fi;
          x = 0; seen = 0; ep = 0 }
     :: else -> atomic { seen = 0; ep = 0 }
     fi
  od
}

/* ---- who acts ---- */

#define RESOLVED(c)     ((c) >= CONNECTIONS || away == (c) || head[c] > LAST(c) || id_of[head[c]] == 0)
#define BUSY            (head[0] <= LAST(0) || CONNECTIONS > 1 && head[1] <= LAST(1))
#define UNFLUSHED(x)    (x <= N && got[x] && !HAS(d.list, x) && away != OF(x))

/* What waits in the executor, by version; over a missing predecessor it opens a journal. */
inline flush() {
  n = 0;
  do
  :: n <= N ->
     x = 0; v = 255; m = 1;
     do
     :: m <= N -> if :: UNFLUSHED(m) && !tried[m] && got[m] < v -> x = m; v = got[m] :: else fi; m++
     :: else -> break
     od;
     if
     :: x ->
        tried[x] = true;
        if
        :: FITS(x) -> copy(x)
        :: else -> if :: NO_TORN :: else -> journal(x, ctl.ep) fi
        fi
     :: else
     fi;
     n++
  :: else -> break
  od;
  m = 1;
  do
  :: m <= N -> tried[m] = false; if :: ACKED(m) && !HAS(d.list, m) && (away == OF(m)) -> gap = gap | (1 << m) :: else fi; m++
  :: else -> break
  od;
  n = 0; m = 0; x = 0; v = 0
}

inline kill() {
  n = 0;
  do
  :: n < 2 * G -> if :: ses[n].named && ses[n].ep < ctl.ep -> ses[n].open = false :: else fi; n++
  :: else -> break
  od;
  n = 0
}

inline reset() {
  r.ver = 0; n = 0;
  do :: n < 2 * G -> r.sess[n] = 0; n++ :: else -> break od;
  n = 0
}

proctype Controller() {
  byte n, m, x, v; bool tried[N + 1];
  bit before;
end:
  do
  :: d_step { (ctl.st == ACT_R || ctl.st == CATCH) && (failovers < FAILOVERS && BUSY || STRANGER && !NO_IDENTITY) ->
       if :: !STRANGER -> failovers++ :: else fi;
       ctl.ep++; ctl.st = HOLD; if :: AWAY -> away = 0 :: AWAY && CONNECTIONS > 1 -> away = 1 :: true -> away = 2 fi }
  :: d_step { ctl.st == HOLD && (NO_WAIT || (QUIET(0) || away == 0) && (QUIET(1) || away == 1)) && (LATE || !carrying) ->
       if :: away < 2 -> view[away].valid = false :: else fi;
       if :: NO_FLUSH :: else -> flush() fi;
       ctl.st = ACT_M }
  :: d_step { ctl.st == ACT_M && (NO_RESOLVED_FIRST || RESOLVED(0) && RESOLVED(1)) ->
       ctl.ep++; ctl.st = CLAIM; ctl.changed = (STRANGER || ctl.changed && !NO_REMEMBER); ctl.id = r.id };
     /* the fence */
     if
     :: d_step { r.ep == 0 && !NO_KILL_FIRST -> if :: NO_KILL :: else -> kill() fi };
        d_step { if :: NO_RESET :: else -> reset() fi; r.ep = ctl.ep }
     :: d_step { r.ep != 0 || NO_KILL_FIRST -> if :: r.ep == 0 && !NO_RESET -> reset() :: else fi; r.ep = ctl.ep };
        d_step { if :: NO_KILL :: else -> kill() fi }
     fi;
     d_step { away = 2; ctl.st = CATCH }
  :: d_step { ctl.st == CATCH && !STRANGER && handed == ctl.ep && QUIET(0) && QUIET(1) && !d.archive && !d.dirty ->
       ctl.st = ACT_R; ctl.changed = false }
  od
}

/* What a client may see. */
#define UNSEEN(x)  (x <= N && ACKED(x) && (BOTH || !((gap >> (x)) & 1)) && \
                    (ctl.st == ACT_M && !HAS(d.list, x) || \
                     (ctl.st == ACT_R || ctl.st == CATCH && handed == ctl.ep) && (!STRANGER || NO_IDENTITY) && !HAS(r.list, x)))
proctype Watcher() {
end:
  do
  :: atomic { UNSEEN(1) || UNSEEN(2) || UNSEEN(3) || UNSEEN(4) -> assert(false) }
  od
}

init {
  byte x = 1;
  d_step {
    d.ver = V(1, 1); r.ver = V(1, 1); r.ep = 1; handed = 1;
    head[0] = FIRST(0); head[1] = FIRST(1);
    view[0].valid = true; view[0].st = ACT_R; view[0].ep = 1; view[1].valid = true; view[1].st = ACT_R; view[1].ep = 1
  };
  atomic {
    run Connection(0);
    if :: CONNECTIONS > 1 -> run Connection(1) :: else fi;
    run Mover();
    if :: MOVERS > 1 -> run Mover() :: else fi;
    run Server(); run Copier(); run Controller(); run Watcher();
    if :: ZOMBIE -> run Zombie() :: else fi
  };
  /* Nothing is left to do for anybody. */
  timeout ->
  do
  :: x <= N ->
     assert(ACKED(x));
     assert(HAS(r.list, x) || changed && ((gap >> x) & 1) && !BOTH);
     x++
  :: else -> break
  od;
  assert(ctl.st == ACT_R && r.list == d.list && r.ver == d.ver && !r.dirty && !d.archive && !d.dirty)
}
