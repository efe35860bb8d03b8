"""A store that forgets: for tests of the rules, and the shortest description of what a backend has to do."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sync import wire
from sync.relay.store import Blob, Capability, Entry, Half, Log, Store


@dataclass
class _State:
    clock: int = 0
    logs: dict[tuple[int, bytes], Log] = field(default_factory=dict)
    entries: dict[tuple[int, int], Entry] = field(default_factory=dict)
    repeats: dict[tuple[int, bytes], int] = field(default_factory=dict)
    tokens: dict[tuple[int, int, bytes], Capability] = field(default_factory=dict)
    halves: dict[bytes, Half] = field(default_factory=dict)
    blobs: dict[bytes, Blob] = field(default_factory=dict)
    last: int = 0


class MemoryStore:
    """See store.Store. A transaction is a copy of everything, kept until it is committed."""

    def __init__(self) -> None:
        self._now = _State()
        self._before: _State | None = None

    def begin(self) -> None:
        self._before = copy.copy(self._now)
        for name, value in vars(self._now).items():
            if isinstance(value, dict):
                setattr(self._before, name, value.copy())

    def prepare(self) -> None:
        return None

    def commit(self) -> None:
        self._before = None

    def rollback(self) -> None:
        if self._before is not None:
            self._now, self._before = self._before, None

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        yield

    def reader(self) -> Store:
        return self

    def close(self) -> None:
        return None

    def clock(self) -> int:
        return self._now.clock

    def set_clock(self, time: int) -> None:
        self._now.clock = time

    def _number(self) -> int:
        self._now.last += 1
        return self._now.last

    def log(self, kind: int, address: bytes) -> Log | None:
        return self._now.logs.get((kind, address))

    def add_log(self, kind: int, address: bytes, owner: bytes, time: int) -> int:
        log = Log(self._number(), kind, address, owner, 0, wire.START, time, None, 0)
        self._now.logs[kind, address] = log
        return log.id

    def set_head(self, log: Log, length: int, chain: bytes, time: int) -> None:
        self._now.logs[log.kind, log.address] = log._replace(length=length, chain=chain, time=time)

    def close_log(self, log: Log, time: int) -> None:
        self._now.logs[log.kind, log.address] = log._replace(closed=time)

    def entry_number(self, log: int, body_hash: bytes) -> int | None:
        return self._now.repeats.get((log, body_hash))

    def add_entry(self, log: int, entry: Entry, *, repeatable: bool = False) -> None:
        self._now.entries[log, entry.number] = entry
        if repeatable:
            self._now.repeats[log, entry.hash] = entry.number

    def entries(self, log: int, after: int, limit: int, size: int) -> list[Entry]:
        found: list[Entry] = []
        while len(found) < limit and (entry := self._now.entries.get((log, after + len(found) + 1))) is not None:
            size -= len(entry.body or b"")
            if size < 0 and found:
                break
            found.append(entry)
        return found

    def free_entries(self, log: Log, upto: int) -> None:
        for number in range(log.freed + 1, upto + 1):
            self._now.entries[log.id, number] = self._now.entries[log.id, number]._replace(body=None)
        self._now.logs[log.kind, log.address] = log._replace(freed=upto)

    def token(self, kind: int, parent: int, token_hash: bytes) -> Capability | None:
        return self._now.tokens.get((kind, parent, token_hash))

    def count_tokens(self, kind: int, parent: int) -> int:
        return sum(key[:2] == (kind, parent) for key in self._now.tokens)

    def add_token(self, kind: int, parent: int, token: Capability) -> None:
        self._now.tokens[kind, parent, token.hash] = token

    def drop_token(self, kind: int, parent: int, token_hash: bytes) -> None:
        self._now.tokens.pop((kind, parent, token_hash), None)

    def half(self, address: bytes) -> Half | None:
        return self._now.halves.get(address)

    def add_half(self, half: Half) -> None:
        self._now.halves[half.address] = half

    def spend_half(self, half: Half, counter: int, used: int) -> None:
        self._now.halves[half.address] = half._replace(counter=counter, used=used)

    def end_half(self, half: Half, time: int, reason: str) -> None:
        held = self._now.halves[half.address]
        if held.ended is None:
            self._now.halves[half.address] = held._replace(ended=time, reason=reason)

    def due_halves(self, now: int, limit: int) -> list[Half]:
        due = [half for half in self._now.halves.values() if half.ended is None and half.until <= now]
        return sorted(due, key=lambda half: half.until)[:limit]

    def is_live(self, address: bytes) -> bool:
        half = self._now.halves.get(address)
        return half is not None and half.ended is None

    def blob(self, address: bytes) -> Blob | None:
        return self._now.blobs.get(address)

    def add_blob(self, blob: Blob) -> int:
        number = self._number()
        self._now.blobs[blob.address] = blob._replace(id=number)
        return number

    def advance_blob(self, blob: int, offset: int) -> None:
        for address, found in self._now.blobs.items():
            if found.id == blob:
                self._now.blobs[address] = found._replace(offset=offset)

    def drop_blob(self, blob: int) -> None:
        self._now.blobs = {address: found for address, found in self._now.blobs.items() if found.id != blob}
        self._now.tokens = {key: token for key, token in self._now.tokens.items() if key[:2] != (3, blob)}

    def blob_files(self) -> set[str]:
        return {blob.file for blob in self._now.blobs.values()}
