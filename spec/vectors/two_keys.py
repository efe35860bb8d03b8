"""One ciphertext that XChaCha20-Poly1305 opens under two keys.

Poly1305 is a polynomial in r over the blocks of the ciphertext. With two keys there are two polynomials; two free
blocks are two unknowns, so the tag can be made right for both. This takes a fraction of a second, and is why every box
of Elpis carries a commitment to its key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import nacl.bindings as sodium

from spec.reader.ciphers import chacha20_block, hchacha20

P = (1 << 130) - 5
WORD = 1 << 128


def make_ciphertext(derive: Callable[[bytes, bytes], bytes], seed: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """(first key, second key, nonce, ciphertext with tag). `derive(key, nonce)` gives the cipher's key.

    Each attempt hits with a chance of a sixteenth, because both blocks must fit into 128 bits.
    """
    attempt = 0
    while True:
        drawn = hashlib.shake_256(seed + attempt.to_bytes(4, "big")).digest(32 + 32 + 24 + 32 + 16)
        first, second, nonce, blocks, tag = drawn[:32], drawn[32:64], drawn[64:88], drawn[88:120], drawn[120:]
        found = _solve(_poly_key(derive(first, nonce), nonce), _poly_key(derive(second, nonce), nonce), blocks, tag)
        if found:
            return first, second, nonce, found
        attempt += 1


def _poly_key(key: bytes, nonce: bytes) -> tuple[int, int]:
    """(r, s) of Poly1305: the first 32 bytes of the keystream."""
    stream = _first_block(key, nonce)
    r = int.from_bytes(stream[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    return r, int.from_bytes(stream[16:32], "little")


def _first_block(key: bytes, nonce: bytes) -> bytes:
    """Block 0 of XChaCha20, which the cipher spends on the Poly1305 key."""
    return chacha20_block(hchacha20(key, nonce[:16]), 0, bytes(4) + nonce[16:])


def _solve(one: tuple[int, int], two: tuple[int, int], blocks: bytes, tag: bytes) -> bytes | None:
    """Four blocks and the tag: two blocks free, two solved for."""
    free = [int.from_bytes(blocks[i : i + 16], "little") for i in (0, 16)]
    lengths = (64 << 64) + WORD  # no associated data, 64 bytes of ciphertext, and the bit above the block
    wanted = int.from_bytes(tag, "little")
    rows = []
    for r, s in (one, two):
        known = sum((block + WORD) * pow(r, power, P) for block, power in zip(free, (5, 4), strict=True)) + lengths * r
        known += WORD * (pow(r, 3, P) + pow(r, 2, P))
        rows.append((pow(r, 3, P), pow(r, 2, P), ((wanted - s) % WORD - known) % P))
    (a, b, u), (c, d, v) = rows
    determinant = (a * d - b * c) % P
    if not determinant:
        return None
    inverse = pow(determinant, -1, P)
    solved = [(u * d - v * b) * inverse % P, (v * a - u * c) * inverse % P]
    if max(solved) >= WORD:
        return None
    return b"".join(block.to_bytes(16, "little") for block in (*free, *solved)) + tag


def opens_under(ciphertext: bytes, nonce: bytes, key: bytes) -> bytes:
    """What the bare cipher says, without any commitment."""
    return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, b"", nonce, key)
