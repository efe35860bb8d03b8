"""What hostile hands do to a relay: to its books, to what one party is shown, and together with a dishonest reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sync import envelope, wire
from sync.wire import Checkpoint, Message
from vault.channel import ZERO, encode_changes, own_sender_key
from vault.errors import NotFound
from vault.primitives import SigningKey, make_id
from vault.replica import edit

if TYPE_CHECKING:
    from tests.simulation.schedule import Step
    from tests.simulation.world import Seat, World


def fork(world: World, seat: Seat, step: Step) -> None:
    """From now on this party is shown another history."""
    world.relay.branches[seat.name] = world.relay.of(seat.name).copy()


def join(world: World, seat: Seat, step: Step) -> None:
    """Back to the history that the others see."""
    world.relay.branches.pop(seat.name, None)


def remember(world: World, seat: Seat, step: Step) -> None:
    world.pictures.append(world.relay.books.copy())


def rollback(world: World, seat: Seat, step: Step) -> None:
    """The relay forgets what came since, for everybody or for one."""
    if not world.pictures:
        raise NotFound("nothing is remembered")
    before = world.pictures[step.a % len(world.pictures)].copy()
    if step.b % 2:
        world.relay.books = before
    else:
        world.relay.branches[seat.name] = before


def withhold(world: World, seat: Seat, step: Step) -> None:
    """The last entries of every mailbox are not shown to this party, and the shorter history is signed."""
    seat.line.answer = _paged(world, lambda messages: messages[: max(0, len(messages) - 1 - step.a % 3)], sign=True)


def gap(world: World, seat: Seat, step: Step) -> None:
    """One entry in the middle is left out of the answer; the checkpoint is the true one."""
    seat.line.answer = _paged(world, lambda messages: messages[:1] + messages[2:], sign=False)


def alter(world: World, seat: Seat, step: Step) -> None:
    """Bytes of an entry are changed under the true checkpoint."""

    def changed(messages: list[Message]) -> list[Message]:
        if not messages or not messages[-1].body:
            return messages
        body = messages[-1].body[:-1] + bytes([messages[-1].body[-1] ^ 1])
        return [*messages[:-1], replace(messages[-1], body=body, body_hash=wire.hash_body(body))]

    seat.line.answer = _paged(world, changed, sign=False)


def deaf(world: World, seat: Seat, step: Step) -> None:
    """It never says that there is news."""
    seat.line.answer = lambda verb, addr, done: [] if verb == "wait" else done


def key(world: World, seat: Seat, step: Step) -> None:
    """It signs with another key."""
    world.relay.signer = SigningKeyOf(SigningKey.make())


class SigningKeyOf:
    """As sync.relay.signing.Signer, of another key."""

    def __init__(self, key: SigningKey) -> None:
        self.public = key.public
        self._key = key

    def checkpoint(self, kind: int, address: bytes, count: int, chain: bytes, time: int) -> bytes:
        part = wire.unsigned_checkpoint(kind, address, count, chain, time)
        return part + self._key.sign("checkpoint", part)

    def receipt(self, what: int, address: bytes, time: int) -> bytes:
        part = wire.unsigned_receipt(what, address, time)
        return part + self._key.sign("receipt", part)


def keep_halves(world: World, seat: Seat, step: Step) -> None:
    """It signs that halves are destroyed, and keeps them."""
    world.relay.keeps_halves = True


def reopen(world: World, seat: Seat, step: Step) -> None:
    """Mailboxes that were closed take messages again, and ended grants are released once more."""
    state: Any = world.relay.books.store._now
    for place, log in state.logs.items():
        state.logs[place] = log._replace(closed=None)
    for address, half in state.halves.items():
        if world.relay.books.safe.get(address) is not None:
            state.halves[address] = half._replace(ended=None, until=half.until + 10**8)
    state.tokens = {place: token._replace(until=None) for place, token in state.tokens.items()}


def garbage(world: World, seat: Seat, step: Step) -> None:
    """Bytes that nobody sealed, into some mailbox or trace."""
    books = world.relay.books
    places = sorted(books.store._now.logs)
    kind, address = places[step.a % len(places)]
    world.relay.insert(books, address, bytes([step.b, step.c]) * 40, kind)


def repeat(world: World, seat: Seat, step: Step) -> None:
    """An entry once more, as another entry."""
    books = world.relay.books
    logs = [log for log in books.store._now.logs.values() if log.length]
    if logs:
        log = sorted(logs, key=lambda log: log.id)[step.a % len(logs)]
        entry = books.store._now.entries[log.id, 1 + step.b % log.length]
        if entry.body is not None:
            world.relay.insert(books, log.address, entry.body, log.kind)


def move(world: World, seat: Seat, step: Step) -> None:
    """A message of one mailbox into another."""
    books = world.relay.books
    if world.relay.accepted:
        _, body = world.relay.accepted[step.a % len(world.relay.accepted)]
        places = sorted(address for kind, address in books.store._now.logs if kind == wire.MAILBOX)
        world.relay.insert(books, places[step.b % len(places)], body)


def forge(world: World, seat: Seat, step: Step) -> None:
    """A reader who may not write, or who is gone, seals a change with the key that they have; the relay takes it."""
    held = world.ledger.held.get(seat.name, {})
    if not seat.open or not held:
        raise NotFound("nothing to forge with")
    opened = seat.open[sorted(seat.open)[step.a % len(seat.open)]]
    if not opened._channel.save:
        raise NotFound("nothing to forge with")
    item, vault = opened._unlocked.item, seat.vault
    writing = [
        grant for grant in world.ledger.grants.values()
        if grant.seat == seat.name and grant.right == "edit" and opened.id in grant.documents
    ]  # fmt: skip
    if any(grant.ended is None for grant in writing):
        raise NotFound("this one has the right to write")
    made = world.ledger.write(seat.name, opened.id, (), grant=opened.visit_id, epoch=item.epoch, forged=True)
    _, change = edit(opened._channel.save, make_id(), [("set", ("meta", "title"), made.word)])
    if change is None:
        return
    own = own_sender_key(vault.identity.sign.public, vault.device_id)
    seq, prev = opened._channel.senders.get(own, (0, ZERO))
    data, _ = envelope.seal(
        opened._unlocked.content.key, vault.identity.sign, kind="change", channel=item.mailbox,
        document=item.document, epoch=item.epoch, device=vault.device_id, seq=seq + 1, prev=prev, seen=[],
        roster=vault.roster_head, time=int(vault.clock()), body=encode_changes([change]),
    )  # fmt: skip
    if writing:
        made.forged = False  # written into an epoch in which it had the right: the holder may take it as late
    world.relay.insert(world.relay.books, item.mailbox, data)


def _paged(
    world: World, change: Callable[[list[Message]], list[Message]], *, sign: bool
) -> Callable[[str, bytes, Any], Any]:
    """Answers of `messages` and `trace`, changed. With `sign`, under a checkpoint that fits what is shown."""

    def answer(verb: str, addr: bytes, done: Any) -> Any:
        if verb not in ("messages", "trace"):
            return done
        messages, checkpoint = done
        shown = change(list(messages))
        if not sign or len(shown) == len(messages):
            return shown, checkpoint
        return shown, _shorter(world, checkpoint, messages, shown)

    return answer


def _shorter(world: World, checkpoint: Checkpoint, messages: list[Message], shown: list[Message]) -> Checkpoint:
    """A checkpoint for a history that ends with the last entry shown."""
    books = [world.relay.books, *world.relay.branches.values()]
    count = messages[0].index - 1 + len(shown)
    for book in books:
        log = book.store.log(checkpoint.kind, checkpoint.address)
        if log is None or log.length != checkpoint.count:
            continue
        chain = wire.START
        for entry in book.store.entries(log.id, 0, count, 1 << 40):
            chain = wire.extend_chain(chain, entry.number, entry.time, entry.hash)
        part = world.relay.signer.checkpoint(checkpoint.kind, checkpoint.address, count, chain, checkpoint.time)
        return Checkpoint.decode(part)
    return checkpoint


ACTS: dict[str, Callable[[World, Seat, Step], None]] = {
    "fork": fork, "join": join, "remember": remember, "rollback": rollback, "withhold": withhold, "gap": gap,
    "forge": forge, "garbage": garbage, "repeat": repeat, "move": move, "key": key, "deaf": deaf,
    "keep-halves": keep_halves, "alter": alter, "reopen": reopen,
}  # fmt: skip
