"""Long polls: who waits for which mailbox or trace, woken as soon as something is appended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

Key = tuple[int, bytes]


class Waiting:
    """In the event loop's thread only."""

    def __init__(self) -> None:
        self._waiters: dict[Key, set[asyncio.Event]] = {}
        self.stopping = False

    def watch(self, keys: Iterable[Key]) -> asyncio.Event:
        event = asyncio.Event()
        for key in keys:
            self._waiters.setdefault(key, set()).add(event)
        return event

    def leave(self, keys: Iterable[Key], event: asyncio.Event) -> None:
        for key in keys:
            waiters = self._waiters.get(key, set())
            waiters.discard(event)
            if not waiters:
                self._waiters.pop(key, None)

    def wake(self, kind: int, address: bytes) -> None:
        if self._waiters:
            for event in self._waiters.get((kind, address), ()):
                event.set()

    def stop(self) -> None:
        """Ends every long poll at once, with nothing."""
        self.stopping = True
        for waiters in self._waiters.values():
            for event in waiters:
                event.set()
