"""The relay's only import of nacl: it signs, checks readers, seals halves."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import NamedTuple

import nacl.bindings as sodium
import nacl.exceptions

from sync import wire
from sync.relay.refusal import Refusal
from sync.wire import prehash

_NONCE = 24


class Signer:
    """The relay's Ed25519 key, whose public half clients pin."""

    def __init__(self, seed: bytes) -> None:
        self.public, self._secret = sodium.crypto_sign_seed_keypair(seed)

    @classmethod
    def load(cls, path: Path) -> Signer:
        """The key of this file, made at the first start."""
        if not path.exists():
            write_secret(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def checkpoint(self, kind: int, address: bytes, count: int, chain: bytes, time: int) -> bytes:
        part = wire.unsigned_checkpoint(kind, address, count, chain, time)
        return part + self._sign("checkpoint", part)

    def receipt(self, what: int, address: bytes, time: int) -> bytes:
        part = wire.unsigned_receipt(what, address, time)
        return part + self._sign("receipt", part)

    def _sign(self, context: str, message: bytes) -> bytes:
        return sodium.crypto_sign(prehash(context, message), self._secret)[: wire.SIGNATURE]


def write_secret(path: Path, data: bytes) -> None:
    """A new file that only this user reads, whole and synced or not there at all."""
    fresh = path.with_name(path.name + ".new")
    # A buffered file: a disk that fills up may take a part of a plain write and call it done.
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_reader(reader: bytes, digest: bytes, signature: bytes) -> None:
    """Refusal unless `signature` over `digest` (see wire.prehash) is by this reader key."""
    try:
        sodium.crypto_sign_open(signature + digest, reader)
    except (nacl.exceptions.CryptoError, RuntimeError):
        raise Refusal("signature") from None


class HybridBox(NamedTuple):
    """The same in suite 2: a key for one release, and that key as it was sealed to the reader's fresh keys."""

    key: bytes
    sealed: bytes

    def seal(self, release: bytes) -> bytes:
        nonce = bytes(_NONCE)  # the key seals nothing else
        return self.sealed + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(release, None, nonce, self.key)


class Box(NamedTuple):
    """A sealed box that is ready but for its content: the costly half of crypto_box_seal, done before the commit."""

    ephemeral: bytes
    nonce: bytes
    shared: bytes

    @classmethod
    def make(cls, public: bytes) -> Box:
        """For the reader's fresh key. Refusal for a low-order key, whose box everybody could open."""
        ephemeral, secret = sodium.crypto_box_keypair()
        try:
            shared = sodium.crypto_box_beforenm(public, secret)
        except (nacl.exceptions.CryptoError, RuntimeError):
            raise Refusal("malformed") from None
        # As crypto_box_seal derives it, so that crypto_box_seal_open opens it.
        nonce = hashlib.blake2b(ephemeral + public, digest_size=_NONCE).digest()
        return cls(ephemeral, nonce, shared)

    def seal(self, release: bytes) -> bytes:
        return self.ephemeral + sodium.crypto_box_afternm(release, self.nonce, self.shared)


def seal_half(key: bytes, grant: bytes, half: bytes) -> bytes:
    """A half as it lies on disk: nonce | XChaCha20-Poly1305, bound to its grant."""
    nonce = secrets.token_bytes(_NONCE)
    return nonce + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(half, grant, nonce, key)


def open_half(key: bytes, grant: bytes, box: bytes) -> bytes | None:
    """The half, or None when this key and grant do not open it."""
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(box[_NONCE:], grant, box[:_NONCE], key)
    except (nacl.exceptions.CryptoError, ValueError):
        return None
