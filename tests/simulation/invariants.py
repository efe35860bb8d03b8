"""What must hold after a run, whatever happened in it."""

from __future__ import annotations

from collections.abc import Iterator

from sync import envelope, wire
from sync.client import RelayRefused
from sync.verifying import check_relays
from tests.simulation.ledger import Granted, words
from tests.simulation.world import GRANTEES, Broken, Seat, World, visible
from vault.checkup import check
from vault.document import Document
from vault.errors import AccessEnded, VerificationFailed
from vault.replica import conflicts
from vault.store.mailboxes import MailboxStore

ROUNDS = 8
BAD = ("quarantined", "relay-contradiction")


def settle(world: World) -> None:
    """The network heals, the clocks agree, and everybody exchanges until nothing moves any more."""
    world.relay.calls += 1000
    world.relay.deliver_late()
    for seat in world.seats.values():
        seat.skew = 0
        for opened in seat.open.values():
            opened.close()
        seat.open.clear()
    for _ in range(3):
        _round(world)
        for seat, visit in _visits(world):
            try:
                world.open_document(seat, visit)
            except AccessEnded:
                continue
            except RelayRefused as refusal:
                if refusal.reason != "not-yet":  # a clock that was ahead dated the grant into the future
                    raise
    for _ in range(ROUNDS):
        if not _round(world):
            return
    raise Broken("exchanges of everybody never come to rest")


def _round(world: World) -> int:
    moved = 0
    for seat in world.seats.values():
        report = world._report(seat, seat.exchange.sync())
        moved += report.pushed + report.pulled
    world._note_ends()
    world._see()
    return moved


def _visits(world: World) -> Iterator[tuple[Seat, str]]:
    for name in GRANTEES:
        seat = world.seats[name]
        for visit in seat.vault.visiting.grants():
            if visit.state == "open":
                yield seat, visit.id


# With an honest relay


def check_honest(world: World, *, clocks: bool) -> None:
    settle(world)
    bad = [f"{seat}: {event.kind} {event.detail}" for seat, event in world.events if event.kind in BAD]
    if bad:
        raise Broken(f"an honest world made somebody suspicious: {bad[:5]}")
    _check_access(world, clocks=clocks)
    _round(world)
    _check_lost(world)
    _check_deposits(world)
    _check_trace(world)
    _check_files(world)
    _check_stored(world)
    check_always(world)


def _check_access(world: World, *, clocks: bool) -> None:
    """Whoever has a grant opens each of its documents and reads the same as the holder."""
    vault, relay = world.holder.vault, world.relay
    for grant in vault.sharing.grants():
        seat = world.seats[world.ledger.grants[grant.id].seat]
        half = relay.books.store.half(bytes.fromhex(grant.id))
        held = half is not None and half.ended is None
        if grant.state != "active":
            if relay.books.safe.get(bytes.fromhex(grant.id)) is not None:
                raise Broken(f"the relay still has the half of {grant.id[:8]}, which is over")
            continue
        if not held:
            if clocks or (half is not None and half.reason == "used-up"):
                continue  # begun or ended by a clock that was wrong; or every opening was used
            raise Broken(f"the relay has no half of {grant.id[:8]}, which is active")
        mine = next((visit for visit in seat.vault.visiting.grants() if visit.id == grant.id), None)
        if mine is None or mine.state != "open":
            if clocks:
                continue
            raise Broken(f"{seat.name} does not have the grant {grant.id[:8]}")
        if half is not None and half.not_before > relay.clock.now():
            continue
        for opened in seat.exchange.open_all(grant.id, "am Ende"):
            _same(seat.name, opened.document, vault.read(opened.id))
            for attachment in opened.document.attachments:
                if b"".join(opened.attachment(attachment.sha256)) != world.ledger.files[attachment.sha256]:
                    raise Broken(f"{seat.name} gets another file")
            opened.close()


def _same(name: str, theirs: Document, ours: Document) -> None:
    def plain(document: Document) -> tuple[object, ...]:
        entries = {entry.id: (entry.kind, dict(entry.fields)) for entry in document.entries}
        clashes = {
            (clash.entry_id, clash.field, tuple(sorted(str(value) for value, *_ in clash.sides)))
            for clash in document.conflicts
        }
        files = {attachment.sha256 for attachment in document.attachments}
        return document.title, document.text, entries, clashes, files

    if plain(theirs) != plain(ours):
        raise Broken(f"{name} and the holder see different states of {ours.id[:8]}: {plain(theirs)} | {plain(ours)}")


def _check_lost(world: World) -> None:
    """Every word whose writing was acknowledged is there, or was replaced by somebody who had read it."""
    vault, ledger = world.holder.vault, world.ledger
    there = {word for document, _ in vault.documents.states() for word in visible(vault.read(document))}
    gone = ledger.superseded() | _beside(world)
    taken = _taken(world)
    for made in ledger.written:
        if not made.word or not made.done or made.deposit or made.forged or made.word in there | gone:
            continue
        if made.seat != "H" and made.word not in taken:
            grant = ledger.grants[made.grant]
            if grant.ended is not None or not _openable(world, grant):
                continue  # never left the device of somebody whose access ended
        raise Broken(f"{made.word} of {made.seat} in {made.document[:8]} is lost")


def _openable(world: World, grant: Granted) -> bool:
    half = world.relay.books.store.half(bytes.fromhex(grant.id))
    return half is not None and half.ended is None


def _beside(world: World) -> set[str]:
    """The sides of conflicts that stood when an epoch ended: the holder keeps them in the archive."""
    rows = world.holder.vault.store.rows("SELECT save FROM replica_archive")
    return {word for (save,) in rows for clash in conflicts(save) for side in clash.sides for word in words(side.value)}


def _taken(world: World) -> set[str]:
    """Every word in a message that the relay ever took."""
    boxes = MailboxStore(world.holder.vault.store)
    found: set[str] = set()
    for address, body in world.relay.accepted:
        box = boxes.mailbox(address)
        if box is not None and box.key is not None:
            found |= words(envelope.open(box.key, address, body).body)
    return found


def _check_deposits(world: World) -> None:
    waiting = {word for item in world.holder.vault.feeding.waiting() for word in words(item.title)}
    for made in world.ledger.written:
        if made.deposit and made.done and not made.document and made.word not in waiting | world.ledger.refused:
            raise Broken(f"the deposit {made.word} of {made.seat} is lost")
    sources = [row[0] for row in world.holder.vault.store.rows("SELECT id FROM source")]
    if len(sources) != len(set(sources)):
        raise Broken("a deposit was filed twice")


def _check_trace(world: World) -> None:
    """Every release stands in the holder's trace, proven."""
    rows = world.holder.vault.store.rows("SELECT number, count(*), sum(state = 'opened') FROM opening GROUP BY number")
    here = {number: (count, opened) for number, count, opened in rows}
    for grant in world.ledger.grants.values():
        number = bytes.fromhex(grant.id)
        log = world.relay.books.store.log(wire.TRACE, number)
        if log is not None and here.get(number, (0, 0)) != (log.length, log.length):
            raise Broken(f"the trace of {grant.id[:8]} has {log.length} openings, the holder {here.get(number)}")


def _check_files(world: World) -> None:
    vault = world.holder.vault
    for document, state in vault.documents.states():
        for sha256 in state["attachments"]:
            if b"".join(vault.attachment(document, sha256)) != world.ledger.files[sha256]:
                raise Broken(f"a file of {document[:8]} is another one")


def _check_stored(world: World) -> None:
    """Everything that a vault can check of itself holds, and what opened ended grants is gone."""
    for seat in world.seats.values():
        for item in (*check(seat.vault), *check_relays(seat.vault)):
            if item.failed:
                raise Broken(f"{seat.name}: {item.what} {item.failed[:3]}")
        for (number,) in seat.vault.store.rows("SELECT number FROM visit WHERE state <> 'open'"):
            left = seat.vault.store.row(
                "SELECT (SELECT count(*) FROM visit WHERE number = ?1 AND (half IS NOT NULL OR reader IS NOT NULL))"
                " + (SELECT count(*) FROM visit_item WHERE number = ?1 AND (masked IS NOT NULL OR label IS NOT NULL))"
                " + (SELECT count(*) FROM kept WHERE number = ?1) + (SELECT count(*) FROM draft WHERE number = ?1)",
                (number,),
            )
            if left and left[0]:
                raise Broken(f"{seat.name} keeps what opened a grant that is over")


# Whatever the relay did


def check_always(world: World) -> None:
    _check_secrecy(world)
    _check_shown(world)


def _check_shown(world: World) -> None:
    """Nobody shows a word that was not written for this document by somebody with the right to."""
    vault = world.holder.vault
    for document, _ in vault.documents.states():
        world._check_origin("H", document, visible(vault.read(document)))


def _check_secrecy(world: World) -> None:
    """Together with everything that the relay ever took, the keys that somebody held show nothing beyond the grants."""
    for name in GRANTEES:
        for key, document in set(world.ledger.held.get(name, {}).values()):
            readable: set[str] = set()
            for place, body in world.relay.accepted:
                try:
                    readable |= words(envelope.open(key, place, body).body)
                except VerificationFailed:
                    continue
            too_much = readable - world.ledger.may_see(name, document)
            if too_much:
                raise Broken(f"{name} can read {sorted(too_much)} of {document[:8]}, outside every grant")
