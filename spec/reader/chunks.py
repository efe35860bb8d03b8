"""spec/replica.md, read a second time: what an Automerge change chunk of Elpis may hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from spec.reader.refusal import Refused, malformed

LARGEST = 2**53 - 1
LAST = 2**32 - 1  # number of an operation
# Columns by their specification: (object actor, object counter), (key actor, key counter, key), insert, action,
# (value metadata, value), (number of replaced operations, their actors, their counters).
COLUMNS = (0x01, 0x02, 0x11, 0x13, 0x15, 0x34, 0x42, 0x56, 0x57, 0x70, 0x71, 0x73)


class Bytes:
    """A run of bytes with LEB128 numbers in it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise malformed("ends early")
        self.at += size
        return taken

    def leb(self, most: int) -> tuple[int, int, int]:
        """(number, bits, last byte) of at most `most` bytes."""
        number = bits = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << bits
            bits += 7
            if byte < 0x80:
                return number, bits, byte
            if bits == 7 * most:
                raise malformed("a number without an end")

    def unsigned(self) -> int:
        number, bits, last = self.leb(9)
        if last == 0 and bits > 7:
            raise malformed("a number that is not in its shortest form")
        return number

    def signed(self) -> int:
        number, bits, last = self.leb(10)
        signed = number - (1 << bits) if last & 0x40 else number
        if not -(2**63) <= signed < 2**63:
            raise malformed("a number of more than 64 bits")
        return signed

    def text(self) -> str:
        return utf8(self.take(self.unsigned()))

    def up_to(self, limit: int) -> int:
        number = self.unsigned()
        if number > limit:
            raise malformed("too many")
        return number

    def done(self) -> bool:
        return self.at == len(self.data)


def utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("not UTF-8") from None


def read_chunk(data: bytes, limit: int = 768 << 10) -> dict[str, Any]:
    """magic | checksum | type 1 | length | body, and every operation in the body."""
    if len(data) > limit:
        raise Refused("too-large", "a change over its limit")
    if len(data) < 10 or data[:4] != b"\x85\x6f\x4a\x83" or data[8] != 1:
        raise malformed("not an uncompressed change")
    digest = hashlib.sha256(data[8:]).digest()
    body = Bytes(data[9:])
    if digest[:4] != data[4:8] or body.unsigned() != len(body.data) - body.at:
        raise malformed("checksum or length")
    deps = [body.take(32) for _ in range(body.up_to(64))]
    actor = body.take(body.up_to(16))
    seq, start, _, message = body.unsigned(), body.unsigned(), body.signed(), body.unsigned()
    if message:
        raise malformed("a message")
    actors = [actor] + [body.take(body.up_to(16)) for _ in range(body.up_to(256))]
    if any(len(name) != 16 for name in actors) or not 1 <= seq <= LARGEST or not 1 <= start <= LAST:
        raise malformed("actor, number or start")
    if len(set(deps)) != len(deps):
        raise malformed("a dependency twice")
    operations = read_operations(read_columns(body), actors, start, min(500_000, len(data)))
    return {"hash": digest, "actor": actor, "seq": seq, "start": start, "deps": deps, "operations": operations}


def read_columns(body: Bytes) -> dict[int, bytes]:
    sizes = [(body.unsigned(), body.unsigned()) for _ in range(body.up_to(len(COLUMNS)))]
    names = [name for name, _ in sizes]
    if any(name not in COLUMNS for name in names) or names != sorted(set(names)):
        raise malformed("a column")
    columns = {name: body.take(size) for name, size in sizes}
    if not body.done():
        raise malformed("bytes behind the columns")
    return columns


def runs(data: bytes, read: Callable[[Bytes], Any], most: int) -> list[Any]:
    """Run-length code: n > 0 repeats a value, n < 0 lists values, 0 gives nulls."""
    run = Bytes(data)
    values: list[Any] = []
    while not run.done():
        length = run.signed()
        count = run.unsigned() if length == 0 else abs(length)
        if not 0 < count <= most - len(values):
            raise malformed("more values than operations")
        if length == 0:
            values += [None] * count
        elif length > 0:
            values += [read(run)] * count
        else:
            values += [read(run) for _ in range(count)]
    return values


def whole(values: list[Any], size: int) -> list[Any]:
    if values and len(values) != size:
        raise malformed("columns of two lengths")
    return values or [None] * size


def deltas(data: bytes, size: int) -> list[Any]:
    total = 0
    values: list[Any] = []
    for step in runs(data, Bytes.signed, size):
        total += step or 0
        values.append(None if step is None else total)
    return whole(values, size)


def read_operations(columns: dict[int, bytes], actors: list[bytes], start: int, most: int) -> list[list[Any]]:
    """[counter, object, key, action, value, replaced]; the object is [counter, actor], [] for the root."""

    def column(name: int) -> bytes:
        return columns.get(name, b"")

    actions = runs(column(0x42), Bytes.unsigned, most)
    size = len(actions)
    if start + size - 1 > LAST:
        raise malformed("operations that count too high")
    in_list = [*runs(column(0x11), Bytes.unsigned, size), *runs(column(0x13), Bytes.signed, size)]
    if any(value is not None for value in in_list) or not all_false(column(0x34), size):
        raise malformed("an operation on a list")
    keys = whole(runs(column(0x15), Bytes.text, size), size)
    owners = whole(runs(column(0x01), Bytes.unsigned, size), size)
    counters = whole(runs(column(0x02), Bytes.unsigned, size), size)
    values = read_values(column(0x56), column(0x57), size)
    replaced = read_replaced(columns, actors, size, most)
    made = []
    for at, action in enumerate(actions):
        if action not in (0, 1, 3) or not isinstance(keys[at], str) or not 1 <= len(keys[at]) <= 64:
            raise malformed("an operation that Elpis does not write")
        root = owners[at] is None and counters[at] is None
        target = [] if root else pointer(owners[at], counters[at], actors)
        made.append([start + at, target, keys[at], action, values[at], replaced[at]])
    return made


def all_false(data: bytes, size: int) -> bool:
    count = Bytes(data)
    return (count.unsigned() == size and count.done()) if data else size == 0


def read_values(described: bytes, data: bytes, size: int) -> list[Any]:
    """Metadata is length << 4 | kind: 0 null, 1 false, 2 true, 4 whole number, 6 text."""
    content = Bytes(data)
    values: list[Any] = []
    for item in whole(runs(described, Bytes.unsigned, size), size):
        length, kind = divmod(item or 0, 16)
        piece = content.take(length)
        if kind == 6:
            values.append(utf8(piece))
        elif kind in (0, 1, 2) and not piece:
            values.append((None, False, True)[kind])
        elif kind == 4:
            values.append(read_number(piece))
        else:
            raise malformed("a value that Elpis does not write")
    if not content.done():
        raise malformed("values of no operation")
    return values


def read_number(piece: bytes) -> int:
    number = Bytes(piece)
    value = number.signed()
    if not number.done() or abs(value) > LARGEST:
        raise malformed("a whole number out of range")
    return value


def read_replaced(columns: dict[int, bytes], actors: list[bytes], size: int, most: int) -> list[list[Any]]:
    counts = runs(columns.get(0x70, b""), Bytes.unsigned, size)
    if len(counts) != size or None in counts:
        raise malformed("an operation that does not say what it replaces")
    total = sum(counts)
    if total > most:
        raise malformed("too many replaced operations")
    if (0x71 in columns) != (0x73 in columns) or (not total and (columns.get(0x71) or columns.get(0x73))):
        raise malformed("names of operations that nothing replaces")
    if not total:
        return [[] for _ in counts]
    owners = whole(runs(columns.get(0x71, b""), Bytes.unsigned, total), total)
    counters = deltas(columns.get(0x73, b""), total)
    pointers = [pointer(owner, counter, actors) for owner, counter in zip(owners, counters, strict=True)]
    starts = [sum(counts[:at]) for at in range(size)]
    return [pointers[first : first + count] for first, count in zip(starts, counts, strict=True)]


def pointer(actor: Any, counter: Any, actors: list[bytes]) -> list[Any]:
    if actor is None or counter is None or actor >= len(actors) or not 1 <= counter <= LAST:
        raise malformed("an operation that points nowhere")
    return [counter, actors[actor]]
