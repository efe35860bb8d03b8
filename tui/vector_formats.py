"""What each format of `spec/vectors` means to the product: its input in, its output out, or a failure class.

Whatever a reader takes is written again and compared, so that a valid vector is the only encoding of its content.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tui.vector_devices import DEVICE_FORMATS
from tui.vector_home import HOME_FORMATS
from tui.vector_late import LATE_FORMATS
from tui.vector_people import PEOPLE_FORMATS
from tui.vector_relay import RELAY_FORMATS
from vault import encoding, hybrid, primitives
from vault.errors import VerificationFailed

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]


def same_again(written: bytes, read: bytes) -> None:
    """The writer must give the very bytes that were read."""
    if written != read:
        raise VerificationFailed("written again, this gives other bytes")


def typed(value: Any) -> Any:
    """A decoded value with bytes as {"$bytes": hex}: text and bytes stay apart in JSON."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else value


def _encoding(given: Given) -> dict[str, Any]:
    data = given.blob("data")
    value = encoding.decode(data, limit=given.number("limit"))
    same_again(encoding.encode(value), data)
    return {"value": typed(value)}


def _suite(given: Given) -> dict[str, Any]:
    primitives.need_suite(given.number("suite"), given.number("minimum"), known=primitives.SEALING)
    return {}


def _kdf(given: Given) -> dict[str, Any]:
    secret, context, salt = given.blob("secret"), given.blob("context"), given.blob("salt")
    return {"key": primitives.derive_key(secret, given.label("label"), context, salt)}


def _hash(given: Given) -> dict[str, Any]:
    return {"hash": primitives.hash32(given.blob("data"), given.label("label"))}


def _public_key(given: Given) -> dict[str, Any]:
    secret = given.blob("secret")
    if given.text("kind") == "ed25519":
        return {"public": primitives.SigningKey.from_seed(secret).public}
    return {"public": primitives.BoxKey.from_secret(secret).public}


def _argon2id(given: Given) -> dict[str, Any]:
    passphrase, salt = given.text("passphrase"), given.blob("salt")
    return {"key": primitives.derive_passphrase_key(passphrase, salt, given.number("ops"), given.number("memory"))}


def _padme_length(given: Given) -> dict[str, Any]:
    return {"length": primitives.padme_length(given.number("size"))}


def _padding(given: Given) -> dict[str, Any]:
    data = primitives.unpad(given.blob("padded"))
    same_again(primitives.pad(data), given.blob("padded"))
    return {"data": data}


def _signature(given: Given) -> dict[str, Any]:
    kind, message, signature = given.text("kind"), given.blob("message"), given.blob("signature")
    primitives.verify(given.blob("public"), kind, message, signature)
    if "seed" in given:
        same_again(primitives.SigningKey.from_seed(given.blob("seed")).sign(kind, message), signature)
    return {}


def _box(given: Given) -> dict[str, Any]:
    key, label, box, aad = given.blob("key"), given.label("label"), given.blob("box"), given.blob("aad")
    plaintext = primitives.open_box(key, label, box, aad)
    same_again(primitives.seal_box(key, label, plaintext, aad, nonce=box[: primitives.NONCE]), box)
    return {"plaintext": plaintext}


def _sealed(given: Given) -> dict[str, Any]:
    return {"plaintext": primitives.BoxKey.from_secret(given.blob("secret")).open(given.blob("sealed"))}


def _hybrid(given: Given) -> dict[str, Any]:
    return {"plaintext": hybrid.open_hybrid(given.blob("seed"), given.blob("secret"), given.blob("sealed"))}


def _hybrid_key(given: Given) -> dict[str, Any]:
    public = given.blob("public")
    hybrid.check_public(public)
    if "signing" in given and hybrid.derive_public(hybrid.derive_seed(given.blob("signing"))) != public:
        raise VerificationFailed("the same signing seed gives another key")
    return {}


def _seal_key(given: Given) -> dict[str, Any]:
    primitives.check_box_public(given.blob("public"))
    primitives.seal_to(given.blob("public"), b"")
    return {}


def _stream(given: Given) -> dict[str, Any]:
    opener = primitives.FileOpener(given.blob("key"), given.blob("header"))
    pulled = [opener.pull(chunk) for chunk in given.blobs("chunks")]
    return {"parts": [part for part, _ in pulled], "final": [final for _, final in pulled]}


FORMATS: dict[str, Run] = {
    "encoding": _encoding,
    "suite": _suite,
    "kdf": _kdf,
    "hash": _hash,
    "public-key": _public_key,
    "argon2id": _argon2id,
    "padme-length": _padme_length,
    "padding": _padding,
    "signature": _signature,
    "box": _box,
    "sealed": _sealed,
    "seal-key": _seal_key,
    "hybrid": _hybrid,
    "hybrid-key": _hybrid_key,
    "stream": _stream,
    **PEOPLE_FORMATS,
    **RELAY_FORMATS,
    **DEVICE_FORMATS,
    **LATE_FORMATS,
    **HOME_FORMATS,
}
