"""What one device of a holder tells the others: the operations of the vault's channel, and the bodies they travel in.

Normative text: spec/vault-channel.md, section 3. Pure: nothing here knows a store.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vault.channel import WRITER
from vault.chunk import MAX_FIRST
from vault.encoding import (
    Shape,
    blob,
    boolean,
    decode,
    encode,
    integer,
    list_of,
    map_of,
    moment,
    one_of,
    optional,
    text,
)
from vault.errors import ForeignChange, VerificationFailed
from vault.primitives import BoxKey, pad, seal_to, unpad
from vault.replica import Change
from vault.roster import MAX_CHAIN, MAX_DEVICES

MAX_DATA = 780_000
MAX_PARTS = 64
MAX_OPS = 1000
MAX_ITEMS = 100  # changes in one operation that this device joins: readers take ten times as many
MAX_BUNDLE = 6_000_000  # bytes of operations that go together, unless one alone is larger
MAX_ROW = 8 << 20
MAX_EPOCH = 1 << 62  # numbers of editions: behind the last one there is room for another
MAX_FIRST_EPOCH = 1 << 56  # of an edition without a parent
MAX_STEP = 1 << 44  # from a parent's number to the next
NOWHERE = bytes(16)  # `document` of an envelope of the vault's channel

CLAIM = Shape(
    "change",
    {
        "actor": blob(16),
        "seq": integer(1),
        "deps": list_of(blob(32), at_most=1000),
        "hash": blob(32),
        "data": blob(at_most=MAX_FIRST),
    },
    limit=MAX_FIRST + 100_000,
)
PLACE = Shape(
    "channel",
    {
        "address": blob(32),
        "relay": text(500),
        "owner": blob(32),
        "append": blob(32),
        "key": blob(32),
        "writers": list_of(WRITER.check, at_most=256),
    },
)
ITEM = Shape("item", {"change": CLAIM.check, "author": text(200), "time": moment(), "own": boolean()})
BOX = Shape("box", {"device": blob(16), "sealed": blob(at_most=2000)})
CHAIN = list_of(blob(at_most=40_000), at_most=MAX_CHAIN)
_WHOLE = MAX_FIRST + 1_000_000

SHAPES: Mapping[str, Shape] = {
    "roster": Shape("roster", {"chain": CHAIN}, limit=_WHOLE),
    "row": Shape("row", {"name": text(40), "key": text(500), "value": blob(at_most=MAX_ROW)}, limit=_WHOLE),
    "edition": Shape(
        "edition",
        {
            "document": blob(16),
            "epoch": integer(0, MAX_EPOCH),
            "parent": optional(blob(32)),
            "heads": list_of(blob(32), at_most=1000),
            "change": CLAIM.check,
            "added": moment(),
            "author": text(200),
            "channel": optional(PLACE.check),
            "current": boolean(),
        },
        limit=_WHOLE,
    ),
    "changes": Shape(
        "changes",
        {
            "document": blob(16),
            "edition": blob(32),
            "items": list_of(ITEM.check, at_most=1000),
            "again": list_of(blob(32), at_most=1000),
        },
        limit=_WHOLE,
    ),
    "turn": Shape(
        "turn", {"chain": CHAIN, "epoch": integer(1), "boxes": list_of(BOX.check, at_most=MAX_DEVICES)}, limit=_WHOLE
    ),
    "signed": Shape("signed", {"relay": text(500), "checkpoints": list_of(blob(146), at_most=256)}),
    "end": Shape("end", {}),
}
# The next channel, for one device.
NEXT = Shape(
    "next",
    {
        "vault": blob(16),
        "device": blob(16),
        "epoch": integer(1),
        "address": blob(32),
        "owner": blob(32),
        "append": blob(32),
        "key": blob(32),
    },
)
OPERATION = Shape("operation", {"kind": one_of(*SHAPES), "body": blob(at_most=_WHOLE)}, limit=_WHOLE + 100)
BUNDLE = Shape("bundle", {"ops": list_of(OPERATION.check, at_most=MAX_OPS)}, limit=MAX_PARTS * MAX_DATA)
BODY = Shape(
    "body",
    {"part": integer(1, MAX_PARTS), "parts": integer(1, MAX_PARTS), "data": blob(at_most=MAX_DATA)},
    limit=800_000,
)
_ROW_VALUE = map_of(lambda value, where: None, at_most=64)


def encode_operation(kind: str, fields: Mapping[str, Any]) -> bytes:
    return SHAPES[kind].encode(fields)


def decode_operation(kind: str, body: bytes) -> dict[str, Any]:
    return SHAPES[kind].decode(body)


class Together:
    """Operations as they are sealed: changes of one edition that come in one run, each told by itself, are one."""

    def __init__(self) -> None:
        self.size = 0
        self._made: list[tuple[str, list[bytes]]] = []
        self._run: dict[bytes, list[bytes]] = {}

    def __len__(self) -> int:
        return len(self._made)

    def add(self, kind: str, body: bytes) -> None:
        self.size += len(body) + 40
        single = kind == "changes" and body.startswith(_SINGLE)
        if not single:
            self._run.clear()
            self._made.append((kind, [body]))
            return
        item, edition = body[len(_SINGLE) : -_EDITION], body[-_EDITION:]
        items = self._run.get(edition, [])
        if not items or len(items) > MAX_ITEMS:
            items = self._run[edition] = [edition]
            self._made.append((kind, items))
        items.append(item)

    def operations(self) -> list[tuple[str, bytes]]:
        return [(kind, pieces[0] if len(pieces) == 1 else _join(*pieces)) for kind, pieces in self._made]


# The CBOR of `changes` with one item and nothing in `again`, up to that item; and of what follows the items.
_SINGLE = b"\xa4\x65again\x80\x65items\x81"
_EDITION = len(b"\x67edition\x58\x20") + 32 + len(b"\x68document\x50") + 16


def _join(edition: bytes, *items: bytes) -> bytes:
    count = len(items)
    head = (
        bytes([0x80 + count])
        if count < 24
        else b"\x98" + bytes([count])
        if count < 256
        else b"\x99" + count.to_bytes(2)
    )
    return b"".join((_SINGLE[:-1], head, *items, edition))


def seal_next(device: bytes, box: bytes, vault: bytes, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The box of a turn for one device that stays: `fields` of the next channel, for its `box` key."""
    return {"device": device, "sealed": seal_to(box, pad(NEXT.encode({"vault": vault, "device": device, **fields})))}


def open_next(key: BoxKey, sealed: bytes, vault: bytes, device: bytes) -> dict[str, Any]:
    """The next channel. CannotOpen, Malformed; VerificationFailed when it was made for another device or vault."""
    fields = NEXT.decode(unpad(key.open(sealed)))
    if (fields["vault"], fields["device"]) != (vault, device):
        raise VerificationFailed("this box was made for another device")
    return fields


def encode_row(values: Mapping[str, Any]) -> bytes:
    return encode(dict(values))


def decode_row(data: bytes) -> dict[str, Any]:
    value = decode(data, limit=MAX_ROW)
    _ROW_VALUE(value, "row")
    return dict(value)


def encode_bodies(operations: Iterable[tuple[str, bytes]]) -> list[bytes]:
    """The bodies of the envelopes in which these operations travel: one, unless they are large."""
    data = BUNDLE.encode({"ops": [{"kind": kind, "body": body} for kind, body in operations]})
    pieces = [data[at : at + MAX_DATA] for at in range(0, len(data), MAX_DATA)]
    return [BODY.encode({"part": part, "parts": len(pieces), "data": piece}) for part, piece in enumerate(pieces, 1)]


def read_body(body: bytes, before: Sequence[bytes]) -> tuple[list[tuple[str, bytes]] | None, bytes]:
    """(the operations that are complete now, or None; this part's data). ForeignChange when a part is missing."""
    fields = BODY.decode(body)
    if fields["part"] != len(before) + 1 or fields["part"] > fields["parts"]:
        raise ForeignChange("a part of what a device tells is missing")
    if fields["part"] < fields["parts"]:
        return None, fields["data"]
    bundle = BUNDLE.decode(b"".join((*before, fields["data"])))
    return [(item["kind"], item["body"]) for item in bundle["ops"]], fields["data"]


def claim(change: Change) -> dict[str, Any]:
    return {
        "actor": change.actor,
        "seq": change.seq,
        "deps": list(change.deps),
        "hash": change.hash,
        "data": change.data,
    }


def read_claim(fields: Mapping[str, Any]) -> Change:
    return Change(fields["hash"], fields["actor"], fields["seq"], tuple(fields["deps"]), fields["data"])
