"""Following a channel: who may write in it, in which order, and what of it goes into the replica.

A channel belongs to one document in one epoch. The holder's vault and a grantee's session follow it by the same rules
(spec/envelope.md, section "Taking"): whatever breaks one is quarantined with its envelope, and the channel goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vault.encoding import Shape, blob, integer, list_of, one_of, text
from vault.errors import ForeignChange, Replayed
from vault.primitives import KEY, hash32
from vault.replica import Change, Merged

ZERO = bytes(KEY)
MAX_BODY = 800_000
MAX_PART = 700_000
MAX_PARTS = 16
MAX_PENDING = 1000

CLAIM = Shape(
    "change",
    {
        "actor": blob(at_most=64),
        "seq": integer(1),
        "deps": list_of(blob(KEY), at_most=1000),
        "hash": blob(KEY),
        "data": blob(at_most=MAX_BODY),
    },
    limit=MAX_BODY,
)
WRITER = Shape("writer", {"sign": blob(KEY), "name": text(200), "role": text(60), "right": one_of("read", "edit")})
# The edition opens a channel: the whole document as one change, and who may read or write in this epoch. A change that
# is too large for one envelope comes in parts, each with a piece of `change.data`.
EDITION = Shape(
    "edition",
    {
        "change": CLAIM.check,
        "writers": list_of(WRITER.check, at_most=256),
        "part": integer(1, MAX_PARTS),
        "parts": integer(1, MAX_PARTS),
    },
    limit=MAX_BODY,
)
CHANGES = Shape("changes", {"changes": list_of(CLAIM.check, at_most=1000)}, limit=MAX_BODY)


class Incoming(Protocol):
    """An opened envelope, its signature checked."""

    @property
    def type(self) -> str: ...
    @property
    def document(self) -> bytes: ...
    @property
    def epoch(self) -> int: ...
    @property
    def device(self) -> bytes: ...
    @property
    def signer(self) -> bytes: ...
    @property
    def seq(self) -> int: ...
    @property
    def prev(self) -> bytes: ...
    @property
    def time(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def hash(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Writer:
    sign: bytes
    name: str
    role: str
    right: str


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that waits for one that it depends on."""

    change: Change
    author: str
    time: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What one envelope changed: the merged replica, and the changes that became part of it with their authors."""

    merged: Merged
    applied: tuple[Pending, ...]


@dataclass(slots=True)
class Channel:
    """One channel as one device follows it. `save` is b"" before the edition came."""

    mailbox: bytes
    document: bytes
    epoch: int
    issuer: bytes
    edition: bytes | None = None  # the change that must open it; None on the issuer's own device
    save: bytes = b""
    writers: dict[bytes, Writer] = field(default_factory=dict)
    senders: dict[bytes, tuple[int, bytes]] = field(default_factory=dict)
    actors: dict[bytes, bytes] = field(default_factory=dict)
    pending: list[Pending] = field(default_factory=list)
    parts: list[bytes] = field(default_factory=list)

    def take(self, incoming: Incoming, merge: Callable[[bytes, Sequence[Change]], Merged]) -> Taken:
        """Check one envelope and merge what it brings. ForeignChange or Replayed leave everything as it was."""
        self._check_place(incoming)
        writers, claims = self._claims(incoming)
        author = writers[incoming.signer].name
        for change in claims:
            if self.actors.get(change.actor, incoming.signer) != incoming.signer:
                raise ForeignChange("this change uses the actor of somebody else")
        waiting = self.pending + [Pending(change, author, incoming.time) for change in claims]
        if len(waiting) > MAX_PENDING:
            raise ForeignChange("too many changes wait for missing ones")
        merged = merge(self.save, [item.change for item in waiting]) if waiting else _nothing(self.save)
        applied = set(merged.applied)
        here = applied | set(merged.known)
        self.writers = writers
        self.senders[sender_key(incoming)] = (incoming.seq, incoming.hash)
        self.actors.update((change.actor, incoming.signer) for change in claims)
        self.pending = [item for item in waiting if item.change.hash not in here]
        self.save = merged.save
        return Taken(merged, tuple(item for item in waiting if item.change.hash in applied))

    def _check_place(self, incoming: Incoming) -> None:
        if (incoming.document, incoming.epoch) != (self.document, self.epoch):
            raise ForeignChange("this envelope is about another document or epoch")
        seq, head = self.senders.get(sender_key(incoming), (0, ZERO))
        if incoming.seq <= seq:
            raise Replayed("this envelope was taken before")
        if incoming.seq != seq + 1 or incoming.prev != head:
            raise ForeignChange("an envelope of this device is missing before this one")

    def _claims(self, incoming: Incoming) -> tuple[dict[bytes, Writer], list[Change]]:
        if incoming.type == "edition":
            if incoming.signer != self.issuer or self.save:
                raise ForeignChange("only the holder opens a channel, and only once")
            return self._edition(EDITION.decode(incoming.body))
        writer = self.writers.get(incoming.signer)
        if writer is None or writer.right != "edit":
            raise ForeignChange("who signed this has no right to write here")
        return self.writers, [read_claim(claim) for claim in CHANGES.decode(incoming.body)["changes"]]

    def _edition(self, fields: Mapping[str, Any]) -> tuple[dict[bytes, Writer], list[Change]]:
        change = read_claim(fields["change"])
        if self.edition is not None and change.hash != self.edition:
            raise ForeignChange("this is not the edition that the grant names")
        writers = {writer["sign"]: Writer(**writer) for writer in fields["writers"]}
        if self.issuer not in writers:
            raise ForeignChange("the holder is not among the writers")
        if fields["part"] != len(self.parts) + 1 or fields["part"] > fields["parts"]:
            raise ForeignChange("a part of the edition is missing")
        self.parts.append(change.data)
        if fields["part"] < fields["parts"]:
            return writers, []
        whole, self.parts = b"".join(self.parts), []
        return writers, [replace(change, data=whole)]


def _nothing(save: bytes) -> Merged:
    return Merged(save, {})


def sender_key(incoming: Incoming) -> bytes:
    """A device's chain belongs to its signer: nobody can use up somebody else's numbers."""
    return hash32(incoming.signer + incoming.device)[:16]


def own_sender_key(signer: bytes, device: bytes) -> bytes:
    return hash32(signer + device)[:16]


def read_claim(fields: Mapping[str, Any]) -> Change:
    return Change(
        hash=fields["hash"], actor=fields["actor"], seq=fields["seq"], deps=tuple(fields["deps"]), data=fields["data"]
    )


def write_claim(change: Change) -> dict[str, Any]:
    return {
        "actor": change.actor,
        "seq": change.seq,
        "deps": list(change.deps),
        "hash": change.hash,
        "data": change.data,
    }


def encode_edition(change: Change, writers: Sequence[Writer]) -> list[bytes]:
    """The bodies of the envelopes that open a channel: one, unless the document is large."""
    people = [{"sign": w.sign, "name": w.name, "role": w.role, "right": w.right} for w in writers]
    pieces = [change.data[at : at + MAX_PART] for at in range(0, len(change.data), MAX_PART)]
    return [
        EDITION.encode(
            {
                "change": write_claim(replace(change, data=piece)),
                "writers": people,
                "part": part,
                "parts": len(pieces),
            }
        )
        for part, piece in enumerate(pieces, 1)
    ]


def encode_changes(changes: Sequence[Change]) -> bytes:
    return CHANGES.encode({"changes": [write_claim(change) for change in changes]})
