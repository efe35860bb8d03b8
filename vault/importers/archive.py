"""Zip archives, read in memory, never unpacked to disk: IHE XDM, Mon espace sante, Apple Health, any folder of files.

Declared sizes are not believed: every member is read with a limit, all together with another.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import IO

from vault.document import Read
from vault.errors import InputRefused
from vault.importers import apple_health, elpis_export
from vault.importers.other import title_and_date
from vault.importers.reading import Original
from vault.importers.sniff import format_of

MAX_MEMBERS = 5_000
MAX_TOTAL = 400 << 20
LONG = 32 << 20
# An archive that Elpis exported is read document by document, and may hold what a vault holds.
MAX_OWN_MEMBERS = 150_000
OWN_RATIO = 40  # times its size, in all
MAX_RATIO = 300  # a member that inflates more, and to over a megabyte, is a bomb
_LOCAL = 30  # bytes of a member's own header before its name
_BY_HAND = "Unpack it yourself and import the files."
_LITTER = ("__macosx/", ".ds_store", "thumbs.db", ".svn/", ".git/")
_FRAME = frozenset({"index.htm", "index.html", "readme.txt", "readme.md", "license", "licence.txt"})
_OFFICE = frozenset({"[content_types].xml", "mimetype"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive, read."""

    path: str
    data: bytes

    @property
    def name(self) -> str:
        return self.path.replace("\\", "/").rpartition("/")[2]


class Archive:
    """An opened zip. `warnings` say what was left out and why."""

    def __init__(self, source: bytes | IO[bytes]) -> None:
        self.warnings: list[str] = []
        self._file = file = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            self._zip = zipfile.ZipFile(file)
            members = self._zip.infolist()
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as failure:
            raise InputRefused(f"the archive cannot be opened: {failure}") from failure
        self._alive: Callable[[], None] = getattr(source, "alive", _nothing)
        own = {item.filename for item in members} >= elpis_export.MARKS
        most = MAX_OWN_MEMBERS if own else MAX_MEMBERS
        if len(members) > most:
            raise InputRefused("the archive holds too many files", limit=most)
        named = [item for item in members if item.filename]  # zipfile takes a member without a name, and trips over it
        self.members = [item for item in named if not item.is_dir() and not _is_litter(item.filename)]
        self._left = max(MAX_TOTAL, OWN_RATIO * file.seek(0, io.SEEK_END)) if own else MAX_TOTAL

    def names(self) -> list[str]:
        return [item.filename for item in self.members]

    def read(self, info: zipfile.ZipInfo, limit: int = MAX_TOTAL) -> bytes | None:
        """A member's bytes, None (with a warning) when it cannot be read. InputRefused for a bomb."""
        shown = title_and_date(info.filename)[0][:80]
        if info.flag_bits & 1:
            self.warnings.append(f"{shown}: protected by a password, left out")
            return None
        try:
            with self._zip.open(info) as file:
                data = self._unpacked(file, info, min(limit, self._left))
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ValueError,
            RuntimeError,
        ) as failure:
            self.warnings.append(f"{shown}: damaged in the archive, left out ({failure})")
            return None
        self._left -= len(data)
        return data

    def _unpacked(self, file: IO[bytes], info: zipfile.ZipInfo, limit: int) -> bytes:
        """Piece by piece, so that a bomb is seen before it is unpacked."""
        pieces: list[bytes] = []
        size = 0
        while piece := file.read(1 << 20):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise InputRefused("the archive unpacks to more than is read", hint=_BY_HAND)
            if size > 4 << 20 and size > MAX_RATIO * max(info.compress_size, 1):
                raise InputRefused("the archive unpacks to a suspicious size", hint=_BY_HAND)
        return b"".join(pieces)

    def place_of(self, info: zipfile.ZipInfo) -> tuple[int, int] | None:
        """(offset, size) of a member that stands in the archive as it is; None of one that is compressed or sealed."""
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            return None
        self._file.seek(info.header_offset)
        header = self._file.read(_LOCAL)
        if len(header) < _LOCAL or header[:4] != b"PK\x03\x04":
            return None
        name, extra = int.from_bytes(header[26:28], "little"), int.from_bytes(header[28:30], "little")
        return info.header_offset + _LOCAL + name + extra, info.file_size

    def stream(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        """A member in pieces, for readers that need no more at once: its size has no limit, their time has."""
        try:
            size = 0
            with self._zip.open(info) as file:
                while piece := file.read(1 << 20):
                    size += len(piece)
                    if size > 4 << 20 and size > MAX_RATIO * max(info.compress_size, 1):
                        raise InputRefused("the archive unpacks to a suspicious size", hint=_BY_HAND)
                    self._alive()
                    yield piece
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            OSError,
            NotImplementedError,
            ValueError,
            RuntimeError,
        ) as failure:
            raise InputRefused(f"the archive is damaged: {failure}") from failure


def _nothing() -> None:
    """Nobody waits to hear that work goes on."""


def wants_stream(data: bytes) -> bool:
    """Whether this is better read piece by piece: an archive that Elpis exported, or long measurements."""
    try:
        archive = Archive(data)
    except InputRefused:
        return False
    export = apple_health.find_export(archive)
    return elpis_export.find_record(archive) is not None or (export is not None and export.file_size > LONG)


def read(data: bytes, name: str) -> list[Read]:
    """Every document in the archive."""
    from vault.importers import dicom, other, xdm

    archive = Archive(data)
    lower = [path.lower() for path in archive.names()]
    if any(path in _OFFICE for path in lower):
        return other.read_file(data, name)
    record = elpis_export.find_record(archive)
    if record is not None:
        return _as("elpis", list(elpis_export.read(archive, record)))
    export = apple_health.find_export(archive)
    if export is not None:
        return _as("apple", apple_health.read_archive(archive, export, Original.of(data, name)))
    if xdm.find_metadata(archive):
        return _as("xdm", xdm.read(archive, data, name))
    return _as("zip", dicom.group(read_folder(archive)))


def read_outside(source: IO[bytes], original: Original) -> Iterator[Read] | None:
    """Of an archive that is too large to be held: what can be read piece by piece. None for any other kind."""
    archive = Archive(source)
    record = elpis_export.find_record(archive)
    if record is not None:
        return (replace(read, format="elpis") for read in elpis_export.read(archive, record))
    export = apple_health.find_export(archive)
    return None if export is None else iter(_as("apple", apple_health.read_archive(archive, export, original)))


def _as(kind: str, reads: list[Read]) -> list[Read]:
    return [replace(read, format=kind) for read in reads]


def read_folder(archive: Archive) -> list[Read]:
    """Every member for itself; the member's own file is what is kept. Assumed of a Mon espace sante download."""
    reads: list[Read] = []
    for info in archive.members:
        if info.filename.replace("\\", "/").rpartition("/")[2].lower() in _FRAME:
            continue
        content = archive.read(info)
        if content:
            reads += read_member(Member(info.filename, content), archive)
    if not reads:
        why = archive.warnings[0] if archive.warnings else "nothing in it can be read"
        raise InputRefused(f"the archive gave no document: {why}")
    if archive.warnings:
        reads[0] = replace(reads[0], warnings=(*reads[0].warnings, *archive.warnings))
    return reads


def read_member(member: Member, archive: Archive) -> list[Read]:
    """Documents of one member; an archive in an archive is left alone."""
    from vault.importers import read_file

    if format_of(member.data, member.name) == "zip" and not member.name.lower().endswith(
        (".docx", ".odt", ".xlsx", ".ods")
    ):
        archive.warnings.append(f"{member.name[:80]}: an archive inside an archive, left out")
        return []
    try:
        reads = read_file(member.data, member.name)
    except InputRefused as refused:
        archive.warnings.append(f"{member.name[:80]}: {refused}")
        return []
    title, date = title_and_date(member.name)
    return [_dated(read, title, date) for read in reads]


def _dated(read: Read, title: str, date: str) -> Read:
    """A dated file name says more than the properties of a PDF."""
    unstructured = read.document.source_id.startswith("sha256:") and not read.document.entries
    if not date or not unstructured:
        return read
    return replace(read, document=replace(read.document, title=title, date=date))


def _is_litter(path: str) -> bool:
    lower = path.lower().replace("\\", "/")
    return any(part in lower for part in _LITTER) or lower.rpartition("/")[2].startswith("._")
