"""A relay inside the test: the rules of spec/relay.md that a vault can notice, without HTTP, and faults on demand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sync import wire
from sync.client import Appended, Changed, RelayInfo, RelayRefused, RelayUnreachable, Token, Watch
from sync.relay.hybrid import make_box
from sync.relay.signing import Box
from sync.wire import Checkpoint, Message, Opening, Receipt
from vault.errors import BadSignature, RelayContradiction
from vault.primitives import SigningKey, verify


@dataclass
class Log:
    owner: bytes
    tokens: dict[bytes, tuple[str, int | None]] = field(default_factory=dict)
    entries: list[Message] = field(default_factory=list)
    chain: list[bytes] = field(default_factory=lambda: [wire.START])
    closed: bool = False


@dataclass
class Half:
    owner: bytes
    half: bytes | None
    reader: bytes
    not_before: int
    until: int
    openings: int | None
    counter: int = 0
    used: int = 0
    why: str = ""


class DoubleRelay:
    """`before` is asked ahead of every call with (verb, address); what it raises is what the vault gets."""

    def __init__(self, clock: Callable[[], float], url: str = "http://relay.test") -> None:
        self.url = url
        self.clock = clock
        self.key = SigningKey.make()
        self.mailboxes: dict[bytes, Log] = {}
        self.traces: dict[bytes, Log] = {}
        self.halves: dict[bytes, Half] = {}
        self.blobs: dict[bytes, tuple[bytes, set[bytes], bytes]] = {}
        self.calls: list[str] = []
        self.down = False
        self.before: Callable[[str, bytes], None] = lambda verb, address: None

    def now(self) -> int:
        return int(self.clock())

    def factory(self, url: str, *, verify_key: bytes | None = None, timeout: float = 10) -> DoubleClient:
        return DoubleClient(self, verify_key)

    def add(self, log: Log, kind: int, address: bytes, body: bytes) -> Checkpoint:
        index, now, body_hash = len(log.entries) + 1, self.now(), wire.hash_body(body)
        log.entries.append(Message(index, now, body, body_hash))
        log.chain.append(wire.extend_chain(log.chain[-1], index, now, body_hash))
        return self.checkpoint(log, kind, address)

    def put_in_place(self, address: bytes, place: int, body: bytes) -> None:
        """Another history of a mailbox, signed as well: for a device that remembers no checkpoint of it."""
        log = self.mailboxes[address]
        bodies = [message.body for message in log.entries]
        bodies[place] = body
        log.entries, log.chain = [], [wire.START]
        for one in bodies:
            self.add(log, wire.MAILBOX, address, one)

    def checkpoint(self, log: Log, kind: int, address: bytes) -> Checkpoint:
        unsigned = wire.unsigned_checkpoint(kind, address, len(log.entries), log.chain[-1], self.now())
        return Checkpoint.decode(unsigned + self.key.sign("checkpoint", unsigned))

    def receipt(self, what: int, address: bytes) -> Receipt:
        unsigned = wire.unsigned_receipt(what, address, self.now())
        return Receipt.decode(unsigned + self.key.sign("receipt", unsigned))


class DoubleClient:
    def __init__(self, relay: DoubleRelay, key: bytes | None) -> None:
        self._relay = relay
        self._key = key
        self.url = relay.url

    def close(self) -> None:
        pass

    def __enter__(self) -> DoubleClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def verify_key(self) -> bytes:
        return self._relay.key.public

    def about(self) -> RelayInfo:
        self._called("about", b"")
        self._key = self._relay.key.public
        return RelayInfo(1, self._relay.key.public, self._relay.now(), wire.limits(), "double")

    def create_mailbox(self, addr: bytes, owner: bytes, tokens: Sequence[Token] = ()) -> None:
        self._called("create_mailbox", addr)
        log = self._relay.mailboxes.setdefault(addr, Log(owner))
        if log.owner != owner:
            raise RelayRefused(409, "exists")
        for token in tokens:
            log.tokens[token.token] = (token.right, token.until)

    def change_tokens(
        self,
        addr: bytes,
        owner: bytes,
        *,
        add: Sequence[Token] = (),
        remove: Sequence[bytes] = (),
        room: str = "mailboxes",
    ) -> None:
        self._called("change_tokens", addr)
        if room == "blobs":
            if addr not in self._relay.blobs:
                raise RelayRefused(404, "unknown")
            held, tokens, data = self._relay.blobs[addr]
            self._relay.blobs[addr] = (held, (tokens | {t.token for t in add}) - set(remove), data)

    def append(self, addr: bytes, token: bytes, body: bytes) -> Appended:
        self._called("append", addr)
        log = self._open(addr, token, "append")
        for entry in log.entries:
            if entry.body == body:
                return Appended(entry.index, self._relay.checkpoint(log, wire.MAILBOX, addr), True)
        checkpoint = self._relay.add(log, wire.MAILBOX, addr, body)
        return Appended(len(log.entries), checkpoint, False)

    def messages(self, addr: bytes, token: bytes, after: int = 0, limit: int = 200) -> tuple[list[Message], Checkpoint]:
        self._called("messages", addr)
        log = self._open(addr, token, "read")
        return log.entries[after : after + limit], self._relay.checkpoint(log, wire.MAILBOX, addr)

    def trim(self, addr: bytes, owner: bytes, upto: int) -> None:
        self._called("trim", addr)

    def close_mailbox(self, addr: bytes, owner: bytes, purge: bool = False) -> Receipt:
        self._called("close_mailbox", addr)
        log = self._relay.mailboxes.get(addr)
        if log is None:
            raise RelayRefused(404, "unknown")
        log.closed = True
        return self._relay.receipt(wire.MAILBOX_CLOSED, addr)

    def put_blob(self, addr: bytes, owner: bytes, tokens: Sequence[Token], path: Path, progress: object = None) -> None:
        self._called("put_blob", addr)
        self._relay.blobs[addr] = (owner, {token.token for token in tokens}, path.read_bytes())

    def get_blob(self, addr: bytes, token: bytes, target: Path, progress: Callable[[int, int], None]) -> None:
        self._called("get_blob", addr)
        if addr not in self._relay.blobs:
            raise RelayRefused(404, "unknown")
        _, tokens, data = self._relay.blobs[addr]
        if token not in tokens:
            raise RelayRefused(403, "token")
        target.write_bytes(data)
        progress(len(data), len(data))

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
        self._called("put_half", grant)
        self._relay.halves[grant] = Half(owner, half, reader, not_before, until, openings)
        self._relay.traces[grant] = Log(owner)
        return self._relay.receipt(wire.HALF_HELD, grant)

    def destroy_half(self, grant: bytes, owner: bytes) -> Receipt:
        self._called("destroy_half", grant)
        if grant not in self._relay.halves:
            raise RelayRefused(404, "unknown")
        self._relay.halves[grant].half = None
        self._relay.halves[grant].why = "revoked"
        return self._relay.receipt(wire.HALF_DESTROYED, grant)

    def open(self, grant: bytes, request: bytes) -> tuple[Checkpoint, bytes]:
        self._called("open", grant)
        half = self._relay.halves.get(grant)
        if half is None:
            raise RelayRefused(404, "unknown")
        opening, kem = Opening.receive(request)
        verify(half.reader, "opening", opening.signed, opening.signature)
        if half.half is None or self._relay.now() >= half.until:
            raise RelayRefused(410, half.why or "ended")
        if opening.counter <= half.counter:
            raise RelayRefused(409, "counter")
        if half.openings is not None and half.used >= half.openings:
            raise RelayRefused(429, "used-up")
        half.counter, half.used = opening.counter, half.used + 1
        checkpoint = self._relay.add(self._relay.traces[grant], wire.TRACE, grant, opening.entry)
        release = wire.encode_release(grant, opening.counter, half.half, opening.tags)
        return checkpoint, (make_box(kem, opening.fresh) if kem else Box.make(opening.fresh)).seal(release)

    def trace(self, grant: bytes, owner: bytes, after: int = 0, limit: int = 1000) -> tuple[list[Message], Checkpoint]:
        self._called("trace", grant)
        log = self._relay.traces.get(grant)
        if log is None:
            raise RelayRefused(404, "unknown")
        return log.entries[after:], self._relay.checkpoint(log, wire.TRACE, grant)

    def wait(self, watches: Sequence[Watch], seconds: int = 25) -> list[Changed]:
        self._called("wait", b"")
        changed = []
        for watch in watches:
            log = (self._relay.mailboxes if watch.kind == "mailbox" else self._relay.traces).get(watch.address)
            if log is None:
                raise RelayRefused(404, "unknown")
            if len(log.entries) > watch.after:
                changed.append(Changed(watch.kind, watch.address, len(log.entries)))
        return changed

    def _called(self, verb: str, address: bytes) -> None:
        self._relay.calls.append(verb)
        if self._relay.down:
            raise RelayUnreachable("down")
        if self._key is not None and self._key != self._relay.key.public:
            if verb == "about":
                raise RelayContradiction("this relay shows another key than before", reason="key")
            raise BadSignature("not a valid checkpoint signature")
        self._relay.before(verb, address)

    def _open(self, addr: bytes, token: bytes, right: str) -> Log:
        log = self._relay.mailboxes.get(addr)
        if log is None:
            raise RelayRefused(404, "unknown")
        if token == log.owner:
            return log
        if log.closed:
            raise RelayRefused(410, "closed")
        held = log.tokens.get(token)
        if held is None or held[0] != right or (held[1] is not None and self._relay.now() >= held[1]):
            raise RelayRefused(403, "token")
        return log
