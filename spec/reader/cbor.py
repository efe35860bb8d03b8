"""spec/encoding.md: a strict reader of deterministic CBOR, and the checks of a statement's shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spec.reader.refusal import Refused, malformed

GREATEST = 2**63 - 1
DEEPEST = 16
Check = Callable[[Any], bool]


def decode(data: bytes, limit: int) -> Any:
    if len(data) > limit:
        raise Refused("too-large", f"{len(data)} bytes, at most {limit}")
    reader = _Reader(data)
    value = reader.item(0)
    if reader.at != len(data):
        raise malformed("bytes after the end")
    return value


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise malformed("ends too early")
        self.at += size
        return taken

    def head(self) -> tuple[int, int]:
        first = self.take(1)[0]
        kind, short = first >> 5, first & 0x1F
        if short < 24 or kind == 7:
            return kind, short
        if short > 27:
            raise malformed("an open length, or a reserved one")
        width = {24: 1, 25: 2, 26: 4, 27: 8}[short]
        number = int.from_bytes(self.take(width), "big")
        if number < {1: 24, 2: 2**8, 4: 2**16, 8: 2**32}[width]:
            raise malformed("not the shortest form")
        return kind, number

    def item(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise malformed("nested too deep")
        kind, number = self.head()
        if kind in (0, 1):
            if number > (GREATEST if kind == 0 else GREATEST - 1):
                raise malformed("number out of range")
            return number if kind == 0 else -1 - number
        if kind == 2:
            return self.take(number)
        if kind == 3:
            return self.text(number)
        if kind == 4:
            return [self.item(depth + 1) for _ in range(number)]
        if kind == 5:
            return self.map(number, depth)
        if kind == 7 and number in (20, 21, 22):
            return {20: False, 21: True, 22: None}[number]
        raise malformed("a type that is never encoded")

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError:
            raise malformed("text is not UTF-8") from None

    def map(self, count: int, depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        previous = b""
        for _ in range(count):
            start = self.at
            kind, size = self.head()
            if kind != 3 or size > 64:
                raise malformed("a key that is not short text")
            key = self.text(size)
            if self.data[start : self.at] <= previous:
                raise malformed("keys doubled or out of order")
            previous = self.data[start : self.at]
            pairs[key] = self.item(depth + 1)
        return pairs


def statement(data: bytes, limit: int, fields: Mapping[str, Check]) -> dict[str, Any]:
    """A map with exactly these fields, each of the right kind."""
    value = decode(data, limit)
    if not isinstance(value, dict) or set(value) != set(fields):
        raise malformed("missing or unknown fields")
    for name, check in fields.items():
        if not check(value[name]):
            raise malformed(f"{name} is not what the format says")
    return value


def blob(size: int | None = None, most: int = 1 << 20) -> Check:
    return lambda v: isinstance(v, bytes) and (len(v) <= most if size is None else len(v) == size)


def text(most: int) -> Check:
    return lambda v: isinstance(v, str) and len(v) <= most


def whole(low: int = 0, high: int = GREATEST) -> Check:
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high


def moment() -> Check:
    """A time that a calendar can show: up to the year 9999."""
    return whole(0, 253_402_300_799)


def boolean() -> Check:
    return lambda v: isinstance(v, bool)


def one_of(*words: str) -> Check:
    return lambda v: isinstance(v, str) and v in words


def or_null(check: Check) -> Check:
    return lambda v: v is None or check(v)


def list_of(check: Check, most: int) -> Check:
    return lambda v: isinstance(v, list) and len(v) <= most and all(map(check, v))


def map_of(check: Check, most: int) -> Check:
    return lambda v: isinstance(v, dict) and len(v) <= most and all(map(check, v.values()))


def shape(fields: Mapping[str, Check]) -> Check:
    """A map inside a statement."""
    return lambda v: (
        isinstance(v, dict) and set(v) == set(fields) and all(check(v[name]) for name, check in fields.items())
    )
