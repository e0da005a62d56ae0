/* tiers.pml: one key is written and read while it is taken out of Redis and put back, by a proxy that may die at any step and whose last
 * transaction Redis may execute late. No acknowledged write is missing when it is looked for, or at the end.
 *
 * A value is the number of writes in it. The archive's copy of a write is one step with its acknowledgement: its races are stores.pml's. */

/* ---- situations ---- */
#ifndef WRITES
#define WRITES 3
#endif
#ifndef DEMOTIONS
#define DEMOTIONS 2
#endif
#ifndef DEATHS
#define DEATHS 1      /* of the proxy, while it demotes */
#endif

/* ---- rules ---- */
#ifndef NO_FENCE
#define NO_FENCE 0    /* the key leaves while a request that passed the gate before is on its way */
#endif
#ifndef NO_GATE
#define NO_GATE 0     /* requests do not look whether the key is away */
#endif
#ifndef NO_NOTE
#define NO_NOTE 0     /* the key leaves before the document says so */
#endif
#ifndef NO_EXACT
#define NO_EXACT 0    /* the key leaves whatever its version is */
#endif
#ifndef NO_TOUCH
#define NO_TOUCH 0    /* a key that is found in Redis on the way back is left as it is */
#endif

mtype = { HOME, MOVING, LEAVING, AWAY, COMING };

typedef Redis { bool there; byte val, ver, touched };     /* touched: what WATCH sees */
typedef Document { byte val, ver; bool tier };

Redis r;
Document d;
mtype set = HOME;
byte acked, flying, deaths, demotions;
bool late; byte sent, armed;                                 /* a transaction of a proxy that is dead */
bool done, over;                                         /* the writer; the demoter */

inline arrive() {
  atomic {
    (NO_GATE || set == HOME || set == MOVING);
    if :: set == MOVING && !NO_GATE -> set = HOME :: else fi;
    flying++
  }
}

active proctype Writer() {
  byte i;
  for (i : 1 .. WRITES) {
    arrive();
    atomic {                                              /* Redis executes it */
      if :: r.there -> r.val++ :: else -> r.there = true; r.val = 1 fi;
      r.ver++; r.touched++
    }
    atomic { d.val = r.val; d.ver = r.ver; d.tier = false; acked++; flying-- }
  }
  done = true
}

active proctype Reader() {
  byte i, before;
  for (i : 1 .. 2) {
    before = acked;
    arrive();
    atomic { assert((r.there -> r.val : 0) >= before); flying-- }
  }
}

inline die() {                                            /* the next process looks through the archive */
  deaths++;
  set = (d.tier -> AWAY : HOME)
}

active proctype Demoter() {
  byte v;
  do
  :: demotions < DEMOTIONS ->
     demotions++;
     atomic { set == HOME -> set = MOVING };
     (NO_FENCE || flying == 0 || set != MOVING);
     if
     :: atomic { set == MOVING -> set = LEAVING }
     :: atomic { set != MOVING -> goto again }
     fi;
     v = d.ver;
     if
     :: atomic { !NO_EXACT && (r.ver != v || !r.there) -> set = HOME; goto again }
     :: atomic { NO_EXACT || (r.ver == v && r.there) -> skip }
     fi;
     atomic { if :: d.ver == v && !NO_NOTE -> d.tier = true :: else fi };
     if
     :: atomic { deaths < DEATHS -> die(); goto again }
     :: skip
     fi;
     atomic { armed = r.touched;                           /* WATCH, and a look at the version */
       if :: !NO_EXACT && r.ver != v -> set = HOME; goto again :: else fi };
     if
     :: atomic { deaths < DEATHS -> late = true; sent = armed; die(); goto again }
     :: atomic { NO_EXACT || r.touched == armed -> r.there = false; r.val = 0; r.touched++; d.tier = true; set = AWAY }
     :: atomic { !NO_EXACT && r.touched != armed -> set = HOME }
     fi;
again:
     skip
  :: demotions >= DEMOTIONS -> over = true; break
  od
}

active proctype Zombie() {                                 /* what was sent before is executed at any time, or never */
  do
  :: atomic { late -> late = false; if :: r.touched == sent -> r.there = false; r.val = 0; r.touched++ :: else fi }
  :: atomic { late -> late = false }
  :: atomic { done && over && !late -> break }
  od
}

active proctype Mover() {
  byte expected, v;
  do
  :: atomic { set == AWAY -> set = COMING; expected = r.ver; v = (r.ver > d.ver -> r.ver : d.ver) };
     if
     :: atomic { !d.tier || (NO_TOUCH && r.there) -> d.tier = false }
     :: atomic { d.tier && !(NO_TOUCH && r.there) -> d.ver = v + 1 }
        atomic { if :: r.ver == expected -> r.there = true; r.val = d.val; r.ver = d.ver; r.touched++ :: else fi };
        d.tier = false
     fi;
     set = HOME
  :: atomic { done && over && set != AWAY -> break }
  od
}

active proctype End() {
  atomic {
    done && over && set == HOME && flying == 0 && !late;
    assert(acked == WRITES && r.there && r.val == WRITES && d.val == WRITES)
  }
}
