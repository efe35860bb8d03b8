"""Vectors of what lies at home: the head of a database, a roster of patients; rows, and the box of a turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from vault import head, operation, patients
from vault.errors import VerificationFailed
from vault.primitives import BoxKey, derive_key
from vault.store import rows

if TYPE_CHECKING:
    from tui.vectors import Given

Run = Callable[["Given"], Mapping[str, Any]]


def _head(given: Given) -> dict[str, Any]:
    key, vault, data = derive_key(given.blob("key"), "elpis-head"), given.blob("vault"), given.blob("file")
    links = {int(number): bytes.fromhex(link) for number, link in given.any("links").items()}
    count, named = head.read_head(key, vault, data)
    head.check_link(count, named, links.get(count), max(links, default=0))
    if head.encode_head(key, vault, count, named) != data:
        raise VerificationFailed("written again, this gives other bytes")
    return {"count": count}


def _patients(given: Given) -> dict[str, Any]:
    key = derive_key(given.blob("key"), patients.LABEL)
    found = patients.read_patients(key, given.blob("vault"), given.blob("data"))
    return {
        "patients": [
            {
                "person": one.card.id,
                "name": one.name,
                "ids": [{"system": system, "number": number} for system, number in one.ids],
            }
            for one in found
        ]
    }


def _turn_box(given: Given) -> dict[str, Any]:
    key = BoxKey.from_secret(given.blob("box"))
    read = operation.open_next(key, given.blob("sealed"), given.blob("vault"), given.blob("device"))
    return {name: read[name] for name in ("epoch", "address", "owner", "append", "key")}


def _row(given: Given) -> dict[str, Any]:
    name, key, values = given.text("name"), given.text("key"), operation.decode_row(given.blob("value"))
    if name == "channel":
        rows.closed_channel(key, values)
    else:
        rows.check_row(name, key, values)
    if operation.encode_row(values) != given.blob("value"):
        raise VerificationFailed("written again, this gives other bytes")
    return {"columns": sorted(values)}


HOME_FORMATS: dict[str, Run] = {"head": _head, "patient-roster": _patients, "turn-box": _turn_box, "vault-row": _row}
