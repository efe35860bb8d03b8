"""Files into a vault: read, compare with the holder, add what is new. A file comes in whole or not at all."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vault.ahead import Ahead
from vault.document import Document, Read
from vault.errors import ForeignChange, InputRefused, WrongSubject
from vault.importers.plain import Readers
from vault.review.identity import same_person

if TYPE_CHECKING:
    from vault.record import Batch
    from vault.vault import Vault

MAX_FILE = 512 << 20
MAX_FILES = 100_000
THREADS = 2  # each with a worker process of its own
WORTH_THREADS = 8 << 20  # bytes in all: less is read before a second worker has started
Progress = Callable[[str, int, int], None]  # file name, files done, files in all
_LITTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


class Reader(Protocol):
    """Something that turns a file into documents: in this process, or in a limited one."""

    def read(self, data: bytes, name: str) -> list[Read]: ...


@dataclass(frozen=True, slots=True)
class Duplicate:
    """What was there already: the file and the id of the document that it gave before."""

    file: str
    document: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """What was not taken, and why. `hint` says what to do."""

    file: str
    why: str
    hint: str = ""


@dataclass(slots=True)
class ImportReport:
    """What came of each file, in their order. `documents` carry their new ids ("" in a dry run)."""

    documents: list[Document] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def import_files(
    vault: Vault,
    paths: Iterable[Path],
    *,
    about_someone_else: bool = False,
    dry_run: bool = False,
    limited: bool = True,
    progress: Progress | None = None,
) -> ImportReport:
    """Reads files and folders into the vault and says what became of each.

    Importing twice adds nothing. A file about somebody else than the holder is skipped, unless `about_someone_else`.
    `limited` reads in a worker process without files or network, 10 s and 500 MB a file.
    """
    report = ImportReport()
    files = list(_files(paths, report))
    threads = min(THREADS, os.cpu_count() or 1) if _weight(files) > WORTH_THREADS else 1
    done = 0
    with ExitStack() as stack:
        readers = [stack.enter_context(Readers(limited=limited)) for _ in range(threads)]
        ahead = stack.enter_context(Ahead(files, [partial(_read, reader) for reader in readers]))
        for group in ahead:
            # What was read by now shares one transaction and one sync of the disk.
            with vault.batch() as batch:
                for path, found in group:
                    if progress is not None:
                        progress(path.name, done, len(files))
                    _store(vault, batch, path, found, report, about_someone_else=about_someone_else, dry_run=dry_run)
                    done += 1
    if progress is not None and files:
        progress("", len(files), len(files))
    return report


def _read(reader: Reader, path: Path) -> tuple[list[Read] | InputRefused, int]:
    """(documents, or why there are none; the bytes that they hold)."""
    try:
        data = _bytes_of(path)
        return reader.read(data, path.name), len(data)
    except InputRefused as refused:
        return refused, 0
    except ForeignChange as failure:
        return InputRefused(str(failure), hint=failure.hint), 0


def _store(
    vault: Vault,
    batch: Batch,
    path: Path,
    found: list[Read] | InputRefused,
    report: ImportReport,
    *,
    about_someone_else: bool,
    dry_run: bool,
) -> None:
    """What was read of one file: all of it, or nothing."""
    outcome = ImportReport()
    try:
        if isinstance(found, InputRefused):
            raise found
        with batch.part():
            for read in found:
                _take(vault, batch, path.name, read, outcome, about_someone_else=about_someone_else, dry_run=dry_run)
    except InputRefused as refused:
        report.skipped.append(Skipped(str(path), str(refused), refused.hint))
        return
    report.documents += outcome.documents
    report.duplicates += outcome.duplicates
    report.skipped += outcome.skipped
    report.warnings += outcome.warnings


def _take(
    vault: Vault,
    batch: Batch,
    name: str,
    read: Read,
    report: ImportReport,
    *,
    about_someone_else: bool,
    dry_run: bool,
) -> None:
    """One document of a file: refused, known, or added."""
    warnings = list(read.warnings)
    try:
        if not _about_holder(vault, read) and not about_someone_else:
            warnings.append("names nobody: taken for the holder's")
    except WrongSubject as wrong:
        if not about_someone_else:
            report.skipped.append(Skipped(name, str(wrong), wrong.hint))
            return
        warnings.append(f"{wrong}, taken as asked")
    document = read.document
    known = vault.find_source(document.source_id) or _own(vault, document.source_id)
    if known is not None and not _same(vault.read(known), read):
        # One identifier on two different documents happens (copied templates): nothing is dropped for it.
        document = replace(document, source_id=f"{document.source_id}#{_fingerprint(read)}")
        known = vault.find_source(document.source_id)
        warnings.append("has the identifier of another document with other content: both are kept")
    if known is not None:
        report.duplicates.append(Duplicate(name, known))
        return
    report.documents.append(document if dry_run else document.with_id(batch.add(document, read.files)))
    report.warnings += [f"{name}: {warning}" for warning in warnings]


def _own(vault: Vault, source_id: str) -> str | None:
    """The document of this very vault that an export of it names."""
    found = re.fullmatch(r"elpis:([0-9a-f]{32})", source_id)
    return found.group(1) if found and vault.documents.exists(found.group(1)) else None


def _about_holder(vault: Vault, read: Read) -> bool:
    """False when the file names nobody. WrongSubject when it names somebody else."""
    subject = read.subject
    if subject is None or not (subject.family or subject.given or subject.birth):
        return False
    same, why = same_person(subject, vault.holder_name, vault.holder_birth)
    if not same:
        raise WrongSubject(
            f"about somebody else than the holder of this vault ({why})",
            hint="Check whose it is. It can be imported all the same when you say so.",
        )
    return True


def _same(known: Document, read: Read) -> bool:
    """Whether a document under the same identifier is the same document: the same file, or the same facts."""
    new = read.document
    held = {item.sha256 for item in known.attachments}
    if held & _originals(new):
        return True
    return (known.type_code, known.date, _facts(known)) == (new.type_code, new.date, _facts(new)) and (
        len(held) == 0 or {item.sha256 for item in new.attachments} - _originals(new) <= held
    )


def _originals(document: Document) -> set[str]:
    """The source file itself: the structured attachment, or the only one."""
    structured = {item.sha256 for item in document.attachments if "xml" in item.media_type or "json" in item.media_type}
    return structured or {item.sha256 for item in document.attachments[:1]}


def _facts(document: Document) -> Counter[tuple[object, ...]]:
    return Counter(
        (entry.kind, *sorted((key, str(value)) for key, value in entry.fields.items())) for entry in document.entries
    )


def _fingerprint(read: Read) -> str:
    return min(_originals(read.document), default="")[:16]


def _weight(files: list[Path]) -> int:
    total = 0
    for path in files:
        with suppress(OSError):
            total += path.stat().st_size
    return total


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_FILE:
                raise InputRefused("the file is too large to be read", limit=MAX_FILE)
            return file.read(MAX_FILE + 1)
    except OSError as failure:
        raise InputRefused(f"the file cannot be read: {failure.strerror or failure}") from failure


def _files(paths: Iterable[Path], report: ImportReport) -> Iterator[Path]:
    """Files, and those in folders by name; links and the litter of file managers are left alone."""
    count = 0
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name.lower() not in _LITTER)
            for name in sorted(names):
                found = Path(folder, name)
                if name.startswith(".") or name.lower() in _LITTER or found.is_symlink():
                    continue
                count += 1
                if count > MAX_FILES:
                    report.skipped.append(Skipped(str(path), f"more than {MAX_FILES} files in one folder"))
                    return
                yield found


__all__ = ["Duplicate", "ImportReport", "Progress", "Reader", "Skipped", "import_files"]
