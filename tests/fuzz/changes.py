"""Changes that a hostile writer could send: right in every checksum, hash and length, wrong in what they say.

A change is taken apart into its header and its columns, changed there, and put together again, so that what is refused
is refused for its content. `bombs` are the ones that are made by hand, each to cost as much as it can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from tests.fuzz.mutator import mutate
from vault.chunk import ACTOR, MAGIC
from vault.encoding import MAX_INT
from vault.replica import Change, Edit, edit, make, merge

OWN = b"O" * ACTOR  # the actor of the device that is attacked
ENTRIES = tuple(f"{number:032x}" for number in range(1, 9))
# Every specification that Automerge knows: objects, keys, ids, inserts, actions, values, predecessors, marks.
COLUMNS = (
    0x01, 0x02, 0x11, 0x13, 0x15, 0x21, 0x23, 0x34, 0x42, 0x56, 0x57, 0x61, 0x63, 0x70, 0x71, 0x73, 0x80, 0x81, 0x83,
    0x94, 0xA5, 0x0A, 0x1D, 0x5F, 0xFFFF,
)  # fmt: skip
COUNTS = (
    0, 1, 2, 63, 64, 127, 128, 1000, 65_535, 10**6, 10**7, 10**9, 2**31 - 1, 2**32, 2**53 - 1, 2**53, 2**63 - 1, 2**63,
    2**64 - 1,
)  # fmt: skip
KEYS = ("", "kind", "dose", "\0", "é" * 40, "x" * 64, "x" * 65, "y" * 5000, "__proto__", ENTRIES[0], "meta", "entries")


def unsigned(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def signed(number: int) -> bytes:
    out = bytearray()
    while not -64 <= number < 64:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number & 127])


def _number(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return number, at


@dataclass
class Parts:
    """A change taken apart. `told` replaces what its envelope says of it, by name of the field."""

    deps: list[bytes]
    actor: bytes
    seq: int
    start: int
    time: int
    message: bytes
    others: list[bytes]
    columns: list[tuple[int, bytes]]
    behind: bytes = b""
    kind: int = 1
    told: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, data: bytes) -> Parts:
        _, at = _number(data, 9)
        count, at = _number(data, at)
        deps = [data[at + 32 * number : at + 32 * number + 32] for number in range(count)]
        at += 32 * count

        def sized() -> bytes:
            nonlocal at
            size, at = _number(data, at)
            at += size
            return data[at - size : at]

        actor = sized()
        seq, at = _number(data, at)
        start, at = _number(data, at)
        time, at = _number(data, at)
        message = sized()
        count, at = _number(data, at)
        others = [sized() for _ in range(count)]
        count, at = _number(data, at)
        heads = []
        for _ in range(count):
            specification, at = _number(data, at)
            size, at = _number(data, at)
            heads.append((specification, size))
        columns = []
        for specification, size in heads:
            columns.append((specification, data[at : at + size]))
            at += size
        return cls(deps, actor, seq, start, time, message, others, columns, data[at:])

    def content(self) -> bytes:
        pieces = [unsigned(len(self.deps)), *self.deps]
        pieces += [unsigned(len(self.actor)), self.actor, unsigned(self.seq), unsigned(self.start), signed(self.time)]
        pieces += [unsigned(len(self.message)), self.message, unsigned(len(self.others))]
        for other in self.others:
            pieces += [unsigned(len(other)), other]
        pieces.append(unsigned(len(self.columns)))
        for specification, data in self.columns:
            pieces += [unsigned(specification), unsigned(len(data))]
        return b"".join([*pieces, *(data for _, data in self.columns), self.behind])

    def claim(self, content: bytes | None = None) -> Change:
        """The change with its right length, checksum and hash, and the envelope that fits it as far as one can."""
        data, digest = chunk(self.kind, self.content() if content is None else content)
        actor, seq = self.actor.ljust(ACTOR, b"\0")[:ACTOR], min(max(1, self.seq), MAX_INT)
        made = Change(digest, actor, seq, tuple(self.deps[:1000]), data)
        return made._replace(**self.told)


def chunk(kind: int, content: bytes) -> tuple[bytes, bytes]:
    body = bytes([kind]) + unsigned(len(content)) + content
    digest = hashlib.sha256(body).digest()
    return MAGIC + digest[:4] + body, digest


@dataclass(frozen=True)
class Input:
    """What reaches the worker: a replica, and changes that claim to belong to it."""

    save: bytes
    claims: tuple[Change, ...]
    own: bytes = OWN


@cache
def replicas() -> tuple[tuple[bytes, tuple[Change, ...]], ...]:
    """(a replica, good changes that follow it): a short list, one with conflicts, one document with files."""
    entries = {name: {"kind": "medication", "label": f"m {name[-1]}", "dose": "1"} for name in ENTRIES[:4]}
    short = {"meta": {"kind": "medications"}, "entries": entries, "attachments": {}}
    sha, sealed = "a" * 64, {"media_type": "text/plain", "size": 5, "name": "é", "key": "0" * 64}
    files = {sha: {**sealed, "sealed_sha256": "b" * 64, "sealed_size": 100, "blob": "", "blob_token": ""}}
    long = {
        "meta": {"kind": "clinical", "title": "Hémoglobine glyquée", "text": "w " * 3000, "confidentiality": "N"},
        "entries": {name: {"kind": "result", "label": "HbA1c", "value": "6.1"} for name in ENTRIES},
        "attachments": files,
    }
    found = []
    for number, state in enumerate((short, long)):
        save, _ = make(state, bytes([number + 1]) * ACTOR)
        found.append((save, _following(save)))
    save, after = found[0]
    one = merge(save, after[:2]).save
    found.append((one, _following(one, b"cd")))
    return tuple(found)


def _following(save: bytes, who: bytes = b"ab") -> tuple[Change, ...]:
    """Of two people, each twice, who do not know of each other until the last one knows of both."""
    first, second, third = (bytes([name]) * ACTOR for name in (*who, 0x7A))
    edits: tuple[list[Edit], ...] = (
        [("set", ("entries", ENTRIES[0], "dose"), "2"), ("set", ("entries", ENTRIES[1], "note"), "é" * 30)],
        [("set", ("entries", ENTRIES[0], "dose"), "3"), ("delete", ("entries", ENTRIES[2]))],
        [("set", ("entries", ENTRIES[7], "kind"), "medication"), ("set", ("entries", ENTRIES[7], "label"), "new")],
        [("set", ("meta", "title"), "x" * 200), ("delete", ("entries", ENTRIES[3], "label"))],
        [("set", ("entries", ENTRIES[4], "value"), 5), ("set", ("entries", ENTRIES[5], "value"), None)],
    )
    made: list[Change] = []
    saves = {first: save, second: save}
    for actor, edit_ in zip((first, second, first, second), edits, strict=False):
        try:
            saves[actor], change = edit(saves[actor], actor, edit_)
        except Exception:
            continue  # this kind of document has no such place
        if change is not None:
            made.append(change)
    whole = merge(save, made).save
    _, last = edit(whole, third, [("set", ("entries", ENTRIES[0], "dose"), "4")])
    return (*made, last) if last is not None else tuple(made)


# One thing of a change is changed.


def _deps(rng: Random, parts: Parts) -> None:
    some = rng.randbytes(32)
    parts.deps = rng.choice(
        ([], [some], [*parts.deps, some], parts.deps * 2, [bytes(32)], [rng.randbytes(32) for _ in range(65)])
    )


def _author(rng: Random, parts: Parts) -> None:
    parts.actor = rng.choice((OWN, b"", b"x", bytes(15), bytes(17), bytes(ACTOR), rng.randbytes(ACTOR), b"b" * 300))


def _numbers(rng: Random, parts: Parts) -> None:
    name = rng.choice(("seq", "start", "time"))
    now = getattr(parts, name)
    setattr(parts, name, rng.choice((now + 1, max(0, now - 1), *COUNTS)))


def _message(rng: Random, parts: Parts) -> None:
    parts.message = rng.choice((b"x", b"\xff", b"y" * 1000))


def _others(rng: Random, parts: Parts) -> None:
    fresh = rng.randbytes(ACTOR)
    parts.others = rng.choice((
        [], [fresh], [*parts.others, fresh], parts.others * 2, [parts.actor], [b""], [b"x" * 17], parts.others[::-1],
        [rng.randbytes(ACTOR) for _ in range(rng.choice((255, 256, 257)))],
    ))  # fmt: skip


def _which(rng: Random, parts: Parts) -> None:
    """Columns fewer, twice, in another order, under another name, exchanged."""
    columns = parts.columns
    at = rng.randrange(len(columns))
    how = rng.randrange(6)
    if how == 0:
        del columns[at]
    elif how == 1:
        columns.insert(at, columns[at])
    elif how == 2:
        rng.shuffle(columns)
    elif how == 3:
        columns[at] = (rng.choice(COLUMNS), columns[at][1])
        if rng.random() < 0.7:
            columns.sort(key=lambda column: column[0])
    elif how == 4:
        there = rng.randrange(len(columns))
        columns[at], columns[there] = (columns[at][0], columns[there][1]), (columns[there][0], columns[at][1])
    else:
        columns.append((rng.choice(COLUMNS), rng.choice(columns)[1]))
        columns.sort(key=lambda column: column[0])


def _bytes(rng: Random, parts: Parts) -> None:
    at = rng.randrange(len(parts.columns))
    name, data = parts.columns[at]
    parts.columns[at] = (name, mutate(rng, data, [data or b"\0"]))


def _runs(rng: Random, parts: Parts) -> None:
    """A run in a column says another length."""
    at = rng.randrange(len(parts.columns))
    name, data = parts.columns[at]
    where, count = rng.randrange(len(data) + 1), rng.choice(COUNTS)
    run = rng.choice((signed(count), signed(-count), b"\0" + unsigned(count)))
    parts.columns[at] = (name, data[:where] + run + data[where + rng.choice((0, 1)) :])


def _all_runs(rng: Random, parts: Parts) -> None:
    """Every column is one run of the same length: so many operations in a few bytes."""
    count = rng.choice(COUNTS)
    parts.columns = [(name, signed(count) + data[1:]) if data else (name, data) for name, data in parts.columns]


def _operations(rng: Random, parts: Parts) -> None:
    """Other operations altogether: every action, value type and pointer that the format has room for."""
    count = rng.choice((1, 1, 2, 3, 8, 40))

    def column(values: Sequence[bytes]) -> bytes:
        return signed(-len(values)) + b"".join(values)

    def numbers(choices: Sequence[int]) -> bytes:
        return column([unsigned(rng.choice(choices)) for _ in range(count)])

    values = [rng.randbytes(rng.choice((0, 0, 1, 4, 8, 20))) for _ in range(count)]
    types = (0, 1, 2, 3, 4, 5, 6, 6, 6, 7, 8, 9, 10, 15)
    texts = [rng.choice(KEYS).encode() for _ in range(count)]
    preds = [rng.choice((0, 0, 1, 2)) for _ in range(count)]
    total = sum(preds)
    known = len(parts.others) + 1
    near = range(1, min(parts.start, 10**6) + count + 2)
    made = {
        0x01: numbers(range(known + 1)), 0x02: numbers(near),
        0x15: column([unsigned(len(text)) + text for text in texts]),
        0x34: unsigned(count) if rng.random() < 0.7 else unsigned(0) + unsigned(count),
        0x42: numbers((0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 7, 200)),
        0x56: column([unsigned(len(value) << 4 | rng.choice(types)) for value in values]), 0x57: b"".join(values),
        0x70: column([unsigned(pred) for pred in preds]),
        0x71: column([unsigned(rng.randrange(known + 1)) for _ in range(total)]) if total else b"",
        0x73: column([signed(rng.randrange(-5, min(parts.start, 10**6) + 5)) for _ in range(total)]) if total else b"",
    }  # fmt: skip
    if rng.random() < 0.2:
        made[rng.choice((0x11, 0x13))] = numbers(near)
    real = dict(parts.columns)
    for name in made:
        if name in real and rng.random() < 0.3:
            made[name] = real[name]
    parts.columns = [(name, made[name]) for name in sorted(made) if made[name]]


def _behind(rng: Random, parts: Parts) -> None:
    parts.behind = rng.randbytes(rng.choice((1, 16, 1000)))


def _chunk_kind(rng: Random, parts: Parts) -> None:
    parts.kind = rng.choice((0, 2, 3, 4, 255))


def _envelope(rng: Random, parts: Parts) -> None:
    """The envelope says something else than the change."""
    parts.told = rng.choice((
        {"seq": min(parts.seq + 1, MAX_INT)},
        {"actor": rng.randbytes(ACTOR)}, {"hash": rng.randbytes(32)}, {"deps": ()},
        {"deps": (rng.randbytes(32),)}, {"hash": bytes(32)}, {"actor": OWN},
    ))  # fmt: skip


CHANGES: tuple[Callable[[Random, Parts], None], ...] = (
    _deps, _author, _numbers, _numbers, _message, _others, _which, _which, _bytes, _bytes, _bytes, _runs, _runs,
    _all_runs, _operations, _operations, _operations, _behind, _chunk_kind, _envelope,
)  # fmt: skip


def make_input(rng: Random) -> Input:
    """Good changes of which one is not; now and then an edition, a crowd, or nothing but bytes under a checksum."""
    save, good = rng.choice(replicas())
    place = rng.randrange(len(good))
    parts = Parts.of(good[place].data)
    if rng.random() < 0.12:
        content = parts.content()
        bad = parts.claim(mutate(rng, content, [content]))
    else:
        for _ in range(rng.choice((1, 1, 1, 2, 3))):
            if parts.columns:
                rng.choice(CHANGES)(rng, parts)
        bad = parts.claim()
    how = rng.random()
    if how < 0.5:
        return Input(save, (*good[:place], bad))
    if how < 0.7:
        return Input(save, (bad,))
    if how < 0.8:
        claims = [*good, bad, *good[:2]]
        rng.shuffle(claims)
        return Input(save, tuple(claims))
    if how < 0.9:
        return Input(
            save, tuple(bad._replace(seq=min(bad.seq + number, MAX_INT)) for number in range(rng.choice((2, 20))))
        )
    return Input(b"", (_edition(rng, save),))


def _edition(rng: Random, save: bytes) -> Change:
    """The first change of a replica, which may be long and build everything."""
    from vault.replica import changes

    parts = Parts.of(changes(save)[0].data)
    for _ in range(rng.choice((1, 1, 2))):
        if parts.columns:
            rng.choice(CHANGES)(rng, parts)
    return parts.claim()
