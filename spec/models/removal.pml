/* Three devices of one holder. One was stolen; the others remove it, perhaps at the same time, and go on writing.

   A and B are honest, T is the thief's and stands before both in the roster. The roster is a tree of statements, each
   naming the one before (spec/roster.md). Every removal turns the vault to a log of its own; each device reads every
   log that it has the key of, in the relay's order, and tells into the last log of the chain that holds for it
   (spec/vault-channel.md, section 8). A removes T under its own key or with the root's; B removes T; T adds an
   accomplice, removes A, B or both, on any statement that it is in, before and after it was removed itself.

   What is written is looked at apart, in smaller lives (CONTENT, given for each claim by spin.py): 0, nothing, and T
   acts twice; 1, a document of A and one of B; 2, a row, first one value and then another by a device that has read the
   first; 3, a document of T.

   Variants that are broken on purpose:
     FIRST_COME        of two histories the one that was read first holds
     NO_REMOVAL_RULE   a removal does not beat what the removed device did
     NO_ROOT_RULE      the root does not settle ties
     NOT_TO_END        a device that goes to another log tells there before it has read the logs to their ends
     FORGET_BEHIND     what was told behind the place of the turn is not told again
     STAY_BEHIND       what counts only under the history that holds now is not read
   and what is not promised:
     BETWEEN           the logs were read to their ends, but somebody writes before what is told anew stands there
     THIRD             T's removal of a device crosses those of A and B: the history that holds changes twice
     ONE_EAR           T, which removed one device, tells the other alone that it is removed as well

   Left out: more than two honest devices and more than four statements, honest additions, what E does, a turn without
   its boxes, recovery by a new root, how documents merge inside (each is one bit), a relay that holds back or shows
   two orders (evidence finds those), the end of the old logs. */

#if CONTENT == 2 && !defined(THIRD)
#define ACTS 0
#elif CONTENT
#define ACTS 1
#else
#define ACTS 2
#endif
#define ROOT 0
#define T 1
#define A 2
#define B 3
#define E 4
#define BIT(x) (1 << (x))
#define S 5             /* statements, and logs: a log bears the number of the statement that began it */
#define N 14            /* places in one log */
#define NONE 9
#define ME (A + i)      /* honest devices are i = 0 and 1 */
#define DOC 32          /* entries of logs: s is a turn to s, 8 + s the chain up to s as a roster; */
#define ROW 64          /* DOC + 4 * documents + sender; ROW + 4 * value + sender */
#define TEXT(b) ((b) & 7)

byte statements = 1;
byte prv[S]; byte sgn[S]; byte mask[S]; byte begun[S];      /* before, signer, devices, log of its epoch */
byte entry[S * N]; byte size[S];

byte know[2] = 1; byte head[2]; byte keys[2] = 1; byte cur[2];
byte pos[2 * S]; byte took[2 * S];      /* how far a log was read, and how far what stands there was taken */
bit behind[2]; bit whole[2] = 1;                       /* the turns that lead along the path were read */
byte doc[2]; byte owed[2]; byte sent[2];
byte row[2]; byte rowed[2]; bit rowsent[2];     /* rowed: 1 a value of its own, 2 one that is told anew */
bit wrote[2]; bit acted[2]; bit lent; bit by_root; bit thief_is_done;
byte rows; byte second = NONE; byte before; byte hostile;      /* what the claims look at */

hidden byte s, r, c, k, l, j, best, old, lim, fresh, e;
hidden byte rx, ry, dead, decided, threat, pick, first, hit;
hidden byte nxt[S];

inline append(where, what) {
  assert(size[where] < N);
  entry[(where) * N + size[where]] = what;
  size[where]++
}

/* Whether one of two statements is in the chain of the other. */
inline related(x, y) {
  rx = x; do :: rx > y -> rx = prv[rx] :: else -> break od;
  ry = y; do :: ry > x -> ry = prv[ry] :: else -> break od;
  j = rx == y || ry == x
}

/* What removal x makes void, and what follows that, as bits in `hit`. */
inline strikes(x) {
  hit = 0; l = 1;
  do
  :: l < S ->
     if
     :: (know[i] & BIT(l)) && sgn[l] != ROOT && (mask[prv[x]] & ~mask[x] & BIT(sgn[l])) ->
        related(x, l);
        if :: !j -> hit = hit | BIT(l) :: else fi
     :: else
     fi;
     if :: prv[l] && (hit & BIT(prv[l])) -> hit = hit | BIT(l) :: else fi;
     l++
  :: else -> break
  od
}

/* Each removal that is not decided: `threat` gets what they would make void, or `dead` what those that count do. */
inline each_open(counting) {
  r = ROOT;
  do
  :: r <= B ->
     c = 1;
     do
     :: c < S ->
        if
        :: (know[i] & BIT(c)) && sgn[c] == r && (mask[prv[c]] & ~mask[c]) && !((dead | decided) & BIT(c)) ->
           if
           :: !counting -> strikes(c); threat = threat | hit; if :: !first -> first = c :: else fi
           :: counting && (pick & BIT(c)) -> strikes(c); fresh = fresh | hit; decided = decided | BIT(c)
           :: else
           fi;
           if :: !counting && !(threat & BIT(c)) -> pick = pick | BIT(c) :: else fi
        :: else
        fi;
        c++
     :: else -> break
     od;
     r++
  :: else -> break
  od
}

/* What counts for nothing: a removal beats what the removed device did concurrently (spec/roster.md, section 4). */
inline strike() {
  dead = 0; decided = 0;
#ifndef NO_REMOVAL_RULE
  do
  :: threat = 0; pick = 0; first = 0; fresh = 0;
     each_open(0);
     if :: !first -> break :: else fi;
     pick = pick & ~threat;
     if :: !pick -> pick = BIT(first) :: else fi;
     each_open(1);
     dead = dead | fresh
  od
#endif
}

/* The chain that holds among the statements that device i knows. */
inline hold() {
#ifdef FIRST_COME
  c = 1;
  do
  :: c < S -> if :: (know[i] & BIT(c)) && prv[c] == head[i] -> head[i] = c; c = 1 :: else -> c++ fi
  :: else -> break
  od
#else
  strike();
  s = S;
  do
  :: s > 0 ->
     s--; best = 0; r = ROOT;
     do
     :: r <= B && !best ->
        c = s + 1;
        do
        :: c < S && !best ->
           if :: (know[i] & BIT(c)) && prv[c] == s && sgn[c] == r && !(dead & BIT(c)) -> best = c :: else fi;
           c++
        :: else -> break
        od;
        r++
     :: else -> break
     od;
     nxt[s] = best
  :: else -> break
  od;
  head[i] = 0;
  do :: nxt[head[i]] -> head[i] = nxt[head[i]] :: else -> break od
#endif
}

/* nxt becomes the chain that holds, from the first statement on. */
inline line() {
  k = head[i]; nxt[k] = 0;
  do :: k -> nxt[prv[k]] = k; k = prv[k] :: else -> break od
}

/* The log in which device i tells from now on. */
inline move() {
  line();
  old = cur[i];
  if :: !(mask[head[i]] & BIT(ME)) -> cur[i] = NONE
     :: else -> if :: keys[i] & BIT(begun[head[i]]) -> cur[i] = begun[head[i]] :: else fi
  fi;
  if
  :: cur[i] != old ->
     if :: old == NONE -> k = NONE :: else -> k = 0; do :: k != old && nxt[k] -> k = nxt[k] :: else -> break od fi;
     if
     :: k != old || old == NONE ->          /* another history: everything is told anew */
        owed[i] = doc[i]; behind[i] = 1;
        if :: row[i] -> rowed[i] = 2 :: else fi
     :: else
#ifdef FORGET_BEHIND
        ; owed[i] = owed[i] & ~sent[i]
#endif
     fi;
     sent[i] = 0; rowsent[i] = 0;
     if :: cur[i] == NONE -> behind[i] = 0 :: else fi
  :: else
  fi
}

inline accept(x) {
  if
  :: x >= ROW ->
     if
     :: (x & 3) == i && rowed[i] && (x - ROW) / 4 == row[i] -> rowed[i] = 0; rowsent[i] = 0
     :: rowed[i] != 1 -> row[i] = (x - ROW) / 4; rowed[i] = 0
     :: else                                 /* a value of its own that is in no log yet stays */
     fi
  :: x >= DOC && x < ROW ->
     doc[i] = doc[i] | TEXT((x - DOC) / 4);
     if :: (x & 3) == i -> owed[i] = owed[i] & ~TEXT((x - DOC) / 4) :: else fi
  :: else
  fi
}

/* Everything that counts and was not taken yet, the logs of the path in their order. */
inline take() {
  line();
  l = 0; whole[i] = 1;
  do
  :: cur[i] != NONE ->
     c = nxt[l];
     do :: c && begun[c] != c -> c = nxt[c] :: else -> break od;     /* the next log, or 0 */
     lim = pos[i * S + l];
     if
     :: c ->
        j = 0; do :: j < lim && entry[l * N + j] != c -> j++ :: else -> break od;
        whole[i] = whole[i] && j < lim;
        lim = j
     :: else
     fi;
     do
     :: took[i * S + l] < lim -> accept(entry[l * N + took[i * S + l]]); took[i * S + l]++
     :: else -> break
     od;
     if :: c && (keys[i] & BIT(c)) && whole[i] -> l = c :: else -> break fi
  :: else -> break
  od
}

/* The chain up to statement z in log y. Whoever reads it there a second time learns nothing: it is told once. */
inline tell_chain(y, z) {
  j = 0; do :: j < size[y] && entry[(y) * N + j] != z && entry[(y) * N + j] != 8 + z -> j++ :: else -> break od;
  if :: j == size[y] -> append(y, 8 + z) :: else fi
}

/* A statement that was new in log x is told in the log of now; where it does not hold, what holds is told there. */
inline pass_on(x) {
  tell_chain(cur[i], (e & 7));
  k = head[i]; do :: k && k != (e & 7) -> k = prv[k] :: else -> break od;
  if :: k != (e & 7) && cur[i] != x -> tell_chain(x, head[i]) :: else fi
}

/* Device i reads log x to its end. To have read a part of it is to have read it before the rest stood there. */
inline read(x) {
  d_step {
    (keys[i] & BIT(x)) && pos[i * S + x] < size[x] ->
    do
    :: pos[i * S + x] < size[x] ->
       e = entry[(x) * N + pos[i * S + x]];
       pos[i * S + x]++;
       if
       :: e < 16 ->
          fresh = know[i];
          if :: e < 8 && (mask[e & 7] & BIT(ME)) -> keys[i] = keys[i] | BIT(e) :: else fi;
          k = e & 7; do :: know[i] = know[i] | BIT(k); if :: k -> k = prv[k] :: else -> break fi od;
          hold(); move(); take();
          if :: know[i] != fresh && x != old && cur[i] != NONE -> pass_on(x) :: else fi
       :: else -> take()
       fi;
#ifdef STAY_BEHIND
       took[i * S + x] = pos[i * S + x]
#endif
    :: else -> break
    od;
    if :: behind[i] && whole[i] && pos[i * S + cur[i]] == size[cur[i]] -> behind[i] = 0 :: else fi;
    skip
  }
}

inline say(after, by, devices) {
  prv[statements] = after; sgn[statements] = by; mask[statements] = devices;
  begun[statements] = (mask[after] & ~(devices) -> statements : begun[after])
}

#define HERE (cur[i] != NONE && begun[head[i]] == cur[i])
#define OWES ((owed[i] & ~sent[i]) || (rowed[i] && !rowsent[i]))
#ifdef NOT_TO_END
#define MAY_TELL (HERE && OWES)
#elif CONTENT == 2 && !defined(BETWEEN)
#define MAY_TELL (HERE && OWES && whole[i] && pos[i * S + cur[i]] == size[cur[i]])     /* reads and tells in one step */
#else
#define MAY_TELL (HERE && OWES && whole[i] && !behind[i])
#endif

#define TURNED (begun[1] == 1 || begun[2] == 2 || begun[3] == 3 || begun[4] == 4)

inline tell() {
  if :: owed[i] & ~sent[i] -> append(cur[i], DOC + 4 * (owed[i] & ~sent[i]) + i); sent[i] = owed[i] :: else fi;
  if :: rowed[i] && !rowsent[i] -> append(cur[i], ROW + 4 * row[i] + i); rowsent[i] = 1 :: else fi;
  if :: cur[i] == 0 && !TURNED -> before = before | sent[i] :: else fi
}

#define IN(i) (mask[head[i]] & BIT(A + i))
#define READ(i, x) (!(keys[i] & BIT(x)) || pos[i * S + x] == size[x])
#define ALL_READ(i) (READ(i, 0) && READ(i, 1) && READ(i, 2) && READ(i, 3) && READ(i, 4))
#define TOLD(i) (!IN(i) || cur[i] == begun[head[i]] && !owed[i] && !rowed[i])
#define QUIET (ALL_READ(0) && ALL_READ(1) && TOLD(0) && TOLD(1))

/* An honest removal that the thief cannot answer: signed by the root, or by a device that no statement of T removes. */
#define BY(x, by) (x < statements && sgn[x] == by && !(mask[x] & BIT(T)))
#define SIGNED(by) (BY(1, by) || BY(2, by) || BY(3, by) || BY(4, by))
#define MUST_GO (SIGNED(ROOT) || by_root || SIGNED(A) && !(hostile & BIT(A)) || SIGNED(B) && !(hostile & BIT(B)))

proctype honest(byte i) {
  do
  :: read(0)
  :: read(1)
  :: read(2)
  :: read(3)
  :: read(4)
  :: atomic { MAY_TELL -> tell() }
#if CONTENT == 1
  :: atomic { HERE && !wrote[i] -> wrote[i] = 1; doc[i] = doc[i] | BIT(i); owed[i] = owed[i] | BIT(i) }
#elif CONTENT == 2
  :: atomic { HERE && (rows == 0 || rows == 1 && row[i] == 1) ->
       rows++; row[i] = rows; rowed[i] = 1; rowsent[i] = 0;
       if :: rows == 2 -> second = i :: else fi }
#endif
  :: atomic { HERE && !acted[i] && (mask[head[i]] & BIT(T)) ->
       acted[i] = 1;
       if
       :: say(head[i], ME, mask[head[i]] & ~BIT(T))
#if CONTENT == 0
       :: i == 0 ->
#ifdef NO_ROOT_RULE
          say(head[i], ME, mask[head[i]] & ~BIT(T)); by_root = 1
#else
          say(head[i], ROOT, mask[head[i]] & ~BIT(T))
#endif
#endif
       fi;
       append(cur[i], statements);
       know[i] = know[i] | BIT(statements); keys[i] = keys[i] | BIT(statements);
       statements++;
       d_step { hold(); move(); take(); skip } }
  /* claim `settles`: nobody waits for ever before this */
  :: atomic { thief_is_done && QUIET && !HERE -> break }
  :: atomic { thief_is_done && QUIET && HERE && (acted[i] || !(mask[head[i]] & BIT(T))) -> break }
  od
}

active proctype thief() {
  byte n; byte x;
  do
  :: atomic { n < ACTS ->
       n++;
       if
       :: x = 0
       :: 1 < statements && (mask[1] & BIT(T)) -> x = 1
       :: 2 < statements && (mask[2] & BIT(T)) -> x = 2
       :: 3 < statements && (mask[3] & BIT(T)) -> x = 3
       fi;
       if
       :: !(mask[x] & BIT(E)) -> say(x, T, mask[x] | BIT(E)); append(begun[x], 8 + statements)
       :: mask[x] & BIT(A) -> say(x, T, mask[x] & ~BIT(A)); hostile = hostile | BIT(A); append(begun[x], statements)
       :: mask[x] & BIT(B) -> say(x, T, mask[x] & ~BIT(B)); hostile = hostile | BIT(B); append(begun[x], statements)
       :: (mask[x] & BIT(A)) && (mask[x] & BIT(B)) ->
          say(x, T, mask[x] & ~(BIT(A) | BIT(B))); hostile = hostile | BIT(A) | BIT(B); append(begun[x], statements)
       fi;
#ifndef ONE_EAR
       if :: begun[x] -> append(0, 8 + statements) :: else fi;
#endif
       statements++; x = 0 }
#if CONTENT == 3
  :: atomic { !lent ->
       lent = 1;
       append(0, DOC + 4 * 4 + 2);
       if :: !TURNED -> before = before | 4 :: else fi }
#endif
  :: thief_is_done = 1; break
  od
}

init { atomic { mask[0] = BIT(T) | BIT(A) | BIT(B); run honest(0); run honest(1) } }

/* Whoever takes part has the same; who is removed knows it. */
#define SAME ((!IN(0) || !IN(1) || head[0] == head[1] && doc[0] == doc[1] && row[0] == row[1]) && (!IN(0) || IN(1) || !(mask[head[0]] & BIT(B))) && (!IN(1) || IN(0) || !(mask[head[1]] & BIT(A))))
/* A removed device's later act does not hold against its removal. */
#define OUT(i) (!IN(i) || !MUST_GO || !(mask[head[i]] & BIT(T)))
/* What was told before any turn, and what whoever takes part wrote, is with whoever takes part. */
#define HAS(i) (!IN(i) || !(before & ~doc[i]) && (!IN(0) || !wrote[0] || (doc[i] & 1)) && (!IN(1) || !wrote[1] || (doc[i] & 2)))
/* No value of a row gives way to one that it was made from. */
#define NEWEST(i) (!IN(i) || second == NONE || !IN(second) || row[i] == 2)

bit diverged; bit stayed; bit lost; bit older;

active proctype judge() {
end: do
  :: atomic { !diverged && QUIET && !SAME -> diverged = 1 }
  :: atomic { !stayed && QUIET && !(OUT(0) && OUT(1)) -> stayed = 1 }
  :: atomic { !lost && QUIET && !(HAS(0) && HAS(1)) -> lost = 1 }
  :: atomic { !older && QUIET && !(NEWEST(0) && NEWEST(1)) -> older = 1 }
  od
}

ltl same { [] !diverged }
ltl removed { [] !stayed }
ltl kept { [] (!lost && !diverged) }
ltl early { [] (!lost && !diverged) }
ltl newest { [] (!older && !diverged) }
