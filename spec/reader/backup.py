"""spec/backup.md, read a second time: the manifest of a backup."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spec.reader.cbor import Check, blob, list_of, statement, whole
from spec.reader.encoder import encode
from spec.reader.primitives import derive, need_suite, open_box, unpad
from spec.reader.refusal import Refused

MANIFEST: Mapping[str, Check] = {
    "suite": whole(1, 255),
    "vault": blob(16),
    "made": whole(0, 253_402_300_799),
    "documents": whole(0, 2**63 - 1),
    "key": blob(32),
    "size": whole(0, 2**63 - 1),
    "sha256": blob(32),
    "files": list_of(blob(64), 1_000_000),
}


def read_manifest(vault_key: bytes, vault: bytes, name: bytes, data: bytes) -> dict[str, Any]:
    aad = encode(["backup", 1, vault, name])
    told = statement(
        unpad(open_box(derive(vault_key, "elpis-backup"), "elpis-manifest", data, aad)), 64 << 20, MANIFEST
    )
    need_suite(told["suite"])
    if told["vault"] != vault:
        raise Refused("verification-failed", "of another vault")
    return {field: told[field] for field in ("made", "documents", "key", "size", "sha256", "files")}
