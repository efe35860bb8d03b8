"""One SQLCipher connection, one lock, explicit transactions. The only file that imports sqlcipher3.

Settings are measured ones: raw key, WAL with synchronous FULL for what is acknowledged, a 64 MB cache (without it warm
reads cost 2.5 times as much). Normative facts: spec/storage.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlcipher3 import dbapi2 as sqlcipher

from vault.errors import StorageFailed, VaultLocked

Row = tuple[Any, ...]
_SCHEMA = Path(__file__).parent / "schema"

_SETTINGS = (
    "PRAGMA cipher_memory_security = OFF",
    "PRAGMA cipher_page_size = 4096",
    "PRAGMA cache_size = -65536",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA secure_delete = FAST",
)

# Failures that a person can do something about. 4874 is SQLITE_IOERR_SHMSIZE: a WAL needs room even to be read.
_TOLD = {
    sqlcipher.SQLITE_FULL: "no room is left on the disk",
    4874: "no room is left on the disk",
    sqlcipher.SQLITE_CORRUPT: "the database is damaged",
    sqlcipher.SQLITE_NOTADB: "the database is damaged",
    sqlcipher.SQLITE_CANTOPEN: "the database cannot be opened",
}


class Store:
    """The database of one vault. Threads may share it: one at a time, a transaction keeps the others waiting."""

    def __init__(self, connection: sqlcipher.Connection, path: Path) -> None:
        self._connection = connection
        self._lock = threading.RLock()
        self._depth = 0
        self._failed = False
        self._closed = False
        self.path = path
        # Called inside the outermost transaction when it wrote something, and after its commit.
        self.before_commit: Callable[[], None] | None = None
        self.after_commit: Callable[[], None] | None = None

    @classmethod
    def open(cls, path: Path, key: bytes, *, create: bool = False) -> Store:
        """The store under its raw 32-byte key; StorageFailed when the file is not one that this key opens."""
        return cls._open(path, key, create=create)

    @classmethod
    def open_plain(cls, path: Path, *, create: bool = False) -> Store:
        """The same store without a key. Measurements compare with it; the product never opens one."""
        return cls._open(path, None, create=create)

    @classmethod
    def _open(cls, path: Path, key: bytes | None, *, create: bool) -> Store:
        mode = "rwc" if create else "rw"
        with _mapped():
            connection = sqlcipher.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
            )
        try:
            with _mapped():
                # Before the key: a wrong key would otherwise write its complaint over the screen.
                connection.execute("PRAGMA cipher_log_level = NONE")
                if key is not None:
                    connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
                for setting in _SETTINGS:
                    connection.execute(setting)
                (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
                if tables == 0 and not create:
                    raise StorageFailed("the database has lost all that was in it")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
            store = cls(connection, path)
            store._upgrade()
        except BaseException:
            connection.close()
            raise
        path.chmod(0o600)
        return store

    def close(self) -> None:
        with self._lock, _mapped():
            if not self._closed:
                self._closed = True
                self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing. An inner transaction joins the outer one; if it fails, the outer one cannot commit."""
        with self._lock:
            if self._depth:
                self._depth += 1
                try:
                    yield
                except BaseException:
                    self._failed = True
                    raise
                finally:
                    self._depth -= 1
                return
            before = self._begin()
            try:
                yield
                if self._failed:
                    raise StorageFailed("a part of this change failed; nothing of it was kept")
                wrote = self._connection.total_changes != before
                if wrote and self.before_commit is not None:
                    self.before_commit()
                with _mapped():
                    self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlcipher.Error):
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth = 0
            if wrote and self.after_commit is not None:
                self.after_commit()

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that may fail alone: what it wrote is taken back, and the transaction goes on."""
        with self._lock:
            if not self._depth:
                with self.transaction():
                    yield
                return
            name, failed = f"part_{self._depth}", self._failed
            with _mapped():
                self._connection.execute(f"SAVEPOINT {name}")
            self._depth += 1
            try:
                yield
            except BaseException:
                with _mapped():
                    self._connection.execute(f"ROLLBACK TO {name}")
                self._failed = failed
                raise
            finally:
                self._depth -= 1
                with suppress(sqlcipher.Error):
                    self._connection.execute(f"RELEASE {name}")

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[Row]:
        with self._lock, _mapped():
            found: list[Row] = self._opened().execute(sql, params).fetchall()
            return found

    def row(self, sql: str, params: Sequence[Any] = ()) -> Row | None:
        with self._lock, _mapped():
            found: Row | None = self._opened().execute(sql, params).fetchone()
            return found

    def run(self, sql: str, params: Sequence[Any] = ()) -> int:
        """How many rows were written. Outside of a transaction, one of its own."""
        with self.transaction(), _mapped():
            return int(self._connection.execute(sql, params).rowcount)

    def run_many(self, sql: str, params: Iterable[Sequence[Any]]) -> None:
        with self.transaction(), _mapped():
            self._connection.executemany(sql, params)

    def insert(self, sql: str, params: Sequence[Any] = ()) -> int:
        """The rowid of the new row."""
        with self.transaction(), _mapped():
            return int(self._connection.execute(sql, params).lastrowid or 0)

    @contextmanager
    def wiping(self) -> Iterator[None]:
        """A transaction whose deleted bytes are overwritten, in the database and in its write-ahead log."""
        with self._lock:
            with _mapped():
                self._opened().execute("PRAGMA secure_delete = ON").fetchone()
            try:
                with self.transaction():
                    yield
                with _mapped():
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                with _mapped():
                    self._connection.execute("PRAGMA secure_delete = OFF").fetchone()

    def backup(self, target: Path) -> None:
        """A consistent encrypted copy, under the same key."""
        with self._lock, _mapped():
            self._opened().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        with self._lock:
            import shutil

            try:
                shutil.copyfile(self.path, target)
                target.chmod(0o600)
            except OSError as failure:
                raise StorageFailed("the store cannot be copied") from failure

    def _opened(self) -> sqlcipher.Connection:
        if self._closed:
            raise VaultLocked("the vault is locked")
        return self._connection

    def _begin(self) -> int:
        with _mapped():
            self._opened().execute("BEGIN IMMEDIATE")
        self._depth = 1
        self._failed = False
        return int(self._connection.total_changes)

    def check(self) -> None:
        """StorageFailed unless every table and index is whole. Reads all of it."""
        found = self.rows("PRAGMA quick_check(1)")
        if found != [("ok",)] or self.row("PRAGMA foreign_key_check") is not None:
            raise StorageFailed("the database is damaged")

    def _upgrade(self) -> None:
        """Applies the schema files that this store has not seen. A store with data is copied aside first."""
        row = self.row("PRAGMA user_version")
        version = int(row[0]) if row else 0
        if version == schema_version():
            return
        files = schema_files()
        if version > len(files):
            raise StorageFailed("this vault was written by a newer Elpis", hint="Nothing was changed. Update Elpis.")
        if 0 < version < len(files):
            self.backup(self.path.with_name(f"{self.path.name}.before-{len(files)}"))
        for number, (_, sql) in enumerate(files[version:], version + 1):
            with self._lock, _mapped():
                # One script, one transaction: executescript would otherwise commit between its statements.
                self._connection.executescript(f"BEGIN IMMEDIATE;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")


def schema_version() -> int:
    """How many numbered files there are; they are read only when a store has not seen them all."""
    return sum(entry.suffix == ".sql" for entry in _SCHEMA.iterdir())


def schema_files() -> list[tuple[str, str]]:
    """(name, SQL) of the numbered files, in order."""
    return [(path.name, path.read_text(encoding="utf-8")) for path in sorted(_SCHEMA.glob("*.sql"))]


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except sqlcipher.Error as failure:
        told = _TOLD.get(getattr(failure, "sqlite_errorcode", 0))
        # The message names tables and columns at most; values never come into it.
        raise StorageFailed(told or f"the store refused: {failure}") from failure
