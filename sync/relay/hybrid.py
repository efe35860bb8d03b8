"""Suite 2 of a release: the relay's only import of `cryptography`, in its helper process and when first asked for.

HPKE with X25519 and ML-KEM-768, as spec/primitives.md, section 8, has it, for the purpose of a release.
"""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from sync.relay.refusal import Refusal
from sync.relay.signing import HybridBox

INFO = b"elpis/release/2\0"
_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)


def make_box(kem: bytes, fresh: bytes) -> HybridBox:
    """For the reader's fresh keys. Refusal for what is not an ML-KEM-768 key, and for a low-order X25519 key."""
    key = secrets.token_bytes(32)
    try:
        public = hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(kem), X25519PublicKey.from_public_bytes(fresh)
        )
        return HybridBox(key, _SUITE.encrypt(key, public, info=INFO))
    except ValueError:
        raise Refusal("malformed") from None
