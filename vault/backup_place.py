"""Where a backup lies: a folder, or one zip file without compression. Names and bytes, nothing else.

A name is seen whole or not at all: a folder's files are drafts until they are durable, and a zip file takes its own
name when it is complete. Normative: spec/backup.md.
"""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Protocol

from vault.errors import InputRefused, NotFound, StorageFailed, VerificationFailed
from vault.keys import sync_folder

NAME = re.compile(r"keyslots|(?:manifests|snapshots)/[0-9a-f]{32}|attachments/[0-9a-f]{64}")
FOLDERS = ("manifests", "snapshots", "attachments")
_PIECE = 1 << 20
_EPOCH = (1980, 1, 1, 0, 0, 0)


class Place(Protocol):
    """What a backup is written to and read from. Every name fits NAME."""

    def names(self) -> set[str]: ...

    def size(self, name: str) -> int: ...

    def pieces(self, name: str) -> Iterator[bytes]: ...

    def put(self, name: str, source: Path) -> None: ...

    def settle(self) -> None: ...

    def drop(self, name: str) -> None: ...

    def finish(self) -> None: ...

    def abandon(self) -> None: ...


class Folder:
    """A folder of files. `foreign` says that something else lies in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def foreign(self) -> bool:
        if not self.path.exists():
            return False
        return any(item.name not in ("keyslots", *FOLDERS) and not _draft(item) for item in self.path.iterdir())

    def names(self) -> set[str]:
        found = {"keyslots"} if (self.path / "keyslots").is_file() else set()
        for folder in FOLDERS:
            if (self.path / folder).is_dir():
                found |= {f"{folder}/{item.name}" for item in (self.path / folder).iterdir() if item.is_file()}
        return {name for name in found if NAME.fullmatch(name)}

    def size(self, name: str) -> int:
        return self._at(name).stat().st_size

    def pieces(self, name: str) -> Iterator[bytes]:
        try:
            with self._at(name).open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece
        except FileNotFoundError:
            raise NotFound(f"{name} is missing from the backup") from None
        except OSError as failure:
            raise StorageFailed(f"{name} of the backup cannot be read") from failure

    def put(self, name: str, source: Path) -> None:
        target = self._at(name)
        draft = target.with_name(target.name + ".new")
        try:
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with source.open("rb") as read, open(_private(draft), "wb") as write:
                shutil.copyfileobj(read, write, _PIECE)
                write.flush()
                os.fsync(write.fileno())
            draft.rename(target)
        except OSError as failure:
            raise StorageFailed("the backup cannot be written") from failure
        finally:
            draft.unlink(missing_ok=True)

    def settle(self) -> None:
        """Every name that was put so far is durable. Once for all: a folder costs as much to sync as a file."""
        try:
            for folder in (self.path, *(self.path / name for name in FOLDERS)):
                if folder.is_dir():
                    sync_folder(folder)
        except OSError as failure:
            raise StorageFailed("the backup cannot be written") from failure

    def drop(self, name: str) -> None:
        self._at(name).unlink(missing_ok=True)

    def finish(self) -> None:
        """Drafts of a run that was killed go."""
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            for item in folder.iterdir() if folder.is_dir() else ():
                if _draft(item):
                    item.unlink(missing_ok=True)

    def _at(self, name: str) -> Path:
        if not NAME.fullmatch(name):
            raise VerificationFailed("not a name of a backup")
        return self.path / name

    def abandon(self) -> None:
        """What was put is named by no manifest; the next run that ends well puts it again or takes it away."""


class Archive:
    """One zip file, stored. Written once, whole; its members have no dates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._draft = path.with_name(path.name + ".new")
        self._writing: zipfile.ZipFile | None = None
        try:
            self._read = zipfile.ZipFile(path) if path.exists() else None
        except (OSError, zipfile.BadZipFile) as failure:
            raise VerificationFailed("this file is not a backup of Elpis") from failure

    @property
    def foreign(self) -> bool:
        return self.path.exists()

    def names(self) -> set[str]:
        return {info.filename for info in self._members()}

    def size(self, name: str) -> int:
        return self._info(name).file_size

    def pieces(self, name: str) -> Iterator[bytes]:
        archive, info = self._archive(), self._info(name)
        try:
            with archive.open(info) as member:
                while piece := member.read(_PIECE):
                    yield piece
        except (OSError, EOFError, zipfile.BadZipFile) as failure:
            raise VerificationFailed(f"{name} of the backup is damaged") from failure

    def put(self, name: str, source: Path) -> None:
        try:
            if self._writing is None:
                self._writing = zipfile.ZipFile(open(_private(self._draft), "wb"), "w", zipfile.ZIP_STORED)  # noqa: SIM115
            info = zipfile.ZipInfo(name, _EPOCH)
            info.file_size = source.stat().st_size
            with source.open("rb") as read, self._writing.open(info, "w") as write:
                shutil.copyfileobj(read, write, _PIECE)
        except OSError as failure:
            raise StorageFailed("the backup cannot be written") from failure

    def settle(self) -> None:
        """Nothing is seen of the file before it is finished."""

    def drop(self, name: str) -> None:
        raise InputRefused("nothing is taken out of a backup in one file")

    def finish(self) -> None:
        """The file takes its name, durable."""
        if self._writing is None:
            return
        try:
            file = self._writing.fp
            self._writing.close()
            if file is not None:
                file.close()
            with self._draft.open("rb") as written:
                os.fsync(written.fileno())
            os.link(self._draft, self.path)  # unlike a rename, this replaces nothing
            sync_folder(self.path.parent)
            self._read = zipfile.ZipFile(self.path)
        except (OSError, zipfile.BadZipFile) as failure:
            raise StorageFailed("the backup cannot be written") from failure
        finally:
            self._writing = None
            self._draft.unlink(missing_ok=True)

    def abandon(self) -> None:
        """Nothing stays of a file that was not finished."""
        if self._writing is None:
            return
        writing, self._writing = self._writing, None
        with suppress(OSError), writing.fp or nullcontext():
            writing.close()
        self._draft.unlink(missing_ok=True)

    def _members(self) -> list[zipfile.ZipInfo]:
        """Stored members under names of a backup; anything else is not read."""
        listed = self._archive().infolist() if self._read or not self._writing else []
        return [info for info in listed if NAME.fullmatch(info.filename) and info.compress_type == zipfile.ZIP_STORED]

    def _info(self, name: str) -> zipfile.ZipInfo:
        for info in self._members():
            if info.filename == name:
                return info
        raise NotFound(f"{name} is missing from the backup")

    def _archive(self) -> zipfile.ZipFile:
        if self._read is None:
            raise NotFound(f"there is no backup in {self.path}")
        return self._read


def place_of(path: Path) -> Folder | Archive:
    """A zip file when it is called one, otherwise a folder."""
    if path.is_dir() or path.suffix.lower() != ".zip":
        if path.exists() and not path.is_dir():
            raise InputRefused("a backup is a folder, or a file whose name ends with .zip")
        return Folder(path)
    return Archive(path)


@contextmanager
def fetched(place: Place, name: str, target: Path) -> Iterator[Path]:
    """The file under another path, gone afterwards."""
    try:
        write_to(place, name, target)
        yield target
    finally:
        target.unlink(missing_ok=True)


def write_to(place: Place, name: str, target: Path) -> None:
    """A copy of the file, private and durable."""
    try:
        with open(_private(target), "wb") as write:
            for piece in place.pieces(name):
                write.write(piece)
            write.flush()
            os.fsync(write.fileno())
    except OSError as failure:
        raise StorageFailed("the backup cannot be copied here") from failure


def _private(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)


def _draft(path: Path) -> bool:
    return path.name.endswith(".new") and path.is_file()
