"""Treatments that imported documents state, copied into the holder's own section: one small document to be granted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from vault.document import Value
from vault.review.medications import Medication, medication_list

if TYPE_CHECKING:
    from vault.vault import Vault

_COPIED = ("label", "code", "system", "substance", "dose", "start")


def adopt_treatments(vault: Vault, *, on: date, dry_run: bool = False) -> tuple[str, tuple[Medication, ...]]:
    """(the section's id, what was copied into it). What is there already, negated or over is left alone."""
    section = vault.section("medications")
    known = {_key(entry.fields) for entry in vault.read(section).entries}
    copied = []
    for item in medication_list(vault.entries("medication"), on=on):
        fields: dict[str, Value] = {name: getattr(item, name) for name in _COPIED if getattr(item, name)}
        if item.active and not item.negated and _key(fields) not in known:
            known.add(_key(fields))
            copied.append((item, fields))
    if not dry_run:
        with vault.store.transaction():
            for _, fields in copied:
                vault.add_entry(section, "medication", fields)
    return section, tuple(item for item, _ in copied)


def _key(fields: Mapping[str, Value]) -> tuple[str, str]:
    return str(fields.get("code") or ""), str(fields.get("label") or "").casefold()
