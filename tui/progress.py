"""A progress bar on stderr for what lasts over a second, silent when nobody watches. rich is imported only then."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator

Report = Callable[[int, int], None]
PATIENCE = 1.0


@contextlib.contextmanager
def progress(title: str) -> Iterator[Report | None]:
    """A callable (done, total) that draws once a second has passed; None when stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with contextlib.ExitStack() as stack:
        yield _Bar(title, stack)


class _Bar:
    def __init__(self, title: str, stack: contextlib.ExitStack) -> None:
        self._title, self._stack = title, stack
        self._start = time.monotonic()
        self._draw: Report | None = None

    def __call__(self, done: int, total: int) -> None:
        if self._draw is None:
            if time.monotonic() - self._start < PATIENCE:
                return
            self._draw = self._begin()
        self._draw(done, total)

    def _begin(self) -> Report:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        bar = self._stack.enter_context(
            Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
        )
        task = bar.add_task(self._title, total=None)
        return lambda done, total: bar.update(task, completed=done, total=total)
