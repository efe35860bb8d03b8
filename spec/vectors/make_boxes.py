"""spec/primitives.md, sections 6 and 7: boxes under a key, and boxes sealed to a person."""

from __future__ import annotations

import nacl.bindings as sodium

from spec.vectors.two_keys import make_ciphertext
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed
from vault import primitives

LABEL = "elpis-wrap"
# X25519 points of small order and their other spellings, from RFC 7748 section 6 and its errata.
LOW_ORDER = {
    "0": "00" * 32,
    "1": "01" + "00" * 31,
    "8-a": "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "8-b": "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "p-minus-1": "ec" + "ff" * 30 + "7f",
    "p": "ed" + "ff" * 30 + "7f",
    "p-plus-1": "ee" + "ff" * 30 + "7f",
}


def make() -> list[Vectors]:
    return [_box(), _sealed(), _seal_key()]


def _box() -> Vectors:
    vectors = Vectors("box")
    key, nonce, aad, text = fixed("box key"), fixed("box nonce", 24), b"elpis aad", b"what is kept"
    good = primitives.seal_box(key, LABEL, text, aad, nonce=nonce)

    def given(**changes: object) -> dict[str, object]:
        return {"key": key, "label": LABEL, "aad": aad, "box": good} | changes

    vectors.valid("text", "a short text", given(), {"plaintext": text})
    empty = primitives.seal_box(key, LABEL, b"", b"", nonce=nonce)
    vectors.valid("empty", "nothing inside, nothing beside", given(aad=b"", box=empty), {"plaintext": b""})
    long = fixed("box text", 1000)
    vectors.valid(
        "long", "1 000 bytes", given(box=primitives.seal_box(key, LABEL, long, aad, nonce=nonce)), {"plaintext": long}
    )

    def refused(name: str, description: str, failure: str = "cannot-open", **changes: object) -> None:
        vectors.refused(name, description, failure, given(**changes))

    refused("other-key", "another key", key=fixed("other box key"))
    refused("other-label", "the right key for another purpose", label="elpis-env")
    refused("other-aad", "moved to another place", aad=b"elpis aae")
    refused("no-aad", "the associated data left out", aad=b"")
    refused("nonce-changed", "one bit of the nonce", box=flip(good, 0))
    refused("commitment-changed", "one bit of the commitment", box=flip(good, 24))
    refused("ciphertext-changed", "one bit of the ciphertext", box=flip(good, 56))
    refused("tag-changed", "one bit of the tag", box=flip(good, -1))
    refused("cut", "the last byte gone", box=good[:-1])
    refused("longer", "one byte more", box=good + b"\0")
    refused("shortest-minus-1", "one byte shorter than an empty box", box=good[:71])
    refused("nothing", "no byte at all", box=b"")
    bare = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(text, aad, nonce, primitives.derive_key(key, LABEL, nonce))
    refused("no-commitment", "nonce and ciphertext without the commitment between them", box=nonce + bare)
    direct = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(text, aad, nonce, key)
    commitment = primitives.derive_key(key, "elpis-commit", aad)
    refused(
        "key-not-derived",
        "sealed under the key itself, not under the one for this nonce",
        box=nonce + commitment + direct,
    )

    first, second, nonce, ciphertext = make_ciphertext(
        lambda k, n: primitives.derive_key(k, LABEL, n), b"elpis two keys"
    )
    inner = primitives.derive_key(first, LABEL, nonce)
    box = nonce + primitives.derive_key(inner, "elpis-commit", b"") + ciphertext
    plaintext = primitives.open_box(first, LABEL, box, b"")
    vectors.valid(
        "two-keys-first",
        "a ciphertext made to open under two keys: the committed one opens it",
        given(key=first, aad=b"", box=box),
        {"plaintext": plaintext},
    )
    refused(
        "two-keys-second",
        "the same box under the second key: the cipher alone opens it, the commitment does not",
        key=second,
        aad=b"",
        box=box,
    )
    return vectors


def _sealed() -> Vectors:
    vectors = Vectors("sealed")
    person, other = primitives.BoxKey.from_secret(fixed("person")), primitives.BoxKey.from_secret(fixed("other person"))
    text = b"for one person"
    good = seal_fixed(fixed("ephemeral"), person.public, text)
    empty = seal_fixed(fixed("ephemeral"), person.public, b"")
    vectors.valid("text", "a short text", {"secret": person.secret, "sealed": good}, {"plaintext": text})
    vectors.valid("empty", "nothing inside", {"secret": person.secret, "sealed": empty}, {"plaintext": b""})
    long = fixed("sealed text", 700)
    given = {"secret": person.secret, "sealed": seal_fixed(fixed("ephemeral 2"), person.public, long)}
    vectors.valid("long", "700 bytes: more than one Salsa20 block", given, {"plaintext": long})

    def refused(name: str, description: str, sealed: bytes, secret: bytes = person.secret) -> None:
        vectors.refused(name, description, "cannot-open", {"secret": secret, "sealed": sealed})

    refused("other-person", "opened with another person's key", good, other.secret)
    refused("sender-changed", "one bit of the ephemeral key", flip(good, 0))
    refused("tag-changed", "one bit of the tag", flip(good, 32))
    refused("text-changed", "one bit of the text", flip(good, -1))
    refused("cut", "the last byte gone", good[:-1])
    refused("47", "one byte shorter than an empty box", good[:47])
    refused("nothing", "no byte at all", b"")
    refused("sender-zero", "an ephemeral key of low order", bytes(32) + good[32:])
    return vectors


def _seal_key() -> Vectors:
    vectors = Vectors("seal-key")
    person = primitives.BoxKey.from_secret(fixed("person"))
    vectors.valid("person", "a usable key", {"public": person.public}, {})
    for name, point in LOW_ORDER.items():
        vectors.refused(
            f"low-order-{name}", "a point of low order: everybody would share the secret", "bad-key", {"public": point}
        )
    high = bytes.fromhex(LOW_ORDER["8-a"])
    high = high[:31] + bytes([high[31] | 0x80])
    vectors.refused(
        "low-order-high-bit", "a point of low order with the bit set that X25519 ignores", "bad-key", {"public": high}
    )
    vectors.refused("short", "31 bytes", "malformed", {"public": person.public[:31]})
    vectors.refused("long", "33 bytes", "malformed", {"public": person.public + b"\0"})
    return vectors
