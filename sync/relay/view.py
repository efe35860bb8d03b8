"""Everything a relay stores, in plain figures: what its operator, or whoever takes its disk, can learn at the most."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sync.relay.keeper import beside

_TABLES: dict[str, tuple[str, str]] = {
    # table: (what it is, figures)
    "log": (
        "mailboxes (kind 1) and traces (kind 2): random address, hash of the owner's token, length, chain, last time",
        "sum(kind = 1) mailboxes, sum(kind = 2) traces, sum(closed IS NOT NULL) closed, max(length) longest",
    ),
    "entry": (
        "sealed messages and openings, with time and hash",
        "sum(length(body)) bytes, max(length(body)) largest, sum(body IS NULL) freed, min(time) first, max(time) last",
    ),
    "repeat": ("hashes that recognise a message sent twice", "count(DISTINCT log) mailboxes"),
    "token": (
        "hashes of capability tokens, their right and end",
        "sum(right = 'append') append, sum(right = 'read') read, count(until) dated",
    ),
    "half": (
        "grants: random number, reader key made for this grant alone, dates, count of openings; not the half itself",
        "sum(ended IS NULL) held, sum(ended IS NOT NULL) destroyed, sum(used) openings, max(until) latest_end",
    ),
    "blob": ("sealed files: padded size and how much arrived", "sum(size) bytes, sum(offset) arrived, max(made) last"),
    "meta": ("the last time this relay's clock showed", "max(value) clock"),
}


def relay_view(db: Path) -> dict[str, Any]:
    """Table by table and file by file; opens the database for reading only, also beside a running relay."""
    source = sqlite3.connect(f"{db.absolute().as_uri()}?mode=ro", uri=True)
    try:
        found = {row[0] for row in source.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if missing := sorted(set(_TABLES) - found):
            raise sqlite3.DatabaseError(f"no relay's database: it has no table {', '.join(missing)}")
        tables = {name: _figures(source, name, *_TABLES[name]) for name in _TABLES}
    finally:
        source.close()
    return {
        "tables": tables,
        "unlisted_tables": sorted(found - set(_TABLES)),
        "halves_file": _halves(beside(db, "halves")),
        "blob_files": _folder(beside(db, "blobs")),
        "files": {path.name: path.stat().st_size for path in sorted(db.parent.glob(f"{db.name}*")) if path.is_file()},
    }


def _figures(source: sqlite3.Connection, table: str, about: str, figures: str) -> dict[str, Any]:
    cursor = source.execute(f"SELECT count(*) AS rows, {figures} FROM {table}")  # noqa: S608 - constants of this file
    names = [column[0] for column in cursor.description]
    return {"holds": about, **{name: value or 0 for name, value in zip(names, cursor.fetchone(), strict=True)}}


def _halves(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {"rows": 0, "holds": "nothing yet"}
    source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    try:
        rows, size = source.execute("SELECT count(*), sum(length(box)) FROM half").fetchone()
    finally:
        source.close()
    return {"holds": "halves that have not ended, sealed under keys that rotate", "rows": rows, "bytes": size or 0}


def _folder(path: Path) -> dict[str, Any]:
    sizes = [entry.stat().st_size for entry in path.iterdir()] if path.is_dir() else []
    return {"holds": "the sealed files, under random names", "files": len(sizes), "bytes": sum(sizes)}
