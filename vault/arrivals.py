"""Files that arrive in a folder: which are whole, what is in them, and how they are put out of the way."""

from __future__ import annotations

import os
import shutil
import stat as stats
from collections.abc import Iterator
from pathlib import Path

from vault.errors import StorageFailed
from vault.keys import sync_folder

MAX_FILE = 512 << 20
UNFINISHED = (".tmp", ".part", ".filepart", ".crdownload", ".swp", "~")


def files_in(folder: Path, move_to: Path | None) -> Iterator[tuple[Path, os.stat_result]]:
    """Regular files by name, with what they were when they were found; not what is hidden, a link or unfinished."""
    for where, folders, names in os.walk(folder):
        base = Path(where)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and (move_to is None or base / name != move_to)
        )
        for name in sorted(names):
            if name.startswith(".") or name.lower().endswith(UNFINISHED):
                continue
            try:
                stat = (base / name).lstat()
            except OSError:
                continue  # gone since it was listed
            if stats.S_ISREG(stat.st_mode):
                yield base / name, stat


def read_whole(path: Path, stat: os.stat_result) -> bytes | None:
    """The bytes of a file that did not change meanwhile; None when it did, or cannot be read now."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
            after = os.fstat(file.fileno())
    except OSError:
        return None
    same = (stat.st_ino, stat.st_size, stat.st_mtime_ns) == (after.st_ino, after.st_size, after.st_mtime_ns)
    return data if same else None


def move_beside(path: Path, target: Path) -> bool:
    """A rename that replaces nothing: a second name first, then the first one goes."""
    for number in range(1, 10_000):
        free = target if number == 1 else target.with_name(f"{target.stem} ({number}){target.suffix}")
        try:
            os.link(path, free)
        except FileExistsError:
            continue
        except OSError:
            _copy(path, free)  # another file system, or one without second names
        path.unlink()
        sync_folder(free.parent)
        return True
    return False


def _copy(path: Path, free: Path) -> None:
    draft = free.with_name(f".{free.name}.new")
    try:
        shutil.copy2(path, draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.rename(free)
    except OSError as failure:
        raise StorageFailed("the file cannot be moved into that folder") from failure


def shown(path: Path) -> str:
    """A path as text, also when its name is none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def stamp_of(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
