"""spec/backup.md: the manifest of a backup."""

from __future__ import annotations

from typing import Any

from spec.vectors.writing import Vectors, fixed, flip
from vault.encoding import encode
from vault.primitives import derive_key, pad, seal_box

KEY, VAULT, NAME = fixed("vault key"), fixed("vault id", 16), fixed("copy", 16)
TOLD: dict[str, Any] = {
    "suite": 1, "vault": VAULT, "made": 1_795_000_000, "documents": 3, "key": fixed("snapshot key"), "size": 90_112,
    "sha256": fixed("database"), "files": [fixed("file 1", 64), fixed("file 2", 64)],
}  # fmt: skip


def manifest(plain: bytes | None = None, *, label: str = "elpis-manifest", name: bytes = NAME, **changes: Any) -> bytes:
    """A box that is right for its content."""
    inner = pad(encode(TOLD | changes)) if plain is None else plain
    aad = encode(["backup", 1, VAULT, name])
    return seal_box(derive_key(KEY, "elpis-backup"), label, inner, aad, nonce=fixed("manifest nonce", 24))


def opened(data: bytes, /, **by: bytes) -> dict[str, bytes]:
    return {"key": KEY, "vault": VAULT, "name": NAME, "data": data} | by


def make() -> list[Vectors]:
    vectors, given = Vectors("backup"), opened

    def valid(name: str, description: str, /, **changes: Any) -> None:
        told = {field: value for field, value in (TOLD | changes).items() if field not in ("suite", "vault")}
        vectors.valid(name, description, given(manifest(**changes)), told)

    def refused(name: str, description: str, failure: str, data: bytes, /, **by: bytes) -> None:
        vectors.refused(name, description, failure, given(data, **by))

    valid("two-files", "a copy with two sealed files")
    valid("no-file", "a copy without any", files=[])
    valid("nothing", "of an empty vault, at the beginning of time", files=[], documents=0, made=0)
    good = manifest()
    refused("other-key", "another vault's key", "cannot-open", good, key=fixed("another vault key"))
    refused("other-vault", "as the manifest of another vault", "cannot-open", good, vault=fixed("other vault", 16))
    refused("other-name", "under the name of another copy", "cannot-open", good, name=fixed("other copy", 16))
    refused("label", "a box of another purpose", "cannot-open", manifest(label="elpis-wrap"))
    refused("bit", "one bit", "cannot-open", flip(good, 100))
    refused("cut", "one byte short", "cannot-open", good[:-1])
    refused("empty", "nothing", "cannot-open", b"")
    refused("not-padded", "without padding", "malformed", manifest(encode(TOLD)))
    refused(
        "field-missing",
        "one field fewer",
        "malformed",
        manifest(pad(encode({k: v for k, v in TOLD.items() if k != "size"}))),
    )
    refused("field-unknown", "one field more", "malformed", manifest(place="cellar"))
    refused("trailing", "one byte more inside", "malformed", manifest(pad(encode(TOLD) + b"\0\x80")))
    refused("file-short", "a file without its hash", "malformed", manifest(files=[bytes(32)]))
    refused("made-negative", "a time before 1970", "malformed", manifest(made=-1))
    refused("suite-2", "an unknown suite", "suite-refused", manifest(suite=2))
    refused("vault-inside", "another vault inside", "verification-failed", manifest(vault=fixed("other vault", 16)))
    return [vectors]
