/* pin.pml: three members, two stores, no majority. Any link between a member and a store may be cut and mended, members
 * die and come back without memory. While Redis acts for anybody, the archive does not, and the other way round.
 *
 * The archive holds the control document and gives leases. When it cannot be reached, members go on with Redis under a
 * pin: every member has promised in Redis to take part in no take-over of this epoch. */

/* ---- situations ---- */
#ifndef DEATHS
#define DEATHS 1      /* members that die in a run */
#endif
#ifndef REBORN
#define REBORN 0      /* the dead come back, having forgotten everything */
#endif
#ifndef JOIN
#define JOIN 0        /* the third member is not registered when the run begins */
#endif
#ifndef BACK
#define BACK 0        /* how often Redis gets its keys back */
#endif
#ifndef CONTINUE
#define CONTINUE 0    /* on_archive_loss: 0 stop, 1 continue */
#endif

/* ---- rules ---- */
#ifndef NO_PROMISE
#define NO_PROMISE 0      /* H42: a member that has pinned takes part in a take-over */
#endif
#ifndef NO_PIN_FENCE
#define NO_PIN_FENCE 0    /* I3, H42: the pin is looked up once, and not by Redis with every write */
#endif
#ifndef NO_UNPIN
#define NO_UNPIN 0        /* H42: under a fresh lease a member forgets its promise, without removing it from Redis */
#endif
#ifndef NO_RECALL
#define NO_RECALL 0       /* H42: a member that came back votes before it has seen in Redis what it promised */
#endif
#ifndef NO_REGISTER
#define NO_REGISTER 0     /* H42: a new member votes before those who pinned can know it */
#endif
#ifndef NO_HELD
#define NO_HELD 0         /* H42: a member pins an epoch without having held a lease of it since it started */
#endif
#ifndef NO_FULL
#define NO_FULL 0         /* H42: the pins of a majority are enough to act without leases */
#endif
#ifndef NO_WAIT
#define NO_WAIT 0         /* I2: the archive acts before all older leases have ended */
#endif
#ifndef NO_VOTES
#define NO_VOTES 0        /* H43: one member that lost Redis takes over for all */
#endif

#define MEMBERS 3
#define COUNT(f)        (f(0) + f(1) + f(2))
#define BIT(n)          (1 << (n))

mtype = { ACT_R, TAKE, ACT_M };
typedef Member {
  bool alive, knows;                 /* knows: has read its own promise in Redis since it started */
  bool to_r, to_m;                   /* its links */
  bool lease; mtype lease_st; byte lease_ep;
  byte held;                         /* the epoch of its last lease in this life, plus one */
  bool promised, sees_pin, vote, lost_r
};

mtype st = ACT_R;                    /* control document, in the archive */
byte ep;
byte r_ep, r_pins, r_members;        /* in Redis: the epoch, who promised in it, who is registered */
Member m[MEMBERS];
byte deaths, backs;

#define SEEN(n)         (m[n].alive && m[n].to_m)
#define VOTES(n)        (SEEN(n) && m[n].vote)
#define LOST(n)         (SEEN(n) && m[n].lost_r)
#define MAJORITY(f)     (2 * COUNT(f) > COUNT(SEEN))
#define OLD(n)          (m[n].lease && m[n].lease_ep != ep)
#define PINNED(n)       ((r_pins >> (n)) & 1)
#define FULL            (NO_FULL -> COUNT(PINNED) >= 2 : (r_pins & r_members) == r_members)
#define MAY_VOTE(n)     ((NO_PROMISE || !m[n].promised) && (NO_RECALL || m[n].knows))

proctype Proxy(byte p) {
end:
  do
  /* leases come from the archive, and end */
  :: d_step { m[p].alive && m[p].to_m && st != TAKE && !(m[p].lease && m[p].lease_ep == ep && m[p].lease_st == st) ->
       m[p].lease = true; m[p].lease_st = st; m[p].lease_ep = ep; m[p].held = ep + 1 }
  :: d_step { m[p].lease -> m[p].lease = false; m[p].lease_st = 0; m[p].lease_ep = 0 }
  /* writes: at this instant the archive must not be the one that acts */
  :: d_step { m[p].alive && m[p].to_r && m[p].lease && m[p].lease_st == ACT_R && m[p].lease_ep == r_ep -> assert(st != ACT_M) }
  :: d_step { m[p].alive && m[p].to_r && (NO_PIN_FENCE -> m[p].sees_pin : m[p].promised && FULL) -> assert(st != ACT_M) }
  :: d_step { m[p].alive && m[p].to_r && CONTINUE && !m[p].to_m && !m[p].lease -> assert(st != ACT_M) }
  /* pin: the promise is remembered before it is written */
  :: d_step { m[p].alive && m[p].to_r && !m[p].to_m && m[p].knows && !m[p].promised && !m[p].vote &&
              (NO_HELD || m[p].held == r_ep + 1) && ((r_members >> p) & 1) ->
       m[p].promised = true; r_pins = r_pins | BIT(p) }
  :: d_step { m[p].alive && m[p].to_r && m[p].promised && NO_PIN_FENCE && FULL && !m[p].sees_pin -> m[p].sees_pin = true }
  /* unpin: under a lease, in Redis first */
  :: d_step { m[p].alive && m[p].promised && m[p].lease && m[p].lease_ep == ep && (m[p].to_r || NO_UNPIN) ->
       if :: m[p].to_r -> r_pins = r_pins & ~BIT(p) :: else fi;
       m[p].promised = false; m[p].sees_pin = false }
  /* start: register, and read what was promised */
  :: d_step { m[p].alive && m[p].to_r && !m[p].knows ->
       m[p].knows = true; m[p].promised = PINNED(p);
       if :: NO_REGISTER :: else -> r_members = r_members | BIT(p) fi }
  /* take-over */
  :: d_step { SEEN(p) && !m[p].to_r && st == ACT_R && !m[p].vote && MAY_VOTE(p) -> m[p].vote = true; m[p].lost_r = true }
  :: d_step { SEEN(p) && m[p].vote && m[p].to_r && st == ACT_R -> m[p].vote = false; m[p].lost_r = false }
  :: d_step { SEEN(p) && m[p].vote && st == ACT_R && (NO_VOTES || MAJORITY(VOTES)) ->
       assert(MAJORITY(LOST)); ep++; st = TAKE }
  :: d_step { SEEN(p) && st == TAKE && (NO_WAIT || !OLD(0) && !OLD(1) && !OLD(2)) -> st = ACT_M }
  /* the way back, in one step: a new epoch, in which nobody has promised anything */
  :: d_step { SEEN(p) && m[p].to_r && st == ACT_M && backs < BACK ->
       backs++; ep++; r_ep = ep; r_pins = 0; st = ACT_R;
       m[0].vote = false; m[1].vote = false; m[2].vote = false;
       m[0].lost_r = false; m[1].lost_r = false; m[2].lost_r = false }
  /* death, and life without memory */
  :: d_step { m[p].alive && deaths < DEATHS ->
       deaths++; m[p].alive = false; m[p].knows = false; m[p].held = 0; m[p].promised = false; m[p].sees_pin = false; m[p].vote = false;
       m[p].lost_r = false }
  :: d_step { REBORN && !m[p].alive -> m[p].alive = true }
  od
}

proctype Network() {
  /* each link for itself, each at any time */
end:
  do
  :: m[0].to_r = !m[0].to_r
  :: m[0].to_m = !m[0].to_m
  :: m[1].to_r = !m[1].to_r
  :: m[1].to_m = !m[1].to_m
  :: m[2].to_r = !m[2].to_r
  :: m[2].to_m = !m[2].to_m
  od
}

init {
  byte n;
  atomic {
    do
    :: n < MEMBERS ->
       m[n].alive = true; m[n].to_r = true; m[n].to_m = true;
       if :: JOIN && n == 2 :: else -> m[n].knows = true; r_members = r_members | BIT(n) fi;
       run Proxy(n); n++
    :: else -> break
    od;
    n = 0; run Network()
  }
}
