"""A clock that never runs backwards: turning the machine's clock back cannot keep a half alive."""

from __future__ import annotations

import time
from collections.abc import Callable


class RelayClock:
    """Whole seconds. `start` is the last time that was stored before a restart."""

    def __init__(self, start: int = 0, source: Callable[[], float] = time.time) -> None:
        self._last = start
        self._source = source

    def now(self) -> int:
        self._last = max(self._last, int(self._source()))
        return self._last
