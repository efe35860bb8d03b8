"""spec/replica.md: Automerge change chunks, the ones that Elpis writes and the ones that it refuses."""

from __future__ import annotations

import hashlib
import zlib
from typing import Any

from spec.vectors.writing import Vectors, fixed
from vault import chunk, replica

PATIENT, DOCTOR = fixed("patient actor", 16), fixed("doctor actor", 16)
ENTRY = "0" * 32
STATE: dict[str, dict[str, Any]] = {
    "meta": {"kind": "medications", "title": "Medications"},
    "entries": {ENTRY: {"kind": "medication", "label": "BISOPROLOL 2,5 mg", "negated": False, "dose_number": 2}},
    "attachments": {},
}


def leb(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes((*out, number))


def build(
    columns: dict[int, bytes],
    *,
    deps: tuple[bytes, ...] = (),
    actor: bytes = PATIENT,
    seq: int = 1,
    start: int = 1,
    message: bytes = b"",
    others: tuple[bytes, ...] = (),
    behind: bytes = b"",
    type_: int = 1,
) -> bytes:
    """A chunk with any part as a vector wants it, and the right checksum."""
    body = leb(len(deps)) + b"".join(deps) + leb(len(actor)) + actor + leb(seq) + leb(start) + b"\0"
    body += leb(len(message)) + message + leb(len(others)) + b"".join(leb(len(name)) + name for name in others)
    body += leb(len(columns)) + b"".join(leb(name) + leb(len(data)) for name, data in columns.items())
    return framed(body + b"".join(columns.values()) + behind, type_)


def framed(body: bytes, type_: int = 1) -> bytes:
    rest = bytes([type_]) + leb(len(body)) + body
    return chunk.MAGIC + hashlib.sha256(rest).digest()[:4] + rest


# One operation: put "x" under the key "k" of the root.
ONE: dict[int, bytes] = {
    0x15: b"\x7f\x01k",
    0x34: b"\x01",
    0x42: b"\x7f\x01",
    0x56: b"\x7f\x16",
    0x57: b"x",
    0x70: b"\x7f\x00",
}


def output(data: bytes) -> dict[str, Any]:
    header = chunk.read_header(data)
    told = {name: getattr(header, name) for name in ("hash", "actor", "seq", "start", "deps")}
    return told | {"operations": [described(operation) for operation in chunk.read_operations(header)]}


def described(operation: chunk.Operation) -> list[Any]:
    target = [] if operation.target == chunk.ROOT else list(operation.target)
    replaced = [list(item) for item in operation.replaces]
    return [operation.id[0], target, operation.key, operation.action, operation.value, replaced]


def make() -> list[Vectors]:
    vectors = Vectors("change")

    def valid(name: str, description: str, data: bytes) -> None:
        vectors.valid(name, description, {"data": data}, output(data))

    save, edition = replica.make(STATE, PATIENT)
    valid("edition", "the first change of a replica", edition.data)
    save, amended = replica.edit(save, DOCTOR, [("set", ("entries", ENTRY, "dose"), "1 le matin")])
    if amended is None:
        raise ValueError("the edit changed nothing")
    valid("amended", "another author adds a field", amended.data)
    save, removed = replica.edit(save, PATIENT, [("delete", ("entries", ENTRY))])
    if removed is None:
        raise ValueError("the removal changed nothing")
    valid("removed", "an entry removed", removed.data)
    valid("one", "one operation, written by hand", build(ONE))
    valid(
        "nulls", "null columns of list elements, as some writers give them", build({0x11: b"\0\1", 0x13: b"\0\1"} | ONE)
    )

    def refused(name: str, description: str, data: bytes) -> None:
        vectors.refused(name, description, "malformed", {"data": data})

    def one(**columns: bytes) -> bytes:
        """The one operation with columns replaced, by their specification in hex."""
        return build(dict(sorted((ONE | {int(name[1:], 16): data for name, data in columns.items()}).items())))

    good = build(ONE)
    refused("nothing", "no byte", b"")
    refused("magic", "another magic number", b"\0" + good[1:])
    refused("checksum", "another checksum", good[:4] + b"\0\0\0\0" + good[8:])
    refused("cut", "the last byte gone", good[:-1])
    refused("trailing", "one byte more, with the right checksum", _longer(good))
    inner = good[9 + len(leb(len(good) - 10)) :]
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(inner) + packer.flush()
    compressed = chunk.MAGIC + good[4:8] + b"\2" + leb(len(packed)) + packed
    refused("compressed", "a compressed change: it may inflate to anything", compressed)
    refused("document-chunk", "a whole document instead of a change", framed(inner, 0))
    refused("deps-twice", "one dependency twice", build(ONE, deps=(bytes(32), bytes(32))))
    refused(
        "deps-65", "more dependencies than are accepted", build(ONE, deps=tuple(fixed(f"dep {n}") for n in range(65)))
    )
    refused("actor-15", "an actor of 15 bytes", build(ONE, actor=PATIENT[:15]))
    refused("actor-17", "an actor of 17 bytes", build(ONE, actor=PATIENT + b"\0"))
    refused("other-actor-8", "another actor of 8 bytes", build(ONE, others=(DOCTOR[:8],)))
    refused("seq-0", "counts from zero", build(ONE, seq=0))
    refused("start-0", "operations that count from zero", build(ONE, start=0))
    valid("start-last", "the highest number that an operation may have", build(ONE, start=2**32 - 1))
    refused("start-over", "operations that count over 2^32", build(ONE, start=2**32))
    refused(
        "start-runs-over",
        "two operations of which the second counts over 2^32",
        build(
            {0x15: b"\x02\x01k", 0x34: b"\x02", 0x42: b"\x02\x01", 0x56: b"\x02\0", 0x70: b"\x02\0"}, start=2**32 - 1
        ),
    )
    refused("message", "a message", build(ONE, message=b"hello"))
    refused("behind", "bytes behind the columns", build(ONE, behind=b"\0"))
    refused("column-unknown", "an unknown column", one(x7F=b""))
    refused("column-deflated", "a column that says it is compressed", one(x5F=b"x"))
    refused(
        "column-order",
        "columns out of order",
        build({0x42: ONE[0x42], 0x15: ONE[0x15], 0x34: b"\1", 0x56: ONE[0x56], 0x57: b"x", 0x70: b"\x7f\0"}),
    )
    refused("bomb", "seven bytes that say a million operations", one(x42=b"\xc0\x84\x3d\x01", x34=b"\xc0\x84\x3d"))
    refused("bomb-nulls", "a run of a million nulls", one(x42=b"\x00\xc0\x84\x3d"))
    refused("run-0", "a run of nothing", one(x42=b"\x00\x00"))
    refused("action-list", "makes a list", one(x42=b"\x01\x02"))
    refused("action-text", "makes a collaborative text", one(x42=b"\x01\x04"))
    refused("action-increment", "adds to a counter: counters make the library panic", one(x42=b"\x01\x05"))
    refused("action-mark", "marks a text", one(x42=b"\x01\x07"))
    refused("insert", "inserts into a list", one(x34=b"\x00\x01"))
    refused("insert-missing", "says of no operation whether it inserts", one(x34=b""))
    refused("list-element", "writes at a list's element", one(x13=b"\x01\x01"))
    refused("key-missing", "an operation without a key", one(x15=b"\x00\x01"))
    refused("key-empty", "an empty key", one(x15=b"\x7f\x00"))
    refused("key-65", "a key of 65 letters", one(x15=b"\x7f\x41" + b"k" * 65))
    refused("key-not-utf8", "a key that is not UTF-8", one(x15=b"\x7f\x02\xc3\x28"))
    refused("keys-two", "two keys for one operation", one(x15=b"\x7e\x01k\x01l"))
    refused("value-float", "a float", one(x56=b"\x7f\x85\x01", x57=bytes(8)))
    refused("value-bytes", "bytes", one(x56=b"\x7f\x17", x57=b"x"))
    refused("value-counter", "a counter", one(x56=b"\x7f\x18", x57=b"\x01"))
    refused("value-timestamp", "a time stamp", one(x56=b"\x7f\x19", x57=b"\x01"))
    refused("value-unsigned", "an unsigned number, which Elpis does not write", one(x56=b"\x7f\x13", x57=b"\x01"))
    refused("value-null-long", "a null with content", one(x56=b"\x7f\x10"))
    refused("value-over", "a whole number over 2^53", one(x56=b"\x7f\x84\x01", x57=b"\x80\x80\x80\x80\x80\x80\x80\x10"))
    refused("value-cut", "a value longer than what is there", one(x56=b"\x7f\x26"))
    refused("value-left", "a value of no operation", one(x57=b"xy"))
    refused("value-not-utf8", "text that is not UTF-8", one(x56=b"\x7f\x26", x57=b"\xc3\x28"))
    refused("object-unknown-actor", "an object of an actor that is not named", one(x01=b"\x01\x05", x02=b"\x01\x01"))
    refused("object-half", "an object with a counter and no actor", one(x02=b"\x01\x01"))
    refused("replaces-nothing-named", "replaces one operation and names none", one(x70=b"\x01\x01"))
    refused(
        "replaces-unknown-actor",
        "replaces an operation of an actor that is not named",
        one(x70=b"\x01\x01", x71=b"\x01\x09", x73=b"\x01\x01"),
    )
    refused("replaces-too-many-named", "names an operation and replaces none", one(x71=b"\x01\x00", x73=b"\x01\x01"))
    refused("replaces-null", "null operations replaced", one(x70=b"\x00\x01"))
    refused("replaces-missing", "does not say how many operations it replaces", one(x70=b""))
    refused(
        "replaces-over",
        "replaces an operation over 2^32",
        one(x70=b"\x01\x01", x71=b"\x01\x00", x73=b"\x01\x80\x80\x80\x80\x10"),
    )
    refused("object-over", "an object over 2^32", one(x01=b"\x01\x00", x02=b"\x01\x80\x80\x80\x80\x10"))
    refused("replaces-zero", "replaces operation zero", one(x70=b"\x01\x01", x71=b"\x01\x00", x73=b"\x01\x00"))
    refused("time-over", "a time of more than 64 bits", _timed(good, b"\xff" * 9 + b"\x01"))
    refused("number-long", "a number that is not in its shortest form", one(x42=b"\x01\x81\x00"))
    refused("number-endless", "a number without an end", one(x42=b"\x01" + b"\x80" * 12))
    return [vectors]


def _timed(good: bytes, time: bytes) -> bytes:
    """With another time, which stands behind number and start."""
    body = good[9 + len(leb(len(good) - 10)) :]
    at = 1 + 1 + len(PATIENT) + 1 + 1
    return framed(body[:at] + time + body[at + 1 :])


def _longer(good: bytes) -> bytes:
    """Behind the end that the length names."""
    rest = good[8:] + b"\0"
    return chunk.MAGIC + hashlib.sha256(rest).digest()[:4] + rest
