"""Group commit: many writes of many requests, one transaction, one sync to disk.

Rules run in the event loop's thread, where nothing competes for the interpreter; only the commit, which waits for the
disk, runs in the writer thread. Meanwhile answers are prepared, and what comes in is the next batch. A result is given
out only after its commit.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from sync.relay.clock import RelayClock
from sync.relay.refusal import Refusal, StorageRefused
from sync.relay.safe import HalfSafe
from sync.relay.store import Store

T = TypeVar("T")
BATCH = 256
BATCH_BYTES = 8 << 20


class _Job(NamedTuple):
    rule: Callable[[int], Any]
    finish: Callable[[Any], Any] | None
    future: asyncio.Future[Any]
    size: int


class Engine:
    """The one writer. `doomed` collects halves that the batch under way has ended."""

    def __init__(self, store: Store, safe: HalfSafe, clock: RelayClock) -> None:
        self.store = store
        self.safe = safe
        self.clock = clock
        self.doomed: list[bytes] = []
        self.stored = store.clock()
        self._waiting: deque[_Job] = deque()
        self._running = False
        self._writer = ThreadPoolExecutor(1, "relay-writer")
        self._loop = asyncio.get_running_loop()

    def submit(
        self, rule: Callable[[int], T], *, size: int = 0, finish: Callable[[T], Any] | None = None
    ) -> asyncio.Future[Any]:
        """`rule(now)` inside the next transaction, and its result once that is on disk.

        `finish(result)` makes an answer of it while the disk is being waited for; the answer is held back until then.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(_Job(rule, finish, future, size))
        if not self._running:
            self._running = True
            self._loop.call_soon(self._batch)
        return future

    async def close(self) -> None:
        """After every accepted write is on disk."""
        while self._running:
            await asyncio.sleep(0.005)
        self._writer.shutdown()

    def _batch(self) -> None:
        now = self.clock.now()
        done: list[tuple[_Job, Any]] = []
        size = 0
        try:
            self.store.begin()
            if now != self.stored:
                self.store.set_clock(now)
            while self._waiting and len(done) < BATCH and size < BATCH_BYTES:
                job = self._waiting.popleft()
                done.append((job, None))
                size += job.size
                try:
                    done[-1] = (job, job.rule(now))
                except Refusal as refusal:
                    done[-1] = (job, refusal)
            self.store.prepare()
        except Exception as failure:  # noqa: BLE001 - a fault in one rule takes the batch back, and the relay goes on
            if not done:
                done = [(self._waiting.popleft(), None)]
            self._take_back()
            self._loop.call_soon(self._deliver, [(job, failure) for job, _ in done])
            return
        written = self._loop.run_in_executor(self._writer, self._commit, now)
        answers = [(job, self._finish(job, result)) for job, result in done]
        written.add_done_callback(lambda future: self._committed(future, answers))

    def _commit(self, now: int) -> None:
        """In the writer thread."""
        try:
            # The half first: a grant without its half would be a promise that cannot be kept.
            self.safe.commit()
            self._commit_store()
            self.stored = now
            if self.doomed:
                self.safe.destroy(self.doomed)
                self.doomed = []
        except StorageRefused:
            self._take_back()
            raise

    def _commit_store(self) -> None:
        fresh, self.safe.fresh = self.safe.fresh, []
        try:
            self.store.commit()
        except StorageRefused:
            # Nobody was promised these halves. Should the disk refuse this too, the next start does it.
            with contextlib.suppress(StorageRefused):
                self.safe.destroy(fresh)
            raise

    def _finish(self, job: _Job, result: Any) -> Any:
        if job.finish is None or isinstance(result, Refusal):
            return result
        try:
            return job.finish(result)
        except Exception as failure:  # noqa: BLE001 - reaches whoever awaits this answer, and nobody else
            return failure

    def _committed(self, written: asyncio.Future[None], answers: list[tuple[_Job, Any]]) -> None:
        failure = written.exception()
        self._deliver(answers if failure is None else [(job, failure) for job, _ in answers])

    def _take_back(self) -> None:
        for undo in (self.store.rollback, self.safe.rollback):
            # Should the disk refuse this too, SQLite does it when the file is next opened.
            with contextlib.suppress(StorageRefused):
                undo()

    def _deliver(self, answers: list[tuple[_Job, Any]]) -> None:
        # The next batch first: its commit waits for the disk while these answers are sent.
        self._running = bool(self._waiting)
        if self._running:
            self._batch()
        for job, result in answers:
            if job.future.done():
                continue
            if isinstance(result, BaseException):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)
