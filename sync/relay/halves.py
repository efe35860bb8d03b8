"""The rules of halves: held until a date, released once per opening that is written down first, then destroyed."""

from __future__ import annotations

from hmac import compare_digest
from typing import NamedTuple

from sync import wire
from sync.relay import trace
from sync.relay.refusal import Refusal
from sync.relay.safe import HalfSafe
from sync.relay.store import Half, Log, Store
from sync.wire import Opening

ENDED, REVOKED, USED_UP = "ended", "revoked", "used-up"


class Promise(NamedTuple):
    """What a holder asks a relay to keep."""

    owner: bytes
    half: bytes
    reader: bytes
    not_before: int
    until: int
    openings: int | None


class Release(NamedTuple):
    """An opening that stands in the trace; `half` leaves only after the commit and one more look at the end."""

    head: trace.Head
    half: bytes
    until: int
    used_up: bool


def put(store: Store, safe: HalfSafe, grant: bytes, promise: Promise, now: int) -> tuple[int, bool]:
    """(time since when it is held, whether it is new)."""
    old = store.half(grant)
    if old is not None:
        if _terms(old) != (promise.owner, *promise[2:]):
            raise Refusal("exists")
        if old.ended is not None:
            raise Refusal(old.reason)
        if not compare_digest(safe.get(grant) or b"", promise.half):
            raise Refusal("exists")
        return old.made, False
    if not now < promise.until <= now + wire.HALF_SECONDS or promise.not_before >= promise.until:
        raise Refusal("dates")
    number = store.add_log(wire.TRACE, grant, promise.owner, now)
    store.add_half(Half(number, grant, promise.owner, *promise[2:], 0, -1, now, None, ""))
    safe.put(grant, promise.half)
    return now, True


def _terms(half: Half) -> tuple[bytes, bytes, int, int, int | None]:
    return half.owner, half.reader, half.not_before, half.until, half.openings


def destroy(store: Store, safe: HalfSafe, grant: bytes, owner: bytes, now: int) -> tuple[int, bool]:
    """(time of destruction, whether the half is still to be destroyed)."""
    half = store.half(grant)
    if half is None:
        raise Refusal("unknown")
    if not compare_digest(half.owner, owner):
        raise Refusal("token")
    if half.ended is not None:
        # Still there when the disk refused its destruction the first time.
        return half.ended, safe.get(grant) is not None
    reason = ENDED if now >= half.until else REVOKED
    store.end_half(half, now, reason)
    return now, True


def end_due(store: Store, now: int, limit: int = 1_000) -> list[bytes]:
    """Ends what is past its date; the halves of these grants are to be destroyed."""
    due = store.due_halves(now, limit)
    for half in due:
        store.end_half(half, now, ENDED)
    return [half.address for half in due]


def check(half: Half | None, counter: int, now: int) -> Half:
    """The half, if it may be released now under this counter."""
    if half is None:
        raise Refusal("unknown")
    if half.ended is not None:
        raise Refusal(half.reason)
    if now >= half.until:
        raise Refusal(ENDED)
    if now < half.not_before:
        raise Refusal("not-yet")
    if counter <= half.counter:
        raise Refusal("counter")
    return half


def release(store: Store, safe: HalfSafe, opening: Opening, now: int) -> Release:
    """Writes the opening, whose signature was checked, into the trace and takes the half out of the safe."""
    half = check(store.half(opening.grant), opening.counter, now)
    log = store.log(wire.TRACE, opening.grant)
    secret = safe.get(opening.grant)
    if log is None or secret is None:
        raise Refusal(ENDED)
    if log.length >= wire.TRACE_ENTRIES:
        raise Refusal("full")
    entry = opening.entry
    head = trace.add(store, log, entry, wire.hash_body(entry), now)
    used = half.used + 1
    store.spend_half(half, opening.counter, used)
    used_up = half.openings is not None and used >= half.openings
    if used_up:
        store.end_half(half, now, USED_UP)
    return Release(head, secret, half.until, used_up)


def traced(store: Store, grant: bytes, owner: bytes) -> Log:
    """The trace of a grant, for its owner."""
    log = store.log(wire.TRACE, grant)
    if log is None:
        raise Refusal("unknown")
    if not compare_digest(log.owner, owner):
        raise Refusal("token")
    return log
