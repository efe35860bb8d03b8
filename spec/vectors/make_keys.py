"""spec/primitives.md, sections 2, 3 and 9: suites, hashes, keys from keys, keys from a passphrase."""

from __future__ import annotations

import unicodedata

from spec.vectors.writing import Vectors, fixed
from vault import primitives

SECRET = fixed("kdf secret")
PASSPHRASE = "sept crayons, un mémoire d'été"


def make() -> list[Vectors]:
    return [_suite(), _kdf(), _hash(), _public(), _argon()]


def _suite() -> Vectors:
    vectors = Vectors("suite")
    for suite, least in ((1, 1), (2, 1), (2, 2)):
        description = f"something sealed in suite {suite}, of which {least} is the least"
        vectors.valid(f"{suite}-{least}", description, {"suite": suite, "minimum": least}, {})
    for suite in (0, 3, 255):
        vectors.refused(
            f"unknown-{suite}", f"suite {suite} is not known", "suite-refused", {"suite": suite, "minimum": 1}
        )
    vectors.refused(
        "below-minimum", "known, but below the roster's minimum", "suite-refused", {"suite": 1, "minimum": 2}
    )
    return vectors


def _kdf() -> Vectors:
    vectors = Vectors("kdf")

    def valid(name: str, description: str, secret: bytes, label: str, context: bytes = b"", salt: bytes = b"") -> None:
        given = {"secret": secret, "label": label, "context": context, "salt": salt}
        vectors.valid(name, description, given, {"key": primitives.derive_key(secret, label, context, salt)})

    for label in sorted(primitives.LABELS):
        valid(f"label-{label}", f"one secret and context under the label {label}", SECRET, label, b"context")
    valid("no-context", "an empty context", SECRET, "elpis-store")
    valid("salted", "with a salt", SECRET, "elpis-store", b"context", fixed("kdf salt", 16))
    valid("long-context", "a context longer than one block", SECRET, "elpis-grant-key", fixed("kdf context", 300))
    valid("shortest-secret", "the shortest secret, 16 bytes", fixed("kdf short", 16), "elpis-root-seed")
    valid("longest-secret", "the longest secret, 64 bytes", fixed("kdf long", 64), "elpis-root-seed")

    def refused(name: str, description: str, secret: bytes, salt: bytes = b"") -> None:
        given = {"secret": secret, "label": "elpis-store", "context": b"", "salt": salt}
        vectors.refused(name, description, "malformed", given)

    refused("secret-empty", "no secret: the result would be public", b"")
    refused("secret-15", "a secret one byte too short", fixed("kdf short", 15))
    refused("secret-65", "a secret one byte too long", fixed("kdf long", 65))
    refused("salt-short", "a salt that BLAKE2b would pad with zeros", SECRET, fixed("kdf salt", 15))
    refused("salt-long", "a salt one byte too long", SECRET, fixed("kdf salt", 17))
    return vectors


def _hash() -> Vectors:
    vectors = Vectors("hash")
    for name, data, label in (
        ("empty", b"", "elpis-hash"),
        ("text", b"elpis", "elpis-hash"),
        ("other-label", b"elpis", "elpis-token"),
        ("two-blocks", fixed("hash data", 200), "elpis-hash"),
    ):
        output = {"hash": primitives.hash32(data, label)}
        vectors.valid(name, f"32-byte hash of {len(data)} bytes, label {label}", {"data": data, "label": label}, output)
    return vectors


def _public() -> Vectors:
    vectors = Vectors("public-key")
    seed, secret = fixed("sign seed"), fixed("box secret")
    signing, box = primitives.SigningKey.from_seed(seed), primitives.BoxKey.from_secret(secret)
    vectors.valid(
        "ed25519", "signing key from its seed", {"kind": "ed25519", "secret": seed}, {"public": signing.public}
    )
    vectors.valid("x25519", "box key from its secret", {"kind": "x25519", "secret": secret}, {"public": box.public})
    short = {"kind": "ed25519", "secret": seed[:31]}
    vectors.refused("ed25519-short", "a seed of 31 bytes", "malformed", short)
    vectors.refused("x25519-long", "a secret of 33 bytes", "malformed", {"kind": "x25519", "secret": secret + b"\0"})
    return vectors


def _argon() -> Vectors:
    vectors = Vectors("argon2id")
    salt, ops, memory = fixed("argon salt", 16), primitives.ARGON_OPS, primitives.ARGON_MEMORY

    def given(**changes: object) -> dict[str, object]:
        return {"passphrase": PASSPHRASE, "salt": salt, "ops": ops, "memory": memory} | changes

    key = primitives.derive_passphrase_key(PASSPHRASE, salt, ops, memory)
    vectors.valid("moderate", "the parameters of a new vault", given(), {"key": key})
    decomposed = unicodedata.normalize("NFD", PASSPHRASE)
    vectors.valid(
        "decomposed",
        "the same passphrase from a keyboard that sends accents apart",
        given(passphrase=decomposed),
        {"key": key},
    )
    vectors.refused("surrogate", "half a surrogate pair", "malformed", given(passphrase="\ud800"))
    vectors.refused("salt-long", "a salt of 17 bytes", "malformed", given(salt=fixed("argon salt", 17)))
    vectors.refused("ops-below", "one pass too few", "below-floor", given(ops=ops - 1))
    vectors.refused("memory-below", "one KiB too little", "below-floor", given(memory=memory - 1024))
    vectors.refused("nothing", "no work at all", "below-floor", given(ops=0, memory=0))
    vectors.refused("ops-over", "more passes than a file may ask for", "malformed", given(ops=11))
    vectors.refused("memory-over", "more memory than a file may ask for", "malformed", given(memory=(2 << 30) + 1024))
    vectors.refused("memory-not-kib", "memory that Argon2 would round down", "malformed", given(memory=memory + 1))
    vectors.refused("salt-short", "a salt of 15 bytes", "malformed", given(salt=salt[:15]))
    return vectors
