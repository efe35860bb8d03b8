/* Revocation against openings and against the patient's own writing.

   The patient revokes: the relay destroys its half and signs a receipt; the patient's device then fetches the trace and
   starts the next epoch. A reader opens at the same time, as often as it can. The patient's other hand writes an edit.

   Variants that are broken on purpose:
     RECEIPT_EARLY   the receipt is signed before the half is destroyed
     CACHED_ANSWER   the relay keeps an answer and gives it again after the revocation
     TRACE_LATE      openings are appended to the trace after they are answered
     EPOCH_LATE      an edit made after the revocation may still take the old epoch's key

   Left out: several grantees (each has a half of its own), devices of one patient that have not met (tests with simulated
   schedules cover them), a relay that lies (spec/models/sharing.py gives it its half for ever). */

bit held = 1;
bit receipt = 0;        /* the patient holds the receipt of destruction */
bit opened = 0;         /* the reader got the half at least once */
bit traced = 0;         /* the opening is in the trace */
bit after = 0;          /* a half left after the patient held the receipt */
bit fetched = 0;        /* the patient has fetched the trace after the receipt */
bit unseen = 0;         /* ... and an opening is missing from it */
bit cached = 0;
bit old_epoch = 1;      /* the epoch that the grantee can read is the newest one */
bit revoked = 0;        /* the patient has decided, and the device has confirmed */
bit leaked = 0;         /* an edit made after that is readable by the grantee */
byte tries = 0;

inline answer() {
  opened = 1;
  cached = 1;
  if :: receipt -> after = 1 :: else fi;
  if :: fetched && !traced -> unseen = 1 :: else fi
}

active proctype reader() {
  do
  :: tries < 2 ->
     tries++;
#ifdef TRACE_LATE
     atomic { if :: held -> answer() :: else fi };
     if :: opened -> traced = 1 :: else fi
#else
     atomic {
       if
       :: held -> traced = 1; answer()
#ifdef CACHED_ANSWER
       :: !held && cached -> answer()
#endif
       :: else -> skip      /* 410 */
       fi
     }
#endif
  :: tries == 2 -> break
  od
}

active proctype patient() {
#ifdef RECEIPT_EARLY
  receipt = 1;
  held = 0;
#else
  atomic { held = 0; receipt = 1 };
#endif
#ifdef EPOCH_LATE
  revoked = 1;
  old_epoch = 0;
#else
  /* the new epoch and the word "revoked" on the screen are one transaction of the vault */
  atomic { old_epoch = 0; revoked = 1 };
#endif
  atomic { fetched = 1; if :: opened && !traced -> unseen = 1 :: else fi }
}

active proctype writer() {
  /* an edit takes the key of the newest epoch, in the transaction that stores it */
  atomic { if :: revoked && old_epoch -> leaked = 1 :: else fi }
}

ltl ended { [] !after }
ltl seen { [] !unseen }
ltl fresh { [] !leaked }
ltl done { <> (receipt && fetched) }
