"""Suite 2, spec/primitives.md section 8: HPKE composed from ML-KEM-768, X25519, SHA3-256, HMAC and ChaCha20-Poly1305.

The product calls the HPKE of the same library. Nothing here does: what both must agree on is written out.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from spec.reader.primitives import derive, x25519_public
from spec.reader.refusal import Refused, need

CIPHERTEXT, ENCAPSULATION = 1088, 1120
LABEL = bytes.fromhex("5c2e2f2f5e5c")
SUITE_ID = b"HPKE" + (0x647A).to_bytes(2, "big") + (1).to_bytes(2, "big") + (3).to_bytes(2, "big")
INFO = b"elpis/sealed/2\0"
RELEASE = b"elpis/release/2\0"


def seed_of(signing: bytes) -> bytes:
    return derive(signing, "elpis-kem-seed", b"d") + derive(signing, "elpis-kem-seed", b"z")


def public_of(seed: bytes) -> bytes:
    return MLKEM768PrivateKey.from_seed_bytes(need(seed, 64, "ML-KEM seed")).public_key().public_bytes_raw()


def check_key(public: bytes) -> None:
    """FIPS 203, 7.2: 768 coefficients of 12 bits, each below 3329, and 32 bytes more."""
    need(public, 1184, "ML-KEM key")
    number = int.from_bytes(public[:1152], "little")
    if any(number >> 12 * at & 0xFFF >= 3329 for at in range(768)):
        raise Refused("bad-key", "a coefficient over the modulus")


def open_hybrid(seed: bytes, secret: bytes, sealed: bytes, info: bytes = INFO) -> bytes:
    if len(sealed) < ENCAPSULATION + 16:
        raise Refused("cannot-open", "shorter than an empty box")
    ciphertext, sender, box = sealed[:CIPHERTEXT], sealed[CIPHERTEXT:ENCAPSULATION], sealed[ENCAPSULATION:]
    first = MLKEM768PrivateKey.from_seed_bytes(need(seed, 64, "ML-KEM seed")).decapsulate(ciphertext)
    private = X25519PrivateKey.from_private_bytes(need(secret, 32, "box key"))
    try:
        second = private.exchange(X25519PublicKey.from_public_bytes(sender))
    except ValueError:
        raise Refused("cannot-open", "an ephemeral key of low order") from None
    shared = hashlib.sha3_256(first + second + sender + x25519_public(secret) + LABEL).digest()
    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    schedule = extract(shared, b"secret", b"")
    key, nonce = expand(schedule, b"key", context, 32), expand(schedule, b"base_nonce", context, 12)
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, box, b"")
    except InvalidTag:
        raise Refused("cannot-open", "the tag is wrong") from None


def extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE_ID + label + material, "sha256")


def expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    """One block is enough: nothing here is longer than 32 bytes."""
    told = size.to_bytes(2, "big") + b"HPKE-v1" + SUITE_ID + label + context
    return hmac.digest(secret, told + b"\1", "sha256")[:size]
