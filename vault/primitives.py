"""Libsodium, with a purpose on every call. The only file of the vault that imports nacl.

`derive_` is deterministic, `make_` is random. Verification raises; nothing returns a bool that could be ignored.
Normative text: spec/primitives.md.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

import nacl.bindings as sodium
import nacl.exceptions

from vault.errors import BadKey, BadSignature, BelowFloor, CannotOpen, Malformed, SuiteRefused, VaultError

SUITE = 1
HYBRID = 2  # sealing to a person under two key agreements (hybrid.py); everything else is as in suite 1
SEALING = (SUITE, HYBRID)  # what a sealed statement may be sealed in
KEY = 32
NONCE = 24
COMMITMENT = 32
SIGNATURE = 64
TAG = 16
BOX_OVERHEAD = NONCE + COMMITMENT + TAG
SEAL_OVERHEAD = 48

# Every KDF label of the protocol; a label is used for one purpose only (spec/primitives.md, registry).
LABELS = frozenset({
    "elpis-commit",        # key commitment of a box
    "elpis-env",           # change envelope
    "elpis-wrap",          # a document's label under its channel key
    "elpis-grant-key",     # mask of a channel key, from both halves
    "elpis-token-read",    # a grantee's token to read a channel, from both halves
    "elpis-token-add",     # ... and to append to it
    "elpis-half-tag",      # one document's part of the relay's half
    "elpis-slot-pass",     # keyslot opened by the passphrase
    "elpis-slot-kit",      # keyslot opened by the recovery kit
    "elpis-slot-ring",     # keyslot opened by the system keyring
    "elpis-slots",         # authentication of the whole keyslot file
    "elpis-root-seed",     # root signing key from the recovery seed
    "elpis-kem-seed",      # ML-KEM seed of an identity, for suite 2
    "elpis-head",          # authentication of the vault's head file
    "elpis-store",         # raw SQLCipher key
    "elpis-files",         # name of an attachment's file on disk
    "elpis-backup",        # backup key of a vault
    "elpis-manifest",      # manifest of a backup
    "elpis-patients",      # an establishment's roster of patients
    "elpis-token",         # relay capability tokens
    "elpis-chain",         # hash chains
    "elpis-log",           # Merkle tree of an authority's certificates
    "elpis-safety",        # safety number
    "elpis-pair",          # meeting of two devices: commitment, transcript, number
    "elpis-pair-hello",    # box around a hello: the relay of the meeting reads none
    "elpis-pair-proof",    # that a device read the code from the other's screen
    "elpis-hash",          # plain 32-byte hashes (editions, grants, envelopes)
})  # fmt: skip

# Argon2id. MODERATE is libsodium's (3 passes, 256 MiB); the floor is what a file may ask for at the least.
ARGON_OPS, ARGON_MEMORY = 3, 256 << 20
ARGON_OPS_SENSITIVE, ARGON_MEMORY_SENSITIVE = 4, 1 << 30
ARGON_FLOOR_OPS, ARGON_FLOOR_MEMORY = 3, 256 << 20
ARGON_CEILING_OPS, ARGON_CEILING_MEMORY = 10, 2 << 30
SALT = 16
SECRET_MIN, SECRET_MAX = 16, 64  # 128 bits at the least; 64 bytes is the longest key of BLAKE2b


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """Ed25519. `seed` is 32 bytes, `public` 32 bytes."""

    seed: bytes
    public: bytes
    _secret: bytes

    @classmethod
    def from_seed(cls, seed: bytes) -> SigningKey:
        need(seed, KEY, "signing seed")
        public, secret = sodium.crypto_sign_seed_keypair(seed)
        return cls(seed, public, secret)

    @classmethod
    def make(cls) -> SigningKey:
        return cls.from_seed(make_key())

    def sign(self, kind: str, message: bytes) -> bytes:
        """64 bytes over the exact bytes that travel, valid under the one context `elpis/<kind>/1`."""
        return sodium.crypto_sign(_prehash(kind, message), self._secret)[:SIGNATURE]


@dataclass(frozen=True, slots=True, repr=False)
class BoxKey:
    """X25519. `secret` and `public` are 32 bytes each; `seed` is that of the ML-KEM key beside it, for suite 2."""

    secret: bytes
    public: bytes
    seed: bytes | None = None

    @classmethod
    def from_secret(cls, secret: bytes, seed: bytes | None = None) -> BoxKey:
        need(secret, KEY, "box key")
        return cls(secret, sodium.crypto_scalarmult_base(secret), seed)

    @classmethod
    def make(cls) -> BoxKey:
        return cls.from_secret(make_key())

    def open(self, sealed: bytes) -> bytes:
        """What was sealed to this key; CannotOpen for everything that was not."""
        try:
            return sodium.crypto_box_seal_open(sealed, self.public, self.secret)
        except (nacl.exceptions.CryptoError, ValueError, RuntimeError, TypeError):
            _cannot_open()


def need(value: bytes, length: int, what: str) -> bytes:
    """The value, or Malformed when it is not exactly `length` bytes."""
    if not isinstance(value, bytes) or len(value) != length:
        raise Malformed(f"{what} is not {length} bytes")
    return value


def need_suite(suite: int, minimum: int = SUITE, known: tuple[int, ...] = (SUITE,)) -> None:
    if suite not in known or suite < minimum:
        raise SuiteRefused(f"suite {suite} is not accepted here", suite=suite, minimum=minimum)


def make_key() -> bytes:
    return os.urandom(KEY)


def make_id() -> bytes:
    """A random 16-byte identifier."""
    return os.urandom(16)


def make_random(size: int) -> bytes:
    return os.urandom(size)


def same(left: bytes, right: bytes) -> bool:
    """Equality in constant time."""
    return hmac.compare_digest(left, right)


def derive_key(secret: bytes, label: str, context: bytes = b"", salt: bytes = b"") -> bytes:
    """KDF: BLAKE2b-256(key=secret, data=context, salt, person=label). 32 bytes."""
    _need_secret(secret)
    if len(salt) not in (0, SALT):
        raise Malformed(f"a salt is absent or {SALT} bytes")  # BLAKE2b pads shorter ones: two salts, one key
    return _blake2b(context, label, key=secret, salt=salt)


def derive_keys(secret: bytes, label: str, contexts: Iterable[bytes]) -> list[bytes]:
    """`derive_key` for many contexts under one secret and label: what they share is hashed once."""
    _need_secret(secret)
    fresh = hashlib.blake2b(digest_size=KEY, key=secret, person=_person(label)).copy
    keys = []
    for context in contexts:
        state = fresh()
        state.update(context)
        keys.append(state.digest())
    return keys


def hash32(data: bytes, label: str = "elpis-hash") -> bytes:
    """Unkeyed BLAKE2b-256 with the label as personalisation."""
    return _blake2b(data, label)


def chain(previous: bytes, *parts: bytes) -> bytes:
    """Next link of a hash chain over fixed-length or already hashed parts."""
    return hash32(b"".join((previous, *parts)), "elpis-chain")


def padme_length(size: int) -> int:
    """Padme: at most 12 % more, and only O(log log n) bits of the size remain visible."""
    if size < 2:
        return size
    exponent = size.bit_length() - 1
    mask = (1 << (exponent - exponent.bit_length())) - 1
    return (size + mask) & ~mask


def pad(data: bytes) -> bytes:
    """ISO 7816-4 (0x80, zeros) up to the Padme length, so that the pad can be taken off again."""
    return (data + b"\x80").ljust(padme_length(len(data) + 1), b"\0")


def unpad(data: bytes) -> bytes:
    body = data.rstrip(b"\0")
    if not body.endswith(b"\x80") or len(data) != padme_length(len(body)):
        raise Malformed("padding is not Padme")
    return body[:-1]


def seal_box(key: bytes, label: str, plaintext: bytes, aad: bytes, *, nonce: bytes | None = None) -> bytes:
    """nonce | commitment | XChaCha20-Poly1305 under a key derived for this nonce and label.

    `nonce` is for vectors only; the product always lets it be random.
    """
    nonce = make_random(NONCE) if nonce is None else need(nonce, NONCE, "nonce")
    k = derive_key(key, label, nonce)
    commitment = derive_key(k, "elpis-commit", aad)
    return nonce + commitment + sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plaintext, aad, nonce, k)


def open_box(key: bytes, label: str, box: bytes, aad: bytes) -> bytes:
    """The plaintext; CannotOpen, one answer for every reason."""
    if len(box) < BOX_OVERHEAD:
        _cannot_open()
    nonce, commitment, ciphertext = box[:NONCE], box[NONCE : NONCE + COMMITMENT], box[NONCE + COMMITMENT :]
    k = derive_key(key, label, nonce)
    # The cipher alone opens under more than one key: the commitment is checked first.
    if not same(derive_key(k, "elpis-commit", aad), commitment):
        _cannot_open()
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(ciphertext, aad, nonce, k)
    except nacl.exceptions.CryptoError:
        _cannot_open()


def open_once(key: bytes, sealed: bytes) -> bytes:
    """What was sealed under a key that seals nothing else: XChaCha20-Poly1305 with a nonce of zeros, no aad."""
    try:
        return sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, None, bytes(NONCE), need(key, KEY, "key"))
    except (nacl.exceptions.CryptoError, ValueError):
        _cannot_open()


def seal_to(public: bytes, plaintext: bytes) -> bytes:
    """NaCl sealed box to an X25519 key. BadKey for a low-order point, where libsodium raises a bare RuntimeError."""
    check_box_public(public)
    try:
        return sodium.crypto_box_seal(plaintext, public)
    except (RuntimeError, nacl.exceptions.CryptoError) as failure:
        raise BadKey("this key cannot be sealed to") from failure


def check_box_public(public: bytes) -> None:
    """BadKey when a shared secret with this X25519 key would be the same for everybody."""
    need(public, KEY, "box public key")
    try:
        sodium.crypto_scalarmult(b"\x42" * KEY, public)
    except (RuntimeError, nacl.exceptions.CryptoError) as failure:
        raise BadKey("low-order key") from failure


def verify(public: bytes, kind: str, message: bytes, signature: bytes) -> None:
    """BadSignature unless `signature` is by `public` over `message` in the context `elpis/<kind>/1`."""
    need(public, KEY, "signature public key")
    need(signature, SIGNATURE, "signature")
    try:
        sodium.crypto_sign_open(signature + _prehash(kind, message), public)
    except (nacl.exceptions.CryptoError, RuntimeError) as failure:
        raise BadSignature(f"not a valid {kind} signature") from failure


def derive_passphrase_key(passphrase: str, salt: bytes, ops: int, memory: int) -> bytes:
    """Argon2id over the passphrase in NFC, 32 bytes. `memory` in bytes. BelowFloor before anything is hashed."""
    if ops < ARGON_FLOOR_OPS or memory < ARGON_FLOOR_MEMORY:
        raise BelowFloor("key derivation parameters are below the floor", ops=ops, memory=memory)
    if ops > ARGON_CEILING_OPS or memory > ARGON_CEILING_MEMORY:
        raise Malformed("key derivation parameters are over the ceiling")
    if memory % 1024:
        raise Malformed("key derivation memory is not whole KiB")  # Argon2 would round it down: two parameters, one key
    need(salt, SALT, "salt")
    try:
        # One keyboard sends e-acute as one code point, another as two: both are the same passphrase.
        secret = unicodedata.normalize("NFC", passphrase).encode()
    except UnicodeEncodeError as failure:
        raise Malformed("the passphrase is not valid text") from failure
    try:
        return sodium.crypto_pwhash_alg(KEY, secret, salt, ops, memory, sodium.crypto_pwhash_ALG_ARGON2ID13)
    except (RuntimeError, nacl.exceptions.CryptoError) as failure:
        hint = "Nothing was changed. Close other programs and try again."
        raise VaultError("not enough memory to derive the key", hint=hint, memory=memory) from failure


class FileSealer:
    """Secretstream writer: one fresh key per file, chunks in order, the last one marked FINAL."""

    HEADER = sodium.crypto_secretstream_xchacha20poly1305_HEADERBYTES
    OVERHEAD = sodium.crypto_secretstream_xchacha20poly1305_ABYTES
    MESSAGE = sodium.crypto_secretstream_xchacha20poly1305_TAG_MESSAGE
    FINAL = sodium.crypto_secretstream_xchacha20poly1305_TAG_FINAL

    def __init__(self, key: bytes) -> None:
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        self.header = sodium.crypto_secretstream_xchacha20poly1305_init_push(self._state, need(key, KEY, "file key"))

    def push(self, chunk: bytes, *, final: bool, aad: bytes = b"") -> bytes:
        tag = self.FINAL if final else self.MESSAGE
        return sodium.crypto_secretstream_xchacha20poly1305_push(self._state, chunk, aad or None, tag)


class FileOpener:
    """Secretstream reader. CannotOpen when a chunk was changed, dropped, doubled or moved."""

    def __init__(self, key: bytes, header: bytes) -> None:
        need(header, FileSealer.HEADER, "stream header")
        self._state = sodium.crypto_secretstream_xchacha20poly1305_state()
        sodium.crypto_secretstream_xchacha20poly1305_init_pull(self._state, header, need(key, KEY, "file key"))

    def pull(self, chunk: bytes, aad: bytes = b"") -> tuple[bytes, bool]:
        """(plaintext, whether this was the final chunk)."""
        try:
            plaintext, tag = sodium.crypto_secretstream_xchacha20poly1305_pull(self._state, chunk, aad or None)
        except (RuntimeError, ValueError, nacl.exceptions.CryptoError):
            _cannot_open()
        # PUSH and REKEY are never written: taking them would make several streams of one file.
        if tag not in (FileSealer.MESSAGE, FileSealer.FINAL):
            _cannot_open()
        return plaintext, tag == FileSealer.FINAL


def _prehash(kind: str, message: bytes) -> bytes:
    return b"elpis/" + kind.encode() + b"/1\0" + hashlib.blake2b(message, digest_size=64).digest()


def _blake2b(data: bytes, label: str, *, key: bytes = b"", salt: bytes = b"") -> bytes:
    return hashlib.blake2b(data, digest_size=KEY, key=key, salt=salt, person=_person(label)).digest()


def _person(label: str) -> bytes:
    if label not in LABELS:
        raise ValueError(f"unregistered label {label!r}")
    return label.encode().ljust(16, b"\0")


def _need_secret(secret: bytes) -> None:
    if not SECRET_MIN <= len(secret) <= SECRET_MAX:
        raise Malformed(f"a secret is {SECRET_MIN} to {SECRET_MAX} bytes")  # an empty key would hash without any secret


def _cannot_open() -> NoReturn:
    raise CannotOpen("cannot be opened") from None
