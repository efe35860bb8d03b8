"""The limits of fixed layouts and of change chunks: openings, checkpoints, receipts, pages, histories, changes."""

from __future__ import annotations

import struct
from typing import Any

from spec.vectors.make_changes import DOCTOR, ONE, build, leb
from spec.vectors.make_edges import accepted
from spec.vectors.make_openings import KEM, READER, request
from spec.vectors.make_relay import ENTRIES, GREATEST, LINKS, MAILBOX, checkpoint, page
from spec.vectors.people import NOW, RELAY_KEY
from spec.vectors.writing import Vectors, fixed
from sync import wire
from vault.primitives import hash32


def make() -> list[Vectors]:
    return [
        _request("opening-request"), _request("relay-opening"), _checkpoint(), _receipt(), _page(), _history(),
        _change(),
    ]  # fmt: skip


def _request(kind: str) -> Vectors:
    vectors = Vectors(kind)

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "reader": READER.public}

    tags = [fixed(f"edge tag {number}", 16) for number in range(64)]
    behind = KEM if kind == "relay-opening" else b""
    accepted(vectors, "64-tags", "as many items as there may be", given(request(b"", tags=tags)))
    accepted(
        vectors, "one-item", "one item, the first opening of a grant", given(request(b"", tags=tags[:1], counter=1))
    )
    accepted(vectors, "statement-4096", "a statement at its limit", given(request(fixed("statement", 4096))))
    accepted(vectors, "counter-greatest", "the last counter there is", given(request(b"", counter=GREATEST)))
    whole = request(b"", suite=2, kem_hash=hash32(KEM), tags=tags)
    accepted(vectors, "suite-2-64-tags", "as many in suite 2", given(whole + behind))
    if kind == "opening-request":  # a relay compares it with the counter before, which begins at zero
        vectors.refused("counter-0", "counts from zero", "malformed", given(request(b"", counter=0)))
    vectors.refused("suite-0", "no suite", "suite-refused" if kind == "opening-request" else "malformed", given(
        request(b"", suite=0)))  # fmt: skip
    return vectors


def _checkpoint() -> Vectors:
    vectors = Vectors("checkpoint")

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "key": RELAY_KEY.public}

    accepted(vectors, "greatest", "the last count and the last time", given(checkpoint(GREATEST, time=GREATEST)))
    accepted(vectors, "least", "at the beginning of time", given(checkpoint(0, bytes(32), time=0)))
    for name, description, data in (
        ("time-over", "a time over 2^63 - 1", checkpoint(time=GREATEST + 1)),
        ("kind-0", "a kind that does not exist", checkpoint(kind=0)),
        ("suite-0", "no suite", checkpoint(suite=0)),
        ("nothing", "no byte", b""),
    ):
        vectors.refused(name, description, "malformed", given(data))
    return vectors


def _receipt() -> Vectors:
    vectors = Vectors("receipt")

    def given(what: int, time: int, behind: bytes = b"") -> dict[str, Any]:
        unsigned = struct.pack(">BB32sQ", 1, what, MAILBOX, time)
        return {"data": unsigned + RELAY_KEY.sign("receipt", unsigned) + behind, "key": RELAY_KEY.public}

    accepted(vectors, "greatest", "the last time", given(3, GREATEST))
    accepted(vectors, "least", "at the beginning of time", given(1, 0))
    for name, description, told in (
        ("time-over", "a time over 2^63 - 1", given(1, GREATEST + 1)),
        ("what-4", "a receipt for something else", given(4, NOW)),
        ("trailing", "107 bytes", given(1, NOW, b"\0")),
    ):
        vectors.refused(name, description, "malformed", told)
    return vectors


def _page() -> Vectors:
    vectors = Vectors("page")
    digest = wire.hash_body(b"x")

    def head(index: int, time: int, length: int) -> bytes:
        return struct.pack(">QQI", index, time, length)

    accepted(vectors, "greatest", "the last index and the last time", {"data": head(GREATEST, GREATEST, 1) + b"x"})
    accepted(vectors, "one-byte", "an entry of one byte", {"data": head(1, NOW, 1) + b"x"})
    for name, description, data in (
        ("time-over", "a time over 2^63 - 1", head(1, GREATEST + 1, 1) + b"x"),
        ("freed-longer", "a byte behind the hash of a freed entry", wire.encode_frame(1, NOW, None, digest) + b"\0"),
        ("length-fffffffe", "one less than what says that it is freed", head(1, NOW, 0xFFFFFFFE) + digest),
        ("head-19", "19 bytes of an entry's head", head(1, NOW, 1)[:19]),
    ):
        vectors.refused(name, description, "malformed", {"data": data})
    return vectors


def _history() -> Vectors:
    vectors = Vectors("history")

    def given(entries: Any, signed: bytes, count: int, data: bytes | None = None) -> dict[str, Any]:
        told = page(entries) if data is None else data
        return {"data": told, "checkpoint": signed, "key": RELAY_KEY.public, "count": count, "chain": LINKS[count]}

    digest = wire.hash_body(ENTRIES[0][2])
    freed = wire.encode_frame(1, ENTRIES[0][1], None, digest) + page(ENTRIES[1:])
    accepted(vectors, "freed", "the first entry freed: its hash is enough", given([], checkpoint(), 0, freed))
    accepted(vectors, "empty", "a mailbox in which nothing lies", given([], checkpoint(0, LINKS[0]), 0))
    other = wire.encode_frame(1, ENTRIES[0][1], None, fixed("another hash")) + page(ENTRIES[1:])
    for name, description, failure, told in (
        ("freed-other", "the first entry freed, with another hash", "relay-contradiction", given(
            [], checkpoint(), 0, other)),
        ("rollback-one", "shorter by one entry, with entries shown", "relay-contradiction", given(
            ENTRIES[2:], checkpoint(1, LINKS[1]), 2)),
        ("page-cut", "a page that is cut", "malformed", given([], checkpoint(), 0, page(ENTRIES)[:-1])),
        ("checkpoint-cut", "a checkpoint that is cut", "malformed", given(ENTRIES, checkpoint()[:-1], 0)),
    ):  # fmt: skip
        vectors.refused(name, description, failure, told)
    for name, description, changes in (
        ("other-mailbox", "another mailbox than was asked about", {"address": fixed("another mailbox"), "kind": 1}),
        ("other-kind", "a mailbox where a trace was asked about", {"address": MAILBOX, "kind": 2}),
    ):
        vectors.refused(name, description, "bad-signature", given(ENTRIES, checkpoint(), 0) | changes)
    accepted(vectors, "asked-about", "the mailbox that was asked about", given(ENTRIES, checkpoint(), 0) | {
        "address": MAILBOX, "kind": 1})  # fmt: skip
    return vectors


def _change() -> Vectors:
    vectors = Vectors("change")

    def valid(name: str, description: str, data: bytes) -> None:
        accepted(vectors, name, description, {"data": data})

    def refused(name: str, description: str, data: bytes) -> None:
        vectors.refused(name, description, "malformed", {"data": data})

    def value(kind: int, data: bytes) -> bytes:
        columns = ONE | {0x56: b"\x7f" + leb(len(data) << 4 | kind), 0x57: data}
        return build({number: column for number, column in columns.items() if column})

    largest = b"\xff" * 7 + b"\x0f"  # 2^53 - 1 in signed LEB128
    valid("seq-greatest", "the last number of an actor", build(ONE, seq=2**53 - 1))
    refused("seq-over", "a number of an actor over 2^53", build(ONE, seq=2**53))
    valid("key-64", "a key of 64 letters", build(ONE | {0x15: b"\x7f\x40" + b"k" * 64}))
    valid("deps-64", "as many dependencies as are accepted", build(ONE, deps=tuple(
        fixed(f"edge dependency {number}") for number in range(64))))  # fmt: skip
    many = tuple(fixed(f"edge actor {number}", 16) for number in range(257))
    valid("actors-256", "as many other actors as are accepted", build(ONE, others=many[:256]))
    refused("actors-257", "one other actor more", build(ONE, others=many))
    valid("value-greatest", "the greatest whole number", value(4, largest))
    valid("value-least", "the least whole number", value(4, b"\x81" + b"\x80" * 6 + b"\x70"))
    refused("value-under", "a whole number of -2^53", value(4, b"\x80" * 7 + b"\x70"))
    for name, kind in (("null", 0), ("false", 1), ("true", 2)):
        valid(f"value-{name}", f"the value {name}", value(kind, b""))
    valid("value-empty", "an empty text", value(6, b""))
    refused("value-true-long", "true with content", value(2, b"x"))
    refused("value-number-empty", "a whole number of no bytes", value(4, b""))
    refused("value-number-trailing", "a whole number, then one byte more", value(4, b"\1\1"))
    refused("action-missing", "an operation of which is not said what it does", build(ONE | {0x42: b"\x00\x01"}))
    refused("action-unknown", "an action that does not exist", build(ONE | {0x42: b"\x01\x08"}))
    refused("message-long", "a message that is longer than the change", build(ONE, message=b"x" * 300))
    replaced = {0x70: b"\x7f\x01", 0x71: b"\x7f\x00", 0x73: b"\x7f\xff\xff\xff\xff\x0f"}
    valid("replaces-last", "replaces the highest number that an operation may have", build(ONE | replaced))
    valid("object-last", "in the object of that number, of another actor", build(
        {0x01: b"\x7f\x01", 0x02: b"\x7f\xff\xff\xff\xff\x0f", **ONE}, others=(DOCTOR,)))  # fmt: skip
    return vectors
