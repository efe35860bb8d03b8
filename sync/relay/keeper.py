"""What a running relay holds together: files, writer, readers, waiters, and the sweeper that ends halves."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sync import wire
from sync.relay import halves, trace
from sync.relay.blobs import Folder
from sync.relay.checker import Checker
from sync.relay.clock import RelayClock
from sync.relay.engine import Engine
from sync.relay.log import Log
from sync.relay.rate import Rate
from sync.relay.refusal import Refusal
from sync.relay.safe import HalfSafe
from sync.relay.signing import Signer
from sync.relay.sqlite import SqliteStore
from sync.relay.store import Store
from sync.relay.waiting import Waiting

T = TypeVar("T")
SWEEP_SECONDS = 0.25
KNOWN = 50_000


def beside(db: Path, name: str) -> Path:
    """The file of this relay called `name`: DB.halves, DB.key, DB.blobs."""
    return db.with_name(f"{db.name}.{name}")


class Gate:
    """Stands between a committed opening and the wire: closed by the end of the grant or its revocation."""

    def __init__(self, clock: RelayClock) -> None:
        self.until = 0
        self.revoked = False
        self._clock = clock

    def __call__(self) -> None:
        if self.revoked:
            raise Refusal(halves.REVOKED)
        if self._clock.now() >= self.until:
            raise Refusal(halves.ENDED)


class Keeper:
    """Made inside a running event loop; `close` acknowledges nothing that is not on disk."""

    def __init__(self, db: Path, log: Log) -> None:
        self.log = log
        self.store: Store = SqliteStore(db)
        self.safe = HalfSafe(beside(db, "halves"))
        self.safe.sweep(self.store.is_live)
        self.folder = Folder(beside(db, "blobs"))
        self.folder.sweep(self.store.blob_files())
        self.signer = Signer.load(beside(db, "key"))
        self.clock = RelayClock(self.store.clock())
        self.engine = Engine(self.store, self.safe, self.clock)
        self.checker = Checker()
        self.waiting = Waiting()
        self.mailbox_rate = Rate(wire.MAILBOX_RATE, wire.MAILBOX_BURST)
        self.grant_rate = Rate(wire.GRANT_RATE, wire.GRANT_BURST)
        self.uploads: set[bytes] = set()
        self.gates: dict[bytes, set[Gate]] = {}
        self.peek = self.store.reader()
        self._readers: dict[bytes, bytes] = {}
        self._view = self.store.reader()
        self._reads = ThreadPoolExecutor(1, "relay-reader")
        self._sweeper = asyncio.get_running_loop().create_task(self._sweep())

    async def close(self) -> None:
        self.waiting.stop()
        self._sweeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._sweeper
        await self.engine.close()
        self.checker.close()
        self._reads.shutdown()
        for store in (self.peek, self._view, self.store):
            store.close()
        self.safe.close()
        self.log.flush()

    async def read(self, question: Callable[[Store], T]) -> T:
        """`question(store)` in the reader thread, on one consistent state."""

        def ask() -> T:
            with self._view.snapshot():
                return question(self._view)

        return await asyncio.get_running_loop().run_in_executor(self._reads, ask)

    def reader_of(self, grant: bytes) -> bytes:
        """The key that signs this grant's openings, which never changes; the rest is asked when it is opened."""
        reader = self._readers.get(grant)
        if reader is None:
            half = self.peek.half(grant)
            if half is None:
                raise Refusal("unknown")
            if half.ended is not None:
                raise Refusal(half.reason)
            if len(self._readers) > KNOWN:
                self._readers.clear()
            reader = self._readers[grant] = half.reader
        return reader

    def sign(self, head: trace.Head) -> bytes:
        return self.signer.checkpoint(*head)

    def shut_gates(self, grant: bytes) -> None:
        """No opening of this grant that is still on its way leaves any more."""
        for gate in self.gates.get(grant, ()):
            gate.revoked = True

    async def _sweep(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            turn += 1
            now = self.clock.now()
            if self.peek.due_halves(now, 1) or self.engine.doomed:
                await asyncio.wait([self.engine.submit(self._end_due)])
            if turn % 4 == 0:
                self.log.flush()
                self.mailbox_rate.forget()
                self.grant_rate.forget()
            if turn % 40 == 0 and now != self.engine.stored:
                await asyncio.wait([self.engine.submit(lambda _: None)])

    def _end_due(self, now: int) -> None:
        self.engine.doomed += halves.end_due(self.store, now)
