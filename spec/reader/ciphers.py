"""The ciphers of spec/primitives.md that `cryptography` lacks, from their papers: clear, not fast.

HChaCha20 and XChaCha20: draft-irtf-cfrg-xchacha. Salsa20, HSalsa20, XSalsa20: Bernstein, "Extending the Salsa20
nonce". Secretstream: libsodium's documentation, with its one surprise written where it is.
"""

from __future__ import annotations

import hmac
import struct
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.poly1305 import Poly1305

from spec.reader.refusal import Refused, need

SIGMA = b"expand 32-byte k"
WORD = 0xFFFFFFFF


def rotated(value: int, bits: int) -> int:
    return (value << bits | value >> 32 - bits) & WORD


def chacha_rounds(state: list[int]) -> list[int]:
    s = list(state)
    for _ in range(10):
        for a, b, c, d in (
            (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
        ):  # fmt: skip
            for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                s[x] = (s[x] + s[y]) & WORD
                s[z] = rotated(s[z] ^ s[x], bits)
    return s


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """A key for the other half of a 24-byte nonce: `nonce` is its first 16 bytes."""
    s = chacha_rounds([*struct.unpack("<4I", SIGMA), *struct.unpack("<8I", key), *struct.unpack("<4I", nonce)])
    return struct.pack("<8I", *s[:4], *s[12:])


def chacha20(key: bytes, counter: int, nonce: bytes, data: bytes) -> bytes:
    """`data` under the IETF ChaCha20 stream that starts at block `counter`."""
    return Cipher(algorithms.ChaCha20(key, struct.pack("<I", counter) + nonce), None).encryptor().update(data)


def chacha20_block(key: bytes, counter: int, nonce: bytes) -> bytes:
    return chacha20(key, counter, nonce, bytes(64))


def open_xchacha20_poly1305(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """XChaCha20-Poly1305-IETF: ChaCha20-Poly1305 under the HChaCha20 key, with the rest of the nonce."""
    try:
        return ChaCha20Poly1305(hchacha20(key, nonce[:16])).decrypt(bytes(4) + nonce[16:], ciphertext, aad)
    except InvalidTag:
        raise Refused("cannot-open", "the tag is wrong") from None


def salsa_rounds(state: list[int]) -> list[int]:
    s = list(state)
    for _ in range(10):
        for a, b, c, d in (
            (0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11),
            (0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14),
        ):  # fmt: skip
            for target, x, y, bits in ((b, a, d, 7), (c, b, a, 9), (d, c, b, 13), (a, d, c, 18)):
                s[target] ^= rotated((s[x] + s[y]) & WORD, bits)
    return s


def salsa_state(key: bytes, middle: bytes) -> list[int]:
    c, k, n = struct.unpack("<4I", SIGMA), struct.unpack("<8I", key), struct.unpack("<4I", middle)
    return [c[0], *k[:4], c[1], *n, c[2], *k[4:], c[3]]


def hsalsa20(key: bytes, nonce: bytes) -> bytes:
    s = salsa_rounds(salsa_state(key, nonce))
    return struct.pack("<8I", s[0], s[5], s[10], s[15], *s[6:10])


def salsa20(key: bytes, nonce: bytes, size: int) -> bytes:
    """`size` bytes of keystream; `nonce` is 8 bytes."""
    stream = bytearray()
    for block in range(-(-size // 64)):
        start = salsa_state(key, nonce + struct.pack("<Q", block))
        end = salsa_rounds(start)
        stream += struct.pack("<16I", *((x + y) & WORD for x, y in zip(start, end, strict=True)))
    return bytes(stream[:size])


def open_secretbox(key: bytes, nonce: bytes, box: bytes) -> bytes:
    """XSalsa20-Poly1305 of NaCl: tag first; the first 32 bytes of the stream are the Poly1305 key."""
    tag, ciphertext = box[:16], box[16:]
    stream = salsa20(hsalsa20(key, nonce[:16]), nonce[16:], 32 + len(ciphertext))
    try:
        Poly1305.verify_tag(stream[:32], ciphertext, tag)
    except InvalidSignature:
        raise Refused("cannot-open", "the tag is wrong") from None
    return bytes(a ^ b for a, b in zip(ciphertext, stream[32:], strict=True))


class Secretstream:
    """Reader of libsodium's secretstream: chunk = sealed tag byte | ciphertext | 16-byte authenticator."""

    MESSAGE, FINAL = 0, 3

    def __init__(self, key: bytes, header: bytes) -> None:
        need(header, 24, "stream header")
        need(key, 32, "file key")
        self._key = hchacha20(key, header[:16])
        self._counter, self._nonce = 1, header[16:]

    def pull(self, chunk: bytes) -> tuple[bytes, bool]:
        """(plaintext, whether the chunk is the last one)."""
        if len(chunk) < 17:
            raise Refused("cannot-open", "shorter than its overhead")
        nonce = struct.pack("<I", self._counter) + self._nonce
        stream: Callable[[int, bytes], bytes] = lambda counter, data: chacha20(self._key, counter, nonce, data)
        sealed_tag, ciphertext, mac = chunk[:1], chunk[1:-16], chunk[-16:]
        tag = stream(1, sealed_tag)[0]
        first = sealed_tag + stream(1, bytes(64))[1:]
        # The surprise: libsodium pads by (16 - 64 + size) mod 16, which is size mod 16, not up to a whole block.
        authenticated = first + ciphertext + bytes(len(ciphertext) % 16) + struct.pack("<QQ", 0, 64 + len(ciphertext))
        if not hmac.compare_digest(Poly1305.generate_tag(stream(0, bytes(32)), authenticated), mac):
            raise Refused("cannot-open", "the authenticator is wrong")
        if tag not in (self.MESSAGE, self.FINAL):
            raise Refused("cannot-open", "a stream tag that is never written")
        self._nonce = bytes(a ^ b for a, b in zip(self._nonce, mac[:8], strict=True))
        self._counter += 1
        return stream(2, ciphertext), tag == self.FINAL
