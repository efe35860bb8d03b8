"""spec/recovery.md, read a second time: SLIP-39 shares of a recovery kit. Every refusal is one: unlock-failed."""

from __future__ import annotations

import hashlib
import hmac
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from spec.reader.refusal import Refused

FAILED = Refused("unlock-failed", "these are not enough shares of one recovery kit")
GENERATOR = [
    0xE0E040, 0x1C1C080, 0x3838100, 0x7070200, 0xE0E0009, 0x1C0C2412, 0x38086C24, 0x3090FC48, 0x21B1F890, 0x3F3F120,
]  # fmt: skip


class Part(NamedTuple):
    """What the 33 words of a share say."""

    identifier: int
    extendable: int
    exponent: int
    index: int
    needed: int
    value: bytes


@cache
def places() -> dict[str, int]:
    words = Path(__file__).with_name("words").joinpath("slip39.txt").read_text(encoding="utf-8").split()
    return {word: place for place, word in enumerate(words)}


def rs1024(values: list[int]) -> int:
    remainder = 1
    for value in values:
        top = remainder >> 20
        remainder = (remainder & 0xFFFFF) << 10 ^ value
        for bit in range(10):
            if top >> bit & 1:
                remainder ^= GENERATOR[bit]
    return remainder


def read_part(text: str) -> Part:
    words = text.lower().split()
    if len(words) != 33 or any(word not in places() for word in words):
        raise FAILED
    values = [places()[word] for word in words]
    number = 0
    for value in values:
        number = number << 10 | value
    # 330 bits: identifier 15, extendable 1, exponent 4, group index 4, group threshold 4, group count 4, index 4,
    # threshold 4, padding 4, value 256, checksum 30.
    head, value, padding = number >> 290, number >> 30 & (1 << 256) - 1, number >> 286 & 15
    extendable, exponent = head >> 24 & 1, head >> 20 & 15
    prefix = b"shamir_extendable" if extendable else b"shamir"
    one_group = head >> 8 & 0xFFF == 0
    if rs1024([*prefix, *values]) != 1 or padding or not one_group or exponent > 4:
        raise FAILED
    return Part(head >> 25, extendable, exponent, head >> 4 & 15, (head & 15) + 1, value.to_bytes(32, "big"))


def times(a: int, b: int) -> int:
    """In GF(256) with x^8 + x^4 + x^3 + x + 1."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def power(a: int, exponent: int) -> int:
    result = 1
    for _ in range(exponent):
        result = times(result, a)
    return result


def interpolate(points: dict[int, bytes], at: int) -> bytes:
    """The value at `at` of the polynomials through the points, byte by byte (Lagrange)."""
    result = bytes(32)
    for x, value in points.items():
        factor = 1
        for other in points:
            if other != x:
                factor = times(factor, times(at ^ other, power(x ^ other, 254)))  # a^254 is 1/a
        result = bytes(have ^ times(factor, byte) for have, byte in zip(result, value, strict=True))
    return result


def decrypted(part: Part, data: bytes, passphrase: bytes) -> bytes:
    """Four rounds of a Feistel network, the last first."""
    salt = b"" if part.extendable else b"shamir" + part.identifier.to_bytes(2, "big")
    left, right = data[:16], data[16:]
    passes = 2500 << part.exponent
    for number in (3, 2, 1, 0):
        mask = hashlib.pbkdf2_hmac("sha256", bytes([number]) + passphrase, salt + right, passes, 16)
        left, right = right, bytes(a ^ b for a, b in zip(left, mask, strict=True))
    return right + left


def read_shares(texts: list[str], passphrase: bytes) -> dict[str, Any]:
    parts = [read_part(text) for text in texts]
    if not parts or len({(part.identifier, part.extendable, part.exponent, part.needed) for part in parts}) != 1:
        raise FAILED
    first = parts[0]
    points = {part.index: part.value for part in parts}
    if len(points) < first.needed:
        raise FAILED
    points = dict(list(points.items())[: first.needed])
    secret = first.value if first.needed == 1 else interpolate(points, 255)
    if first.needed > 1:
        proof = interpolate(points, 254)
        if hmac.new(proof[4:], secret, "sha256").digest()[:4] != proof[:4]:
            raise FAILED
    return {"entropy": decrypted(first, secret, passphrase), "set": first.identifier, "needed": first.needed}
