"""Deterministic CBOR (RFC 8949 section 4.2): the one encoding of everything that is signed or sealed.

A statement is a map with short text keys. A reader names its `Shape`: the exact keys and what each value must be. Read
means: size cap, decode, encode again, compare bytes, then check every key, type and length. Normative: spec/encoding.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cbor2

from vault.errors import Malformed, TooLarge

Check = Callable[[Any, str], None]
MAX_DEPTH = 16
MAX_INT = 2**63 - 1


def encode(value: object) -> bytes:
    """Deterministic CBOR of None, bool, int, str, bytes, list and map with text keys; nothing else is ever encoded."""
    _only_plain(value, 0)
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, limit: int) -> Any:
    """The value; TooLarge over `limit` bytes, Malformed unless `data` is its one deterministic encoding."""
    if len(data) > limit:
        raise TooLarge(f"{len(data)} bytes, at most {limit} are accepted")
    try:
        value = cbor2.loads(data)
        again = encode(value)
    except Malformed:
        raise
    except Exception as failure:  # cbor2 raises a family of its own and, for deep input, RecursionError
        raise Malformed("not CBOR") from failure
    if again != data:
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
        data = encode(dict(value))
        if len(data) > self.limit:
            raise TooLarge(f"{self.name}: {len(data)} bytes, at most {self.limit}")
        return data

    def decode(self, data: bytes) -> dict[str, Any]:
        value = decode(data, limit=self.limit)
        self.check(value)
        return value  # type: ignore[no-any-return]

    def check(self, value: object, path: str = "") -> None:
        where = path or self.name
        if not isinstance(value, Mapping):
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

    return check


def integer(low: int = 0, high: int = MAX_INT) -> Check:
    """A whole number from `low` to `high`."""

    def check(value: Any, where: str) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Malformed(f"{where}: not a whole number from {low} to {high}")

    return check


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
            inner(item, f"{where}.{key}")

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
    if value is None or isinstance(value, bool | str | bytes):
        return
    if isinstance(value, int):
        if not -MAX_INT <= value <= MAX_INT:
            raise Malformed("whole number out of range")
    elif isinstance(value, list):
        for item in value:
            _only_plain(item, depth + 1)
    elif isinstance(value, dict):
        for key, item in value.items():
            # With text keys alone, cbor2's length-first order and RFC 8949's bytewise order are the same order.
            if not isinstance(key, str) or len(key.encode()) > 64:
                raise Malformed("map key is not short text")
            _only_plain(item, depth + 1)
    else:
        raise Malformed(f"{type(value).__name__} is not encoded")
