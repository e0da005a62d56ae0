/* order.pml: one client sends a pipeline of appends 1, 2, 3 ... to one key; Redis is lost on the way, the archive acts,
 * Redis comes back as it was. Whatever happens, both lists keep the order of the client.
 *
 * A list is an integer with three bits for each element, the newest in the lowest. Races of the hand-off are
 * failover.pml's business: here it is one step. */

/* ---- situations ---- */
#ifndef K
#define K 3           /* appends, at most 4 */
#endif
#ifndef CLOSES
#define CLOSES 2      /* how many windows or leases end besides those that a take-over waits for */
#endif
#ifndef AWAY
#define AWAY 0        /* the proxy may be absent during the take-over and does not flush */
#endif

/* ---- rules ---- */
#ifndef NO_BLOCK
#define NO_BLOCK 0        /* I8: a write overtakes an unresolved one of the same connection and key */
#endif
#ifndef NO_STICKY
#define NO_STICKY 0       /* I3, I8: a connection is armed with a new window while requests are outstanding on it */
#endif
#ifndef NO_RESOLVE
#define NO_RESOLVE 0      /* I7: a second attempt does not look whether the first one worked */
#endif
#ifndef NO_PREDECESSOR
#define NO_PREDECESSOR 0  /* I10, H38: a delta is taken when it is newer, whatever is missing in between */
#endif
#ifndef NO_SORT
#define NO_SORT 0         /* I11: the flush goes in any order */
#endif
#ifndef NO_TAIL_FIRST
#define NO_TAIL_FIRST 0   /* I12: the journal is put before what Redis had on its own */
#endif
#ifndef NO_REST
#define NO_REST 0         /* I8, I12: of a session in the journal, Redis' tail loses the same writes but keeps later ones */
#endif

#define AT(l, n)        (((l) >> (3 * (n))) & 7)
#define HAS(l, x)       (AT(l, 0) == (x) || AT(l, 1) == (x) || AT(l, 2) == (x) || AT(l, 3) == (x))
#define WITH(l, x)      ((l) << 3 | (x))
#define SORTED(l)       (((l) == 0 || AT(l, 1) < AT(l, 0)) && ((l) >> 3 == 0 || AT(l, 2) < AT(l, 1)) && \
                         ((l) >> 6 == 0 || AT(l, 3) < AT(l, 2)) && (l) < 4096)
/* Older than everything in a sorted list. */
#define BEFORE(x, l)    (((l) == 0 || (x) < AT(l, 0)) && (AT(l, 1) == 0 || (x) < AT(l, 1)) && \
                         (AT(l, 2) == 0 || (x) < AT(l, 2)) && (AT(l, 3) == 0 || (x) < AT(l, 3)))
#define DONE(x)         ((acked >> (x)) & 1)

mtype = { ACT_R, TAKE, ACT_M, CATCH };

mtype st = ACT_R;                     /* control document */
byte ep;
bool lease; mtype lease_st; byte lease_ep;
byte window;                          /* the window that is open in Redis; those with smaller numbers are over */
byte closes;
int r_list; byte r_ver;               /* Redis */
int d_list; byte d_ver, d_base;       /* document; its version counts in Redis' versions until the journal opens */
int journal;
bool away, flushed, taken, handed;
byte acked;                           /* bit x: append x is acknowledged */
byte ver_of[K + 1];                   /* version of append x in Redis, 0 when Redis has not executed it */
byte head = 1, next = 1;              /* the first not acknowledged; the next to be sent */
byte armed;                           /* window of the connection to Redis */
byte connection;                      /* the number of the present connection to Redis */
chan wire = [K] of { byte, byte, bool, byte };   /* append, window, second attempt, connection */
chan reply = [K] of { byte, bool };             /* append, executed */

inline check_lists() { assert(SORTED(r_list)); assert(SORTED(d_list)) }

/* Redis executes in the order of arrival; EXEC is nil when the window is over. Nobody reads a closed connection. */
proctype Server() {
  byte x, win, conn; bool again;
end:
  do
  :: atomic { wire?x, win, again, conn ->
       if
       :: win == window ->
          if
          :: again && HAS(r_list, x)
          :: else -> r_list = WITH(r_list, x); r_ver++; ver_of[x] = r_ver; check_lists()
          fi;
          if :: conn == connection -> reply!x, true :: else fi
       :: else -> if :: conn == connection -> reply!x, false :: else fi
       fi;
       x = 0; win = 0; again = false; conn = 0 }
  od
}

inline hang_up() {
  do :: reply?_, _ :: empty(reply) -> break od;
  connection++; next = head; refused = false
}

inline acknowledge(x) {
  acked = acked | (1 << (x));
  do :: head <= K && DONE(head) -> head++ :: else -> break od
}

/* The proxy: sends ahead on R, one after the other on M. */
proctype Proxy() {
  byte x, seen_ver; byte first_fresh = 1; int seen; bool ok, refused; mtype view; byte view_ep;
end:
  do
  /* a new view: all that is outstanding is unresolved */
  :: atomic { lease && (lease_ep != view_ep || lease_st != view || armed == 255) && head <= K ->
       view = lease_st; view_ep = lease_ep; hang_up(); armed = window }
  /* the lease is gone: the next one, even for the same epoch, begins with a new connection */
  :: atomic { !lease && view != 0 -> view = 0; view_ep = 0; armed = 255; seen = 0; seen_ver = 0 }
  /* W */
  :: atomic { lease && (view == ACT_R || view == CATCH && handed) && lease_ep == view_ep && armed != 255 && !refused && next <= K ->
       if
       :: NO_STICKY || next == head -> armed = window
       :: else
       fi;
       x = next;
       if :: NO_BLOCK && first_fresh > next && first_fresh <= K -> x = first_fresh :: true fi;
       if
       :: DONE(x)
       :: else -> wire!x, armed, (x < first_fresh && !NO_RESOLVE), connection
       fi;
       if :: x == next -> next++ :: else fi;
       if :: x == first_fresh -> first_fresh++ :: else fi;
       x = 0 }
  :: atomic { lease && lease_ep == view_ep && nempty(reply) -> reply?x, ok;
       if
       :: ok -> acknowledge(x)
       :: else -> refused = true
       fi;
       x = 0; ok = false }
  /* a refusal: whatever was sent behind it is answered first, then all goes again */
  :: atomic { refused && empty(wire) && empty(reply) -> next = head; refused = false }
  /* M: one compare-and-set after the other */
  :: atomic { lease && view == ACT_M && lease_ep == view_ep && head <= K ->
       x = head;
       if :: NO_BLOCK && first_fresh > head && first_fresh <= K -> x = first_fresh :: true fi;
       if :: x == first_fresh -> first_fresh++ :: else fi;
       seen = d_list; seen_ver = d_ver };
     atomic {
       if
       :: HAS(seen, x) && !NO_RESOLVE -> skip
       :: else ->
          if
          :: d_ver == seen_ver && d_list == seen && !handed ->
             d_list = WITH(d_list, x); journal = WITH(journal, x); d_ver++; check_lists()
          :: else -> x = 0
          fi
       fi };
     atomic {
       if :: x && lease && lease_ep == view_ep -> acknowledge(x); next = head :: else fi;
       x = 0; seen = 0; seen_ver = 0 }
  od
}

/* Leases and windows end whenever they like. */
proctype Clock() {
end:
  do
  :: atomic { closes < CLOSES && window < 250 -> closes++; window++ }
  :: atomic { lease && (closes < CLOSES || lease_ep != ep) ->
       if :: lease_ep == ep -> closes++ :: else fi;
       lease = false; lease_st = 0; lease_ep = 0; window++ }
  :: atomic { !lease && st != TAKE && head <= K -> lease = true; lease_st = st; lease_ep = ep }
  od
}

/* Deltas of several workers arrive in any order; a snapshot says everything. */
proctype Archiver() {
  byte x, ver; int list;
end:
  do
  :: d_step { (st == ACT_R || handed) && d_ver < r_ver -> list = r_list; ver = r_ver };
     d_step { if :: (st == ACT_R || st == TAKE || handed) && d_ver < ver -> d_list = list; d_ver = ver :: else fi; list = 0; ver = 0 }
  :: atomic { (st == ACT_R || handed) && d_ver < r_ver ->
       x = 1;
       do
       :: x < K -> x++
       :: break
       od;
       if
       :: ver_of[x] > d_ver && !HAS(d_list, x) && (NO_PREDECESSOR || d_ver + 1 == ver_of[x]) ->
          d_list = WITH(d_list, x); d_ver = ver_of[x]; check_lists()
       :: else
       fi;
       x = 0 }
  od
}

inline flush_one(x) {
  if
  :: ver_of[x] && !HAS(d_list, x) -> d_list = WITH(d_list, x); d_ver = (d_ver > ver_of[x] -> d_ver : ver_of[x])
  :: else
  fi
}

/* What Redis had on its own goes first, without what the journal has; and without what the same client sent later:
 * that is unresolved, will be sent again, and would else stand before its predecessor. */
inline append_all(from, without) {
  n = 4;
  do
  :: n > 0 -> n--;
     if
     :: AT(from, n) && !HAS(without, AT(from, n)) && (NO_REST || BEFORE(AT(from, n), without)) -> s = WITH(s, AT(from, n))
     :: else
     fi
  :: else -> break
  od
}

proctype Controller() {
  byte n; int s;
end:
  do
  :: atomic { st == ACT_R && !taken && head <= K -> taken = true; ep++; st = TAKE }
  :: atomic { st == TAKE && !flushed && !away && !lease ->
       n = 1;
       do
       :: n <= K -> if :: NO_SORT -> flush_one(K + 1 - n) :: else -> flush_one(n) fi; n++
       :: else -> break
       od;
       n = 0; flushed = true; check_lists() }
  :: atomic { st == TAKE && (flushed || away) && !(lease && lease_ep != ep) -> st = ACT_M; d_base = d_ver }
  :: atomic { st == ACT_M -> ep++; st = CATCH }
  :: atomic { st == CATCH && handed && !(lease && lease_ep != ep) -> st = ACT_R }
  :: atomic { st == CATCH && !handed ->       /* H, in one step */
       if
       :: r_ver == d_base -> s = d_list
       :: else ->
          if
          :: NO_TAIL_FIRST -> append_all(journal, 0); append_all(r_list, journal)
          :: else -> append_all(r_list, journal); append_all(journal, 0)
          fi
       fi;
       r_list = s; d_list = s; r_ver = (r_ver > d_ver -> r_ver : d_ver) + 1; d_ver = r_ver;
       s = 0; n = 0; journal = 0; d_base = 0; handed = true; check_lists() }
  od
}

init {
  byte x = 1;
  atomic {
    if :: true :: AWAY -> away = true fi;
    run Proxy(); run Server(); run Clock(); run Archiver(); run Controller()
  };
  timeout ->
  assert(head == K + 1);
  do
  :: x <= K -> assert(HAS(r_list, x)); x++
  :: else -> break
  od;
  check_lists();
  assert(st == ACT_R && d_list == r_list)
}
