"""What an establishment feeds: a file or message to the one patient it is about, decided once and queued in one step.

The journal lies beside the queue, in one database: a content is decided, its deposits sealed and its row written in one
transaction, or nothing happened. Sending is another matter (sync/feeder.py). Normative text: spec/feeding.md.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from vault.arrivals import MAX_FILE, files_in, move_beside, read_whole, shown, stamp_of
from vault.document import Document, Read
from vault.encoding import encode
from vault.errors import ForeignChange, InputRefused, StorageFailed, VaultError, VerificationFailed
from vault.feeding import MAX_QUEUED, derive_unique
from vault.importers.plain import Readers
from vault.patients import Nobody, Patient, Roster
from vault.primitives import hash32, make_id
from vault.store.journal import Fed, FedFile, JournalStore
from vault.store.outbox import OutboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_TEXT = 100_000  # of one value in a deposit; the whole text stays in the file beside it
ROOM = 1_000  # calls that the documents of one content may queue
SETTLED = 2.0  # seconds without a change, after which a file is taken to be whole


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a content: `state` taken, repeated or rejected; `documents` that were queued now."""

    source: str
    state: str
    why: str = ""
    detail: str = ""
    documents: int = 0
    time: int = 0


@dataclass(slots=True)
class Pass:
    """One look through a folder. `waiting`: files that may still be written to."""

    outcomes: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    waiting: int = 0
    moved: int = 0


class Later(StorageFailed):
    """Nothing was decided: there is no room now. The same content may come again."""


class Feed:
    """One establishment feeding from its vault. Threads take turns."""

    def __init__(
        self,
        vault: Vault,
        roster: Path,
        *,
        certificate: bytes | None = None,
        limited: bool = True,
        told: Callable[[Taken], None] = lambda taken: None,
    ) -> None:
        self._vault = vault
        self._roster = Roster.open(vault, roster)
        self._stamp = stamp_of(roster)
        self._certificate = certificate
        self._told = told
        self._journal = JournalStore(vault.store)
        self._outbox = OutboxStore(vault.store)
        self._readers = Readers(limited=limited)
        self._lock = threading.Lock()
        self._seen = self._journal.files()
        self._decided: set[bytes] = set()
        self._unsettled: dict[tuple[str, int, int], float] = {}
        self._look_again()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._readers.__exit__(kind, error, trace)

    # Taking

    def message(self, content: bytes, data: bytes, source: str) -> Taken:
        """A message; it is kept until relays have all of its documents. Later, when nothing can be decided now."""
        with self._lock:
            known = self._journal.fed(content)
            if known is not None and known.state == "rejected":
                self._journal.forget(content)  # its sender asks again
            return self._take(content, data, "message.hl7", source, body=data)

    def folder(self, folder: Path, *, move_to: Path | None = None, stop: threading.Event | None = None) -> Pass:
        """Look once through a folder, take what is new, and move what relays have."""
        done = Pass()
        for path, stat in files_in(folder, move_to):
            if stop is not None and stop.is_set():
                break
            with self._lock:
                self._file(path, stat, done)
                if move_to is not None:
                    done.moved += self._move(path, folder, move_to)
        return done

    def refresh(self) -> None:
        """Read the roster again when it changed; decide again what another roster rejected or what relays refused."""
        stamp = stamp_of(self._roster.path)
        if stamp == self._stamp:
            return
        with self._lock:
            self._roster, self._stamp = Roster.open(self._vault, self._roster.path), stamp
            self._look_again()

    def _look_again(self) -> None:
        self._fingerprint = self._roster.fingerprint
        self._journal.forget_rejected(self._fingerprint)
        self._decided.clear()
        for content, source, body in self._journal.unsent_messages(self._fingerprint):
            self._journal.forget(content)
            self._take(content, body, "message.hl7", source, body=body)

    def _file(self, path: Path, stat: os.stat_result, done: Pass) -> None:
        key = shown(path)
        seen = self._seen.get(key)
        same = seen is not None and (seen.size, seen.changed) == (stat.st_size, stat.st_mtime_ns)
        if seen is not None and same and self._is_decided(seen.content):
            return
        data = read_whole(path, stat) if self._is_settled(key, stat) else None
        if data is None:
            done.waiting += 1
            return
        content = hash32(data)
        file = FedFile(stat.st_size, stat.st_mtime_ns, content)
        taken = self._take(content, data, path.name, key, file=file)
        self._seen[key] = file
        self._decided.add(content)
        self._unsettled.pop((key, stat.st_size, stat.st_mtime_ns), None)
        done.outcomes[taken.state] += 1
        done.documents += taken.documents

    def _is_decided(self, content: bytes) -> bool:
        if content not in self._decided and self._journal.fed(content) is not None:
            self._decided.add(content)
        return content in self._decided

    def _is_settled(self, key: str, stat: os.stat_result) -> bool:
        """Not changed for a while: by its own time, or, when that lies in the future, since it was first seen so."""
        if time.time() - stat.st_mtime >= SETTLED:
            return True
        now = time.monotonic()
        return now - self._unsettled.setdefault((key, stat.st_size, stat.st_mtime_ns), now) >= SETTLED

    def _take(
        self,
        content: bytes,
        data: bytes,
        name: str,
        source: str,
        *,
        file: FedFile | None = None,
        body: bytes | None = None,
    ) -> Taken:
        known = self._journal.fed(content)
        if known is not None:
            if file is not None:
                self._journal.put_file(source, file)
            state = "repeated" if known.state == "taken" else known.state
            taken = Taken(source, state, known.why, known.detail, time=int(self._vault.clock()))
        else:
            taken = self._decide(content, data, name, source, file, body)
        self._told(taken)
        return taken

    def _decide(
        self, content: bytes, data: bytes, name: str, source: str, file: FedFile | None, body: bytes | None
    ) -> Taken:
        now, documents = int(self._vault.clock()), 0
        try:
            reads = self._read(data, name)
            patient = self._roster.owner(reads)
            if self._outbox.queued() >= MAX_QUEUED - ROOM:
                raise Later("too much waits to be sent already", limit=MAX_QUEUED)
            with self._vault.store.transaction():
                # Journal and queue, in one transaction: spec/feeding.md, section 4.
                self._journal.add(Fed(content, source, "taken", "", "", self._fingerprint, now), body)
                if file is not None:
                    self._journal.put_file(source, file)
                for read in reads:
                    documents += self._deposit(patient, read, content)
        except (Nobody, InputRefused, ForeignChange, VerificationFailed) as failure:
            why, detail = _reason(failure)
            with self._vault.store.transaction():
                self._journal.add(Fed(content, source, "rejected", why, detail, self._fingerprint, now))
                if file is not None:
                    self._journal.put_file(source, file)
            return Taken(source, "rejected", why, detail, time=now)
        return Taken(source, "taken" if documents else "repeated", documents=documents, time=now)

    def _read(self, data: bytes, name: str) -> list[Read]:
        if len(data) > MAX_FILE:
            raise InputRefused("the file is too large to be read", limit=MAX_FILE)
        return self._readers.read(data, name)

    def _deposit(self, patient: Patient, read: Read, content: bytes) -> bool:
        """Queue one document, unless this patient was sent the same before."""
        document, person = read.document, patient.card.id
        facts = _facts(document)
        unique = document.source_id or f"content:{content.hex()}"
        key = _without_time(unique)
        known = self._journal.document(person, key)
        if known is not None and known.facts != facts:
            # One identifier on two documents: a correction, a copied template. Nothing is dropped for it.
            key, unique = (f"{name[:283]}#{facts.hex()[:16]}" for name in (key, unique))
            known = self._journal.document(person, key)
        if known is not None and known.state != "refused":
            return False
        number = make_id()
        sent = replace(document, source_id=derive_unique(unique), text=document.text[:MAX_TEXT])
        self._vault.feeding.deposit(patient.card, sent, read.files, certificate=self._certificate, number=number)
        self._journal.put_document(person, key, facts, number, content)
        return True

    def _move(self, path: Path, folder: Path, move_to: Path) -> bool:
        """Out of the way once relays have everything of it. Never over another file."""
        seen = self._seen.get(shown(path))
        if seen is None or not self._journal.settled(seen.content):
            return False
        target = move_to / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        moved = move_beside(path, target)
        self._journal.drop_file(shown(path))
        self._seen.pop(shown(path), None)
        return moved


class Journal:
    """What was fed, for people: `elpis feed` without a folder."""

    def __init__(self, vault: Vault) -> None:
        self._journal = JournalStore(vault.store)

    def counts(self) -> dict[str, int]:
        return self._journal.counts()

    def rejected(self) -> tuple[Taken, ...]:
        return tuple(
            Taken(fed.source, fed.state, fed.why, fed.detail, time=fed.time) for fed in self._journal.rejected()
        )

    def again(self) -> int:
        """Look at everything again that was rejected."""
        return self._journal.outdate_rejected()


def _reason(failure: VaultError) -> tuple[str, str]:
    if isinstance(failure, Nobody):
        return failure.why, ""
    if isinstance(failure, VerificationFailed):
        return "too-large", str(failure)[:500]
    return "unreadable", str(failure)[:500]


def _without_time(source_id: str) -> str:
    """An HL7 message's sender and control id: a message that is sent again may bear another time (spec/import.md)."""
    sender, mark, control = source_id.partition("^")
    named = source_id.startswith("hl7v2:") and control.count("^") == 1
    return sender + mark + control.partition("^")[0] if named else source_id


def _facts(document: Document) -> bytes:
    """What two documents of one identifier must have in common to be one."""
    entries = sorted(
        encode([entry.kind, {name: str(value) for name, value in entry.fields.items()}]) for entry in document.entries
    )
    inside = sorted(
        item.sha256
        for item in document.attachments
        if not any(word in item.media_type for word in ("xml", "json", "hl7-v2"))
    )
    header = [document.title, document.type_code, document.date, document.confidentiality, document.text]
    return hash32(encode([header, entries, inside]))
