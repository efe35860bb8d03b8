"""An Automerge change chunk, read strictly and without Automerge. Normative: spec/replica.md.

Automerge 1.0.0rc1 panics on, or is inflated by, chunks that a stranger can make. So a foreign chunk is read here first:
only the uncompressed type, every length bounded before it is used, and only the operations that Elpis writes (a map is
made, a text, whole number, truth value or null is put under a text key, a key is deleted). The same reading says which
operation replaces which, from which conflicts are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
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

MAKE_MAP, PUT, DELETE = 0, 1, 3

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
    columns: tuple[tuple[int, bytes], ...]
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
    cursor = _Cursor(data, 9)
    if cursor.unsigned() != len(data) - cursor.at:
        raise Malformed("the change's length does not fit")
    deps = tuple(cursor.take(32) for _ in range(cursor.count(MAX_DEPS)))
    actor = cursor.take(cursor.count(ACTOR))
    seq, start = cursor.unsigned(), cursor.unsigned()
    cursor.signed()  # time: Elpis writes none and reads none
    if cursor.unsigned() != 0:
        raise Malformed("the change carries a message")
    others = tuple(cursor.take(cursor.count(ACTOR)) for _ in range(cursor.count(MAX_ACTORS)))
    if any(len(name) != ACTOR for name in (actor, *others)) or not 1 <= seq <= MAX_COUNTER:
        raise Malformed("the change's author or number is not acceptable")
    if not 1 <= start <= MAX_COUNTER or len(set(deps)) != len(deps):
        raise Malformed("the change's start or dependencies are not acceptable")
    most = min(MAX_OPERATIONS, len(data))
    return Header(digest, actor, seq, start, deps, (actor, *others), _columns(cursor), most)


def read_operations(header: Header) -> list[Operation]:
    """Every operation; Malformed for one that Elpis does not write."""
    column = dict(header.columns)
    actions = _runs(column.get(_ACTION, b""), _Cursor.unsigned, header.most)
    size = len(actions)
    for specification, read in ((_KEY_ACTOR, _Cursor.unsigned), (_KEY_COUNTER, _Cursor.signed)):
        if any(value is not None for value in _runs(column.get(specification, b""), read, size)):
            raise Malformed("the change writes into a list or text")
    if not _all_false(column.get(_INSERT, b""), size):
        raise Malformed("the change writes into a list or text")
    keys = _filled(_runs(column.get(_KEY, b""), _Cursor.text, size), size)
    object_actors = _filled(_runs(column.get(_OBJECT_ACTOR, b""), _Cursor.unsigned, size), size)
    object_counters = _filled(_runs(column.get(_OBJECT_COUNTER, b""), _Cursor.unsigned, size), size)
    values = _values(column.get(_META, b""), column.get(_VALUE, b""), size)
    replaced = _replaced(column, header, size)
    made = []
    for index, action in enumerate(actions):
        key = keys[index]
        if action not in (MAKE_MAP, PUT, DELETE) or not isinstance(key, str) or not 0 < len(key) <= MAX_KEY:
            raise Malformed("the change holds an operation that is not accepted")
        target = _target(object_actors[index], object_counters[index], header)
        identity = (header.start + index, header.actor)
        made.append(Operation(identity, target, key, action, values[index], replaced[index]))
    return made


class _Cursor:
    """Reads LEB128 numbers and byte runs; Malformed past the end."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data = data
        self.at = at

    def unsigned(self) -> int:
        data, at = self.data, self.at
        if at < len(data) and data[at] < 0x80:
            self.at = at + 1
            return data[at]
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
                self.at = at
                return number

    def signed(self) -> int:
        data, at = self.data, self.at
        if at < len(data) and data[at] < 0x80:
            self.at = at + 1
            return data[at] - 128 if data[at] & 0x40 else data[at]
        number = shift = 0
        while True:
            if at >= len(data) or shift > 63:
                raise Malformed("a number does not end")
            byte = data[at]
            at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                self.at = at
                return number - (1 << shift) if byte & 0x40 else number

    def count(self, limit: int) -> int:
        number = self.unsigned()
        if number > limit:
            raise Malformed("the change counts more than is accepted")
        return number

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise Malformed("the change ends early")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def text(self) -> str:
        return _text(self.take(self.unsigned()))

    @property
    def more(self) -> bool:
        return self.at < len(self.data)


def _columns(cursor: _Cursor) -> tuple[tuple[int, bytes], ...]:
    sizes = [(cursor.unsigned(), cursor.unsigned()) for _ in range(cursor.count(len(_KNOWN)))]
    last = -1
    for specification, _ in sizes:
        if specification not in _KNOWN or specification <= last:
            raise Malformed("the change has a column that is not accepted")
        last = specification
    columns = tuple((specification, cursor.take(size)) for specification, size in sizes)
    if cursor.more:
        raise Malformed("the change carries something behind its columns")
    return columns


def _runs(data: bytes, read: Callable[[_Cursor], T], most: int) -> list[T | None]:
    """A run-length column: length > 0 repeats a value, < 0 lists values, 0 gives nulls. Bounded while it is read."""
    values: list[T | None] = []
    end = len(data)
    if not end:
        return values
    cursor = _Cursor(data)
    while cursor.at < end:
        length = cursor.signed()
        count = cursor.unsigned() if length == 0 else abs(length)
        if not 0 < count <= most - len(values):
            raise Malformed("the change holds more operations than are accepted")
        if length == 0:
            values += [None] * count
        elif length > 0:
            values += [read(cursor)] * count
        else:
            values += [read(cursor) for _ in range(count)]
    return values


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("text in the change is not UTF-8") from None


def _deltas(data: bytes, size: int) -> list[int | None]:
    values: list[int | None] = []
    at = 0
    for step in _runs(data, _Cursor.signed, size):
        at += step or 0
        values.append(None if step is None else at)
    return _filled(values, size)


def _filled(values: list[T | None], size: int) -> list[T | None]:
    """An absent column is nulls throughout; anything else has one value for each operation."""
    if not values:
        return [None] * size
    if len(values) != size:
        raise Malformed("the columns of the change do not have one length")
    return values


def _all_false(data: bytes, size: int) -> bool:
    """A boolean column counts falses, then trues, and so on: all false is one count."""
    cursor = _Cursor(data)
    return not data or (cursor.unsigned() == size and not cursor.more)


def _values(meta: bytes, raw: bytes, size: int) -> list[Scalar]:
    cursor = _Cursor(raw)
    found: list[Scalar] = []
    for described in _filled(_runs(meta, _Cursor.unsigned, size), size):
        number = described or 0
        found.append(_value(number & 15, cursor.take(number >> 4)))
    if cursor.more:
        raise Malformed("the change holds values that belong to no operation")
    return found


def _value(kind: int, data: bytes) -> Scalar:
    if kind <= 2 and not data:
        return (None, False, True)[kind]
    if kind == 6:
        return _text(data)
    if kind == 4:
        cursor = _Cursor(data)
        number = cursor.signed()
        if not cursor.more and abs(number) <= MAX_COUNTER:
            return number
    raise Malformed("the change holds a value that is not accepted")


def _replaced(column: dict[int, bytes], header: Header, size: int) -> list[tuple[OpId, ...]]:
    counts = [count or 0 for count in _filled(_runs(column.get(_GROUP, b""), _Cursor.unsigned, size), size)]
    total = sum(counts)
    if total > header.most:
        raise Malformed("the change replaces more than is accepted")
    if not total:
        return [()] * size
    actors = _filled(_runs(column.get(_PRED_ACTOR, b""), _Cursor.unsigned, total), total)
    counters = _deltas(column.get(_PRED_COUNTER, b""), total)
    found = []
    at = 0
    for count in counts:
        found.append(tuple(_target(actors[i], counters[i], header, root=False) for i in range(at, at + count)))
        at += count
    return found


def _target(actor: int | None, counter: int | None, header: Header, *, root: bool = True) -> OpId:
    if actor is None and counter is None and root:
        return ROOT
    if actor is None or counter is None or actor >= len(header.actors) or not 1 <= counter <= MAX_COUNTER:
        raise Malformed("the change points at an operation that cannot be")
    return (counter, header.actors[actor])
