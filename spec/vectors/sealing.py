"""Sealing with fixed bytes where the product draws random ones: both suites, layer by layer."""

from __future__ import annotations

import hashlib
import hmac

import nacl.bindings as sodium

from spec.vectors.kem import encapsulate
from spec.vectors.writing import fixed, seal_fixed
from vault.primitives import pad

INFO = b"elpis/sealed/2\0"
XWING = bytes.fromhex("5c2e2f2f5e5c")
SUITE_ID = b"HPKE" + bytes.fromhex("647a00010003")


def seal_hybrid(name: str, kem: bytes, box: bytes, plaintext: bytes, info: bytes = INFO) -> bytes:
    """Suite 2 with what the name gives instead of what is random."""
    ephemeral = fixed(f"{name} ephemeral")
    epk = sodium.crypto_scalarmult_base(ephemeral)
    secret, ciphertext = encapsulate(kem, fixed(f"{name} encapsulation"))
    shared = sodium.crypto_scalarmult(ephemeral, box)
    combined = hashlib.sha3_256(secret + shared + epk + box + XWING).digest()
    key, nonce = schedule(combined, info)
    return ciphertext + epk + sodium.crypto_aead_chacha20poly1305_ietf_encrypt(plaintext, b"", nonce, key)


def schedule(shared: bytes, info: bytes) -> tuple[bytes, bytes]:
    """(key, nonce): RFC 9180 5.1, mode 0, without a pre-shared key."""
    context = b"\0" + _extract(b"", b"psk_id_hash", b"") + _extract(b"", b"info_hash", info)
    secret = _extract(shared, b"secret", b"")
    return _expand(secret, b"key", context, 32), _expand(secret, b"base_nonce", context, 12)


def seal_statement_fixed(name: str, box: bytes, statement: bytes, kem: bytes | None = None) -> bytes:
    """A statement as it travels: the byte of its suite, then padded and sealed."""
    if kem is None:
        return b"\1" + seal_fixed(fixed(name), box, pad(statement))
    return b"\2" + seal_hybrid(name, kem, box, pad(statement))


def _extract(salt: bytes, label: bytes, material: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + SUITE_ID + label + material, "sha256")


def _expand(secret: bytes, label: bytes, context: bytes, size: int) -> bytes:
    info = size.to_bytes(2, "big") + b"HPKE-v1" + SUITE_ID + label + context
    return hmac.digest(secret, info + b"\1", "sha256")[:size]
