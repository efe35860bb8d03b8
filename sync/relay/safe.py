"""Where halves lie: sealed rows in DB.halves, under keys in DB.halves-keys that are destroyed to destroy a half.

256 buckets by the first byte of the grant number, each under a key of its own. To destroy a half, its bucket gets a new
key, what stays is sealed again under it, and the old key is overwritten: a copy of old rows, even with the whole key
file of now, opens nothing that was destroyed. Neither file belongs into a backup.

Key file: 256 records of two slots (generation 8 bytes | key 32 bytes), written in place so that overwriting destroys.
Generation 0 is an empty slot. Between the writing of a new key and the overwriting of the old one both are there, and
each row says its generation: a crash at any moment loses no half, and opening the safe finishes the rotation.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path

from sync.relay.refusal import StorageRefused
from sync.relay.signing import open_half, seal_half, write_secret

_BUCKETS = 256
_SLOT = 40
_RECORD = 2 * _SLOT
_EMPTY = bytes(_SLOT)
_BOXES = 50_000


class HalfSafe:
    """One writer thread at a time. `put` becomes durable with `commit`, before the grant itself is acknowledged."""

    def __init__(self, path: Path) -> None:
        self.fresh: list[bytes] = []  # put by the transaction under way, or by the last one
        self._keys = _open_keys(path.with_name(path.name + "-keys"))
        # Rows as they lie on disk, still sealed; thrown away whenever a key goes.
        self._boxes: dict[bytes, tuple[int, bytes]] = {}
        # Overwritten in place with the file, so that this process forgets a key when the disk does.
        self._ring = bytearray(os.pread(self._keys, _BUCKETS * _RECORD, 0))
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
            for setting in ("journal_mode = WAL", "synchronous = FULL", "secure_delete = ON", "busy_timeout = 5000"):
                self._db.execute(f"PRAGMA {setting}")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS half (grant BLOB PRIMARY KEY, bucket INTEGER NOT NULL,"
                " generation INTEGER NOT NULL, box BLOB NOT NULL) WITHOUT ROWID"
            )
            self._db.execute("CREATE INDEX IF NOT EXISTS half_bucket ON half (bucket)")
        except sqlite3.DatabaseError as failure:
            raise StorageRefused from failure
        for bucket in range(_BUCKETS):
            if len(self._slots(bucket)) == 2:
                self._finish(bucket)

    def close(self) -> None:
        self._db.close()
        os.close(self._keys)

    def put(self, grant: bytes, half: bytes) -> None:
        """Lays a half in, to be made durable by `commit`."""
        bucket = grant[0]
        generation, key = self._newest(bucket)
        if not self._db.in_transaction:
            self.fresh = []
            self._run("BEGIN IMMEDIATE")
        self.fresh.append(grant)
        values = (grant, bucket, generation, seal_half(key, grant, half))
        self._run("INSERT OR REPLACE INTO half VALUES (?, ?, ?, ?)", values)

    def commit(self) -> None:
        if self._db.in_transaction:
            self._run("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._run("ROLLBACK")

    def get(self, grant: bytes) -> bytes | None:
        """The half, or None when it was destroyed or never there."""
        row = self._boxes.get(grant)
        if row is None:
            row = self._run("SELECT generation, box FROM half WHERE grant = ?", (grant,)).fetchone()
            if row is None:
                return None
            if len(self._boxes) > _BOXES:
                self._boxes.clear()
            self._boxes[grant] = row
        key = dict(self._slots(grant[0])).get(row[0])
        return None if key is None else open_half(key, grant, row[1])

    def destroy(self, grants: Iterable[bytes]) -> None:
        """On return nothing that lies or lay in these files opens these halves."""
        buckets: dict[int, list[bytes]] = {}
        for grant in grants:
            buckets.setdefault(grant[0], []).append(grant)
        for bucket, doomed in buckets.items():
            self._rotate(bucket, doomed)

    def sweep(self, keep: Callable[[bytes], bool]) -> None:
        """Destroys every half that `keep` does not want: what a crash left between two files."""
        grants = [bytes(row[0]) for row in self._run("SELECT grant FROM half")]
        self.destroy([grant for grant in grants if not keep(grant)])

    def count(self) -> int:
        return int(self._run("SELECT count(*) FROM half").fetchone()[0])

    def _rotate(self, bucket: int, doomed: list[bytes]) -> None:
        generation, _ = self._newest(bucket)
        self._write(bucket, (generation + 1) % 2, generation + 1, secrets.token_bytes(32))
        self._finish(bucket, doomed)

    def _finish(self, bucket: int, doomed: Iterable[bytes] = ()) -> None:
        """Moves the rows of a bucket under its newer key, without the doomed, then overwrites the older key."""
        self._boxes.clear()
        slots = dict(self._slots(bucket))
        newest = max(slots)
        self._run("BEGIN IMMEDIATE")
        try:
            for grant in doomed:
                self._run("DELETE FROM half WHERE grant = ?", (grant,))
            rows = self._run("SELECT grant, generation, box FROM half WHERE bucket = ?", (bucket,)).fetchall()
            for grant, generation, box in rows:
                if generation != newest:
                    half = open_half(slots[generation], grant, box) if generation in slots else None
                    if half is None:
                        self._run("DELETE FROM half WHERE grant = ?", (grant,))
                    else:
                        again = (newest, seal_half(slots[newest], grant, half), grant)
                        self._run("UPDATE half SET generation = ?, box = ? WHERE grant = ?", again)
            self._run("COMMIT")
        except StorageRefused:
            self.rollback()
            raise
        for generation in slots:
            if generation != newest:
                self._write(bucket, generation % 2, 0, secrets.token_bytes(32))

    def _newest(self, bucket: int) -> tuple[int, bytes]:
        return max(self._slots(bucket))

    def _slots(self, bucket: int) -> list[tuple[int, bytes]]:
        record = bytes(self._ring[bucket * _RECORD : (bucket + 1) * _RECORD])
        found = [(int.from_bytes(slot[:8], "big"), slot[8:]) for slot in (record[:_SLOT], record[_SLOT:])]
        return [(generation, key) for generation, key in found if generation]

    def _write(self, bucket: int, slot: int, generation: int, key: bytes) -> None:
        try:
            at = bucket * _RECORD + slot * _SLOT
            os.pwrite(self._keys, generation.to_bytes(8, "big") + key, at)
            os.fsync(self._keys)
            self._ring[at : at + _SLOT] = generation.to_bytes(8, "big") + key
        except OSError as failure:
            raise StorageRefused from failure

    def _run(self, sql: str, values: tuple[object, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(sql, values)
        except sqlite3.DatabaseError as failure:
            raise StorageRefused from failure


def _open_keys(path: Path) -> int:
    """The key file, made with one key per bucket when there is none."""
    if not path.exists():
        first = (1).to_bytes(8, "big")
        write_secret(path, b"".join(_EMPTY + first + secrets.token_bytes(32) for _ in range(_BUCKETS)))
    return os.open(path, os.O_RDWR)
