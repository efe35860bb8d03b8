"""Files are read while others are stored: threads read ahead, within bounds, and all that is ready is taken at once.

The files that are taken at once share one transaction and one sync of the disk. So a few are waited for, but no longer
than a person notices.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")
MOST = 64  # files that wait
FEW, WORTH = 16, 8 << 20  # files, or their bytes, that are worth a transaction
PATIENCE = 0.25  # seconds that the first of them waits for the others
WEIGHT = 64 << 20  # their bytes; one larger file waits alone


class Ahead(Generic[S, T]):
    """Each source, worked on in one of some threads. Iterating gives (source, result) in order, in batches.

    `workers` are what the threads work with, one each; a result is (what came of it, how much memory it holds).
    """

    def __init__(self, sources: Sequence[S], workers: Sequence[Callable[[S], tuple[T, int]]]) -> None:
        self._sources = sources
        self._begun = self._given = 0
        self._ready: dict[int, tuple[T, int]] = {}
        self._stopped = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(worker,), daemon=True) for worker in workers]

    def __enter__(self) -> Ahead[S, T]:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Nothing more is begun; what is being worked on is let go of when it ends."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[list[tuple[S, T]]]:
        while self._given < len(self._sources):
            with self._changed:
                self._changed.wait_for(lambda: self._given in self._ready or self._failure or self._stopped)
                self._changed.wait_for(self._enough, PATIENCE)
                batch = []
                while (done := self._ready.pop(self._given, None)) is not None:
                    batch.append((self._sources[self._given], done[0]))
                    self._given += 1
                self._changed.notify_all()
                if not batch and self._failure is not None:
                    raise self._failure
            if not batch:
                return
            yield batch

    def _run(self, worker: Callable[[S], tuple[T, int]]) -> None:
        try:
            while (number := self._next()) is not None:
                result = worker(self._sources[number])
                with self._changed:
                    self._ready[number] = result
                    self._changed.notify_all()
        except BaseException as failure:  # noqa: BLE001 - raised again where the results are used
            with self._changed:
                self._failure = failure
                self._changed.notify_all()

    def _next(self) -> int | None:
        """The next source to work on, once there is room for it; None at the end."""
        with self._changed:
            self._changed.wait_for(self._room)
            if self._stopped or self._failure or self._begun >= len(self._sources):
                return None
            self._begun += 1
            return self._begun - 1

    def _enough(self) -> bool:
        """Whether waiting longer would bring nothing, or not enough."""
        if self._stopped or self._failure or len(self._ready) >= FEW or self._waiting() >= WORTH:
            return True
        return len(self._ready) == len(self._sources) - self._given or not self._room()

    def _room(self) -> bool:
        if self._stopped or self._failure or self._begun >= len(self._sources):
            return True
        # What is asked for next is always begun: room for it never depends on what comes after.
        waiting = self._begun - self._given
        return waiting == 0 or (waiting < MOST and self._waiting() < WEIGHT)

    def _waiting(self) -> int:
        """The bytes of what nobody has taken yet."""
        return sum(weight for _, weight in self._ready.values())


__all__ = ["Ahead"]
