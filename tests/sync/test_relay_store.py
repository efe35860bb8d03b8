"""The contract of a relay's store: every backend passes the same tests. A new backend is one more parameter."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from sync import wire
from sync.relay import blobs, mailbox, trace
from sync.relay.memory import MemoryStore
from sync.relay.refusal import Refusal, StorageRefused
from sync.relay.sqlite import SqliteStore, schema
from sync.relay.store import BLOB, Blob, Capability, Entry, Half, Store

OWNER, TOKEN, ADDRESS = b"o" * 32, b"t" * 32, b"a" * 32


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = SqliteStore(tmp_path / "x.db") if request.param == "sqlite" else MemoryStore()
    yield made
    made.close()


def half(**changes: object) -> Half:
    made = Half(1, ADDRESS, OWNER, b"r" * 32, 5, 100, None, 0, -1, 4, None, "")
    return made._replace(**changes)


def write(store: Store, *steps: object) -> None:
    store.begin()
    for step in steps:
        step()  # type: ignore[operator]
    store.commit()


def test_log_and_entries(store: Store) -> None:
    store.begin()
    number = store.add_log(wire.MAILBOX, ADDRESS, OWNER, 7)
    log = store.log(wire.MAILBOX, ADDRESS)
    assert log is not None
    assert (log.id, log.kind, log.address, log.owner, log.length, log.chain) == (
        number,
        1,
        ADDRESS,
        OWNER,
        0,
        wire.START,
    )
    assert (log.time, log.closed, log.freed) == (7, None, 0)
    for entry in range(1, 6):
        log = store.log(wire.MAILBOX, ADDRESS)
        assert log is not None
        body = bytes([entry]) * 10
        assert trace.add(store, log, body, wire.hash_body(body), 10 + entry).length == entry
        assert store.entry_number(number, wire.hash_body(body)) == entry  # before the commit too
    store.commit()
    reader = store.reader()
    with reader.snapshot():
        assert [entry.number for entry in reader.entries(number, 0, 10, 1_000)] == [1, 2, 3, 4, 5]
        assert [entry.number for entry in reader.entries(number, 2, 2, 1_000)] == [3, 4]
        assert [entry.number for entry in reader.entries(number, 0, 10, 25)] == [1, 2]
        assert [entry.number for entry in reader.entries(number, 0, 10, 1)] == [1]
        assert reader.entries(number, 5, 10, 1_000) == []
        assert reader.entries(number, 0, 1, 1_000)[0] == Entry(1, 11, wire.hash_body(b"\1" * 10), b"\1" * 10)
        found = reader.log(wire.MAILBOX, ADDRESS)
    assert found is not None
    assert (found.length, found.time) == (5, 15)
    assert store.log(wire.TRACE, ADDRESS) is None


def test_logs_do_not_see_each_other(store: Store) -> None:
    store.begin()
    numbers = [store.add_log(wire.MAILBOX, os.urandom(32), OWNER, 1) for _ in range(3)]
    for number in numbers:
        store.add_entry(number, Entry(1, 1, b"h" * 32, bytes([number])), repeatable=number == numbers[0])
    store.commit()
    assert [store.entries(number, 0, 10, 99)[0].body for number in numbers] == [bytes([number]) for number in numbers]
    assert [store.entry_number(number, b"h" * 32) for number in numbers] == [1, None, None]


def test_rollback_takes_everything_back(store: Store) -> None:
    store.begin()
    number = store.add_log(wire.MAILBOX, ADDRESS, OWNER, 1)
    store.add_token(wire.MAILBOX, number, Capability(TOKEN, "read", None))
    store.commit()
    before = store.log(wire.MAILBOX, ADDRESS)
    assert before is not None
    store.begin()
    trace.add(store, before, b"body", b"h" * 32, 3)
    store.drop_token(wire.MAILBOX, number, TOKEN)
    store.add_half(half())
    store.set_clock(9)
    store.rollback()
    assert store.log(wire.MAILBOX, ADDRESS) == before
    assert store.entries(number, 0, 9, 99) == []
    assert store.entry_number(number, b"h" * 32) is None
    assert store.token(wire.MAILBOX, number, TOKEN) is not None
    assert store.half(ADDRESS) is None
    assert store.clock() == 0
    store.rollback()  # again is nothing


def test_free_keeps_hashes(store: Store) -> None:
    store.begin()
    store.add_log(wire.MAILBOX, ADDRESS, OWNER, 1)
    for number in range(3):
        mailbox.append(store, ADDRESS, OWNER, bytes([number]), wire.hash_body(bytes([number])), 2)
    mailbox.trim(store, ADDRESS, OWNER, 2)
    store.commit()
    log = store.log(wire.MAILBOX, ADDRESS)
    assert log is not None
    assert log.freed == 2
    entries = store.entries(log.id, 0, 9, 99)
    assert [entry.body for entry in entries] == [None, None, b"\2"]
    assert entries[0].hash == wire.hash_body(b"\0")


def test_tokens(store: Store) -> None:
    read, append = Capability(TOKEN, "read", None), Capability(b"u" * 32, "append", 9)
    store.begin()
    for token in (read, append, read):
        store.add_token(wire.MAILBOX, 1, token)
    store.add_token(BLOB, 1, read)
    store.commit()
    assert store.token(wire.MAILBOX, 1, TOKEN) == read
    assert store.token(wire.MAILBOX, 1, b"u" * 32) == append
    assert store.token(wire.MAILBOX, 2, TOKEN) is None
    assert (store.count_tokens(wire.MAILBOX, 1), store.count_tokens(BLOB, 1)) == (2, 1)
    store.begin()
    store.drop_token(wire.MAILBOX, 1, TOKEN)
    store.add_token(wire.MAILBOX, 1, append._replace(until=5))
    store.commit()
    assert store.token(wire.MAILBOX, 1, TOKEN) is None
    assert store.token(wire.MAILBOX, 1, b"u" * 32) == append._replace(until=5)
    assert store.token(BLOB, 1, TOKEN) == read


def test_halves(store: Store) -> None:
    write(store, lambda: store.add_half(half()), lambda: store.add_half(half(id=2, address=b"b" * 32, until=50)))
    assert store.half(ADDRESS) == half()
    assert store.is_live(ADDRESS)
    assert store.due_halves(49, 9) == []
    assert [due.address for due in store.due_halves(100, 9)] == [b"b" * 32, ADDRESS]
    assert len(store.due_halves(100, 1)) == 1
    store.begin()
    store.spend_half(half(), 8, 1)
    assert store.half(ADDRESS) == half(counter=8, used=1)
    store.commit()
    assert store.reader().half(ADDRESS) == half(counter=8, used=1)
    write(store, lambda: store.end_half(half(counter=8, used=1), 60, "revoked"))
    assert store.half(ADDRESS) == half(counter=8, used=1, ended=60, reason="revoked")
    write(store, lambda: store.end_half(half(), 70, "ended"))
    assert store.half(ADDRESS) == half(counter=8, used=1, ended=60, reason="revoked")
    assert not store.is_live(ADDRESS)
    assert not store.is_live(b"z" * 32)
    assert [due.address for due in store.due_halves(100, 9)] == [b"b" * 32]


def test_spending_and_ending_in_one_transaction(store: Store) -> None:
    write(store, lambda: store.add_half(half()))
    held = store.half(ADDRESS)
    assert held is not None
    write(store, lambda: store.spend_half(held, 3, 1), lambda: store.end_half(held, 9, "used-up"))
    assert store.reader().half(ADDRESS) == half(counter=3, used=1, ended=9, reason="used-up")


def test_blobs(store: Store) -> None:
    blob = Blob(0, ADDRESS, OWNER, 10, 0, "name", 3)
    store.begin()
    number = store.add_blob(blob)
    store.add_token(BLOB, number, Capability(TOKEN, "read", None))
    store.commit()
    assert store.blob(ADDRESS) == blob._replace(id=number)
    assert store.blob_files() == {"name"}
    write(store, lambda: blobs.advance(store, ADDRESS, OWNER, 0, 10))
    assert blobs.readable(store, ADDRESS, TOKEN, 1).offset == 10
    with pytest.raises(Refusal, match="offset"):
        blobs.advance(store, ADDRESS, OWNER, 0, 5)
    write(store, lambda: store.drop_blob(number))
    assert store.blob(ADDRESS) is None
    assert store.token(BLOB, number, TOKEN) is None


def test_clock(store: Store) -> None:
    write(store, lambda: store.set_clock(5))
    write(store, lambda: store.set_clock(6))
    assert store.clock() == 6


def test_sqlite_is_durable_and_overwrites_what_it_deletes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    settings = {name: store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert store._db.execute("PRAGMA secure_delete").fetchone()[0] == 1
    store.close()


def test_sqlite_full_disk_is_a_refusal(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "x.db")
    store._db.execute("PRAGMA max_page_count = 40")
    with pytest.raises(StorageRefused):
        for number in range(60):
            store.begin()
            store.add_entry(1, Entry(number + 1, 1, b"h" * 32, bytes(4_000)))
            store.commit()
    store.rollback()
    kept = store.entries(1, 0, 100, 1 << 20)
    assert kept
    write(store, lambda: store.set_clock(1))
    store.close()


def test_sqlite_upgrades_from_every_earlier_version(tmp_path: Path) -> None:
    numbers = [number for number, _ in schema()]
    assert numbers == list(range(1, len(numbers) + 1))
    for start in range(len(numbers)):
        path = tmp_path / f"{start}.db"
        db = sqlite3.connect(path)
        for number, script in schema()[:start]:
            db.executescript(script)
            db.execute(f"PRAGMA user_version = {number}")
        db.close()
        store = SqliteStore(path)
        assert store._db.execute("PRAGMA user_version").fetchone()[0] == numbers[-1]
        store.close()
