"""spec/storage.md, section 3, read a second time: how far a database had come."""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from spec.reader.primitives import derive
from spec.reader.refusal import Refused


def read_head(vault_key: bytes, vault: bytes, data: bytes, links: Mapping[int, bytes]) -> dict[str, int]:
    """`links`: what the database holds of the chain, by number."""
    if len(data) != 89 or data[:17] != b"\1" + vault:
        raise Refused("rolled-back", "not the head of this vault")
    if not hmac.compare_digest(derive(derive(vault_key, "elpis-head"), "elpis-head", data[:57]), data[57:]):
        raise Refused("rolled-back", "not authentic")
    count = int.from_bytes(data[17:25], "big")
    start = {0: bytes(32)}
    if {**start, **links}.get(count) != data[25:57]:
        raise Refused("rolled-back", "the database does not hold this link")
    return {"count": count}
