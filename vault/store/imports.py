"""Which documents came in together: what an import may be undone by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vault.errors import NotFound
from vault.store.connection import Store

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Import:
    """One import that added something. `documents` are those of it that are still there."""

    id: str
    time: int
    documents: tuple[str, ...]


class Imports:
    """Imports by their id (32 hex characters)."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def note(self, import_id: str, document_ids: Sequence[str], time: int) -> None:
        """Documents came in with this import; the import begins with its first."""
        with self._store.transaction():
            self._store.run(
                "INSERT INTO import (id, time) VALUES (?, ?) ON CONFLICT DO NOTHING", (bytes.fromhex(import_id), time)
            )
            for start in range(0, len(document_ids), _AT_ONCE):
                some = [bytes.fromhex(key) for key in document_ids[start : start + _AT_ONCE]]
                self._store.run(
                    "INSERT INTO imported (document, import) SELECT d.number, i.number FROM document d, import i"
                    f" WHERE d.id IN ({', '.join('?' * len(some))}) AND i.id = ?",
                    (*some, bytes.fromhex(import_id)),
                )

    def last(self) -> Import | None:
        """The newest import of which something is left."""
        row = self._store.row(
            "SELECT id FROM import WHERE EXISTS (SELECT 1 FROM imported WHERE import = import.number)"
            " ORDER BY number DESC LIMIT 1"
        )
        return self.get(bytes(row[0]).hex()) if row else None

    def find(self, prefix: str) -> Import:
        """The one import whose id begins so."""
        rows = self._store.rows(
            "SELECT id FROM import WHERE substr(lower(hex(id)), 1, ?) = ? LIMIT 2", (len(prefix), prefix.lower())
        )
        if len(prefix) < 4 or len(rows) != 1:
            raise NotFound(f"no import {prefix[:40]!r}")
        return self.get(bytes(rows[0][0]).hex())

    def get(self, import_id: str) -> Import:
        row = self._store.row("SELECT number, time FROM import WHERE id = ?", (bytes.fromhex(import_id),))
        if row is None:
            raise NotFound(f"no import {import_id[:40]!r}")
        documents = self._store.rows(
            "SELECT document.id FROM imported JOIN document ON document.number = imported.document"
            " WHERE imported.import = ? ORDER BY document.number",
            (row[0],),
        )
        return Import(import_id, int(row[1]), tuple(bytes(key).hex() for (key,) in documents))


__all__ = ["Import", "Imports"]
