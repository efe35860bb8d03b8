"""Suite 2: sealing to a person under X25519 and ML-KEM-768 together. The only file of the product that imports
`cryptography`, and only when something is sealed, opened or shown that needs it.

HPKE (RFC 9180, base mode) with the KEM MLKEM768-X25519 ("X-Wing"), HKDF-SHA256 and ChaCha20-Poly1305. Whoever breaks
one of the two key agreements opens nothing. Normative text: spec/primitives.md, section 8.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vault.errors import BadKey, CannotOpen
from vault.primitives import KEY, BoxKey, derive_key, make_key, make_random, need

if TYPE_CHECKING:
    from cryptography.hazmat.primitives import hpke

SEED, PUBLIC = 64, 1184
ENCAPSULATION = 1088 + 32
OVERHEAD = ENCAPSULATION + 16
INFO = b"elpis/sealed/2\0"
RELEASE = b"elpis/release/2\0"  # what a relay seals to the fresh keys of an opening


def derive_seed(signing: bytes) -> bytes:
    """The ML-KEM seed (d | z of FIPS 203) that goes with an identity's signing seed.

    Every device of a person has the same one without another secret to hand over. It does not hang on the X25519
    secret, which is what a quantum computer would find; of an Ed25519 key that would give the scalar, and not the seed.
    """
    return derive_key(signing, "elpis-kem-seed", b"d") + derive_key(signing, "elpis-kem-seed", b"z")


def derive_public(seed: bytes) -> bytes:
    """The ML-KEM-768 public key of a 64-byte seed: 1184 bytes."""
    return _secret(need(seed, SEED, "ML-KEM seed")).public_key().public_bytes_raw()  # type: ignore[no-any-return]


def check_public(public: bytes) -> None:
    """BadKey for what is not an encoded ML-KEM-768 key (FIPS 203, 7.2)."""
    _public(need(public, PUBLIC, "ML-KEM public key"))


def make_fresh() -> BoxKey:
    """Keys for one opening, of both kinds."""
    return BoxKey.from_secret(make_key(), make_random(SEED))


def seal_hybrid(public: bytes, box: bytes, plaintext: bytes) -> bytes:
    """Sealed to the person who holds both secrets: `public` is the ML-KEM key, `box` the X25519 key."""
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

    classical = X25519PublicKey.from_public_bytes(need(box, KEY, "box public key"))
    key = hpke.MLKEM768X25519PublicKey(_public(need(public, PUBLIC, "ML-KEM public key")), classical)
    try:
        return _suite().encrypt(plaintext, key, info=INFO)
    except ValueError as failure:
        raise BadKey("this key cannot be sealed to") from failure


def open_hybrid(seed: bytes, secret: bytes, sealed: bytes, info: bytes = INFO) -> bytes:
    """What was sealed to these two keys for this purpose; CannotOpen for everything that was not."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives import hpke
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    classical = X25519PrivateKey.from_private_bytes(need(secret, KEY, "box key"))
    key = hpke.MLKEM768X25519PrivateKey(_secret(need(seed, SEED, "ML-KEM seed")), classical)
    try:
        return _suite().decrypt(sealed, key, info=info)
    except (InvalidTag, ValueError):
        raise CannotOpen("cannot be opened") from None


@lru_cache(maxsize=1)
def _suite() -> hpke.Suite:
    from cryptography.hazmat.primitives import hpke

    return hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def _secret(seed: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey

    return MLKEM768PrivateKey.from_seed_bytes(seed)


def _public(public: bytes) -> Any:
    from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey

    try:
        return MLKEM768PublicKey.from_public_bytes(public)
    except ValueError as failure:
        raise BadKey("not an ML-KEM-768 key") from failure
