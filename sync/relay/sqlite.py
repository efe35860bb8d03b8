"""The relay's store on SQLite: WAL, every commit synced, deleted bytes overwritten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from sync import wire
from sync.relay.refusal import StorageRefused
from sync.relay.store import Blob, Capability, Entry, Half, Log, Store

_KNOWN = 100_000
_STRIDE = 131_072  # more than wire.MAILBOX_MESSAGES and wire.TRACE_ENTRIES: entry.id = log * _STRIDE + number


class _Memory:
    """What the one writer knows without asking, and the rows of the batch under way. Thrown away by a rollback."""

    def __init__(self) -> None:
        self.logs: dict[tuple[int, bytes], Log] = {}
        self.halves: dict[bytes, Half] = {}
        self.tokens: dict[tuple[int, int, bytes], Capability] = {}
        self.written()

    def written(self) -> None:
        self.entries: list[tuple[int, int, bytes, bytes | None]] = []
        self.repeats: dict[tuple[int, bytes], int] = {}
        self.heads: dict[int, tuple[int, bytes, int, int]] = {}
        self.spent: dict[int, tuple[int, int, int]] = {}

    def limit(self) -> None:
        if len(self.logs) + len(self.halves) + len(self.tokens) > _KNOWN:
            for known in (self.logs, self.halves, self.tokens):
                known.clear()


class SqliteStore:
    """See store.Store. One connection; the caller sees to it that one thread at a time uses it.

    Rows are read whole: the columns of schema/ stand in the order of the fields in store.py.
    """

    def __init__(self, path: Path, *, writable: bool = True) -> None:
        self._path = path
        self._memory = _Memory() if writable else None
        with _mapped():
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
            self._db.execute("PRAGMA busy_timeout = 5000")
            self._db.execute("PRAGMA cache_size = -65536")
            self._db.execute("PRAGMA temp_store = MEMORY")
            if writable:
                path.chmod(0o600)
                self._db.execute("PRAGMA journal_mode = WAL")
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA secure_delete = ON")
                self._db.execute("PRAGMA journal_size_limit = 67108864")
                self._migrate()
            else:
                self._db.execute("PRAGMA query_only = ON")

    def _migrate(self) -> None:
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        for number, script in schema():
            if number > version:
                self._db.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT;")

    def reader(self) -> Store:
        return SqliteStore(self._path, writable=False)

    def close(self) -> None:
        self._db.close()

    def begin(self) -> None:
        if self._memory is not None:
            self._memory.limit()
        self._run("BEGIN IMMEDIATE")

    def prepare(self) -> None:
        memory = self._memory
        if memory is None:
            return
        self._many("INSERT INTO entry VALUES (?, ?, ?, ?)", memory.entries)
        self._many("INSERT INTO repeat VALUES (?, ?, ?)", [(*key, number) for key, number in memory.repeats.items()])
        self._many("UPDATE log SET length = ?, chain = ?, time = ? WHERE id = ?", list(memory.heads.values()))
        self._many("UPDATE half SET counter = ?, used = ? WHERE id = ?", list(memory.spent.values()))
        memory.written()

    def commit(self) -> None:
        self.prepare()
        self._run("COMMIT")

    def rollback(self) -> None:
        if self._memory is not None:
            self._memory = _Memory()
        if self._db.in_transaction:
            self._run("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        self._run("BEGIN")
        try:
            yield
        finally:
            self._run("COMMIT")

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except (sqlite3.OperationalError, sqlite3.DatabaseError) as failure:
            raise StorageRefused from failure

    def _many(self, sql: str, rows: list[Any]) -> None:
        if rows:
            try:
                self._db.executemany(sql, rows)
            except sqlite3.DatabaseError as failure:
                raise StorageRefused from failure

    def _row(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        try:
            return self._db.execute(sql, values).fetchone()
        except sqlite3.DatabaseError as failure:
            raise StorageRefused from failure

    def _writing(self) -> _Memory:
        if self._memory is None:
            raise StorageRefused  # a view for reading
        return self._memory

    def clock(self) -> int:
        row = self._row("SELECT value FROM meta WHERE name = 'clock'")
        return 0 if row is None else int(row[0])

    def set_clock(self, time: int) -> None:
        self._run("INSERT OR REPLACE INTO meta VALUES ('clock', ?)", (time,))

    def log(self, kind: int, address: bytes) -> Log | None:
        known = self._memory.logs.get((kind, address)) if self._memory is not None else None
        if known is not None:
            return known
        row = self._row("SELECT * FROM log WHERE address = ? AND kind = ?", (address, kind))
        return None if row is None else self._keep_log(Log._make(row))

    def _keep_log(self, log: Log) -> Log:
        if self._memory is not None:
            self._memory.logs[log.kind, log.address] = log
        return log

    def add_log(self, kind: int, address: bytes, owner: bytes, time: int) -> int:
        values = (kind, address, owner, 0, wire.START, time, None, 0)
        cursor = self._run("INSERT INTO log VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return int(cursor.lastrowid or 0)

    def set_head(self, log: Log, length: int, chain: bytes, time: int) -> None:
        self._writing().heads[log.id] = (length, chain, time, log.id)
        self._keep_log(log._replace(length=length, chain=chain, time=time))

    def close_log(self, log: Log, time: int) -> None:
        self._run("UPDATE log SET closed = ? WHERE id = ?", (time, log.id))
        self._keep_log(log._replace(closed=time))

    def entry_number(self, log: int, body_hash: bytes) -> int | None:
        number = self._memory.repeats.get((log, body_hash)) if self._memory is not None else None
        if number is not None:
            return number
        row = self._row("SELECT number FROM repeat WHERE log = ? AND hash = ?", (log, body_hash))
        return None if row is None else int(row[0])

    def add_entry(self, log: int, entry: Entry, *, repeatable: bool = False) -> None:
        memory = self._writing()
        memory.entries.append((log * _STRIDE + entry.number, entry.time, entry.hash, entry.body))
        if repeatable:
            memory.repeats[log, entry.hash] = entry.number

    def entries(self, log: int, after: int, limit: int, size: int) -> list[Entry]:
        self.prepare()
        first, last = log * _STRIDE + after, log * _STRIDE + _STRIDE - 1
        found: list[Entry] = []
        try:
            sql = "SELECT id, time, hash, body FROM entry WHERE id > ? AND id <= ? ORDER BY id LIMIT ?"
            for number, time, body_hash, body in self._db.execute(sql, (first, last, limit)):
                size -= len(body or b"")
                if size < 0 and found:
                    break
                found.append(Entry(number - log * _STRIDE, time, body_hash, body))
        except sqlite3.DatabaseError as failure:
            raise StorageRefused from failure
        return found

    def free_entries(self, log: Log, upto: int) -> None:
        self.prepare()
        span = (log.id * _STRIDE + log.freed, log.id * _STRIDE + upto)
        self._run("UPDATE entry SET body = NULL WHERE id > ? AND id <= ?", span)
        self._run("UPDATE log SET freed = ? WHERE id = ?", (upto, log.id))
        self._keep_log(log._replace(freed=upto))

    def token(self, kind: int, parent: int, token_hash: bytes) -> Capability | None:
        key = (kind, parent, token_hash)
        known = self._memory.tokens.get(key) if self._memory is not None else None
        if known is not None:
            return known
        row = self._row("SELECT hash, right, until FROM token WHERE kind = ? AND parent = ? AND hash = ?", key)
        if row is None:
            return None
        found = Capability._make(row)
        if self._memory is not None:
            self._memory.tokens[key] = found
        return found

    def count_tokens(self, kind: int, parent: int) -> int:
        return int(self._row("SELECT count(*) FROM token WHERE kind = ? AND parent = ?", (kind, parent))[0])

    def add_token(self, kind: int, parent: int, token: Capability) -> None:
        self._run("INSERT OR REPLACE INTO token VALUES (?, ?, ?, ?, ?)", (kind, parent, *token))
        self._writing().tokens.pop((kind, parent, token.hash), None)

    def drop_token(self, kind: int, parent: int, token_hash: bytes) -> None:
        self._run("DELETE FROM token WHERE kind = ? AND parent = ? AND hash = ?", (kind, parent, token_hash))
        self._writing().tokens.pop((kind, parent, token_hash), None)

    def half(self, address: bytes) -> Half | None:
        known = self._memory.halves.get(address) if self._memory is not None else None
        if known is not None:
            return known
        row = self._row("SELECT * FROM half WHERE address = ?", (address,))
        return None if row is None else self._keep_half(Half._make(row))

    def _keep_half(self, half: Half) -> Half:
        if self._memory is not None:
            self._memory.halves[half.address] = half
        return half

    def add_half(self, half: Half) -> None:
        self._run("INSERT INTO half VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", half)

    def spend_half(self, half: Half, counter: int, used: int) -> None:
        self._writing().spent[half.id] = (counter, used, half.id)
        self._keep_half(half._replace(counter=counter, used=used))

    def end_half(self, half: Half, time: int, reason: str) -> None:
        self._run("UPDATE half SET ended = ?, reason = ? WHERE id = ? AND ended IS NULL", (time, reason, half.id))
        self._writing().halves.pop(half.address, None)

    def due_halves(self, now: int, limit: int) -> list[Half]:
        self.prepare()
        sql = "SELECT * FROM half WHERE ended IS NULL AND until <= ? ORDER BY until LIMIT ?"
        return [Half._make(row) for row in self._run(sql, (now, limit))]

    def is_live(self, address: bytes) -> bool:
        return self._row("SELECT 1 FROM half WHERE address = ? AND ended IS NULL", (address,)) is not None

    def blob(self, address: bytes) -> Blob | None:
        row = self._row("SELECT * FROM blob WHERE address = ?", (address,))
        return None if row is None else Blob._make(row)

    def add_blob(self, blob: Blob) -> int:
        cursor = self._run("INSERT INTO blob VALUES (NULL, ?, ?, ?, ?, ?, ?)", blob[1:])
        return int(cursor.lastrowid or 0)

    def advance_blob(self, blob: int, offset: int) -> None:
        self._run("UPDATE blob SET offset = ? WHERE id = ?", (offset, blob))

    def drop_blob(self, blob: int) -> None:
        self._run("DELETE FROM token WHERE kind = 3 AND parent = ?", (blob,))
        self._writing().tokens.clear()
        self._run("DELETE FROM blob WHERE id = ?", (blob,))

    def blob_files(self) -> set[str]:
        return {str(row[0]) for row in self._run("SELECT file FROM blob")}


def schema() -> list[tuple[int, str]]:
    """(version, script) of every numbered file beside this one, in order."""
    folder = resources.files("sync.relay") / "schema"
    files = sorted((file.name, file) for file in folder.iterdir() if file.name.endswith(".sql"))
    return [(int(name.partition("_")[0]), file.read_text("utf-8")) for name, file in files]


@contextmanager
def _mapped() -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as failure:
        raise StorageRefused from failure
