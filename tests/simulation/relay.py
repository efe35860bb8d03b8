"""The relay of a simulated world: the relay's own rules on its memory store, without HTTP, honest or in hostile hands.

`Relay` is what happens inside; `Wire` is how one party reaches it: the interface of `sync.client.RelayClient`, with the
faults of a network and of a process that stops. What hostile hands do is done to `Relay.books`, or to one answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sync import wire
from sync.client import Appended, Changed, RelayInfo, RelayRefused, RelayUnreachable, Token, Watch
from sync.relay import blobs, halves, mailbox, trace
from sync.relay.checker import prepare
from sync.relay.clock import RelayClock
from sync.relay.halves import Promise
from sync.relay.memory import MemoryStore
from sync.relay.refusal import Refusal
from sync.relay.signing import Box, HybridBox, Signer
from sync.relay.store import BLOB, Capability
from sync.wire import Checkpoint, Message, Opening, Receipt, hash_token
from vault.errors import BadSignature, RelayContradiction
from vault.primitives import verify

T = TypeVar("T")
URL = "http://relay.simulation"
SEED = hashlib.sha256(b"relay of the simulation").digest()


class Crash(BaseException):
    """The process stops here. Nothing that runs afterwards may save anything."""


class Safe:
    """Halves in memory, as sync.relay.safe keeps them on disk."""

    def __init__(self) -> None:
        self.halves: dict[bytes, bytes] = {}

    def put(self, grant: bytes, half: bytes) -> None:
        self.halves[grant] = half

    def get(self, grant: bytes) -> bytes | None:
        return self.halves.get(grant)


class Books:
    """Everything that a relay knows; copied when it is forked, kept when it is to be rolled back."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.safe = Safe()
        self.files: dict[bytes, bytes] = {}

    def copy(self) -> Books:
        twin = Books()
        for name, value in vars(self.store._now).items():
            setattr(twin.store._now, name, value.copy() if isinstance(value, dict) else value)
        twin.safe.halves = dict(self.safe.halves)
        twin.files = dict(self.files)
        return twin


class Relay:
    """`keeps_halves`: it signs that a half is destroyed and keeps it. `accepted`: every message that any book took."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.signer = Signer(SEED)
        self.clock = RelayClock(0, clock)
        self.books = Books()
        self.branches: dict[str, Books] = {}
        self.accepted: list[tuple[bytes, bytes]] = []
        self.late: list[tuple[int, Callable[[], object]]] = []
        self.calls = 0
        self.keeps_halves = False

    def of(self, seat: str) -> Books:
        return self.branches.get(seat, self.books)

    def rule(self, books: Books, rule: Callable[[int], T]) -> T:
        """One transaction, as the engine makes it."""
        now = self.clock.now()
        books.store.begin()
        try:
            books.store.set_clock(now)
            self._end_due(books, now)
            done = rule(now)
        except Refusal as refusal:
            books.store.commit()  # what ended by the clock stays ended
            raise RelayRefused(refusal.status, refusal.code) from None
        books.store.commit()
        return done

    def _end_due(self, books: Books, now: int) -> None:
        for grant in halves.end_due(books.store, now):
            self.destroy(books, grant)

    def destroy(self, books: Books, grant: bytes) -> None:
        if not self.keeps_halves:
            books.safe.halves.pop(grant, None)

    def sign(self, head: trace.Head) -> Checkpoint:
        return Checkpoint.decode(self.signer.checkpoint(*head))

    def receipt(self, what: int, address: bytes, time: int) -> Receipt:
        return Receipt.decode(self.signer.receipt(what, address, time))

    def insert(self, books: Books, address: bytes, body: bytes, kind: int = wire.MAILBOX) -> None:
        """A hostile relay puts anything anywhere."""
        log = books.store.log(kind, address)
        if log is not None:
            books.store.begin()
            trace.add(books.store, log, body, wire.hash_body(body), self.clock.now())
            books.store.commit()

    def deliver_late(self) -> None:
        due = [call for moment, call in self.late if moment <= self.calls]
        self.late = [(moment, call) for moment, call in self.late if moment > self.calls]
        for call in due:
            try:
                call()
            except RelayRefused:
                continue


@dataclass
class Faults:
    """What goes wrong in one step: the n-th call to the relay, or the n-th commit of the vault, and how."""

    calls: dict[int, tuple[str, int]] = field(default_factory=dict)
    commits: dict[int, str] = field(default_factory=dict)
    made: int = 0
    committed: int = 0


@dataclass
class Line:
    """How one party reaches the relay, through every life of its process."""

    name: str
    relay: Relay
    faults: Faults = field(default_factory=Faults)
    answer: Callable[[str, bytes, Any], Any] | None = None  # hostile hands on what comes back
    facts: dict[tuple[int, bytes], dict[int, bytes]] = field(default_factory=dict)
    fresh: dict[tuple[int, bytes], dict[int, bytes]] = field(default_factory=dict)
    contradictions: list[str] = field(default_factory=list)

    def factory(self, url: str, *, verify_key: bytes | None = None, timeout: float = 10) -> Wire:
        return Wire(self, verify_key)

    def settle(self, *, keep: bool) -> list[str]:
        """After a step: what was signed to this party is a fact, unless the process may have forgotten it."""
        found, self.contradictions = self.contradictions, []
        if keep:
            for place, links in self.fresh.items():
                self.facts.setdefault(place, {}).update(links)
        self.fresh.clear()
        return found

    def states(self, kind: int, address: bytes, links: dict[int, bytes]) -> None:
        """The relay says that the chain was this at these positions."""
        known = self.facts.get((kind, address), {})
        for count, chain in links.items():
            if known.get(count, chain) != chain:
                self.contradictions.append("fork")
        self.fresh.setdefault((kind, address), {}).update(links)

    def ends(self, kind: int, address: bytes, count: int) -> None:
        """The relay says that this is the whole of it."""
        if count < max(self.facts.get((kind, address), {}), default=0):
            self.contradictions.append("rollback")


class Wire:
    """One party's client; see sync.client.RelayClient for what each call is."""

    def __init__(self, line: Line, key: bytes | None) -> None:
        self._line = line
        self._relay = line.relay
        self._key = key
        self.url = URL

    def close(self) -> None:
        return None

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def verify_key(self) -> bytes:
        return self.about().verify_key

    def about(self) -> RelayInfo:
        key = self._call("about", b"", lambda books: self._relay.signer.public)
        if self._key is not None and key != self._key:
            raise RelayContradiction("this relay shows another key than before", reason="key")
        self._key = key
        return RelayInfo(1, key, self._relay.clock.now(), wire.limits(), "simulation")

    def create_mailbox(self, addr: bytes, owner: bytes, tokens: Sequence[Token] = ()) -> None:
        made = _capabilities(tokens)
        self._change("create_mailbox", addr, lambda s, now: mailbox.create(s, addr, hash_token(owner), made, now))

    def change_tokens(
        self,
        addr: bytes,
        owner: bytes,
        *,
        add: Sequence[Token] = (),
        remove: Sequence[bytes] = (),
        room: str = "mailboxes",
    ) -> None:
        kind = BLOB if room == "blobs" else wire.MAILBOX
        added, gone, who = _capabilities(add), [hash_token(token) for token in remove], hash_token(owner)
        self._change("change_tokens", addr, lambda s, now: mailbox.change_tokens(s, kind, addr, who, added, gone))

    def append(self, addr: bytes, token: bytes, body: bytes) -> Appended:
        who, digest = hash_token(token), wire.hash_body(body)

        def take(books: Books) -> Appended:
            done = self._relay.rule(books, lambda now: mailbox.append(books.store, addr, who, body, digest, now))
            if not done.repeated:
                self._relay.accepted.append((addr, body))
            return Appended(done.number, self._relay.sign(done.head), done.repeated)

        appended = self._call("append", addr, take)
        self._verify(appended.checkpoint, wire.MAILBOX, addr)
        self._line.states(wire.MAILBOX, addr, {appended.checkpoint.count: appended.checkpoint.chain})
        return appended

    def messages(self, addr: bytes, token: bytes, after: int = 0, limit: int = 200) -> tuple[list[Message], Checkpoint]:
        who = hash_token(token)
        return self._page(
            "messages", wire.MAILBOX, addr, after, limit, lambda s, now: mailbox.readable(s, addr, who, now)
        )

    def trim(self, addr: bytes, owner: bytes, upto: int) -> None:
        self._change("trim", addr, lambda s, now: mailbox.trim(s, addr, hash_token(owner), upto))

    def close_mailbox(self, addr: bytes, owner: bytes, purge: bool = False) -> Receipt:
        time = self._change("close_mailbox", addr, lambda s, now: mailbox.close(s, addr, hash_token(owner), purge, now))
        return self._relay.receipt(wire.MAILBOX_CLOSED, addr, time)

    def put_blob(self, addr: bytes, owner: bytes, tokens: Sequence[Token], path: Path, progress: object = None) -> None:
        data, made, who = path.read_bytes(), _capabilities(tokens), hash_token(owner)

        def put(books: Books) -> None:
            def rule(now: int) -> None:
                if blobs.create(books.store, addr, who, made, len(data), now):
                    blobs.advance(books.store, addr, who, 0, len(data))
                    books.files[addr] = data

            self._relay.rule(books, rule)

        self._call("put_blob", addr, put)

    def get_blob(
        self, addr: bytes, token: bytes, target: Path, progress: Callable[[int, int], None] | None = None
    ) -> None:
        def get(books: Books) -> bytes:
            self._relay.rule(books, lambda now: blobs.readable(books.store, addr, hash_token(token), now))
            return books.files[addr]

        data = self._call("get_blob", addr, get)
        target.write_bytes(data)
        if progress is not None:
            progress(len(data), len(data))

    def drop_blob(self, addr: bytes, owner: bytes) -> None:
        self._change("drop_blob", addr, lambda s, now: blobs.drop(s, addr, hash_token(owner)))

    def put_half(
        self,
        grant: bytes,
        owner: bytes,
        half: bytes,
        reader: bytes,
        *,
        not_before: int,
        until: int,
        openings: int | None = None,
    ) -> Receipt:
        promise = Promise(hash_token(owner), half, reader, not_before, until, openings)

        def put(books: Books) -> int:
            safe: Any = books.safe
            return self._relay.rule(books, lambda now: halves.put(books.store, safe, grant, promise, now))[0]

        return self._relay.receipt(wire.HALF_HELD, grant, self._call("put_half", grant, put))

    def destroy_half(self, grant: bytes, owner: bytes) -> Receipt:
        def destroy(books: Books) -> int:
            safe: Any = books.safe
            time, there = self._relay.rule(
                books, lambda now: halves.destroy(books.store, safe, grant, hash_token(owner), now)
            )
            if there:
                self._relay.destroy(books, grant)
            return time

        return self._relay.receipt(wire.HALF_DESTROYED, grant, self._call("destroy_half", grant, destroy))

    def open(self, grant: bytes, request: bytes) -> tuple[Checkpoint, bytes]:
        opening, kem = Opening.receive(request)

        def release(books: Books) -> tuple[Checkpoint, bytes]:
            safe: Any = books.safe

            def rule(now: int) -> tuple[halves.Release, Box | HybridBox]:
                half = books.store.half(grant)
                if half is None:
                    raise Refusal("unknown")
                digest = hashlib.blake2b(opening.signed, digest_size=64).digest()
                box = prepare(half.reader, digest, opening.signature, opening.fresh, kem)
                return halves.release(books.store, safe, opening, now), box

            done, box = self._relay.rule(books, rule)
            if done.used_up:
                self._relay.destroy(books, grant)
            sealed = box.seal(wire.encode_release(grant, opening.counter, done.half, opening.tags))
            return self._relay.sign(done.head), sealed

        return self._call("open", grant, release)

    def trace(self, grant: bytes, owner: bytes, after: int = 0, limit: int = 1000) -> tuple[list[Message], Checkpoint]:
        who = hash_token(owner)
        return self._page("trace", wire.TRACE, grant, after, limit, lambda s, now: halves.traced(s, grant, who))

    def wait(self, watches: Sequence[Watch], seconds: int = 25) -> list[Changed]:
        def look(books: Books) -> list[Changed]:
            def rule(now: int) -> list[Changed]:
                found = []
                for watch in watches:
                    who = hash_token(watch.token)
                    if watch.kind == "mailbox":
                        log = mailbox.readable(books.store, watch.address, who, now)
                    else:
                        log = halves.traced(books.store, watch.address, who)
                    if log.length > watch.after:
                        found.append(Changed(watch.kind, watch.address, log.length))
                return found

            return self._relay.rule(books, rule)

        return self._call("wait", b"", look)

    # inside

    def _change(self, verb: str, addr: bytes, rule: Callable[[Any, int], T]) -> T:
        return self._call(verb, addr, lambda books: self._relay.rule(books, lambda now: rule(books.store, now)))

    def _page(
        self, verb: str, kind: int, addr: bytes, after: int, limit: int, find: Callable[[Any, int], Any]
    ) -> tuple[list[Message], Checkpoint]:
        def read(books: Books) -> tuple[list[Message], Checkpoint]:
            page = self._relay.rule(
                books, lambda now: trace.read(books.store, find(books.store, now), after, limit, now)
            )
            return wire.decode_frames(page.frames), self._relay.sign(page.head)

        messages, checkpoint = self._call(verb, addr, read)
        self._verify(checkpoint, kind, addr)
        self._observe(kind, addr, after, messages, checkpoint)
        return messages, checkpoint

    def _observe(self, kind: int, addr: bytes, after: int, messages: Iterable[Message], checkpoint: Checkpoint) -> None:
        known = {**self._line.facts.get((kind, addr), {}), **self._line.fresh.get((kind, addr), {}), 0: wire.START}
        links, chain = {}, known.get(after)
        for message in messages:
            if message.index != after + 1 + len(links):
                chain = None  # an entry is left out: nothing is said of what comes behind it
            if chain is not None:
                chain = wire.extend_chain(chain, message.index, message.time, message.body_hash)
                links[message.index] = chain
        self._line.states(kind, addr, links)
        self._line.states(kind, addr, {checkpoint.count: checkpoint.chain})
        self._line.ends(kind, addr, checkpoint.count)

    def _verify(self, checkpoint: Checkpoint, kind: int, addr: bytes) -> None:
        if (checkpoint.kind, checkpoint.address) != (kind, addr):
            raise BadSignature("the relay's checkpoint is about something else")
        if self._key is not None:
            checkpoint.verify(self._key, verify)

    def _call(self, verb: str, addr: bytes, call: Callable[[Books], T]) -> T:
        line, relay = self._line, self._relay
        relay.calls += 1
        relay.deliver_late()
        line.faults.made += 1
        kind, delay = line.faults.calls.pop(line.faults.made, ("", 0))
        if kind == "crash":
            raise Crash(verb)
        if kind == "drop":
            raise RelayUnreachable("dropped")
        books = relay.of(line.name)
        if kind == "late":
            relay.late.append((relay.calls + 1 + delay, lambda: call(books)))
            raise RelayUnreachable("late")
        done = call(books)
        if kind == "twice":
            done = self._again(verb, call, books, done)
        if kind == "lose":
            raise RelayUnreachable("lost")
        if kind == "crash-after":
            raise Crash(verb)
        return line.answer(verb, addr, done) if line.answer is not None else done

    def _again(self, verb: str, call: Callable[[Books], T], books: Books, done: T) -> T:
        """The client asks once more because the first answer was lost; an opening is never repeated by itself."""
        if verb == "open":
            try:
                call(books)
            except RelayRefused:
                return done
            raise AssertionError("one opening was taken twice")
        return call(books)


def _capabilities(tokens: Sequence[Token]) -> list[Capability]:
    return [Capability(hash_token(token.token), token.right, token.until) for token in tokens]
