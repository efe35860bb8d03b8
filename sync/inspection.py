"""What any file of Elpis is, field by field and with every size, for a reviewer: never plaintext, never a secret.

Bytes are shown as lengths, text as lengths; only numbers, types, suites and the names of fields are shown as they are.
Nothing here opens anything: what is sealed stays sealed.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sync import wire
from sync.wire import Checkpoint, Opening, Receipt, WireError
from vault.encoding import decode
from vault.errors import InputRefused, VaultError

MAX_FILE = 64 << 20
MAX_FIELDS = 2_000
MAX_DEPTH = 12
HEAD_BYTES = 89
TEXTS = (b"elpis-card:", b"elpis-device:")
OPEN_FILES = {b"PK\x03\x04": "zip archive", b"%PDF-": "PDF file, not sealed"}
_OPEN_TEXT = frozenset({"type", "right", "kind"})  # one of a few fixed words
_INNER = frozenset({"body", "grant", "roster"})  # CBOR inside CBOR, which nothing seals
_WHAT = {wire.HALF_HELD: "half held", wire.HALF_DESTROYED: "half destroyed", wire.MAILBOX_CLOSED: "mailbox closed"}


@dataclass(frozen=True, slots=True)
class Field:
    """`shown` is empty for what is not shown."""

    name: str
    type: str
    size: int
    depth: int = 0
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Inspection:
    kind: str
    size: int
    fields: tuple[Field, ...]


def inspect_file(path: Path) -> Inspection:
    """InputRefused for what cannot be read at all; every readable file is something, if only sealed bytes."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            data = file.read(min(size, MAX_FILE))
    except OSError as failure:
        raise InputRefused("this file cannot be read") from failure
    found = inspect_bytes(data)
    return found if size == len(data) else Inspection(found.kind, size, found.fields)


def inspect_bytes(data: bytes) -> Inspection:
    """The first kind that the bytes are exactly one of."""
    for reader in (_text, _database, _vector, _checkpoint, _receipt, _opening, _statement, _log, _open):
        try:
            found = reader(data)
        except (VaultError, WireError, ValueError, RecursionError):
            continue
        if found is not None:
            return Inspection(found[0], len(data), tuple(found[1])[:MAX_FIELDS])
    return Inspection("sealed, or not of Elpis", len(data), _sealed(data))


Found = tuple[str, Sequence[Field]] | None


def _text(data: bytes) -> Found:
    """A card or a device's code, as it stands in a QR code."""
    prefix = next((one for one in TEXTS if data.startswith(one)), None)
    if prefix is None:
        return None
    encoded = data[len(prefix) :].strip()
    try:
        inner = base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
    except binascii.Error:
        return None
    found = _statement(inner)
    kind = "code of a device" if prefix == TEXTS[1] else found[0] if found else ""
    return None if found is None else (f"{kind}, as text", found[1])


def _log(data: bytes) -> Found:
    """The certificates of an authority in their order, each after its length."""
    found: list[Field] = []
    at = count = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4])
        entry = _statement(data[at + 4 : at + 4 + size]) if 0 < size <= len(data) - at - 4 else None
        if entry is None:
            return None
        found += [Field(entry[0], "CBOR", size), *(replace(field, depth=field.depth + 1) for field in entry[1])]
        at, count = at + 4 + size, count + 1
    return (f"log of {count} statements", found) if found else None


def _open(data: bytes) -> Found:
    """What anybody can read: it is not taken for something sealed."""
    for magic, kind in OPEN_FILES.items():
        if data.startswith(magic):
            return kind, ()
    words = data.decode()
    return ("readable text, not sealed", ()) if words and _is_readable(words) else None


def _is_readable(words: str) -> bool:
    return all(mark.isprintable() or mark in "\t\r\n" for mark in words)


def _database(data: bytes) -> Found:
    """A relay's database is plain SQLite; a vault's has no header that anybody could know it by."""
    if not data.startswith(b"SQLite format 3\0") or len(data) < 100:
        return None
    page = int.from_bytes(data[16:18]) or 65_536
    pages = int.from_bytes(data[28:32])
    return "plain SQLite database (a relay's: see `elpis relay-view`)", (
        Field("page size", "number", 2, shown=str(page)),
        Field("pages", "number", 4, shown=str(pages)),
    )


def _vector(data: bytes) -> Found:
    if data.lstrip()[:1] != b"{":
        return None
    read = json.loads(data)
    if not isinstance(read, dict) or "id" not in read:
        return None
    return "test vector", [Field(str(name)[:80], "text", len(json.dumps(value))) for name, value in read.items()]


def _checkpoint(data: bytes) -> Found:
    if len(data) != wire.CHECKPOINT_BYTES:
        return None
    read = Checkpoint.decode(data)
    return "checkpoint of a relay", (
        Field("suite", "number", 1, shown=str(data[0])),
        Field("kind", "number", 1, shown="mailbox" if read.kind == wire.MAILBOX else "trace"),
        Field("address", "bytes", 32),
        Field("count", "number", 8, shown=str(read.count)),
        Field("chain", "bytes", 32),
        Field("time", "number", 8, shown=str(read.time)),
        Field("signature", "bytes", 64),
    )


def _receipt(data: bytes) -> Found:
    if len(data) != wire.RECEIPT_BYTES:
        return None
    read = Receipt.decode(data)
    return "receipt of a relay", (
        Field("suite", "number", 1, shown=str(data[0])),
        Field("what", "number", 1, shown=_WHAT[read.what]),
        Field("address", "bytes", 32),
        Field("time", "number", 8, shown=str(read.time)),
        Field("signature", "bytes", 64),
    )


def _opening(data: bytes) -> Found:
    read = Opening.decode(data)
    return "request to open documents", (
        Field("suite", "number", 1, shown=str(data[0])),
        Field("grant", "bytes", 32),
        Field("counter", "number", 8, shown=str(read.counter)),
        Field("fresh", "bytes", 32),
        *([Field("hash of the ML-KEM key", "bytes", 32)] if read.kem_hash else []),
        Field("tags", "list", 16 * len(read.tags), shown=str(len(read.tags))),
        Field("statement, sealed", "bytes", len(read.statement)),
        Field("signature", "bytes", 64),
    )


def _statement(data: bytes) -> Found:
    """Any deterministic CBOR map: statements, cards, certificates, keyslots."""
    value = decode(data, limit=MAX_FILE)
    if not isinstance(value, Mapping) or not value:
        return None
    named = value.get("type")
    kind = f"{named} statement" if isinstance(named, str) and named.replace("-", "").isalpha() else "CBOR map"
    return ("keyslots" if "slots" in value else kind), list(_fields(value, 0))


def _fields(value: Mapping[Any, Any], depth: int) -> Iterator[Field]:
    for key, item in value.items():
        yield from _field(str(key)[:80], item, depth)


def _field(name: str, item: Any, depth: int) -> Iterator[Field]:
    if isinstance(item, bytes):
        inner = _inner(name, item)
        yield Field(name, "CBOR" if inner is not None else "bytes", len(item), depth)
        if inner is not None and depth < MAX_DEPTH:
            yield from _fields(inner, depth + 1)
    elif isinstance(item, str):
        shown = item if name in _OPEN_TEXT and item.replace("-", "").isalpha() and len(item) <= 32 else ""
        yield Field(name, "text", len(item.encode("utf-8", "replace")), depth, shown)
    elif isinstance(item, bool) or item is None:
        yield Field(name, "none" if item is None else "yes or no", 1, depth, "" if item is None else str(item).lower())
    elif isinstance(item, int):
        yield Field(name, "number", max(1, (item.bit_length() + 7) // 8), depth, str(item))
    elif isinstance(item, Mapping):
        yield Field(name, "map", len(item), depth)
        if depth < MAX_DEPTH:
            yield from _fields(item, depth + 1)
    elif isinstance(item, Sequence):
        yield Field(name, "list", len(item), depth, str(len(item)))
        if depth < MAX_DEPTH:
            for at, one in enumerate(item):
                yield from _field(str(at), one, depth + 1)
    else:
        yield Field(name, type(item).__name__, 0, depth)


def _inner(name: str, item: bytes) -> Mapping[Any, Any] | None:
    """CBOR that lies openly inside CBOR."""
    if name not in _INNER:
        return None
    try:
        value = decode(item, limit=MAX_FILE)
    except VaultError:
        return None
    return value if isinstance(value, Mapping) and value else None


def _sealed(data: bytes) -> tuple[Field, ...]:
    """How the bytes would divide, for what only a key can tell apart."""
    if len(data) == HEAD_BYTES and data[:1] == b"\x01":
        parts: list[tuple[str, int]] = [("suite", 1), ("vault", 16), ("count", 8), ("link", 32), ("authenticator", 32)]
    elif len(data) > 72:
        parts = [("as an envelope: nonce", 24), ("commitment", 32), ("sealed, with its authenticator", len(data) - 56)]
        parts += [("as a message to a person: ephemeral key", 32), ("sealed, with its authenticator", len(data) - 32)]
    else:
        return ()
    return tuple(Field(name, "bytes", size) for name, size in parts)
