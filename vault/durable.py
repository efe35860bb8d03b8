"""Files that are on the disk for good before anything names them."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from vault.keys import sync_folder

SYNCS = 4  # files that are made durable at a time


class Written:
    """Files that were renamed into one folder. Each is synced while the next ones are still being written.

    A disk takes several at once: to wait for each before the next takes four times as long. One file alone is synced
    at the end, without a thread.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, Future[None] | None] = {}
        self._threads: ThreadPoolExecutor | None = None

    def __len__(self) -> int:
        return len(self._files)

    def add(self, path: Path) -> None:
        if self._files and self._threads is None:
            self._threads = ThreadPoolExecutor(SYNCS)
        self._files[path] = self._threads.submit(sync_file, path) if self._threads is not None else None

    def sync(self) -> None:
        """All of them are durable, and their names. OSError when one is not."""
        for path, going_on in self._files.items():
            if going_on is None:
                sync_file(path)
            else:
                going_on.result()
        if self._files:
            sync_folder(self._folder)

    def take_back(self, first: int = 0) -> None:
        """Removes all of them from the `first` on; what became of their sync is of no interest any more."""
        for path in list(self._files)[first:]:
            del self._files[path]
            path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()


def sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
