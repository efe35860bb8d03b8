"""An Automerge change chunk, read strictly and without Automerge. Normative: spec/replica.md.

Automerge 1.0.0rc1 panics on, or is inflated by, chunks that a stranger can make. So a foreign chunk is read here first:
only the uncompressed type, every length bounded before it is used, and only the operations that Elpis writes (a map is
made, a text, whole number, truth value or null is put under a text key, a key is deleted). The same reading says which
operation replaces which, from which conflicts are told.

Every foreign change passes here, so what is nearly always so is seen first and at once: numbers of one byte.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeVar

from vault.errors import Malformed, TooLarge

T = TypeVar("T")

MAGIC = b"\x85\x6f\x4a\x83"
CHANGE = 1
ACTOR = 16
MAX_CHUNK = 768 << 10
MAX_FIRST = 8 << 20  # the first change of a replica: a whole edition
MAX_OPERATIONS = 500_000
MAX_DEPS = 64
MAX_ACTORS = 256
MAX_KEY = 64
MAX_COUNTER = (1 << 53) - 1
MAX_NUMBER = (1 << 32) - 1  # of an operation: Automerge counts them in 32 bits

MAKE_MAP, PUT, DELETE = 0, 1, 3
_ACCEPTED = frozenset((MAKE_MAP, PUT, DELETE))
_WHOLE, _TEXT = 4, 6  # kinds of value

# Column specifications of a change: id << 4 | type (group 0, actor 1, unsigned 2, delta 3, boolean 4, text 5,
# value metadata 6, value 7). The three of list elements must be absent, or null throughout.
_OBJECT_ACTOR, _OBJECT_COUNTER = 0x01, 0x02
_KEY_ACTOR, _KEY_COUNTER, _KEY = 0x11, 0x13, 0x15
_INSERT, _ACTION, _META, _VALUE = 0x34, 0x42, 0x56, 0x57
_GROUP, _PRED_ACTOR, _PRED_COUNTER = 0x70, 0x71, 0x73
_KNOWN = frozenset({
    _OBJECT_ACTOR, _OBJECT_COUNTER, _KEY_ACTOR, _KEY_COUNTER, _KEY, _INSERT, _ACTION, _META, _VALUE,
    _GROUP, _PRED_ACTOR, _PRED_COUNTER,
})  # fmt: skip

OpId = tuple[int, bytes]  # (counter, actor)
ROOT: OpId = (0, b"")
Scalar = str | int | bool | None


class Operation(NamedTuple):
    """One operation: on `key` of the map made by `target`. `replaces` are the operations that it overwrites."""

    id: OpId
    target: OpId
    key: str
    action: int
    value: Scalar
    replaces: tuple[OpId, ...]


class Header(NamedTuple):
    """What a chunk says about itself, and where its columns are."""

    hash: bytes
    actor: bytes
    seq: int
    start: int
    deps: tuple[bytes, ...]
    actors: tuple[bytes, ...]
    columns: Mapping[int, bytes]
    most: int  # operations that a chunk of this size may hold: each costs a byte at least


def read_header(data: bytes, *, limit: int = MAX_CHUNK) -> Header:
    """TooLarge or Malformed unless this is one whole, uncompressed, undamaged change."""
    if len(data) > limit:
        raise TooLarge(f"a change of {len(data)} bytes, at most {limit} are accepted")
    if data[:4] != MAGIC or len(data) < 10:
        raise Malformed("not a change chunk")
    if data[8] != CHANGE:
        raise Malformed("not an uncompressed change")
    digest = hashlib.sha256(memoryview(data)[8:]).digest()
    if digest[:4] != data[4:8]:
        raise Malformed("the change's checksum does not fit")
    length, at = _unsigned(data, 9)
    if length != len(data) - at:
        raise Malformed("the change's length does not fit")
    count, at = _count(data, at, MAX_DEPS)
    deps = tuple(data[place : place + 32] for place in range(at, at + 32 * count, 32))
    actor, at = _actor(data, at + 32 * count)
    seq, at = _unsigned(data, at)
    start, at = _unsigned(data, at)
    _, at = _signed(data, at)  # time: Elpis writes none and reads none
    message, at = _unsigned(data, at)
    if message != 0:
        raise Malformed("the change carries a message")
    count, at = _count(data, at, MAX_ACTORS)
    actors = [actor]
    for _ in range(count):
        other, at = _actor(data, at)
        actors.append(other)
    if not 1 <= seq <= MAX_COUNTER:
        raise Malformed("the change's author or number is not acceptable")
    if not 1 <= start <= MAX_NUMBER or len(set(deps)) != len(deps):
        raise Malformed("the change's start or dependencies are not acceptable")
    columns = _columns(data, at)
    return Header(digest, actor, seq, start, deps, tuple(actors), columns, min(MAX_OPERATIONS, len(data)))


def read_operations(header: Header) -> list[Operation]:
    """Every operation; Malformed for one that Elpis does not write."""
    column = header.columns.get
    actions = _runs(column(_ACTION, b""), _unsigned, header.most)
    size = len(actions)
    if not _ACCEPTED.issuperset(actions):
        raise Malformed("the change holds an operation that is not accepted")
    if header.start + size - 1 > MAX_NUMBER:
        raise Malformed("the change's operations count higher than is accepted")
    _check_no_list(header.columns, size)
    keys = _filled(_runs(column(_KEY, b""), _key, size), size)
    if None in keys:
        raise Malformed("the change holds an operation that is not accepted")
    object_actors = _filled(_runs(column(_OBJECT_ACTOR, b""), _unsigned, size), size)
    object_counters = _filled(_runs(column(_OBJECT_COUNTER, b""), _unsigned, size), size)
    targets = [
        ROOT if index is None and counter is None else _identity(index, counter, header.actors)
        for index, counter in zip(object_actors, object_counters, strict=True)
    ]
    values = _values(column(_META, b""), column(_VALUE, b""), size)
    replaced = _replaced(header, size)
    identities = [(number, header.actor) for number in range(header.start, header.start + size)]
    return list(map(Operation, identities, targets, keys, actions, values, replaced))


def _check_no_list(columns: Mapping[int, bytes], size: int) -> None:
    """Every operation says that it inserts nothing; the other columns of list elements are absent, or null."""
    clean = _all_false(columns.get(_INSERT, b""), size)
    for specification, read in ((_KEY_ACTOR, _unsigned), (_KEY_COUNTER, _signed)):
        data = columns.get(specification)
        if data and any(value is not None for value in _runs(data, read, size)):
            clean = False
    if not clean:
        raise Malformed("the change writes into a list or text")


def _unsigned(data: bytes, at: int) -> tuple[int, int]:
    """(the LEB128 number here, where it ends)."""
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    number = shift = 0
    while True:
        if at >= len(data) or shift > 56:
            raise Malformed("a number does not end")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            if byte == 0:
                raise Malformed("a number is not in its shortest form")
            return number, at


def _signed(data: bytes, at: int) -> tuple[int, int]:
    if at < len(data) and data[at] < 0x80:
        return data[at] - 128 if data[at] & 0x40 else data[at], at + 1
    number = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise Malformed("a number does not end")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            signed = number - (1 << shift) if byte & 0x40 else number
            if not -1 << 63 <= signed < 1 << 63:
                raise Malformed("a number of more than 64 bits")
            return signed, at


def _count(data: bytes, at: int, limit: int) -> tuple[int, int]:
    number, at = _unsigned(data, at)
    if number > limit:
        raise Malformed("the change counts more than is accepted")
    return number, at


def _actor(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _unsigned(data, at)
    if size != ACTOR or at + ACTOR > len(data):
        raise Malformed("the change's author or number is not acceptable")
    return data[at : at + ACTOR], at + ACTOR


def _key(data: bytes, at: int) -> tuple[str, int]:
    size, at = _unsigned(data, at)
    end = at + size
    if end > len(data):
        raise Malformed("the change ends early")
    key = _text(data[at:end])
    if not 0 < len(key) <= MAX_KEY:
        raise Malformed("the change holds an operation that is not accepted")
    return key, end


def _columns(data: bytes, at: int) -> dict[int, bytes]:
    """Each column's bytes; they reach exactly to the end of the chunk."""
    count, at = _count(data, at, len(_KNOWN))
    table: Sequence[int] = data[at : at + 2 * count]
    if len(table) == 2 * count and max(table, default=0) < 0x80:
        at += 2 * count
    else:
        table = []
        for _ in range(2 * count):
            number, at = _unsigned(data, at)
            table.append(number)
    columns: dict[int, bytes] = {}
    last = -1
    for specification, size in zip(table[::2], table[1::2], strict=True):
        if specification not in _KNOWN or specification <= last:
            raise Malformed("the change has a column that is not accepted")
        last = specification
        columns[specification] = data[at : at + size]
        at += size
    if at != len(data):
        raise Malformed("the change ends early, or carries something behind its columns")
    return columns


def _runs(data: bytes, read: Callable[[bytes, int], tuple[T, int]], most: int) -> list[T | None]:
    """A run-length column: length > 0 repeats a value, < 0 lists values, 0 gives nulls. Bounded while it is read."""
    values: list[T | None] = []
    at, end = 0, len(data)
    while at < end:
        length, at = _signed(data, at)
        count = abs(length)
        if length == 0:
            count, at = _unsigned(data, at)
        if not 0 < count <= most - len(values):
            raise Malformed("the change holds more operations than are accepted")
        if length == 0:
            values += [None] * count
        elif length > 0:
            value, at = read(data, at)
            values += [value] * count
        else:
            for _ in range(count):
                value, at = read(data, at)
                values.append(value)
    return values


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("text in the change is not UTF-8") from None


def _filled(values: list[T | None], size: int) -> list[T | None]:
    """An absent column is nulls throughout; anything else has one value for each operation."""
    if not values:
        return [None] * size
    if len(values) != size:
        raise Malformed("the columns of the change do not have one length")
    return values


def _all_false(data: bytes, size: int) -> bool:
    """A boolean column counts falses, then trues, and so on: all false is one count."""
    return _unsigned(data, 0) == (size, len(data)) if data else not size


def _values(meta: bytes, raw: bytes, size: int) -> list[Scalar]:
    found: list[Scalar] = []
    at = 0
    for described in _filled(_runs(meta, _unsigned, size), size):
        kind, end = (described or 0) & 15, at + ((described or 0) >> 4)
        if end > len(raw):
            raise Malformed("the change ends early")
        found.append(_text(raw[at:end]) if kind == _TEXT else _value(kind, raw[at:end]))
        at = end
    if at != len(raw):
        raise Malformed("the change holds values that belong to no operation")
    return found


def _value(kind: int, data: bytes) -> Scalar:
    if kind <= 2 and not data:
        return (None, False, True)[kind]
    if kind == _WHOLE and data:
        number, end = _signed(data, 0)
        if end == len(data) and abs(number) <= MAX_COUNTER:
            return number
    raise Malformed("the change holds a value that is not accepted")


def _replaced(header: Header, size: int) -> list[tuple[OpId, ...]]:
    column = header.columns.get
    counts = [count for count in _runs(column(_GROUP, b""), _unsigned, size) if count is not None]
    if len(counts) != size:
        raise Malformed("the change does not say of each operation what it replaces")
    total = sum(counts)
    if total > header.most:
        raise Malformed("the change replaces more than is accepted")
    named, steps_there = _PRED_ACTOR in header.columns, _PRED_COUNTER in header.columns
    if named != steps_there or (not total and (column(_PRED_ACTOR) or column(_PRED_COUNTER))):
        raise Malformed("the change names operations that nothing replaces")
    if not total:
        return [()] * size
    indexes = _filled(_runs(column(_PRED_ACTOR, b""), _unsigned, total), total)
    steps = _filled(_runs(column(_PRED_COUNTER, b""), _signed, total), total)
    every = []
    at = 0
    for index, step in zip(indexes, steps, strict=True):
        at += step or 0
        every.append(_identity(index, None if step is None else at, header.actors))
    ids = iter(every)
    return [tuple(islice(ids, count)) for count in counts]


def _identity(actor: int | None, counter: int | None, actors: tuple[bytes, ...]) -> OpId:
    if actor is None or counter is None or actor >= len(actors) or not 1 <= counter <= MAX_NUMBER:
        raise Malformed("the change points at an operation that cannot be")
    return (counter, actors[actor])
