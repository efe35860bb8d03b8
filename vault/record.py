"""The holder's own documents: add, amend, attach, read, list, search. Vault builds on it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vault.document import (
    CLINICAL,
    DOCUMENT_KINDS,
    SECTION_ENTRY,
    SECTION_TITLES,
    Attachment,
    Conflict,
    Document,
    Entry,
    Value,
)
from vault.durable import Written, sync_file
from vault.errors import InputRefused, NotFound, StorageFailed
from vault.keys import VaultKey, sync_folder
from vault.primitives import hash32, make_id, make_key
from vault.shape import check_attachments, check_state, to_document, to_state
from vault.store.documents import Documents
from vault.store.searching import Wanted
from vault.store.summary import Summary
from vault.store.timeline import is_partial
from vault.store.words import excerpt

if TYPE_CHECKING:
    from vault.attachment import Progress, Slice, Source

    Files = Mapping[str, bytes | Path | Slice]
    from vault.replica import Edit
    from vault.store.connection import Store

NO_FILES: Files = {}
RETIRED = "retired"  # a setting: "removed", or "closed" by the holder with the whole vault on another device
TELLING = "telling"  # the setting that names the vault's channel; there is none while the vault has one device
BATCH = 500  # documents in one transaction of a bulk insert
AMENDABLE = ("title", "type_code", "class_code", "date", "author", "confidentiality", "language", "text")


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` is the cursor for `before`, None at the end."""

    documents: tuple[Summary, ...]
    next: tuple[int] | None


@dataclass(frozen=True, slots=True)
class Hit:
    """One found document. `snippet` is plain text with \\x02 and \\x03 round the match."""

    summary: Summary
    snippet: str


class Record:
    """Every write is one transaction: the change, the readable row and the search row, or nothing."""

    store: Store
    documents: Documents
    path: Path
    clock: Callable[[], float]
    holder_name: str
    language: str
    vault_id: bytes
    _key: VaultKey

    def add(self, document: Document, files: Files = NO_FILES, *, progress: Progress | None = None) -> str:
        """The new document's id; of the one that is there, when its `source_id` was added before."""
        with self.batch() as batch:
            return batch.add(document, files, progress=progress)

    def add_many(self, documents: Iterable[tuple[Document, Files]]) -> list[str]:
        """Bulk insert: a few transactions, each whole. Ids in the order given."""
        waiting = iter(documents)
        ids: list[str] = []
        while some := list(islice(waiting, BATCH)):
            with self.batch() as batch:
                ids += [batch.add(document, files) for document, files in some]
        return ids

    @contextmanager
    def batch(self) -> Iterator[Batch]:
        """Many documents in one transaction and one sync of the disk: all of them, or none."""
        written = Written(self.path / "attachments")
        try:
            with self.store.transaction():
                # The files go only when nothing names them for certain: once the commit has begun, they stay.
                try:
                    with self.documents.index.together():
                        yield Batch(self, written)
                    with _disk():
                        written.sync()
                except BaseException:
                    written.take_back()
                    raise
        finally:
            written.close()

    def add_entry(self, document_id: str, kind: str, fields: Mapping[str, Value]) -> str:
        """A new fact in a document or section; its id."""
        entry_id = make_id().hex()
        value = {"kind": kind} | {name: value for name, value in fields.items() if value is not None}
        self.edit(document_id, [("set", ("entries", entry_id), value)])
        return entry_id

    def amend_entry(self, document_id: str, entry_id: str, changes: Mapping[str, Value]) -> None:
        """Other values for some fields; None deletes the field."""
        self._need_entry(document_id, entry_id)
        edits: list[Edit] = []
        for name, value in changes.items():
            path = ("entries", entry_id, name)
            edits.append(("delete", path) if value is None else ("set", path, value))
        self.edit(document_id, edits)

    def remove_entry(self, document_id: str, entry_id: str) -> None:
        self._need_entry(document_id, entry_id)
        self.edit(document_id, [("delete", ("entries", entry_id))])

    def amend(self, document_id: str, changes: Mapping[str, Value]) -> None:
        """Other values for the document's own fields; None or "" deletes the field."""
        edits: list[Edit] = []
        for name, value in changes.items():
            if name not in AMENDABLE:
                raise InputRefused(f"a document's {name[:40]} is not amended", allowed=AMENDABLE)
            path = ("meta", name)
            edits.append(("set", path, value) if value else ("delete", path))
        self.edit(document_id, edits)

    def section(self, kind: str) -> str:
        """The profile section of this kind, made on first use."""
        if kind not in SECTION_ENTRY:
            raise InputRefused(f"no section {kind[:40]!r}", allowed=tuple(SECTION_ENTRY))
        title = SECTION_TITLES.get(self.language, SECTION_TITLES["en"])[kind]
        with self.store.transaction():
            return self.documents.find_kind(kind) or self.add(Document(kind=kind, title=title))

    def attach(
        self, document_id: str, source: Path | bytes, *, name: str, media_type: str, progress: Progress | None = None
    ) -> Attachment:
        """Keeps a file with a document, sealed under a key of its own."""
        fields, written = self._seal(source, name=name, media_type=media_type, progress=progress)
        with _disk():
            sync_file(written)
            sync_folder(written.parent)
        sha256 = str(fields.pop("sha256"))
        attachment = Attachment(sha256, media_type, int(str(fields["size"])), name)
        with self.store.transaction():
            # The file goes only when nothing names it for certain: once the commit has begun, it stays.
            try:
                if sha256 in self.documents.flat(document_id)["attachments"]:
                    written.unlink(missing_ok=True)
                else:
                    self.edit(document_id, [("set", ("attachments", sha256), fields)])
            except BaseException:
                written.unlink(missing_ok=True)
                raise
        return attachment

    def attachment(self, document_id: str, sha256: str, *, progress: Progress | None = None) -> Iterator[bytes]:
        """The file's bytes in chunks, each authentic; whole only when the iterator ends without raising."""
        fields = self.documents.flat(document_id)["attachments"].get(sha256)
        if fields is None:
            raise NotFound("this document has no such attachment")
        path = self.sealed_path(fields["sealed_sha256"])
        from vault.attachment import open_file

        return open_file(path, bytes.fromhex(fields["key"]), fields["size"], sha256=sha256, progress=progress)

    def sealed_path(self, sealed_sha256: str) -> Path:
        """Where a sealed file lies. Its name tells nothing, not even the hash that the relay may know."""
        return self.path / "attachments" / self._key.derive("elpis-files", bytes.fromhex(sealed_sha256)).hex()

    def sweep(self) -> int:
        """Removes sealed files that no document names, left behind by a crash. How many."""
        named = {
            self.sealed_path(fields["sealed_sha256"]).name
            for _, state in self.documents.states()
            for fields in state["attachments"].values()
        }
        strays = [path for path in (self.path / "attachments").iterdir() if path.name not in named]
        for path in strays:
            path.unlink(missing_ok=True)
        return len(strays)

    def read(self, document_id: str) -> Document:
        """The document with its conflicts, each side with its author and time."""
        document = self.documents.state(document_id)
        found = self.documents.conflicts(document_id)
        if not found:
            return document
        own = self.documents.replica(document_id).actor
        conflicts = []
        for path, sides in found:
            shown = tuple(self._side(value, bytes.fromhex(actor), change, own) for value, actor, change in sides)
            conflicts.append(Conflict(path[1] if path[0] == "entries" else "", path[-1], shown))
        return replace(document, conflicts=tuple(conflicts))

    def list(
        self,
        *,
        kind: str = "",
        before: tuple[int] | None = None,
        limit: int = 500,
        year: str = "",
        type_code: str = "",
    ) -> Page:
        """One page of the timeline, newest first."""
        place = before[0] if before else None
        found = self.documents.page(kind=kind, type_code=type_code, year=year, before=place, limit=limit + 1)
        following = (found[limit - 1].place,) if len(found) > limit else None
        return Page(tuple(found[:limit]), following)

    def search(
        self,
        words: str,
        *,
        limit: int = 50,
        type_code: str = "",
        since: str = "",
        until: str = "",
        author: str = "",
    ) -> tuple[Hit, ...]:
        """Documents that hold every word, or the beginning of it, accents and case aside; newest first.

        `since` and `until` are a year, a month or a day, both included. Without words, whatever is as wanted.
        """
        if not all(is_partial(date) for date in (since, until) if date):
            raise InputRefused(
                "a search goes from and to a year, a month or a day", hint="2024, 2024-03 or 2024-03-15."
            )
        wanted = Wanted(type_code, since, until, author)
        return tuple(Hit(found, excerpt(text, words)) for found, text in self.documents.search(words, limit, wanted))

    def entries(self, kind: str) -> Iterator[tuple[Summary, Entry]]:
        """Every entry of a kind in every document, newest document first."""
        for summary, state in self.documents.holding(kind):
            for entry in to_document(state, summary.id).of_kind(kind):
                yield summary, entry

    def remove(self, document_ids: Sequence[str]) -> None:
        """Takes documents out for good, their files too. InputRefused for one that others, or other devices, have."""
        files: list[Path] = []
        with self.store.wiping():
            for document_id in document_ids:
                self._need_own(document_id)
                attachments = self.documents.flat(document_id)["attachments"].values()
                files += [self.sealed_path(fields["sealed_sha256"]) for fields in attachments]
                self.documents.remove(document_id)
            self.documents.index.forget()
        # A crash before this leaves files that nothing opens: `sweep` finds them.
        _unlink(files)

    def untouched(self, document_id: str) -> bool:
        """Whether the document is as it came in: nobody edited it, nobody was given access to it."""
        from vault.replica import changes

        replica = self.documents.replica(document_id)
        return not replica.epoch and len(changes(replica.save)) == 1

    def find_source(self, source_id: str) -> str | None:
        return self.documents.find_source(source_id)

    def find(self, prefix: str) -> str:
        return self.documents.find(prefix)

    def count(self) -> int:
        return self.documents.count()

    def put(
        self, document: Document, files: Files, written: Written, progress: Progress | None, *, hashed: bool
    ) -> str:
        """A new document in the transaction that is going on. Its sealed files go on the list, not yet synced."""
        if document.kind not in DOCUMENT_KINDS:
            raise InputRefused("the document is of an unknown kind")
        named = {attachment.sha256: attachment for attachment in document.attachments}
        if named.keys() != files.keys():
            raise InputRefused("every attachment comes with its file, and every file with its attachment")
        entries = tuple(entry if entry.id else replace(entry, id=make_id().hex()) for entry in document.entries)
        state = to_state(replace(document, entries=entries))
        check_state(state)
        sealed = {
            sha256: self._seal_named(named[sha256], source, written, progress, hashed=hashed)
            for sha256, source in files.items()
        }
        check_attachments(sealed)
        state["attachments"] = sealed
        document_id = self._new_id(document)
        self.documents.add(document_id, state, None, make_id(), self._now())
        return document_id

    def _new_id(self, document: Document) -> str:
        """Random; but the same on two devices for what both may make while they are apart."""
        alike = document.source_id if document.kind == CLINICAL else document.kind
        derived = hash32(b"document" + self.vault_id + alike.encode())[:16].hex() if alike else ""
        return make_id().hex() if not alike or self.documents.exists(derived) else derived

    def _seal_named(
        self, attachment: Attachment, source: Source, written: Written, progress: Progress | None, *, hashed: bool
    ) -> dict[str, Any]:
        known = attachment.sha256 if hashed and isinstance(source, bytes) else ""
        fields, path = self._seal(
            source, name=attachment.name, media_type=attachment.media_type, progress=progress, sha256=known
        )
        written.add(path)
        if fields.pop("sha256") != attachment.sha256:
            raise InputRefused("a file is not the one that its attachment names")
        return fields

    def _seal(
        self, source: Source, *, name: str, media_type: str, progress: Progress | None, sha256: str = ""
    ) -> tuple[dict[str, object], Path]:
        """(the attachment's fields with its "sha256", where the sealed file lies, not yet synced)."""
        from vault.attachment import seal_draft

        key = make_key()
        folder = self.path / "attachments"
        draft = folder / f"{make_id().hex()}.new"
        try:
            with _disk():
                made = seal_draft(source, draft, key, progress, sha256=sha256)
                final = self.sealed_path(made.sealed_sha256)
                draft.rename(final)
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        fields: dict[str, object] = {
            "sha256": made.sha256, "media_type": media_type, "size": made.size, "name": name, "key": key.hex(),
            "sealed_sha256": made.sealed_sha256, "sealed_size": made.sealed_size, "blob": "", "blob_token": "",
        }  # fmt: skip
        return fields, final

    def edit(self, document_id: str, edits: Sequence[Edit]) -> None:
        """One change of the holder to a document, by paths of its state."""
        self.documents.edit(document_id, edits, author=self.holder_name, time=self._now())

    def _need_own(self, document_id: str) -> None:
        if self.documents.replica(document_id).epoch:
            raise InputRefused("others were given access to this document", hint="It stays, as a record of that.")
        if self.documents.listener is not None:
            raise InputRefused("the holder's other devices have this document", hint="It stays: they would not forget.")

    def _need_entry(self, document_id: str, entry_id: str) -> None:
        if entry_id not in self.documents.flat(document_id)["entries"]:
            raise NotFound(f"no entry {entry_id[:40]!r} in this document")

    def _side(self, value: Value, actor: bytes, change: str, own: bytes) -> tuple[Value, str, str]:
        author, moment = self.documents.written(bytes.fromhex(change))
        name = author or self.documents.actor_name(actor) or (self.holder_name if actor == own else "")
        return (value, name, datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if moment else "")

    def _now(self) -> int:
        return int(self.clock())


@contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as failure:
        raise StorageFailed("the attachment could not be kept") from failure


def _unlink(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


class Batch:
    """Documents that are added together. A part of them can fail alone."""

    def __init__(self, record: Record, written: Written) -> None:
        self._record = record
        self._written = written

    def add(
        self, document: Document, files: Files = NO_FILES, *, progress: Progress | None = None, hashed: bool = False
    ) -> str:
        """As `Record.add`. `hashed`: the caller made the hashes of those files that are bytes, of these very bytes."""
        known = self._record.find_source(document.source_id) if document.source_id else None
        return known or self._record.put(document, files, self._written, progress, hashed=hashed)

    @contextmanager
    def part(self) -> Iterator[None]:
        """What is added in here comes in whole or not at all, whatever becomes of the rest."""
        before = len(self._written)
        try:
            with self._record.documents.index.part():
                yield
        except BaseException:
            self._written.take_back(before)
            raise


def sha256_of(source: bytes | Path) -> str:
    """The name of an attachment before it is kept."""
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


__all__ = ["RETIRED", "TELLING", "Batch", "Hit", "Page", "Record", "Summary", "sha256_of"]
