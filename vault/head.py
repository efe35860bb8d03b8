"""The head: proof, outside of the database, of how far the database had come.

SQLCipher does not notice that a whole file was put back to an older copy of itself. So every committed write
transaction adds a link to a chain inside the database, and the newest link is written, authenticated, to the file
`head`. A database that does not hold the link that the head names is older than what was seen. The file is not synced
for each transaction: a head that lags behind after a crash is fine, a database that does is not.
Normative: spec/storage.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from vault.errors import RolledBack, StorageFailed
from vault.primitives import SUITE, chain, derive_key, make_random, same

if TYPE_CHECKING:
    from vault.store.connection import Store

KEPT = 10_000
_SIZE = 1 + 16 + 8 + 32 + 32


class Head:
    """Ties a Store to the `head` file of its vault."""

    def __init__(self, path: Path, key: bytes, vault_id: bytes, store: Store) -> None:
        self._key = key
        self._vault_id = vault_id
        self._store = store
        self._count, self._chain = self._newest()
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as failure:
            raise StorageFailed("the head file cannot be opened") from failure

    def check(self) -> None:
        """RolledBack when the head is missing, changed, or names a state that the database has not reached."""
        count, named = read_head(self._key, self._vault_id, os.pread(self._file, _SIZE + 1, 0))
        row = self._store.row("SELECT chain FROM head WHERE count = ?", (count,))
        check_link(count, named, bytes(row[0]) if row else None, self._count)

    def follow(self) -> None:
        """From now on every committed write of the store moves the head."""
        self._store.before_commit = self._link
        self._store.after_commit = self._write

    def accept(self) -> None:
        """Takes the database as it is: after a copy was restored on purpose."""
        self._write()
        os.fsync(self._file)

    def close(self) -> None:
        """The head is synced once, here."""
        try:
            os.fsync(self._file)
        finally:
            os.close(self._file)

    def _newest(self) -> tuple[int, bytes]:
        row = self._store.row("SELECT count, chain FROM head ORDER BY count DESC LIMIT 1")
        return (int(row[0]), bytes(row[1])) if row else (0, bytes(32))

    def _link(self) -> None:
        # Read again: a transaction that was rolled back after its link leaves nothing behind.
        count, last = self._newest()
        self._count = count + 1
        self._chain = chain(last, self._count.to_bytes(8), make_random(16))
        self._store.run("INSERT INTO head (count, chain) VALUES (?, ?)", (self._count, self._chain))
        if self._count % 1000 == 0:
            self._store.run("DELETE FROM head WHERE count <= ?", (self._count - KEPT,))

    def _write(self) -> None:
        try:
            os.pwrite(self._file, encode_head(self._key, self._vault_id, self._count, self._chain), 0)
        except OSError as failure:
            raise StorageFailed("the head file cannot be written") from failure


def encode_head(key: bytes, vault_id: bytes, count: int, link: bytes) -> bytes:
    """The head file that names this link of the chain."""
    body = bytes([SUITE]) + vault_id + count.to_bytes(8) + link
    return body + derive_key(key, "elpis-head", body)


def read_head(key: bytes, vault_id: bytes, data: bytes) -> tuple[int, bytes]:
    """(number, link) that a head file names. RolledBack when it is not one that this vault wrote."""
    count, link = int.from_bytes(data[17:25]), data[25:57]
    if not same(data, encode_head(key, vault_id, count, link)):
        raise _rolled_back("the head file is missing or was changed")
    return count, link


def check_link(count: int, named: bytes, held: bytes | None, newest: int) -> None:
    """RolledBack unless the database holds the link that the head names; None when it has none of this number."""
    # Nothing was written since the vault was made: the chain has no link yet.
    link = held if held is not None else bytes(32) if count == 0 else b""
    if not same(link, named):
        raise _rolled_back("this vault is older than when it was last used here", head=count, found=newest)


def _rolled_back(message: str, **facts: object) -> RolledBack:
    return RolledBack(
        message,
        hint="Nothing was changed. If a backup was put back on purpose, `elpis doctor` accepts it; if not, look for "
        "the newer copy first.",
        **facts,
    )
