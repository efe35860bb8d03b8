"""A file's path to its documents: read in a limited worker, letters of scans recognised."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from vault.document import Read
from vault.errors import ForeignChange, InputRefused
from vault.importers import MAX_FILE, format_of
from vault.importers.plain import Readers, Streamed
from vault.outcome import Found
from vault.recognition import Recognizer

LARGE = 48 << 20
HEAD = 64 << 10


class FileReader:
    """Reads one file after another; a thread has its own."""

    def __init__(self, *, limited: bool = True, recognizer: Recognizer | None = None) -> None:
        self._limited = limited
        self._readers = Readers(limited=limited)
        self._recognizer = recognizer

    def read(self, path: Path) -> tuple[Found, int]:
        """(documents, or why there are none; the bytes that they hold)."""
        kind = "other"
        try:
            if path.stat().st_size > LARGE and (large := self._large(path)) is not None:
                return large, 0
            data = _bytes_of(path)
            kind = format_of(data, path.name).partition(":")[0]
            try:
                reads = self._readers.read(data, path.name)
            except Streamed:
                if (large := self._large(path)) is not None:
                    return large, 0
                raise
            return Found(path, kind, tuple(map(self._recognized, reads))), len(data)
        except InputRefused as refused:
            return Found(path, kind, refused=refused), 0
        except OSError as failure:
            return Found(path, kind, refused=_unreadable(failure)), 0
        except ForeignChange as failure:
            return Found(path, kind, refused=InputRefused(str(failure), hint=failure.hint)), 0

    def _large(self, path: Path) -> Found | None:
        """A file that is too large to be held, where it is of a kind that is read piece by piece."""
        with path.open("rb") as file:
            kind = format_of(file.read(HEAD), path.name)
        if kind not in ("apple", "zip"):
            return None
        found = self._readers.stream(path, kind, path.name)
        first = next(found, None)
        if first is None:
            return None
        found.close()
        if first[0].format == "elpis":
            return self._later(path, "elpis")
        return Found(path, "apple", tuple(first))

    def _later(self, path: Path, kind: str) -> Found:
        """An export of a whole record: it is read while it is stored."""
        limited = self._limited

        def stream() -> Iterator[Read]:
            with Readers(limited=limited) as readers:
                for reads in readers.stream(path, "zip", path.name):
                    yield from reads

        return Found(path, kind, stream=stream)

    def _recognized(self, read: Read) -> Read:
        return read if self._recognizer is None else self._recognizer.improve(read, self._readers.render)

    def abort(self) -> None:
        """Ends what is being read, from another thread."""
        self._readers.abort()
        if self._recognizer is not None:
            self._recognizer.abort()

    def __enter__(self) -> FileReader:
        self._readers.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._readers.__exit__(kind, error, trace)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise InputRefused("the file is too large to be read", limit=MAX_FILE)
            return file.read(MAX_FILE + 1)
    except OSError as failure:
        raise _unreadable(failure) from failure


def _unreadable(failure: OSError) -> InputRefused:
    return InputRefused(f"the file cannot be read: {failure.strerror or failure}")


__all__ = ["FileReader"]
