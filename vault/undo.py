"""An import taken back: its documents go as they came, unless something was added to them since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.errors import NotFound
from vault.store.imports import Import, Imports

if TYPE_CHECKING:
    from vault.vault import Vault


@dataclass(frozen=True, slots=True)
class Kept:
    """A document of the import that stays, and why."""

    document: str
    title: str
    why: str


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of an import. `removed` are titles by the ids that they had."""

    id: str
    time: int
    removed: tuple[tuple[str, str], ...]
    kept: tuple[Kept, ...]


def undo_import(vault: Vault, import_id: str = "", *, dry_run: bool = False) -> Undone:
    """Removes what came in with this import (its id or the beginning of it), or with the last one."""
    found = _import(vault, import_id)
    removed: list[tuple[str, str]] = []
    kept = []
    for document_id in found.documents:
        title = vault.documents.state(document_id).title
        why = _reason(vault, document_id)
        if why:
            kept.append(Kept(document_id, title, why))
        else:
            removed.append((document_id, title))
    if not dry_run and removed:
        vault.remove([document_id for document_id, _ in removed])
    return Undone(found.id, found.time, tuple(removed), tuple(kept))


def _reason(vault: Vault, document_id: str) -> str:
    """Why a document cannot go; "" when it can."""
    if vault.documents.epoch(document_id):
        return "others were given access to it"
    if not vault.untouched(document_id):
        return "something was added to it since"
    return "your other devices have it" if vault.telling.active else ""


def _import(vault: Vault, import_id: str) -> Import:
    imports = Imports(vault.store)
    found = imports.find(import_id) if import_id else imports.last()
    if found is None or not found.documents:
        raise NotFound("there is no import to take back")
    return found


__all__ = ["Kept", "Undone", "undo_import"]
