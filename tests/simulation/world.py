"""The parties of a simulated world and what each can do, through the product's own front doors."""

from __future__ import annotations

import functools
import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sync.opened
from sync.client import RelayRefused, RelayUnreachable
from sync.exchange import Exchange, OpenDocument
from sync.report import Event, Report
from tests.simulation import hostile
from tests.simulation.ledger import Granted, Ledger, Written, words
from tests.simulation.relay import URL, Crash, Faults, Line, Relay
from tests.simulation.schedule import Step
from vault import Document, Vault, primitives
from vault.authority import Office
from vault.document import Attachment, Entry
from vault.errors import AccessEnded, InputRefused, NotFound, RightMissing, VerificationFailed
from vault.people import Person
from vault.primitives import BoxKey, SigningKey, make_key
from vault.quarantine import Quarantine
from vault.replica import changes

START = 1_800_000_000
PASSPHRASE = "sept lampes vertes au matin"
PEOPLE = {
    "H": ("", "Martin Léa"), "A": ("doctor", "Ndiaye Awa"), "B": ("nurse", "Petit Jean"),
    "C": ("pharmacist", "Okafor Ada"), "L": ("laboratory", "Laboratoire Duval"),
}  # fmt: skip
GRANTEES = "ABC"
HOUR, DAY = 3600, 86_400
REFUSED = (RelayUnreachable, RelayRefused, AccessEnded, NotFound, InputRefused, RightMissing)


class Broken(AssertionError):
    """The product did what it must not. The words say what."""


class Random:
    """In the place of `os` for the keys of the vault: a run with the same seed makes the same keys, ids and actors."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def urandom(self, size: int) -> bytes:
        return self._random.randbytes(size)


@contextmanager
def determined(seed: int, clock: Callable[[], float]) -> Iterator[None]:
    """Everything by which the vault would be different the next time comes from the seed."""
    before = primitives.os, sync.opened.monotonic  # type: ignore[attr-defined]
    primitives.os = Random(seed)  # type: ignore[attr-defined, assignment]
    sync.opened.monotonic = lambda: clock()  # type: ignore[attr-defined]
    try:
        yield
    finally:
        primitives.os, sync.opened.monotonic = before  # type: ignore[attr-defined]


class Shared(Quarantine):
    """One worker for everybody: a vault that is locked does not end it."""

    def close(self) -> None:
        return None

    def end(self) -> None:
        super().close()


class Clock:
    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Seat:
    """One device of one person. `skew`: what its clock shows beside the world's."""

    def __init__(self, world: World, name: str, path: Path) -> None:
        self.world = world
        self.name = name
        self.path = path
        self.skew = 0
        self.line = Line(name, world.relay)
        self.open: dict[str, OpenDocument] = {}
        self.kept: Any = None
        self.vault: Vault
        self.exchange: Exchange
        self.wake()

    def clock(self) -> float:
        return self.world.clock.now + self.skew

    def wake(self) -> None:
        self.vault = Vault.unlock(self.path, PASSPHRASE, clock=self.clock)
        self.vault.quarantine = self.world.quarantine
        self._watch_commits()
        self._watch_keys()
        self.exchange = Exchange(self.vault, client_factory=self.line.factory, caught=self.caught)

    def caught(self, event: Event) -> None:
        self.world.events.append((self.name, event))

    def sleep(self) -> None:
        self.open.clear()
        self.exchange.close()
        self.vault.lock()

    def _watch_commits(self) -> None:
        """The process may stop just before or just after a commit."""
        store, before, after = self.vault.store, self.vault.store.before_commit, self.vault.store.after_commit

        def committing() -> None:
            self.line.faults.committed += 1
            if before is not None:
                before()
            if self.line.faults.commits.get(self.line.faults.committed) == "crash":
                raise Crash("commit")

        def committed() -> None:
            if self.line.faults.commits.get(self.line.faults.committed) == "crash-after":
                raise Crash("committed")
            if after is not None:
                after()

        store.before_commit, store.after_commit = committing, committed

    def _watch_keys(self) -> None:
        """Every key that a grantee ever held."""
        visiting = self.vault.visiting
        finish = visiting.finish
        held = self.world.ledger.held.setdefault(self.name, {})

        def finishing(session: Any, sealed: bytes) -> Any:
            unlocked = finish(session, sealed)
            for one in unlocked:
                held[one.item.mailbox] = (one.content.key, one.item.document.hex())
            return unlocked

        visiting.finish = finishing  # type: ignore[method-assign]


class Template:
    """The world before anything happened: made once, copied for every run. Argon2 is paid here alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        primitives.derive_passphrase_key = functools.lru_cache(maxsize=None)(primitives.derive_passphrase_key)
        self.quarantine = Shared()
        clock = Clock()
        self.relay = Relay(clock)
        with determined(0, clock):
            self._make(clock)

    def _make(self, clock: Clock) -> None:
        folder, office = self.folder, Office.open("Ordre fictif", SigningKey.make(), START)
        first, _ = Vault.create(folder / "first", name="x", passphrase=PASSPHRASE, clock=clock)
        first.lock()
        vaults = {}
        for name, (role, person) in PEOPLE.items():
            shutil.copytree(folder / "first", folder / name)
            vault = vaults[name] = Vault.unlock(folder / name, PASSPHRASE, clock=clock)
            for secret in ("identity-sign", "device-sign"):
                vault.keyring.put(secret, make_key())
            vault.keyring.put("identity-box", BoxKey.make().secret)
            vault.set_meta("name", person)
            vault.set_meta("role", role)
            vault.holder_name, vault.role = person, role
            exchange = Exchange(vault, client_factory=Line(name, self.relay).factory)
            exchange.set_relay(URL)
            exchange.sync()
        self.persons: dict[str, Person] = {}
        for name, vault in vaults.items():
            if name != "H":
                card = vault.people.read_card(vault.people.card())
                certificate = office.certify(card, unique_id=name, role=PEOPLE[name][0], now=START, days=90)
                added = vaults["H"].people.add(
                    vault.people.card(), certificate=certificate, authority=office.bulletin(START)
                )
                self.persons[name] = added
        self.card = vaults["H"].people.card()
        for vault in vaults.values():
            vault.lock()
        shutil.rmtree(folder / "first")

    def close(self) -> None:
        self.quarantine.end()


class World:
    def __init__(self, template: Template, folder: Path) -> None:
        self.template = template
        self.quarantine = template.quarantine
        self.clock = Clock()
        self.ledger = Ledger()
        self.relay = Relay(self.clock)
        self.relay.books = template.relay.books.copy()
        self.relay.clock.now()
        self.events: list[tuple[str, Event]] = []
        self.pictures: list[Any] = []
        self.seats: dict[str, Seat] = {}
        for name in PEOPLE:
            shutil.copytree(template.folder / name, folder / name)
            self.seats[name] = Seat(self, name, folder / name)
        self.holder = self.seats["H"]

    def close(self) -> None:
        for seat in self.seats.values():
            seat.sleep()

    # One step

    def do(self, step: Step) -> str:
        """Run one step and say what came of it. Broken, or whatever else the product raises, ends the run."""
        self.ledger.step += 1
        self.clock.now += 1
        if step.seat == "-":
            self.clock.now += (step.a + 1) ** 3 // 4  # seconds to days
            return "time"
        seat = self.seats[step.seat]
        seat.line.faults = _faults(step)
        events = len(self.events)
        said, crashed, refusal = "done", False, None
        try:
            act = hostile.ACTS.get(step.act)
            said = (act(self, seat, step) if act else getattr(self, "_" + step.act)(seat, step)) or "done"
        except Crash as crash:
            said, crashed = f"crash ({crash})", True
        except (*REFUSED, VerificationFailed) as failure:
            said, refusal = type(failure).__name__, failure
        finally:
            seat.line.faults = Faults()
        if crashed:
            seat.sleep()
            seat.wake()
        self._note_ends()
        self._see()
        self._need_detection(seat, step, events, refusal, crashed)
        return said

    def _need_detection(self, seat: Seat, step: Step, events: int, refusal: Exception | None, crashed: bool) -> None:
        """A relay that contradicts what it signed to this party before is noticed in this very step."""
        whole = not crashed and refusal is None and "call" not in {what for what, *_ in step.faults}
        told = isinstance(refusal, VerificationFailed) or any(
            event.kind == "relay-contradiction" for _, event in self.events[events:]
        )
        # What came together with a contradiction was not taken: it is no fact to this party.
        contradictions = seat.line.settle(keep=whole and not told)
        if contradictions and not told and not crashed:
            raise Broken(f"{seat.name} did not notice that the relay contradicts itself: {sorted(set(contradictions))}")

    def _note_ends(self) -> None:
        """What the holder's vault says of its grants, and the epoch of each document when one ended."""
        vault = self.holder.vault
        for grant in vault.sharing.grants():
            known = self.ledger.grants.get(grant.id)
            if known is None:
                seat = next(name for name, person in self.template.persons.items() if person.id == grant.person_id)
                known = Granted(grant.id, seat, grant.documents, grant.right, self.ledger.step)
                for document in grant.documents:
                    known.allowed[document] = visible(vault.read(document))
                    known.past[document] = self._history(document)
                self.ledger.grants[grant.id] = known
            if grant.state != "active" and known.ended is None:
                known.ended = self.ledger.step
                # The epoch that it could still read: the next one was started by the end itself.
                known.epochs = {d: self._epoch_of(grant.id, d) for d in grant.documents}
        for grant in self.ledger.grants.values():
            if grant.ended is None:
                grant.epochs = {d: vault.documents.epoch(d) for d in grant.documents}

    def _history(self, document: str) -> set[str]:
        """Every word in the holder's replicas of this document, the archived ones too."""
        documents = self.holder.vault.documents
        saves = [documents.replica_save(document, epoch) for epoch in range(documents.epoch(document) + 1)]
        return {word for save in saves for change in changes(save) for word in words(change.data)}

    def _epoch_of(self, grant: str, document: str) -> int:
        return self.ledger.grants[grant].epochs.get(document, 0)

    def _see(self) -> None:
        """Bind deposits to the documents that they became, and let everybody with access have seen what is there."""
        vault = self.holder.vault
        for document_id, _ in vault.documents.states():
            seen = visible(vault.read(document_id))
            self._check_origin("H", document_id, seen)
            self.ledger.see(document_id, seen)

    def _check_origin(self, seat: str, document: str, seen: set[str]) -> None:
        for word in seen:
            made = self.ledger.by_word[word]
            if made.deposit and not made.document:
                made.document = document
            if made.document != document:
                raise Broken(f"{seat} shows {word} in {document[:8]}, written for {made.document[:8]}")
            if made.forged:
                raise Broken(f"{seat} took {word}, which was written without the right to")

    # What a holder does

    def _own(self, seat: Seat, number: int) -> str:
        ids = sorted(document_id for document_id, _ in seat.vault.documents.states())
        return ids[number % len(ids)]

    def _document(self, seat: Seat, step: Step) -> None:
        made = self.ledger.write("H", "", (), deposit=True)
        files = {}
        attachments: tuple[Attachment, ...] = ()
        if step.b % 4 == 0:
            data = f"file {made.word} ".encode() * (step.c + 1)
            sha256 = self._keep(data)
            files, attachments = {sha256: data}, (Attachment(sha256, "text/plain", len(data), "lettre.txt"),)
        seat.vault.add(Document(title=made.word, text="texte", attachments=attachments), files)
        made.done = True

    def _keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        self.ledger.files[sha256] = data
        return sha256

    def _entry(self, seat: Seat, step: Step) -> None:
        document = self._own(seat, step.a)
        made = self.ledger.write("H", document, ())
        seat.vault.add_entry(document, "note", {"label": made.word, "note": f"note {step.b}"})
        made.done = True

    def _amend(self, seat: Seat, step: Step) -> None:
        if seat.name != "H":
            return self._rewrite(seat, step)
        document = self._own(seat, step.a)
        read = seat.vault.read(document)
        if not read.entries:
            raise NotFound("nothing to amend")
        entry = read.entries[step.b % len(read.entries)]
        made = self.ledger.write("H", document, in_place(read, entry, "label"))
        seat.vault.amend_entry(document, entry.id, {"label": made.word})
        made.done = True
        return None

    def _remove(self, seat: Seat, step: Step) -> None:
        document = self._own(seat, step.a)
        read = seat.vault.read(document)
        if not read.entries:
            raise NotFound("nothing to remove")
        entry = read.entries[step.b % len(read.entries)]
        self.ledger.remove("H", document, in_place(read, entry))
        seat.vault.remove_entry(document, entry.id)

    def _title(self, seat: Seat, step: Step) -> None:
        document = self._own(seat, step.a)
        made = self.ledger.write("H", document, in_place(seat.vault.read(document), None, "title"))
        seat.vault.amend(document, {"title": made.word})
        made.done = True

    def _attach(self, seat: Seat, step: Step) -> None:
        document = self._own(seat, step.a)
        data = f"attached {self.ledger.step} ".encode() * (step.b + 1)
        self._keep(data)
        seat.vault.attach(document, data, name="note.txt", media_type="text/plain")

    def _grant(self, seat: Seat, step: Step) -> str:
        ids = sorted(document_id for document_id, _ in seat.vault.documents.states())
        chosen = [ids[(step.b + at * 7) % len(ids)] for at in range(1 + step.c % 3)]
        grant = seat.vault.sharing.grant(
            self.template.persons[GRANTEES[step.a % 3]],
            chosen,
            right="read" if step.b % 4 == 0 else "edit",
            purpose="suivi",
            seconds=(HOUR, DAY, 30 * DAY, 30 * DAY)[step.c % 4],
            offline=HOUR if step.a % 5 == 0 else 0,
            openings=4 if step.a % 9 == 8 else None,
        )
        return f"{grant.id[:8]} to {GRANTEES[step.a % 3]}"

    def _revoke(self, seat: Seat, step: Step) -> str:
        active = [grant for grant in seat.vault.sharing.grants() if grant.state == "active"]
        if not active:
            raise NotFound("nothing to revoke")
        return seat.vault.sharing.revoke(active[step.a % len(active)].id).id[:8]

    def _accept(self, seat: Seat, step: Step) -> None:
        for waiting in seat.vault.feeding.waiting()[: step.a % 3]:
            seat.vault.feeding.accept(waiting.id)

    def _refuse(self, seat: Seat, step: Step) -> None:
        for waiting in seat.vault.feeding.waiting()[: step.a % 2]:
            self.ledger.refused |= words(waiting.title)
            seat.vault.feeding.refuse(waiting.id)

    # What everybody does

    def _sync(self, seat: Seat, step: Step | None = None) -> str:
        report = self._report(seat, seat.exchange.sync())
        return f"pushed {report.pushed}, pulled {report.pulled}, queued {report.queued}"

    def _report(self, seat: Seat, report: Report) -> Report:
        self.events += [(seat.name, event) for event in report.events]
        return report

    def _restart(self, seat: Seat, step: Step) -> None:
        seat.sleep()
        seat.wake()

    def _skew(self, seat: Seat, step: Step) -> str:
        seat.skew = (step.a - 50) ** 3 * (1 if step.b % 2 else 10) // 10
        return f"{seat.skew} s"

    # What a grantee does

    def _open(self, seat: Seat, step: Step) -> str:
        if not seat.vault.visiting.grants():
            self._sync(seat)
        visits = [(visit, document) for visit in seat.vault.visiting.grants() for document in visit.document_ids]
        if not visits:
            raise NotFound("nothing to open")
        visit, document = visits[step.a % len(visits)]
        return self.open_document(seat, visit.id if step.b % 3 == 0 else document)

    def open_document(self, seat: Seat, wanted: str) -> str:
        opened = seat.exchange.open_all(wanted, "visite")
        for one in opened:
            seat.open[one.id] = one
            self._read(seat, one)
        return ", ".join(one.id[:8] for one in opened)

    def _read(self, seat: Seat, opened: OpenDocument) -> Document:
        document = opened.document
        self._check_origin(seat.name, opened.id, visible(document))
        return document

    def _opened(self, seat: Seat, step: Step) -> OpenDocument:
        if not seat.open:
            raise NotFound("nothing is open")
        ids = sorted(seat.open)
        return seat.open[ids[step.a % len(ids)]]

    def _refresh(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        opened.refresh()
        self._read(seat, opened)

    def _by(self, seat: Seat, opened: OpenDocument, saw: set[str]) -> Written:
        return self.ledger.write(
            seat.name, opened.id, saw, grant=opened.visit_id, epoch=opened._unlocked.item.epoch,
            forged=opened.right != "edit",
        )  # fmt: skip

    def _add(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        self._read(seat, opened)
        made = self._by(seat, opened, set())
        self._write(seat, made, lambda: opened.set_entry(None, "note", {"label": made.word}))

    def _rewrite(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        read = self._read(seat, opened)
        if not read.entries:
            raise NotFound("nothing to amend")
        entry = read.entries[step.b % len(read.entries)]
        made = self._by(seat, opened, in_place(read, entry, "label"))
        self._write(seat, made, lambda: opened.set_entry(entry.id, entry.kind, {"label": made.word}))

    def _retitle(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        made = self._by(seat, opened, in_place(self._read(seat, opened), None, "title"))
        self._write(seat, made, lambda: opened.write([("set", ("meta", "title"), made.word)]))

    def _write(self, seat: Seat, made: Written, write: Callable[[], object]) -> None:
        write()
        made.done = True

    def _erase(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        read = self._read(seat, opened)
        if not read.entries:
            raise NotFound("nothing to erase")
        entry = read.entries[step.b % len(read.entries)]
        if opened.right == "edit":
            self.ledger.remove(seat.name, opened.id, in_place(read, entry))
        opened.write([("delete", ("entries", entry.id))])

    def _file(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        data = f"contributed {self.ledger.step} ".encode() * (step.b + 1)
        self._keep(data)
        opened.add_file(data, media_type="text/plain", name="avis.txt")

    def _close(self, seat: Seat, step: Step) -> None:
        opened = self._opened(seat, step)
        del seat.open[opened.id]
        opened.close()

    def _hold(self, seat: Seat, step: Step) -> None:
        """Close the lid: what is open stays open while others go on."""

    def _deposit(self, seat: Seat, step: Step) -> None:
        made = self.ledger.write(seat.name, "", (), deposit=True)
        files, attachments = {}, ()
        if step.a % 3 == 0:
            data = f"result {made.word} ".encode() * (1 + step.b * 600 * (step.a % 2))
            sha256 = self._keep(data)
            files, attachments = {sha256: data}, (Attachment(sha256, "text/plain", len(data), "resultat.txt"),)
        document = Document(title=made.word, author="Laboratoire", attachments=attachments)
        with suppress(RelayUnreachable):  # it stays queued
            seat.exchange.deposit(self.template.card, [(document, files)])
        made.done = True


def _faults(step: Step) -> Faults:
    faults = Faults()
    for what, at, how, delay in step.faults:
        if what == "call":
            faults.calls[at] = (how, delay)
        else:
            faults.commits[at] = how
    return faults


def visible(document: Document) -> set[str]:
    """Every word that this document shows, in conflicts too."""
    shown = [document.title, document.text]
    for entry in document.entries:
        shown += [str(value) for value in entry.fields.values()]
    shown += [str(value) for conflict in document.conflicts for value, *_ in conflict.sides]
    return words(shown)


def in_place(document: Document, entry: Entry | None, field: str = "") -> set[str]:
    """The words in one field, or in a whole entry, with every side of a conflict."""
    if entry is None:
        shown: list[object] = [getattr(document, field)]
    elif field:
        shown = [entry.fields.get(field)]
    else:
        shown = list(entry.fields.values())
    for conflict in document.conflicts:
        if conflict.entry_id == (entry.id if entry else "") and field in ("", conflict.field):
            shown += [value for value, *_ in conflict.sides]
    return words(shown)
