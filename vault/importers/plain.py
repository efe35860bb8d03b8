"""`Read` as plain values and back, and the choice where a file is read: in this process or in a limited worker.

The worker has no file, no network, 10 s and 500 MB. What it answers is checked like any other foreign input: fields by
name and type, and every attachment by its hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO

from vault.document import ENTRY_FIELDS, ENTRY_KINDS, Attachment, Document, Entry, Read, Subject
from vault.errors import ForeignChange, InputRefused
from vault.importers.reading import clean, sha256

if TYPE_CHECKING:
    from vault.quarantine import Quarantine

SECONDS = 10.0
STREAM_SECONDS = 120.0  # in all, of a file that is read piece by piece; each piece has SECONDS
MEMORY = 500 << 20
MAX_MESSAGE = 1 << 30
READING, PAGES = "vault.importers.worker", "vault.importers.worker_pages"
IMAGING = "vault.importers.worker_imaging"
_HEADER = (
    "kind", "title", "type_code", "class_code", "date", "author", "confidentiality", "language", "source_id", "text",
)  # fmt: skip
_ENTRY_FIELDS, _FIELD_TYPES = frozenset(ENTRY_FIELDS), {str, bool}
_PDF_MARKS = (b"application/pdf", b"JVBERi0")  # named, or its first bytes in base64
_TOO_MUCH = "the file could not be read in the time and memory that a file may take"
_HARM = "Nothing of it was kept. It may be damaged, or made to do harm."
_SUBJECT = ("family", "given", "birth")


def to_plain(read: Read) -> tuple[dict[str, Any], list[bytes]]:
    """(JSON value, files in the order of the attachments)."""
    document, subject = read.document, read.subject
    value = {
        "header": {name: getattr(document, name) for name in _HEADER},
        "entries": [[entry.id, entry.kind, dict(entry.fields)] for entry in document.entries],
        "attachments": [[item.sha256, item.media_type, item.name] for item in document.attachments],
        "subject": None if subject is None else {
            **{name: getattr(subject, name) for name in _SUBJECT},
            "identifiers": [list(pair) for pair in subject.identifiers],
            "other_names": list(subject.other_names),
        },
        "warnings": list(read.warnings),
        "several": read.several,
        "format": read.format,
        "part": dict(read.part),
        "slices": {digest: list(place) for digest, place in read.slices.items()},
    }  # fmt: skip
    # A file that stays outside is none of its files.
    return value, [read.files.get(item.sha256, b"") for item in document.attachments]


def from_plain(value: Any, files: list[bytes | Outside]) -> Read:
    """The Read; ForeignChange when it is not one, or a file is not the one that it is said to be."""
    try:
        return _from_plain(value, files)
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        raise ForeignChange("the reader's answer cannot be read") from failure


def _from_plain(value: Any, files: list[bytes | Outside]) -> Read:
    header: dict[str, Any] = {name: _text(value["header"][name]) for name in _HEADER}
    attachments, kept = [], {}
    for (digest, media_type, name), data in zip(value["attachments"], files, strict=True):
        if (sha256(data) if isinstance(data, bytes) else data.sha256) != digest:
            raise ValueError("another file")
        size = len(data) if isinstance(data, bytes) else data.size
        attachments.append(Attachment(digest, _text(media_type), size, _text(name)))
        if isinstance(data, bytes):
            kept[digest] = data
    entries = tuple(Entry(_text(number), _kind(kind), _fields(fields)) for number, kind, fields in value["entries"])
    about = value["subject"]
    subject = None if about is None else Subject(
        _text(about["family"]), _text(about["given"]), _text(about["birth"]),
        identifiers=tuple((_text(system), _text(number)) for system, number in about["identifiers"]),
        other_names=tuple(map(_text, about["other_names"])),
    )  # fmt: skip
    document = replace(Document(entries=entries, attachments=tuple(attachments)), **header)
    if not isinstance(value["several"], bool):
        raise TypeError("neither true nor false")
    part = {_text(name): _text(item) for name, item in value["part"].items()}
    warnings = tuple(map(_text, value["warnings"]))
    slices = {digest: (offset, size) for digest, (offset, size) in value["slices"].items() if digest not in kept}
    return Read(document, subject, kept, warnings, value["several"], _text(value["format"]), part, slices)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not text")
    return value


def _kind(value: Any) -> str:
    if value not in ENTRY_KINDS:
        raise ValueError("not a kind of entry")
    return _text(value)


def _fields(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= _ENTRY_FIELDS:
        raise ValueError("not the fields of an entry")
    if not set(map(type, value.values())) <= _FIELD_TYPES:
        raise TypeError("not the value of a field")
    return value


class Streamed(InputRefused):
    """What is read document by document, from outside of any message: ask for `Readers.stream`."""

    def __init__(self) -> None:
        super().__init__("an archive that Elpis exported comes in by import only")


@dataclass(frozen=True, slots=True)
class Outside:
    """A file that is handed to nobody whole: it is none of the files of a `Read`, only named by it."""

    sha256: str
    size: int


class Readers:
    """Reads files here, or in a worker that is started for the first file and ends with the last."""

    def __init__(self, *, limited: bool) -> None:
        self._limited = limited
        self._workers: dict[str, Quarantine] = {}

    def read(self, data: bytes, name: str) -> list[Read]:
        """Documents of one file; InputRefused says why there are none."""
        from vault.importers import MAX_FILE, format_of, read_file

        if not self._limited:
            return read_file(data, name)
        if len(data) > MAX_FILE:
            raise InputRefused("the file is too large to be read", limit=MAX_FILE)
        found = format_of(data, name)
        if found == "other" or found.startswith("picture:"):
            # Kept as they are: nothing is parsed that would need the wall.
            return read_file(data, name)
        return self._ask(_room(found, data), data, name)

    def stream(self, path: Path, found: str, name: str) -> Generator[list[Read]]:
        """Documents of a large file as they are read: an export of Apple Health or of Elpis. Nothing for any other zip.

        InputRefused, at any moment, says why there are no more; what came before is not to be kept then.
        """
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            own = Outside(digest, source.tell())
            value = {"format": found, "name": name, "sha256": digest, "size": own.size}
            for answer, files in self._course(value, source):
                if isinstance(answer, dict) and "wants" in answer:
                    return
                yield _answered(answer, files, own)

    def _course(self, value: dict[str, Any], source: BinaryIO) -> Iterator[tuple[Any, list[bytes]]]:
        if not self._limited:
            from vault.importers.worker import outside_course

            yield from outside_course(value, source)
            return
        try:
            yield from self._worker(IMAGING).stream("outside", value, source, seconds=STREAM_SECONDS)
        except ForeignChange as failure:
            raise InputRefused(_TOO_MUCH, hint=_HARM) from failure

    def render(self, data: bytes, page: int) -> bytes:
        """A page of a PDF as a picture. ForeignChange when it cannot be drawn in the limits of a file."""
        if not self._limited:
            from vault.importers import pdf

            return pdf.render(data, page)
        _, (picture,) = self._worker(PAGES).run("render", page, (data,))
        return picture

    def _ask(self, room: str, data: bytes, name: str) -> list[Read]:
        answer, files = self._answer(room, data, name)
        wants = answer.get("wants") if isinstance(answer, dict) else None
        if wants == "stream":
            raise Streamed
        if wants == "pages" and room == READING:
            answer, files = self._answer(PAGES, data, name)
        return _answered(answer, files, data)

    def _answer(self, room: str, data: bytes, name: str) -> tuple[Any, list[bytes]]:
        try:
            return self._worker(room).run("read", name, (data,))
        except ForeignChange as failure:
            raise InputRefused(_TOO_MUCH, hint=_HARM) from failure

    def _worker(self, room: str) -> Quarantine:
        from vault.quarantine import Quarantine

        if room not in self._workers:
            self._workers[room] = Quarantine(room=room, seconds=SECONDS, memory=MEMORY, limit=MAX_MESSAGE)
        return self._workers[room]

    def abort(self) -> None:
        """Ends what is being read, from another thread."""
        for worker in list(self._workers.values()):
            worker.abort()

    def __enter__(self) -> Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers.values():
            worker.close()


def _room(found: str, data: bytes) -> str:
    """Which worker: DICOM alone pays for loading pydicom, files that carry PDF for its library."""
    if found in ("dicom", "zip"):
        return IMAGING
    return PAGES if found == "pdf" or any(mark in data for mark in _PDF_MARKS) else READING


def _answered(answer: Any, files: list[bytes], data: bytes | Outside) -> list[Read]:
    """The worker's answer. It sends an empty file where it means the one that it was given."""
    if not isinstance(answer, dict):
        raise ForeignChange("the reader's answer cannot be read")
    if "refused" in answer:
        raise InputRefused(clean(answer["refused"], 1_000), hint=clean(answer.get("hint", ""), 1_000))
    reads: list[Read] = []
    at = 0
    try:
        for value in answer["reads"]:
            count = len(value["attachments"])
            slices = _checked(value["slices"], data)
            own = [slices.get(digest, data) for digest, _type, _name in value["attachments"]]
            reads.append(from_plain(value, [item or where for item, where in zip(files[at:], own, strict=False)]))
            at += count
    except (KeyError, TypeError, ValueError, AttributeError) as failure:
        raise ForeignChange("the reader's answer cannot be read") from failure
    return reads


def _checked(slices: Any, data: bytes | Outside) -> dict[str, Outside]:
    """What stands in the file that was given, and nowhere else. Whoever stores it sees by its hash whether it does."""
    found = {}
    for digest, (offset, size) in slices.items():
        if not isinstance(data, Outside) or type(offset) is not int or type(size) is not int:
            raise ValueError("not a place")
        if not (0 <= offset <= offset + size <= data.size):
            raise ValueError("a place outside of the file")
        found[_text(digest)] = Outside(digest, size)
    return found
