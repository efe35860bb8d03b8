"""Changes valid inputs: bytes, texts, trees of values. Everything comes out of one `Random`: a seed replays exactly."""

from __future__ import annotations

from random import Random
from typing import Any

EDGES = bytes.fromhex("00 01 17 18 20 3f 40 58 5b 5f 7f 80 9b a0 bb f4 f6 f9 fe ff")
NUMBERS = (
    0, 1, 2, 3, -1, 23, 24, 127, 128, 255, 256, 65_535, 65_536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**53, 2**62,
    2**63 - 1, 1_795_287_600, 253_402_300_799,
)  # fmt: skip
TEXTS = (
    "", " ", "\0", "é", "e\u0301", "\u202e", "\x1b[2J", "\ud7ff", "\ufffd", "😀", "insurer", "doctor", "http://x",
    "https://", "a" * 64, "a" * 65, "0" * 32, "../..", "%s%n", "NaN",
)  # fmt: skip


def mutate(rng: Random, data: bytes, others: list[bytes], limit: int = 1 << 16) -> bytes:
    """One to five changes; now and then a piece of another seed."""
    value = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        _change(rng, value, others)
    return bytes(value[:limit])


def _change(rng: Random, value: bytearray, others: list[bytes]) -> None:
    how, size = rng.randrange(10), len(value)
    at = rng.randrange(size) if size else 0
    if not size or how == 0:
        value[at:at] = rng.randbytes(rng.choice((1, 2, 4, 8, 32)))
    elif how == 1:
        value[at] ^= 1 << rng.randrange(8)
    elif how == 2:
        value[at] = rng.choice(EDGES)
    elif how == 3:
        value[at] = rng.randrange(256)
    elif how == 4:
        del value[at : at + rng.choice((1, 1, 2, 4, 16, 64))]
    elif how == 5:
        value[at:at] = value[at : at + rng.choice((1, 4, 16, 64))]
    elif how == 6:
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice(NUMBERS) & ((1 << 8 * width) - 1)
        value[at : at + width] = number.to_bytes(width, rng.choice(("big", "little")))
    elif how == 7:
        del value[at:]
    elif how == 8:
        other = rng.choice(others)
        start = rng.randrange(len(other) + 1)
        value[at : at + rng.choice((0, 8, 32))] = other[start : start + rng.choice((4, 16, 64, 256))]
    else:
        there = rng.randrange(size)
        value[at], value[there] = value[there], value[at]


def mutate_text(rng: Random, text: str) -> str:
    at = rng.randrange(len(text) + 1)
    how = rng.randrange(5)
    if how == 0:
        return text[:at] + rng.choice(TEXTS) + text[at:]
    if how == 1:
        return text[:at] + text[at + rng.choice((1, 2, 8)) :]
    if how == 2:
        return text[:at] + chr(rng.choice((rng.randrange(32, 127), rng.randrange(0xD800)))) + text[at + 1 :]
    if how == 3:
        return text[:at] + text[at : at + 16] + text[at:]
    return text.swapcase()


def mutate_tree(rng: Random, value: Any) -> Any:
    """A copy with one or two places changed: another value, another type, a key or item more or less."""
    for _ in range(rng.choice((1, 1, 2))):
        value = _at_some_place(rng, value, 0)
    return value


def _at_some_place(rng: Random, value: Any, depth: int) -> Any:
    inside = isinstance(value, dict | list) and value and rng.random() < (1.0 if depth == 0 else 0.7)
    if inside and rng.random() < 0.85:
        if isinstance(value, dict):
            key = rng.choice(list(value))
            return {**value, key: _at_some_place(rng, value[key], depth + 1)}
        at = rng.randrange(len(value))
        return [*value[:at], _at_some_place(rng, value[at], depth + 1), *value[at + 1 :]]
    return _other(rng, value)


def _other(rng: Random, value: Any) -> Any:
    if rng.random() < 0.12:
        return rng.choice((None, True, False, 0, "", b"", [], {}, [value], {"a": value}))
    if isinstance(value, dict):
        key = rng.choice(list(value)) if value else "a"
        if rng.random() < 0.5:
            return {name: item for name, item in value.items() if name != key}
        return {**value, mutate_text(rng, key)[:64]: value.get(key)}
    if isinstance(value, list):
        at = rng.randrange(len(value) + 1)
        return rng.choice((value[:at], [*value, *value[at : at + 1]], value[::-1], value * rng.choice((2, 40))))
    if isinstance(value, bytes):
        return rng.choice((mutate(rng, value, [value]), b"", bytes(len(value)), b"\xff" * len(value)))
    if isinstance(value, bool) or value is None:
        return rng.choice((True, False, None, 1, "x", b"x"))
    if isinstance(value, int):
        return rng.choice((rng.choice(NUMBERS), value + 1, value - 1, rng.randrange(2**63)))
    return mutate_text(rng, str(value))
