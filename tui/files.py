"""Files that come in by the command line and go out by it."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from vault.document import Attachment, Document, Read

CHUNK = 1 << 20
SMALL = 64 << 10  # cards, certificates, keys, recovery kits
BULLETIN = 4 << 20  # the public file of an authority, with the log of its certificates


def read_small(path: Path, limit: int = SMALL) -> bytes:
    """A card, a certificate, a kit, an authority's file: TooLarge before more than that is read."""
    from vault.errors import TooLarge

    with path.open("rb") as source:
        data = source.read(limit + 1)
    if len(data) > limit:
        raise TooLarge(str(path))
    return data


@contextmanager
def new_private(path: Path) -> Iterator[BinaryIO]:
    """A new file that only its owner reads. An existing one is never written over; a failure leaves none behind."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    done = False
    try:
        with open(descriptor, "wb") as target:
            yield target
            target.flush()
            os.fsync(target.fileno())
        done = True
    finally:
        if not done:
            path.unlink(missing_ok=True)


def write_private(path: Path, chunks: Iterable[bytes]) -> None:
    """`new_private` of these bytes."""
    with new_private(path) as target:
        target.writelines(chunks)


def append_private(path: Path) -> TextIO:
    """A text file to write at the end of, that only its owner reads when it is new."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")


def as_attachment(path: Path) -> Attachment:
    """What an attachment says about this file; it is read once, in pieces."""
    from vault.document import Attachment

    digest = hashlib.sha256()
    with path.open("rb") as source:
        while piece := source.read(CHUNK):
            digest.update(piece)
        size = source.tell()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Attachment(digest.hexdigest(), media_type, size, path.name)


def as_document(path: Path, title: str, **facts: str) -> tuple[Document, Mapping[str, bytes | Path]]:
    """Any file as a document of its own, with the file as its attachment."""
    from vault.document import Document

    file = as_attachment(path)
    document = Document(title=title or path.stem, source_id=f"sha256:{file.sha256}", attachments=(file,), **facts)  # type: ignore[arg-type]
    return document, {file.sha256: path}


def as_read(path: Path) -> list[Read]:
    """What the importers read in this file; one plain document with the file attached when no importer knows it."""
    from vault.document import Read
    from vault.errors import InputRefused
    from vault.importers import read_file

    try:
        return read_file(path.read_bytes(), path.name)
    except InputRefused:
        document, _files = as_document(path, "")
        return [Read(document, None, {document.attachments[0].sha256: path.read_bytes()})]
