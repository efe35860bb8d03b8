"""A disk that fails once: the n-th call of a process to the file system, and no other.

`every_fault` runs an act again and again, each time with the next of its calls failing, until it comes through whole.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

KINDS = (errno.ENOSPC, errno.EIO)
CALLS = ("open", "fsync", "rename", "replace", "unlink", "fstat", "stat", "write", "pwrite", "pread")


class Disk:
    """Counts calls; the one whose turn it is raises. `what` says which that was."""

    def __init__(self, turn: int, code: int) -> None:
        self.calls = 0
        self.what = ""
        self._turn = turn
        self._code = code

    def asked(self, what: str) -> None:
        self.calls += 1
        if self.calls == self._turn:
            self.what = what
            raise OSError(self._code, os.strerror(self._code))

    def wrap(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            self.asked(name)
            return real(*arguments, **options)

        return call


class File:
    """An open file on that disk."""

    def __init__(self, disk: Disk, real: Any) -> None:
        self._disk = disk
        self._real = real

    def read(self, *size: int) -> Any:
        self._disk.asked("read")
        return self._real.read(*size)

    def write(self, data: bytes) -> Any:
        self._disk.asked("write")
        return self._real.write(data)

    def flush(self) -> None:
        self._disk.asked("flush")
        self._real.flush()

    def close(self) -> None:
        self._real.close()
        self._disk.asked("close")

    def fileno(self) -> int:
        return int(self._real.fileno())

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def failing(turn: int, code: int) -> Iterator[Disk]:
    """From the inside of this block the disk fails once, at this turn."""
    disk = Disk(turn, code)
    real = io.open

    def opened(*arguments: Any, **options: Any) -> File:
        disk.asked("open")
        return File(disk, real(*arguments, **options))

    with patch("io.open", opened):
        changes = [patch.object(os, name, disk.wrap(name, getattr(os, name))) for name in CALLS]
        for change in changes:
            change.start()
        try:
            yield disk
        finally:
            for change in changes:
                change.stop()


def every_fault(act: Callable[[], object], judge: Callable[[BaseException | None, str], None]) -> dict[str, int]:
    """How many calls of each kind failed. `judge` gets what came of each run, and which call had failed."""
    seen: dict[str, int] = {}
    for code in KINDS:
        turn, whole = 0, False
        while not whole:
            turn += 1
            failure: BaseException | None = None
            with failing(turn, code) as disk:
                try:
                    act()
                except Exception as raised:
                    failure = raised
            judge(failure, disk.what)
            whole = not disk.what
            seen[disk.what] = seen.get(disk.what, 0) + 1
    assert seen.pop("") == len(KINDS)
    return seen
