"""Deterministic CBOR (RFC 8949 section 4.2): the one encoding of everything that is signed or sealed.

A statement is a map with short text keys. A reader names its `Shape`: the exact keys and what each value must be. Read
means: size cap, decode with a reader that takes nothing else, encode again, compare bytes, then check every key, type
and length. Normative: spec/encoding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cbor2

from vault.errors import Malformed, TooLarge

Check = Callable[[Any, str], None]
MAX_DEPTH = 16
MAX_KEY = 64  # bytes of a map key
MAX_INT = 2**63 - 1
_SCALARS = frozenset((bytes, str, int, bool, type(None)))
MAX_TIME = 253_402_300_799  # the last second of the year 9999: what every calendar can show


def encode(value: object) -> bytes:
    """Deterministic CBOR of None, bool, int, str, bytes, list and map with text keys; nothing else is ever encoded."""
    _only_plain(value, 0)
    return cbor2.dumps(_ordered(value))


def decode(data: bytes, *, limit: int) -> Any:
    """The value; TooLarge over `limit` bytes, Malformed unless `data` is its one deterministic encoding."""
    if len(data) > limit:
        raise TooLarge(f"{len(data)} bytes, at most {limit} are accepted")
    value, end = _read(data, 0, 0)
    # _read takes nothing else; writing the value again proves that reader and writer have not drifted apart.
    if end != len(data) or cbor2.dumps(_ordered(value)) != data:
        raise Malformed("not the deterministic encoding")
    return value


@dataclass(frozen=True, slots=True)
class Shape:
    """A map with exactly these keys. `limit` caps its encoded size in bytes."""

    name: str
    fields: Mapping[str, Check]
    limit: int = 65_536

    def encode(self, value: Mapping[str, Any]) -> bytes:
        """Encoded, after the same checks that a reader makes: what cannot be read is never written."""
        self.check(value)
        data = cbor2.dumps(_ordered(value))  # the checks let nothing through that `encode` would refuse
        if len(data) > self.limit:
            raise TooLarge(f"{self.name}: {len(data)} bytes, at most {self.limit}")
        return data

    def decode(self, data: bytes) -> dict[str, Any]:
        value = decode(data, limit=self.limit)
        self.check(value)
        return value  # type: ignore[no-any-return]

    def check(self, value: object, path: str = "") -> None:
        where = path or self.name
        if not isinstance(value, (dict, Mapping)):  # a dict in nearly every call: the abstract class is slow to ask
            raise Malformed(f"{where}: not a map")
        if value.keys() != self.fields.keys():
            extra = sorted(set(map(str, value)) ^ set(self.fields))
            raise Malformed(f"{where}: missing or unknown fields {extra}")
        for key, check in self.fields.items():
            check(value[key], f"{where}.{key}")


def blob(length: int | None = None, *, at_most: int = 1 << 20) -> Check:
    """Bytes of one length, or of any length up to `at_most`."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, bytes) or (len(value) != length if length is not None else len(value) > at_most):
            raise Malformed(f"{where}: not bytes of the right length")

    return check


def text(at_most: int = 1000) -> Check:
    """Text of up to `at_most` characters."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or len(value) > at_most:
            raise Malformed(f"{where}: not text of the right length")
        if not value.isascii():
            _encoded(value)

    return check


def integer(low: int = 0, high: int = MAX_INT) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Malformed(f"{where}: not a whole number from {low} to {high}")

    return check


def moment() -> Check:
    """A time: whole seconds since 1970, up to the year 9999."""
    return integer(0, MAX_TIME)


def boolean() -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, bool):
            raise Malformed(f"{where}: not true or false")

    return check


def one_of(*allowed: str) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, str) or value not in allowed:
            raise Malformed(f"{where}: not one of {', '.join(allowed)}")

    return check


def optional(inner: Check) -> Check:
    """The inner check, or null."""

    def check(value: Any, where: str) -> None:
        if value is not None:
            inner(value, where)

    return check


def list_of(inner: Check, *, at_most: int) -> Check:
    def check(value: Any, where: str) -> None:
        if not isinstance(value, list) or len(value) > at_most:
            raise Malformed(f"{where}: not a list of at most {at_most}")
        for index, item in enumerate(value):
            inner(item, f"{where}[{index}]")

    return check


def map_of(inner: Check, *, at_most: int) -> Check:
    """A map from text keys to values that pass `inner`."""

    def check(value: Any, where: str) -> None:
        if not isinstance(value, dict) or len(value) > at_most:
            raise Malformed(f"{where}: not a map of at most {at_most}")
        for key, item in value.items():
            if not isinstance(key, str) or len(_encoded(key)) > MAX_KEY:
                raise Malformed(f"{where}: a key is not short text")
            inner(item, f"{where}.{key!r}")

    return check


def scalar(at_most: int = 100_000) -> Check:
    """Text, a whole number, a bool or null."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, str):
            text(at_most)(value, where)
        elif value is not None and not isinstance(value, bool):
            integer(-MAX_INT)(value, where)

    return check


def _only_plain(value: object, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise Malformed("nested too deep")
    if value is None or isinstance(value, (bytes, bool)):
        return
    if isinstance(value, str):
        if not value.isascii():
            _encoded(value)
    elif isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise Malformed("whole number out of range")
    elif isinstance(value, list):
        for item in value:
            _only_plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            # With text keys alone, cbor2's length-first order and RFC 8949's bytewise order are the same order.
            if not isinstance(key, str) or (len(key) if key.isascii() else len(_encoded(key))) > MAX_KEY:
                raise Malformed("map key is not short text")
            _only_plain(item, depth + 1)
    else:
        raise Malformed(f"{type(value).__name__} is not encoded")


def _ordered(value: Any) -> Any:
    """The value with the keys of every map in order, which is all that cbor2 leaves to be done, and slow at."""
    if isinstance(value, (dict, Mapping)):
        return {key: item if type(item := value[key]) in _SCALARS else _ordered(item) for key in _order(tuple(value))}
    if isinstance(value, list):
        return [item if type(item) in _SCALARS else _ordered(item) for item in value]
    return value


@lru_cache(4096)
def _order(keys: tuple[str, ...]) -> tuple[str, ...]:
    """As RFC 8949 has it: by the bytes of their encoding, in which the length comes first."""
    return tuple(sorted(keys, key=lambda key: (len(encoded := key.encode()), encoded)))


def _encoded(value: str) -> bytes:
    """UTF-8; Malformed for half a surrogate pair, which JSON may carry and UTF-8 cannot."""
    try:
        return value.encode()
    except UnicodeEncodeError as failure:
        raise Malformed("text has no UTF-8 form") from failure


# A general CBOR decoder follows tags: shared references alone let 300 bytes stand for a value that takes hours to walk.
# This one knows the few types that are ever encoded and takes time and memory in proportion to the input.
_CONSTANTS = {0xF4: False, 0xF5: True, 0xF6: None}
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP = range(6)


def _read(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    """One item that starts at `at`, and where the next one starts."""
    if depth > MAX_DEPTH:
        raise Malformed("nested too deep")
    if at < len(data) and (first := data[at]) in _CONSTANTS:
        return _CONSTANTS[first], at + 1
    major, argument, at = _head(data, at)
    if major in (_BYTES, _TEXT):
        end = at + argument
        if end > len(data):
            raise Malformed("ends too early")
        return (data[at:end] if major == _BYTES else _utf8(data[at:end])), end
    if major <= _NEGATIVE:
        number = argument if major == _UNSIGNED else -1 - argument
        if not -MAX_INT <= number <= MAX_INT:
            raise Malformed("whole number out of range")
        return number, at
    if major == _LIST:
        items = []
        for _ in range(argument):
            item, at = _read(data, at, depth + 1)
            items.append(item)
        return items, at
    return _read_map(data, at, argument, depth)


def _read_map(data: bytes, at: int, count: int, depth: int) -> tuple[dict[str, Any], int]:
    """`count` pairs; keys are short text, each greater than the one before in the bytewise order of RFC 8949."""
    pairs: dict[str, Any] = {}
    before = b""
    for _ in range(count):
        major, length, start = _head(data, at)
        end = start + length
        if major != _TEXT or length > MAX_KEY or end > len(data):
            raise Malformed("map key is not short text")
        encoded, key = data[at:end], _utf8(data[start:end])
        if encoded <= before:
            raise Malformed("map keys are doubled or out of order")
        before = encoded
        pairs[key], at = _read(data, end, depth + 1)
    return pairs, at


def _head(data: bytes, at: int) -> tuple[int, int, int]:
    """(major type, argument, where the content starts) of an item; the argument in its shortest form."""
    if at >= len(data):
        raise Malformed("ends too early")
    major, argument = data[at] >> 5, data[at] & 31
    at += 1
    if major > _MAP or argument > 27:
        raise Malformed("a tag, a float, an open length or a simple value")
    if argument < 24:
        return major, argument, at
    width = 1 << (argument - 24)
    number = int.from_bytes(data[at : at + width], "big")
    if at + width > len(data) or number < (24 if width == 1 else 1 << (4 * width)):
        raise Malformed("length or number is cut or not in its shortest form")
    return major, number, at + width


def _utf8(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        raise Malformed("text is not UTF-8") from failure
