"""The files that are meant by paths: files, and those in folders by name."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

MAX_FILES = 100_000
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})
_DISC_INDEX = "dicomdir"


def list_files(paths: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """(files, folders that hold more than is read). Links and the litter of file managers are left alone.

    The index of a DICOM disc stands for its folder, and is not read itself: the images say the same of themselves.
    """
    files: list[Path] = []
    over = []
    for path in paths:
        folder = path.parent if path.name.lower() == _DISC_INDEX and path.is_file() else path
        if not folder.is_dir():
            files.append(folder)
            continue
        for count, found in enumerate(_inside(folder)):
            if count == MAX_FILES:
                over.append(folder)
                break
            files.append(found)
    return files, over


def weight(files: Iterable[Path]) -> int:
    """Bytes in all."""
    total = 0
    for path in files:
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _inside(top: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(top):
        folders[:] = sorted(name for name in folders if not _left_alone(name))
        for name in sorted(names):
            path = Path(folder, name)
            if not _left_alone(name) and name.lower() != _DISC_INDEX and not path.is_symlink():
                yield path


def _left_alone(name: str) -> bool:
    return name.startswith(".") or name.lower() in _LITTER


__all__ = ["MAX_FILES", "list_files", "weight"]
