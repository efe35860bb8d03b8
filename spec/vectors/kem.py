"""ML-KEM-768 encapsulation (FIPS 203, algorithms 14 and 17) with a given seed: libraries draw their own, and vectors
may not change. Clear, not fast, not in constant time: for vectors alone. Checked against the library that opens them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

Q, N, K = 3329, 256, 3
ETA, DU, DV = 2, 10, 4
Poly = list[int]


def _reversed7(number: int) -> int:
    return int(f"{number:07b}"[::-1], 2)


ZETAS = [pow(17, _reversed7(i), Q) for i in range(128)]
GAMMAS = [pow(17, 2 * _reversed7(i) + 1, Q) for i in range(128)]


def encapsulate(public: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """(shared secret, ciphertext) for this public key, from 32 bytes that should have been random."""
    both = hashlib.sha3_512(seed + hashlib.sha3_256(public).digest()).digest()
    return both[:32], _encrypt(public, seed, both[32:])


def _encrypt(public: bytes, message: bytes, randomness: bytes) -> bytes:
    t = [_unpacked(public[384 * i : 384 * (i + 1)], 12) for i in range(K)]
    rho = public[384 * K :]
    matrix = [[_uniform(rho + bytes([j, i])) for j in range(K)] for i in range(K)]
    noise = [_binomial(hashlib.shake_256(randomness + bytes([n])).digest(64 * ETA)) for n in range(2 * K + 1)]
    y, e1, e2 = [_ntt(one) for one in noise[:K]], noise[K : 2 * K], noise[2 * K]
    u = [_sum(_inverse(_dot((matrix[j][i] for j in range(K)), y)), e1[i]) for i in range(K)]
    bits = [((Q + 1) // 2) * bit for bit in _unpacked(message, 1)]
    v = _sum(_sum(_inverse(_dot(t, y)), e2), bits)
    return b"".join(_packed(_compressed(one, DU), DU) for one in u) + _packed(_compressed(v, DV), DV)


def _dot(left: Iterable[Poly], right: list[Poly]) -> Poly:
    total = [0] * N
    for one, two in zip(left, right, strict=True):
        total = _sum(total, _product(one, two))
    return total


def _sum(one: Poly, two: Poly) -> Poly:
    return [(a + b) % Q for a, b in zip(one, two, strict=True)]


def _product(one: Poly, two: Poly) -> Poly:
    """In the transformed domain: 128 products of polynomials of degree one."""
    made: Poly = []
    for i in range(128):
        (a, b), (c, d) = one[2 * i : 2 * i + 2], two[2 * i : 2 * i + 2]
        made += [(a * c + b * d * GAMMAS[i]) % Q, (a * d + b * c) % Q]
    return made


def _layers() -> Iterator[tuple[int, int, int]]:
    """(start of a block, half its length, which zeta), in the order of the forward transform."""
    at, half = 1, 128
    while half >= 2:
        for start in range(0, N, 2 * half):
            yield start, half, at
            at += 1
        half //= 2


def _ntt(poly: Poly) -> Poly:
    f = list(poly)
    for start, half, at in _layers():
        for j in range(start, start + half):
            step = ZETAS[at] * f[j + half] % Q
            f[j], f[j + half] = (f[j] + step) % Q, (f[j] - step) % Q
    return f


def _inverse(poly: Poly) -> Poly:
    f = list(poly)
    for start, half, at in reversed(list(_layers())):
        for j in range(start, start + half):
            f[j], f[j + half] = (f[j] + f[j + half]) % Q, (f[j] - f[j + half]) * pow(ZETAS[at], -1, Q) % Q
    return [value * 3303 % Q for value in f]


def _uniform(seed: bytes) -> Poly:
    stream = hashlib.shake_128(seed).digest(3 * 1024)
    found: Poly = []
    for at in range(0, len(stream), 3):
        a, b, c = stream[at : at + 3]
        found += [value for value in (a + 256 * (b % 16), b // 16 + 16 * c) if value < Q]
    return found[:N]


def _binomial(data: bytes) -> Poly:
    bits = _unpacked(data, 1)
    step = 2 * ETA
    return [(sum(bits[at : at + ETA]) - sum(bits[at + ETA : at + step])) % Q for at in range(0, N * step, step)]


def _compressed(poly: Poly, width: int) -> Poly:
    return [((value << width) + Q // 2) // Q % (1 << width) for value in poly]


def _packed(values: Poly, width: int) -> bytes:
    number = sum(value << width * at for at, value in enumerate(values))
    return number.to_bytes(len(values) * width // 8, "little")


def _unpacked(data: bytes, width: int) -> Poly:
    number, mask = int.from_bytes(data, "little"), (1 << width) - 1
    return [number >> width * at & mask for at in range(len(data) * 8 // width)]
