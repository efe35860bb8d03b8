/* The life of one half key at the relay: held, released by openings, destroyed at the end of the grant.

   One process answers openings, one sweeps, one is the clock, one pulls the plug. What is on the disk survives a crash;
   what is only in memory does not. Each claim is checked on every interleaving.

   Variants that are broken on purpose, each by its name:
     RELEASE_FIRST   the half leaves before the opening is in the trace
     CHECK_THEN_ACT  the end is checked, then time passes, then the half leaves
     NO_SYNC         the trace entry is written but not synced before the half leaves
     CLOCK_BACK      the clock may be set back, and the relay believes it
     NO_SWEEP        nothing destroys a half that nobody asks for

   Left out: more than one grant and one reader, counters, the bytes, how a disk really destroys (spec/relay.md says what
   is done about that), a relay that does not follow these rules at all. */

bit held = 1;           /* the half exists on the disk */
bit ended = 0;          /* true time is past the end */
bit seen_end = 0;       /* the relay has stored a time past the end: its clock does not run backwards */
bit written = 0;        /* the opening is in the trace, perhaps only in memory */
bit synced = 0;         /* ... and on the disk */
bit released = 0;       /* the half has left */
bit late = 0;           /* it left after the end */
bit lost = 0;           /* it left, and the trace does not say so after a crash */

#ifdef CLOCK_BACK
#define OVER (ended && clock_right)
bit clock_right = 1;
#else
#define OVER (ended || seen_end)
#endif

inline release() {
  released = 1;
  if :: ended -> late = 1 :: else fi
}

active proctype opening() {
  do
  :: held && !OVER && !released ->
#ifdef RELEASE_FIRST
     atomic { if :: held && !OVER -> release() :: else fi };
     written = 1; synced = 1
#elif defined(CHECK_THEN_ACT)
     written = 1; synced = 1;
     release()
#elif defined(NO_SYNC)
     atomic { if :: held && !OVER -> written = 1; release() :: else fi };
     synced = written
#else
     /* check and append; sync; then the end is checked once more and the answer sent in one step */
     atomic { if :: held && !OVER -> written = 1 :: else fi };
     atomic { synced = written };
     atomic { if :: synced && held && !OVER -> release() :: else fi }
#endif
  :: !held || released -> break
  :: OVER && held -> skip    /* refused: 410 */
  od
}

active proctype sweeper() {
#ifndef NO_SWEEP
  do
  :: OVER -> atomic { seen_end = 1; held = 0 }; break
  od
#else
  skip
#endif
}

active proctype clock() {
  ended = 1;
#ifdef CLOCK_BACK
  clock_right = 0
#endif
}

active proctype plug() {
  /* at most one loss of power: what was not synced is gone */
  if
  :: atomic { true -> if :: written && !synced -> written = 0; if :: released -> lost = 1 :: else fi :: else fi }
  :: skip
  fi
}

ltl logged { [] (released -> written) }
ltl durable { [] !lost }
ltl notlate { [] !late }
ltl gone { <> (!held) }
