"""What the rules need of a database. SQLite keeps it now; PostgreSQL can keep it behind the same methods.

Every backend passes tests/sync/test_relay_store.py. Writing methods are called between `begin` and `commit`; reading
ones also inside `snapshot`, which must show one consistent state.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

BLOB = 3
"""Third kind of thing with tokens, beside sync.wire.MAILBOX and TRACE."""


class Log(NamedTuple):
    """A mailbox or the trace of a grant: a chain of entries."""

    id: int
    kind: int
    address: bytes
    owner: bytes
    length: int
    chain: bytes
    time: int
    closed: int | None
    freed: int


class Entry(NamedTuple):
    """`body` is None once its bytes are freed."""

    number: int
    time: int
    hash: bytes
    body: bytes | None


class Capability(NamedTuple):
    """`hash` of a token, what it allows ("append" or "read"), and until when."""

    hash: bytes
    right: str
    until: int | None


class Half(NamedTuple):
    """The relay's part of a grant, without the half itself (safe.py keeps that). `id` is that of its trace."""

    id: int
    address: bytes
    owner: bytes
    reader: bytes
    not_before: int
    until: int
    openings: int | None
    used: int
    counter: int
    made: int
    ended: int | None
    reason: str


class Blob(NamedTuple):
    """`offset` bytes of `size` are safely on disk, in the file called `file`."""

    id: int
    address: bytes
    owner: bytes
    size: int
    offset: int
    file: str
    made: int


class Store(Protocol):
    """One writer at a time. `StorageRefused` for whatever the disk refuses."""

    def begin(self) -> None: ...
    def prepare(self) -> None:
        """Hands everything to the database: what is left for `commit` is to wait for the disk."""
        ...

    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def snapshot(self) -> AbstractContextManager[None]: ...
    def reader(self) -> Store:
        """Another view for reading, for use in one other thread."""
        ...

    def close(self) -> None: ...

    def clock(self) -> int: ...
    def set_clock(self, time: int) -> None: ...

    def log(self, kind: int, address: bytes) -> Log | None: ...
    def add_log(self, kind: int, address: bytes, owner: bytes, time: int) -> int: ...
    def set_head(self, log: Log, length: int, chain: bytes, time: int) -> None: ...
    def close_log(self, log: Log, time: int) -> None: ...

    def entry_number(self, log: int, body_hash: bytes) -> int | None: ...
    def add_entry(self, log: int, entry: Entry, *, repeatable: bool = False) -> None:
        """`repeatable`: entry_number finds it again by its hash."""
        ...

    def entries(self, log: int, after: int, limit: int, size: int) -> list[Entry]:
        """In order, at most `limit`, stopping before `size` bytes are exceeded but never before the first."""
        ...

    def free_entries(self, log: Log, upto: int) -> None: ...

    def token(self, kind: int, parent: int, token_hash: bytes) -> Capability | None: ...
    def count_tokens(self, kind: int, parent: int) -> int: ...
    def add_token(self, kind: int, parent: int, token: Capability) -> None: ...
    def drop_token(self, kind: int, parent: int, token_hash: bytes) -> None: ...

    def half(self, address: bytes) -> Half | None: ...
    def add_half(self, half: Half) -> None: ...
    def spend_half(self, half: Half, counter: int, used: int) -> None: ...
    def end_half(self, half: Half, time: int, reason: str) -> None: ...
    def due_halves(self, now: int, limit: int) -> list[Half]: ...
    def is_live(self, address: bytes) -> bool: ...

    def blob(self, address: bytes) -> Blob | None: ...
    def add_blob(self, blob: Blob) -> int: ...
    def advance_blob(self, blob: int, offset: int) -> None: ...
    def drop_blob(self, blob: int) -> None: ...
    def blob_files(self) -> set[str]: ...
