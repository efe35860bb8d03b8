"""spec/primitives.md, section 5: signatures, each under exactly one context."""

from __future__ import annotations

import hashlib

import nacl.bindings as sodium

from spec.vectors.writing import Vectors, fixed, flip
from vault import primitives

L = 2**252 + 27742317777372353535851937790883648493
MESSAGE = b"the exact bytes that travel"
# Ed25519 points of order 1, 2, 4 and 8: a signature by one of them holds for nearly anything.
LOW_ORDER = {
    "1": "0100000000000000000000000000000000000000000000000000000000000000",
    "2": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "4": "0000000000000000000000000000000000000000000000000000000000000000",
    "8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
}


def make() -> list[Vectors]:
    vectors = Vectors("signature")
    key, other = (
        primitives.SigningKey.from_seed(fixed("signer")),
        primitives.SigningKey.from_seed(fixed("other signer")),
    )
    good = key.sign("grant", MESSAGE)

    def given(**changes: object) -> dict[str, object]:
        return {"public": key.public, "kind": "grant", "message": MESSAGE, "signature": good} | changes

    vectors.valid("grant", "a signature in the context of a grant", given(seed=key.seed), {})
    empty = key.sign("opening", b"")
    vectors.valid("empty", "over no bytes", given(seed=key.seed, kind="opening", message=b"", signature=empty), {})
    long = fixed("long message", 3000)
    vectors.valid("long", "over 3 000 bytes", given(seed=key.seed, message=long, signature=key.sign("grant", long)), {})

    def refused(name: str, description: str, failure: str = "bad-signature", **changes: object) -> None:
        vectors.refused(name, description, failure, given(**changes))

    refused("other-context", "a good signature read in another context", kind="opening")
    refused("context-prefix", "a context that continues the signed one", kind="grant/1\0")
    refused("other-key", "another signer", public=other.public)
    refused("message-changed", "one bit of the message changed", message=flip(MESSAGE, 0))
    refused("message-longer", "one byte more", message=MESSAGE + b"\0")
    refused("first-half-changed", "one bit of R changed", signature=flip(good, 0))
    refused("second-half-changed", "one bit of S changed", signature=flip(good, 32))
    scalar = (int.from_bytes(good[32:], "little") + L).to_bytes(32, "little")
    refused("scalar-plus-order", "S + L: the same equation, another signature", signature=good[:32] + scalar)
    refused("no-context", "Ed25519 over the bare message", signature=_sign(key, MESSAGE))
    refused("no-prehash", "the context, but not the hash", signature=_sign(key, b"elpis/grant/1\0" + MESSAGE))
    digest = hashlib.blake2b(MESSAGE, digest_size=32).digest()
    refused("short-prehash", "hashed to 32 bytes instead of 64", signature=_sign(key, b"elpis/grant/1\0" + digest))
    refused("signature-short", "63 bytes", "malformed", signature=good[:63])
    refused("signature-long", "65 bytes", "malformed", signature=good + b"\0")
    refused("public-short", "a public key of 31 bytes", "malformed", public=key.public[:31])
    for order, point in LOW_ORDER.items():
        forged = bytes.fromhex(LOW_ORDER["1"]) + bytes(32)
        refused(
            f"low-order-{order}",
            f"R the neutral point, S zero, by a public key of order {order}",
            public=point,
            signature=forged,
        )
    refused(
        "public-not-canonical",
        "the neutral point written as p + 1",
        public="ee" + "ff" * 30 + "7f",
        signature="01" + "00" * 63,
    )
    refused("all-zero", "64 zero bytes", signature=bytes(64))
    neutral = bytes.fromhex(LOW_ORDER["1"])
    refused("r-small-order", "R the neutral point, by a good key whose owner signed: the equation holds",
            signature=_equation(key.seed, key.public, neutral, 0))  # fmt: skip
    nonce = int.from_bytes(fixed("signature nonce", 31), "little")
    around = sodium.crypto_core_ed25519_add(_point(nonce), bytes.fromhex(LOW_ORDER["8"]))
    refused("cofactor", "R with a part of order 8: the equation holds times eight",
            signature=_equation(key.seed, key.public, around, nonce))  # fmt: skip
    mixed, signature = _mixed(key)
    vectors.valid("mixed-order", "a public key with a part of order 8, where the equation holds as it stands",
                  given(public=mixed, signature=signature), {})  # fmt: skip
    return [vectors]


def _point(scalar: int) -> bytes:
    return sodium.crypto_scalarmult_ed25519_base_noclamp(scalar.to_bytes(32, "little"))


def _challenge(public: bytes, r: bytes) -> int:
    signed = b"elpis/grant/1\0" + hashlib.blake2b(MESSAGE, digest_size=64).digest()
    return int.from_bytes(hashlib.sha512(r + public + signed).digest(), "little") % L


def _equation(seed: bytes, public: bytes, r: bytes, nonce: int) -> bytes:
    """R and an S that fits it, as whoever has the seed can make them for any R and any nonce."""
    secret = int.from_bytes(hashlib.sha512(seed).digest()[:32], "little") & ((1 << 254) - 8) | 1 << 254
    return r + ((nonce + _challenge(public, r) * secret) % L).to_bytes(32, "little")


def _mixed(key: primitives.SigningKey) -> tuple[bytes, bytes]:
    """(a public key that is the signer's plus a point of order 8, a signature by it).

    The part of order 8 falls out when the challenge is a multiple of 8.
    """
    public = sodium.crypto_core_ed25519_add(key.public, bytes.fromhex(LOW_ORDER["8"]))
    nonces = (int.from_bytes(fixed(f"nonce {n}", 31), "little") for n in range(1000))
    nonce = next(nonce for nonce in nonces if _challenge(public, _point(nonce)) % 8 == 0)
    return public, _equation(key.seed, public, _point(nonce), nonce)


def _sign(key: primitives.SigningKey, data: bytes) -> bytes:
    _, secret = sodium.crypto_sign_seed_keypair(key.seed)
    return sodium.crypto_sign(data, secret)[:64]
