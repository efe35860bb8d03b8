"""Files into a vault: read, compare with the holder, add what is new. A file comes in whole or not at all."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from vault.ahead import Ahead
from vault.attachment import Slice, Source
from vault.belonging import HINT, NOBODY, Holder, Question, sort_out
from vault.document import ENTRY_KINDS, Document, Entry, Read
from vault.errors import InputRefused
from vault.file_reader import FileReader
from vault.importers import dicom
from vault.importers.dates import from_fhir
from vault.importers.other import keep
from vault.importers.reading import clean
from vault.listing import MAX_FILES, list_files, weight
from vault.outcome import Found, Judge, Outcome, outcome_of
from vault.primitives import make_id
from vault.quarantine import GARBAGE
from vault.recognition import Recognizer
from vault.sameness import fingerprint, own_document, same_document
from vault.store.imports import Imports

if TYPE_CHECKING:
    from vault.record import Batch
    from vault.vault import Vault

THREADS = 2  # each with a worker process of its own
WORTH_THREADS = 8 << 20  # bytes in all: less is read before a second worker has started
Progress = Callable[[str, int, int], None]  # file name, files done, files in all
Ask = Callable[[Question], bool]
DESCRIBED = ("title", "date", "author", "type_code", "class_code")
Describe = Callable[[str], Mapping[str, str] | None]  # file name -> fields of its document, None to leave it


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
    """What came of each file, in their order. `documents` carry their new ids ("" in a dry run), and of their entries
    the kinds alone: tens of thousands may come in.

    `id` is what `undo_import` takes back; "" when nothing was added. `left` files were not come to: it was stopped.
    """

    documents: list[Document] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    id: str = ""
    left: int = 0

    def take(self, other: ImportReport) -> None:
        self.documents += other.documents
        self.duplicates += other.duplicates
        self.skipped += other.skipped
        self.warnings += other.warnings


def import_files(
    vault: Vault,
    paths: Iterable[Path],
    *,
    about_someone_else: bool = False,
    dry_run: bool = False,
    limited: bool = True,
    recognize: bool = True,
    ask: Ask | None = None,
    describe: Describe | None = None,
    progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ImportReport:
    """Reads files and folders into the vault and says what became of each.

    Importing twice adds nothing. What is, or may be, about somebody else than the holder is skipped, unless `ask` says
    yes to it or `about_someone_else` to everything. A file of a format that nobody knows is kept when `describe` says
    as what. `limited` reads in a worker process without files or network, 10 s and 500 MB a file. `recognize` reads
    the letters of scans where tesseract is installed. When `stopped` says so, what is in stays and the rest is left.
    """
    report = ImportReport()
    files, over = list_files(paths)
    report.skipped += [Skipped(str(folder), f"more than {MAX_FILES} files in one folder") for folder in over]
    intake = _Intake(
        vault, report, about_someone_else=about_someone_else, dry_run=dry_run, ask=ask, describe=describe,
        stopped=stopped,
    )  # fmt: skip
    recognizer = Recognizer() if recognize else None
    threads = min(THREADS, os.cpu_count() or 1) if weight(files) > WORTH_THREADS else 1
    done = 0
    with ExitStack() as stack:
        stack.enter_context(_rarely_collected())
        readers = [stack.enter_context(FileReader(limited=limited, recognizer=recognizer)) for _ in range(threads)]
        ahead = stack.enter_context(Ahead(files, [reader.read for reader in readers]))
        stack.callback(_end, ahead, readers)
        for group in ahead:
            if stopped():
                break
            for path, _found in group:
                if progress is not None:
                    progress(path.name, done, len(files))
                done += 1
            intake.take([found for _path, found in group])
    report.left = len(files) - done
    intake.take_studies()
    if recognizer is not None:
        report.warnings += recognizer.notes()
    if progress is not None and files and not report.left:
        progress("", len(files), len(files))
    return report


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Documents go in no circles: looking for them at the usual pace is a tenth of the work of an import."""
    usual = gc.get_threshold()
    gc.set_threshold(GARBAGE, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def _end(ahead: Ahead[Path, Found], readers: list[FileReader]) -> None:
    """Whatever is still being read is of no use any more."""
    ahead.stop()
    for reader in readers:
        reader.abort()


class _Intake:
    """What is known while files come in."""

    def __init__(
        self,
        vault: Vault,
        report: ImportReport,
        *,
        about_someone_else: bool,
        dry_run: bool,
        ask: Ask | None,
        describe: Describe | None,
        stopped: Callable[[], bool],
    ) -> None:
        self._vault = vault
        self._report = report
        self._holder = Holder(vault.holder_name, vault.holder_birth, vault.holder_ins)
        self._ask = (lambda _question: True) if about_someone_else else ask or (lambda _question: False)
        self._silent = about_someone_else
        self._describe = describe
        self._dry_run = dry_run
        self._stopped = stopped
        self._import_id = make_id().hex()
        self._images: list[tuple[str, Read]] = []
        self._objects: dict[str, Source] = {}  # files that wait outside, by their hash

    def take(self, group: Sequence[Found]) -> None:
        """Files that were read by now: one transaction and one sync of the disk for all of them."""
        # Whoever is asked may take their time: the vault is not held meanwhile.
        held = [found for found in group if found.stream is None]
        asked = [(found, self._decided(found)) for found in map(self._kept, held)]
        with self._batch() as batch:
            for found, decided in asked:
                self._take_file(batch, found, decided)
        for found in group:
            if found.stream is not None:
                self._take_whole_record(found, found.stream())

    def _take_whole_record(self, found: Found, reads: Iterator[Read]) -> None:
        """An export of a vault, stored while it is read: all of it is one transaction."""
        judge, outcome, answers = Judge(found), ImportReport(), dict[object, bool]()
        try:
            first = next(reads, None)
            if first is None or not self._decided(replace(found, reads=(first,)), answers):
                return  # asked about, and said
            with self._batch() as batch:
                for read in chain((first,), reads):
                    if self._stopped():
                        raise InputRefused("stopped before its end: nothing of it was kept")
                    judge.see(read)
                    for digest, (offset, size) in read.slices.items():
                        self._objects[digest] = Slice(found.path, offset, size)
                    for decided, said in self._decided(replace(found, reads=(read,)), answers):
                        self._add(batch, found.path.name, decided, said, outcome)
                self._new += [document.id for document in outcome.documents]
        except InputRefused as refused:
            self._report.skipped.append(Skipped(str(found.path), str(refused), refused.hint))
            self._report.outcomes.append(judge.refused(refused))
            return
        self._report.outcomes.append(judge.outcome())
        outcome.warnings = list(dict.fromkeys(outcome.warnings))  # whose it is, for one: the same of every document
        self._report.take(outcome)
        if outcome.documents and not self._dry_run:
            self._report.id = self._import_id

    @contextmanager
    def _batch(self) -> Iterator[Batch]:
        """A batch of the vault; what was new in it is noted as of this import."""
        with self._vault.batch() as batch:
            self._new: list[str] = []
            yield batch
            if self._new and not self._dry_run:
                Imports(self._vault.store).note(self._import_id, self._new, int(self._vault.clock()))

    def take_studies(self) -> None:
        """DICOM objects, once all are known: one document for each study."""
        if not self._images:
            return
        names = {item.sha256: name for name, read in self._images for item in read.document.attachments}
        with self._batch() as batch:
            for study in dicom.group([read for _, read in self._images]):
                name = names[study.document.attachments[0].sha256]
                self._guarded(batch, name, name, [(self._unknown_objects(study), ())])

    def _take_file(self, batch: Batch, found: Found, decided: list[tuple[Read, tuple[str, ...]]]) -> None:
        self._report.outcomes.append(outcome_of(found))
        if found.refused is not None:
            self._report.skipped.append(Skipped(str(found.path), str(found.refused), found.refused.hint))
            return
        whole = []
        for read, warnings in decided:
            if read.part.get("study"):
                # The file is read again when its study is stored: no image waits in memory.
                whole_file = read.document.attachments[0].sha256 if found.format == "dicom" else ""
                for digest, data in read.files.items():
                    self._objects[digest] = found.path if digest == whole_file else data
                self._images.append((found.path.name, replace(read, files={}, warnings=(*read.warnings, *warnings))))
            else:
                for item in read.document.attachments:
                    if item.sha256 not in read.files:  # too large to be held: it stays where it is until it is stored
                        self._objects[item.sha256] = found.path
                whole.append((read, warnings))
        self._guarded(batch, str(found.path), found.path.name, whole)

    def _guarded(self, batch: Batch, path: str, name: str, decided: Sequence[tuple[Read, tuple[str, ...]]]) -> None:
        """All documents of a file, or none."""
        outcome = ImportReport()
        try:
            with batch.part():
                for read, warnings in decided:
                    self._add(batch, name, read, warnings, outcome)
        except InputRefused as refused:
            self._report.skipped.append(Skipped(path, str(refused), refused.hint))
            return
        self._report.take(outcome)
        if outcome.documents and not self._dry_run:
            self._report.id = self._import_id
            self._new += [document.id for document in outcome.documents]

    def _kept(self, found: Found) -> Found:
        """A file of no known format as an attachment, when somebody says of what."""
        if self._describe is None or found.refused is None or found.refused.facts.get("format") != "unknown":
            return found
        fields = self._describe(found.path.name)
        if fields is None:
            return found
        try:
            (read,) = keep(found.path.read_bytes(), found.path.name)
        except OSError as failure:
            return replace(found, refused=InputRefused(f"the file cannot be read: {failure.strerror or failure}"))
        said = {name: value for name in DESCRIBED if (value := clean(fields.get(name, ""), 500))}
        if "date" in said and not from_fhir(said["date"]):
            return replace(found, refused=InputRefused(f"not a date: {said['date'][:40]}"))
        document = replace(read.document, **said)  # type: ignore[arg-type]
        return Found(found.path, "other", (replace(read, document=document, format="other"),))

    def _decided(self, found: Found, answers: dict[object, bool] | None = None) -> list[tuple[Read, tuple[str, ...]]]:
        """The documents to take, each with what is to be said about whose they are. Nothing is asked twice."""
        taken: list[tuple[Read, tuple[str, ...]]] = []
        answers = {} if answers is None else answers
        for verdict in sort_out(found.reads, self._holder):
            read = verdict.read
            if not verdict.why:
                # A form of words that asks nothing: most files of a person name nobody.
                taken.append((read, (NOBODY,) if verdict.nameless and not self._silent else ()))
                continue
            question = Question(found.path.name, read.document.title, verdict.why, read.subject)
            about = (verdict.why, read.subject)
            if about not in answers:
                answers[about] = self._ask(question)
            if answers[about]:
                taken.append((read, (f"{verdict.why}, taken as asked",)))
            else:
                self._report.skipped.append(Skipped(found.path.name, verdict.why, HINT))
        return taken

    def _add(self, batch: Batch, name: str, read: Read, said: tuple[str, ...], report: ImportReport) -> None:
        """One document of a file: known, or added."""
        warnings = [*read.warnings, *said]
        document, files = read.document, dict[str, Source](read.files)
        waiting = (item.sha256 for item in document.attachments if item.sha256 not in files)
        files |= {digest: self._objects[digest] for digest in waiting}
        known = self._vault.find_source(document.source_id) or own_document(self._vault, document.source_id)
        if known is not None and not same_document(self._vault.read(known), read):
            # One identifier on two different documents happens (copied templates): nothing is dropped for it.
            document = replace(document, source_id=f"{document.source_id}#{fingerprint(read)}")
            known = self._vault.find_source(document.source_id)
            if not document.source_id.startswith("dicom:"):
                warnings.append("has the identifier of another document with other content: both are kept")
        if known is not None:
            report.duplicates.append(Duplicate(name, known))
            return
        if not self._dry_run:
            document = document.with_id(batch.add(document, files, hashed=True))
        report.documents.append(_as_listed(document))
        report.warnings += [f"{name}: {warning}" for warning in warnings]

    def _unknown_objects(self, study: Read) -> Read:
        """A study of which some objects came in before, without them; whole when all are known or none."""
        known = self._vault.find_source(study.document.source_id)
        if known is None:
            return study
        held = {item.sha256 for item in self._vault.read(known).attachments}
        new = tuple(item for item in study.document.attachments if item.sha256 not in held)
        if not new or len(new) == len(study.document.attachments):
            return study
        return replace(study, document=replace(study.document, attachments=new))


def _as_listed(document: Document) -> Document:
    return replace(document, text="", entries=tuple([_BARE[entry.kind] for entry in document.entries]))


_BARE = {kind: Entry("", kind) for kind in ENTRY_KINDS}


__all__ = ["Duplicate", "ImportReport", "Progress", "Skipped", "import_files"]
