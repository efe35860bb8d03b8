"""spec/primitives.md, read a second time."""

from __future__ import annotations

import hashlib
import hmac
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from spec.reader.ciphers import hsalsa20, open_secretbox, open_xchacha20_poly1305
from spec.reader.refusal import Refused, malformed, need

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
# y of the eight Ed25519 points whose order divides 8; the sign of x adds nothing.
_Y8 = int.from_bytes(bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), "little")
SMALL_ORDER_Y = {0, 1, P - 1, _Y8, P - _Y8}


def blake2b(data: bytes, label: str, key: bytes = b"", salt: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=32, key=key, salt=salt, person=label.encode().ljust(16, b"\0")).digest()


def derive(secret: bytes, label: str, context: bytes = b"", salt: bytes = b"") -> bytes:
    if not 16 <= len(secret) <= 64:
        raise malformed("a secret is 16 to 64 bytes")
    if len(salt) not in (0, 16):
        raise malformed("a salt is absent or 16 bytes")
    return blake2b(context, label, secret, salt)


def need_suite(suite: int, minimum: int = 1, known: tuple[int, ...] = (1,)) -> None:
    if suite not in known or suite < minimum:
        raise Refused("suite-refused", f"suite {suite}")


def padme(size: int) -> int:
    """E = floor(log2 L), S = floor(log2 E) + 1; the last E - S bits become zero, rounding up."""
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    free = exponent - exponent.bit_length()
    return -(-size >> free) << free if free > 0 else size


def pad(data: bytes) -> bytes:
    return data + b"\x80" + bytes(padme(len(data) + 1) - len(data) - 1)


def unpad(padded: bytes) -> bytes:
    marker = len(padded) - 1
    while marker >= 0 and padded[marker] == 0:
        marker -= 1
    if marker < 0 or padded[marker] != 0x80 or pad(padded[:marker]) != padded:
        raise malformed("not the padding of anything")
    return padded[:marker]


def open_box(key: bytes, label: str, box: bytes, aad: bytes) -> bytes:
    if len(box) < 24 + 32 + 16:
        raise Refused("cannot-open", "shorter than an empty box")
    nonce, commitment, ciphertext = box[:24], box[24:56], box[56:]
    inner = derive(key, label, nonce)
    if not hmac.compare_digest(derive(inner, "elpis-commit", aad), commitment):
        raise Refused("cannot-open", "another key, purpose or place")
    return open_xchacha20_poly1305(inner, nonce, ciphertext, aad)


def open_sealed(secret: bytes, sealed: bytes) -> bytes:
    need(secret, 32, "box key")
    if len(sealed) < 48:
        raise Refused("cannot-open", "shorter than an empty box")
    private = X25519PrivateKey.from_private_bytes(secret)
    sender, box = sealed[:32], sealed[32:]
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(sender))
    except ValueError:
        raise Refused("cannot-open", "an ephemeral key of low order") from None
    nonce = hashlib.blake2b(sender + x25519_public(secret), digest_size=24).digest()
    return open_secretbox(hsalsa20(shared, bytes(16)), nonce, box)


def check_box_public(public: bytes) -> None:
    need(public, 32, "box public key")
    try:
        X25519PrivateKey.from_private_bytes(b"\x42" * 32).exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        raise Refused("bad-key", "a point of low order") from None


def x25519_public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(need(secret, 32, "box key")).public_key().public_bytes_raw()


def ed25519_public(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(need(seed, 32, "seed")).public_key().public_bytes_raw()


def signed_bytes(kind: str, message: bytes) -> bytes:
    return b"elpis/" + kind.encode() + b"/1\0" + hashlib.blake2b(message, digest_size=64).digest()


def sign(seed: bytes, kind: str, message: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).sign(signed_bytes(kind, message))


def verify(public: bytes, kind: str, message: bytes, signature: bytes) -> None:
    need(public, 32, "public key")
    need(signature, 64, "signature")
    y, r = (int.from_bytes(point, "little") & (2**255 - 1) for point in (public, signature[:32]))
    if y >= P or SMALL_ORDER_Y & {y, r} or int.from_bytes(signature[32:], "little") >= ORDER:
        raise Refused("bad-signature", "a key or signature outside of its range")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, signed_bytes(kind, message))
    except (InvalidSignature, ValueError):
        raise Refused("bad-signature", f"not a valid {kind} signature") from None


def argon2id(passphrase: str, salt: bytes, ops: int, memory: int) -> bytes:
    if ops < 3 or memory < 256 << 20:
        raise Refused("below-floor", "weaker than the floor")
    if ops > 10 or memory > 2 << 30 or memory % 1024:
        raise malformed("stronger than the ceiling, or not whole KiB")
    need(salt, 16, "salt")
    try:
        secret = unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError:
        raise malformed("text that has no UTF-8 form") from None
    return Argon2id(salt=salt, length=32, iterations=ops, lanes=1, memory_cost=memory // 1024).derive(secret)
