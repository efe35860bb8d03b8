"""Following a channel: who may write in it, in which order, and what of it goes into the replica.

A channel belongs to one document in one epoch. The holder's vault and a grantee's session follow it by the same rules
(spec/envelope.md, section "Taking"): whatever breaks one is quarantined with its envelope, and the channel goes on.
Nobody who may write here can keep the others from being heard.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vault.encoding import Shape, blob, integer, list_of, one_of, text
from vault.errors import ForeignChange, Replayed, VerificationFailed
from vault.primitives import KEY, hash32
from vault.replica import Change, Merged

ZERO = bytes(KEY)
MAX_BODY = 800_000
MAX_PART = 700_000
MAX_PARTS = 16
MAX_CLAIMS = 1000
MAX_PENDING, MAX_PENDING_BYTES = 1000, 8 << 20  # of one person, so that nobody fills the room of the others

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
# `author` is "" for the signer's own changes; the holder alone may name somebody else, whose late changes these are.
CHANGES = Shape("changes", {"author": text(200), "changes": list_of(CLAIM.check, at_most=MAX_CLAIMS)}, limit=MAX_BODY)


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


class Merge(Protocol):
    """`replica.merge`, in the worker."""

    def __call__(self, save: bytes, claims: Sequence[Change], *, own: bytes = b"") -> Merged: ...


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
    """What one envelope changed: the merged replica, and the changes that became part of it with their authors.

    `refused`: the envelope stood in its place, what it brought was not acceptable. `merged.state` counts when something
    was applied.
    """

    merged: Merged
    applied: tuple[Pending, ...] = ()
    refused: ForeignChange | VerificationFailed | None = None


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
    own: bytes = b""  # the actor of this device: nobody else may write under it

    def take(self, incoming: Incoming, merge: Merge) -> Taken:
        """Follow one envelope. What has no place or no right here raises, and nothing changes.

        An envelope in its place moves its device's chain on even when its content is refused: what the same device
        writes afterwards must still be heard.
        """
        self._check_place(incoming)
        self._check_right(incoming)
        self.senders[sender_key(incoming)] = (incoming.seq, incoming.hash)
        if incoming.type == "edition" and self.save:
            return Taken(Merged(self.save, {}))  # once more, by another device of the holder's or one that was put back
        try:
            return self._edition(incoming, merge) if incoming.type == "edition" else self._changes(incoming, merge)
        except (ForeignChange, VerificationFailed) as failure:
            return Taken(Merged(self.save, {}), refused=failure)

    def _check_place(self, incoming: Incoming) -> None:
        if (incoming.document, incoming.epoch) != (self.document, self.epoch):
            raise ForeignChange("this envelope is about another document or epoch")
        seq, head = self.senders.get(sender_key(incoming), (0, ZERO))
        if incoming.seq <= seq:
            raise Replayed("this envelope was taken before")
        if incoming.seq != seq + 1 or incoming.prev != head:
            raise ForeignChange("an envelope of this device is missing before this one")

    def _check_right(self, incoming: Incoming) -> None:
        if incoming.type == "edition":
            if incoming.signer != self.issuer:
                raise ForeignChange("only the holder opens a channel")
            return
        if incoming.type != "change":
            raise ForeignChange("this envelope belongs into the vault's own channel")
        writer = self.writers.get(incoming.signer)
        if writer is None or writer.right != "edit":
            raise ForeignChange("who signed this has no right to write here")

    def _edition(self, incoming: Incoming, merge: Merge) -> Taken:
        """The edition, or one more part of it."""
        parts, self.parts = self.parts, []  # a part that does not fit ends the attempt
        fields = EDITION.decode(incoming.body)
        change = read_claim(fields["change"])
        if self.edition is not None and change.hash != self.edition:
            raise ForeignChange("this is not the edition that the grant names")
        writers = {writer["sign"]: Writer(**writer) for writer in fields["writers"]}
        if len(writers) != len(fields["writers"]) or self.issuer not in writers:
            raise ForeignChange("the holder is not among the writers, or somebody is twice")
        parts = parts if fields["part"] > 1 else []
        if fields["part"] != len(parts) + 1 or fields["part"] > fields["parts"]:
            raise ForeignChange("a part of the edition is missing")
        parts = [*parts, change.data]
        if fields["part"] < fields["parts"]:
            self.parts = parts
            return Taken(Merged(self.save, {}))
        whole = change._replace(data=b"".join(parts))
        merged = merge(b"", [whole], own=self.own)
        self.save, self.writers = merged.save, writers
        self.actors[whole.actor] = incoming.signer
        return Taken(merged, (Pending(whole, writers[incoming.signer].name, incoming.time),))

    def _changes(self, incoming: Incoming, merge: Merge) -> Taken:
        body = CHANGES.decode(incoming.body)
        if body["author"] and incoming.signer != self.issuer:
            raise ForeignChange("only the holder names another author")
        author = body["author"] or self.writers[incoming.signer].name
        fresh = [Pending(read_claim(claim), author, incoming.time) for claim in body["changes"]]
        if any(self.actors.get(item.change.actor, incoming.signer) != incoming.signer for item in fresh):
            raise ForeignChange("this change uses the actor of somebody else")
        if not fresh:
            return Taken(Merged(self.save, {}))
        merged = merge(self.save, [item.change for item in fresh], own=self.own)
        waiting = [item for item in fresh if item.change.hash in set(merged.waiting)]
        self._check_room(waiting, incoming.signer)
        self.actors.update((item.change.actor, incoming.signer) for item in fresh)
        self.save = merged.save
        applied = [item for item in fresh if item.change.hash in set(merged.applied)]
        known = {item.change.hash for item in self.pending}
        self.pending = self.pending + [item for item in waiting if item.change.hash not in known]
        return self._settle(Taken(merged, tuple(applied)), merge)

    def _check_room(self, waiting: Sequence[Pending], signer: bytes) -> None:
        """Changes wait for missing ones, but not without limit."""
        if not waiting:
            return
        theirs = [item for item in self.pending if self.actors.get(item.change.actor) == signer]
        held = [*theirs, *waiting]
        if len(held) > MAX_PENDING or sum(len(item.change.data) for item in held) > MAX_PENDING_BYTES:
            raise ForeignChange("too many changes wait for missing ones")

    def _settle(self, taken: Taken, merge: Merge) -> Taken:
        """Merge what waited for these changes. What is not acceptable after all is dropped, alone."""
        while taken.applied:
            here = {item.change.hash for item in taken.applied}
            ready = [item for item in self.pending if here.intersection(item.change.deps)]
            merged, applied = taken.merged, list(taken.applied)
            for item in ready:
                try:
                    one = merge(self.save, [item.change], own=self.own)
                except ForeignChange:
                    self.pending.remove(item)
                    continue
                if one.waiting:
                    continue
                self.pending.remove(item)
                self.save = one.save
                if one.applied:
                    merged = one
                    applied.append(item)
            if len(applied) == len(taken.applied):
                break
            taken = Taken(merged, tuple(applied))
        return taken


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
                "change": write_claim(change._replace(data=piece)),
                "writers": people,
                "part": part,
                "parts": len(pieces),
            }
        )
        for part, piece in enumerate(pieces, 1)
    ]


def encode_changes(changes: Sequence[Change], author: str = "") -> bytes:
    return CHANGES.encode({"author": author, "changes": [write_claim(change) for change in changes]})
