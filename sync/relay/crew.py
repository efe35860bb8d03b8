"""Threads for libsodium, which lets go of the interpreter: signatures are checked beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any


class Crew:
    """Like an executor, but many results wake the event loop once."""

    def __init__(self, size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._called = False
        self._threads = [threading.Thread(target=self._work, name="relay-crew", daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def run(self, task: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put((future, task, arguments))
        return future

    def close(self) -> None:
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (item := self._queue.get()) is not None:
            future, task, arguments = item
            try:
                self._done.append((future, task(*arguments), None))
            except Exception as failure:  # noqa: BLE001 - handed to whoever awaits the future
                self._done.append((future, None, failure))
            if not self._called:
                self._called = True
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False
        while self._done:
            future, result, failure = self._done.popleft()
            if future.done():
                continue
            if failure is not None:
                future.set_exception(failure)
            else:
                future.set_result(result)
