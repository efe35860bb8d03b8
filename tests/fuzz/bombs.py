"""Bombs: changes made by hand, each to cost as much memory or time as a few bytes can."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace

from tests.fuzz.changes import ENTRIES, Input, Parts, replicas, signed, unsigned
from vault.chunk import ACTOR, MAGIC, MAX_CHUNK, MAX_OPERATIONS
from vault.replica import Change, edit

MILLION = 10**6
RUNS = (MILLION, 50 * MILLION, 4_000 * MILLION, MILLION**2, 2**63 - 1)
ROOM = MAX_CHUNK - 4096


def bombs() -> Iterator[tuple[str, Input]]:
    """(what it is, the input)."""
    save, good = replicas()[0]
    plain = Parts.of(good[0].data)

    def one(parts: Parts) -> Input:
        return Input(save, (parts.claim(),))

    for size in (64, 1024, 6000):
        yield f"{size} MiB under deflate", Input(save, (_deflated(good[0], size),))
    for count in RUNS:
        for name in sorted(dict(plain.columns)):
            column = [(n, signed(count) + d[1:] if n == name else d) for n, d in plain.columns]
            yield f"{count} operations by a run in column {name:#x}", one(replace(plain, columns=column))
        yield f"{count} operations by runs in every column", one(replace(plain, columns=_every(plain, count)))
        yield f"{count} nulls", one(replace(plain, columns=[(n, b"\0" + unsigned(count)) for n, _ in plain.columns]))
    yield "20 000 changes that wait for ever", Input(save, tuple(_orphans(good[0], 20_000)))
    for depth in (100, 20_000):
        yield f"maps nested {depth} deep", one(_nested(plain, depth))
    yield "a counter", one(_valued(plain, 8, b"\5"))
    yield "a date before all time", one(_valued(plain, 9, signed(-(2**62))))
    yield "a float that is no number", one(_valued(plain, 5, b"\xff" * 8))
    for kind in (10, 15):
        yield f"a value of the unknown type {kind}", one(_valued(plain, kind, b"x" * 100))
    yield (
        "a value as long as all memory",
        one(replace(plain, columns=_with(plain, 0x56, signed(1) + unsigned(2**64 - 10)))),
    )
    yield "a key as long as all memory", one(replace(plain, columns=_with(plain, 0x15, signed(1) + unsigned(2**63))))
    yield "as many operations as fit", one(_crowd(plain, MAX_OPERATIONS))
    yield "as many operations as fit, each on a key of its own", one(_own_keys(plain, 90_000))
    yield "as many maps as fit", one(_crowd(plain, MAX_OPERATIONS, action=0))
    yield "as many deletions as fit", one(_crowd(plain, MAX_OPERATIONS, action=3))
    yield "each operation replaces every other", one(_replacing(plain, 700))
    yield "deps by the thousand", one(replace(plain, deps=[bytes([n & 255, n >> 8]) * 16 for n in range(20_000)]))
    yield "actors by the thousand", one(replace(plain, others=[n.to_bytes(ACTOR) for n in range(1, 40_000)]))
    yield "columns by the thousand", one(replace(plain, columns=[(n << 4 | 2, b"") for n in range(100_000)]))
    yield "a number that does not end", Input(save, (plain.claim(b"\xff" * 700_000),))
    yield "a save as a change", Input(save, (good[0]._replace(data=save),))
    yield "one change ten thousand times", Input(save, (good[0],) * 10_000)
    yield "a chain of a thousand changes", Input(save, tuple(_chain(save, 1_000)))


def _deflated(claim: Change, mebibytes: int) -> Change:
    """One deflated block of zeros, again and again: each stands by itself after a full flush."""
    squeezer = zlib.compressobj(9, zlib.DEFLATED, -15)
    squeezer.compress(bytes(1 << 20))
    squeezer.flush(zlib.Z_FULL_FLUSH)
    block = squeezer.compress(bytes(1 << 20)) + squeezer.flush(zlib.Z_FULL_FLUSH)
    small = block * mebibytes + zlib.compressobj(9, zlib.DEFLATED, -15).flush()
    body = bytes([2]) + unsigned(len(small)) + small
    # The checksum of a deflated chunk is that of what it unfolds to, which nobody computes before it is unfolded.
    return claim._replace(data=MAGIC + bytes(4) + body)


def _every(parts: Parts, count: int) -> list[tuple[int, bytes]]:
    return [(name, signed(count) + data[1:]) for name, data in parts.columns]


def _with(parts: Parts, name: int, data: bytes) -> list[tuple[int, bytes]]:
    return sorted([*((n, d) for n, d in parts.columns if n != name), (name, data)])


def _orphans(claim: Change, count: int) -> Iterator[Change]:
    parts = Parts.of(claim.data)
    for number in range(count):
        yield replace(parts, deps=[number.to_bytes(32)], actor=number.to_bytes(ACTOR)).claim()


def _nested(parts: Parts, depth: int) -> Parts:
    """Each operation makes a map inside the one before it."""
    start = parts.start
    columns = [
        (0x01, b"\0" + unsigned(1) + signed(depth - 1) + b"\0"),
        (0x02, b"\0" + unsigned(1) + signed(1 - depth) + b"".join(unsigned(start + n) for n in range(depth - 1))),
        (0x15, signed(depth) + b"\1x"),
        (0x34, unsigned(depth)),
        (0x42, signed(depth) + b"\0"),
        (0x56, signed(depth) + b"\0"),
        (0x70, signed(depth) + b"\0"),
    ]
    return replace(parts, columns=columns)


def _valued(parts: Parts, kind: int, value: bytes) -> Parts:
    columns = [
        (0x01, signed(1) + b"\1"),
        (0x02, signed(1) + b"\3"),
        (0x15, signed(1) + b"\4note"),
        (0x34, b"\1"),
        (0x42, signed(1) + b"\1"),
        (0x56, signed(1) + unsigned(len(value) << 4 | kind)),
        (0x57, value),
        (0x70, signed(1) + b"\0"),
    ]
    return replace(parts, columns=columns)


def _crowd(parts: Parts, count: int, action: int = 1) -> Parts:
    """`count` operations on one key; a text at the end pays for them, since each must cost a byte."""
    text = b"t" * (ROOM - 100)
    columns = [
        (0x01, signed(count) + b"\1"),
        (0x02, signed(count) + b"\3"),
        (0x15, signed(count) + b"\4note"),
        (0x34, unsigned(count)),
        (0x42, (signed(count - 1) + unsigned(action) if count > 1 else b"") + signed(1) + b"\1"),
        (0x56, signed(count - 1) + b"\0" + signed(1) + unsigned(len(text) << 4 | 6)),
        (0x57, text),
        (0x70, signed(count) + b"\0"),
    ]
    return replace(parts, columns=columns, others=parts.others or [b"\1" * ACTOR])


def _own_keys(parts: Parts, count: int) -> Parts:
    keys = b"".join(unsigned(6) + f"{number:06}".encode() for number in range(count))
    columns = [
        (0x01, signed(count) + b"\1"),
        (0x02, signed(count) + b"\3"),
        (0x15, signed(-count) + keys),
        (0x34, unsigned(count)),
        (0x42, signed(count) + b"\1"),
        (0x56, signed(count) + b"\0"),
        (0x70, signed(count) + b"\0"),
    ]
    return replace(parts, columns=columns, others=parts.others or [b"\1" * ACTOR])


def _replacing(parts: Parts, count: int) -> Parts:
    """Every operation says that it replaces all before it."""
    start, total = parts.start, count * (count - 1) // 2
    counters = [start + there for here in range(count) for there in range(here)]
    steps = [now - before for before, now in zip([0, *counters], counters, strict=False)]
    columns = [
        (0x01, signed(count) + b"\1"),
        (0x02, signed(count) + b"\3"),
        (0x15, signed(count) + b"\4note"),
        (0x34, unsigned(count)),
        (0x42, signed(count) + b"\1"),
        (0x56, signed(count) + b"\0"),
        (0x70, signed(-count) + b"".join(unsigned(number) for number in range(count))),
        (0x71, signed(total) + b"\0"),
        (0x73, signed(-total) + b"".join(map(signed, steps))),
    ]
    return replace(parts, columns=columns, others=parts.others or [b"\1" * ACTOR])


def _chain(save: bytes, count: int) -> Iterator[Change]:
    """Good changes of one person, each after the other: an honest crowd costs no more than it must."""
    for number in range(count):
        save, change = edit(save, b"q" * ACTOR, [("set", ("entries", ENTRIES[0], "dose"), str(number))])
        assert change is not None
        yield change
