"""How many requests one address takes: a token bucket in memory, never on disk, never by who asks."""

from __future__ import annotations

import time
from collections.abc import Callable

from sync.relay.refusal import Refusal


class Rate:
    """`burst` requests at once, refilled by `rate` a second."""

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: dict[bytes, tuple[float, float]] = {}

    def take(self, address: bytes) -> None:
        """Refusal when the address has had too many."""
        now = self._clock()
        left, then = self._buckets.get(address, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        if left < 1:
            raise Refusal("rate")
        self._buckets[address] = (left - 1, now)

    def forget(self) -> None:
        """Drops the buckets that have filled up again."""
        now = self._clock()
        for address, (left, then) in list(self._buckets.items()):
            if left + (now - then) * self._rate >= self._burst:
                del self._buckets[address]
