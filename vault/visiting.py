"""The professional's side of grants: take them from the inbox, open them, follow the channel, and let go at the end.

What opens a document (halves, masked keys, kept copies) is wiped from this vault when the grant ends. Unless the
patient allowed an offline visit, the document key never touches the disk here. Normative text: spec/grant.md and
spec/opening.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vault.channel import Channel
from vault.errors import AccessEnded, Expired, InputRefused, NotFound, Replayed, SuiteRefused
from vault.grant import Package, Renewal, check_renewal, open_package, open_renewal, renewal_number
from vault.hybrid import make_fresh
from vault.masking import CONTENT, Content, Item, unwrap
from vault.opening import MAX_TAGS, make_request, read_release
from vault.primitives import BoxKey, SigningKey
from vault.store.grants import GrantStore, VisitItem, VisitRow
from vault.store.mailboxes import MailboxStore, place_of

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_OPEN_OF_ONE, MAX_OPEN = 200, 10_000  # whoever has a professional's card may send grants


@dataclass(frozen=True, slots=True)
class Visit:
    """A grant received, as people see it. `state`: open, ended; `opened`: when each document was last opened."""

    id: str
    patient: str
    document_ids: tuple[str, ...]
    right: str
    purpose: str
    until: int
    received: int
    state: str
    opened: tuple[int | None, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Session:
    """An opening under way: the request to send, and the fresh key that alone can read the answer."""

    visit: VisitRow
    items: tuple[VisitItem, ...]
    request: bytes
    counter: int
    fresh: BoxKey


@dataclass(frozen=True, slots=True, repr=False)
class Unlocked:
    """One document of a visit after its release. `replica` is not empty when a kept copy is used without the relay."""

    visit: VisitRow
    item: VisitItem
    content: Content
    replica: bytes = b""


class Visiting:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._grants = GrantStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)

    # The inbox

    def receive(self, statement: bytes) -> Visit:
        """A grant from the inbox. Raises as `open_package` does; a grant that came before is Replayed."""
        try:
            package, over = open_package(statement, self._vault.identity, self._now()), False
        except Expired:
            # It came after its end: kept as ended, so that its documents are known to be over and not unknown.
            package, over = open_package(statement, self._vault.identity, 0), True
        number = package.fields["number"]
        if self._grants.visit(number) is not None:
            raise Replayed("this grant came before")
        theirs, all_open = self._grants.open_from(package.fields["issuer_sign"])
        if theirs >= MAX_OPEN_OF_ONE or all_open >= MAX_OPEN:
            raise InputRefused("too many open grants", limit=MAX_OPEN_OF_ONE)
        row, items = self._row(package), _held(number, package)
        if over:
            row = replace(row, state="ended", half=None, reader=None)
            items = [replace(item, masked=None, label=None) for item in items]
        with self._store.transaction():
            self._grants.add_visit(row, items)
        return self._need_visit(number)

    def renew(self, statement: bytes) -> Visit:
        """The next epoch of documents of a grant that goes on."""
        number = renewal_number(statement)
        visit = self._grants.visit(number)
        if visit is None:
            raise NotFound("a renewal of a grant that is unknown here")
        if visit.state != "open":
            raise Replayed("a renewal of a grant that is over")  # it was on its way when the grant ended
        renewal = open_renewal(statement, self._vault.identity, visit.issuer_sign)
        known = {item.document: item for item in self._grants.visit_items(number)}
        check_renewal(renewal, {document: _granted(item) for document, item in known.items()})
        with self._store.transaction():
            for item in renewal.items:
                # the channel of the epoch before
                self._mailboxes.forget(place_of(known[item.document].mailbox, visit.relay_key, visit.issuer_sign))
            self._grants.put_visit_items(_held(number, renewal))
        return self._need_visit(number)

    def grants(self) -> tuple[Visit, ...]:
        """Newest first, ended ones too."""
        items = self._grants.all_visit_items()
        return tuple(self._visit(row, items.get(row.number, [])) for row in self._grants.visits())

    def find(self, prefix: str) -> tuple[Visit, str | None]:
        """A grant by its id, or a document of one: (grant, document id or None). Open ones before ended ones.

        "GRANT/DOCUMENT" is the document of that grant. A document that several people grant needs its grant named: an
        id is the word of whoever grants it, and one person's must not stand in for another's.
        """
        grant, slash, low = prefix.strip().casefold().rpartition("/")
        everything = self.grants()
        if slash:
            everything = tuple(visit for visit in everything if len(grant) >= 4 and visit.id.startswith(grant))
            fitting = [(v, d) for v in everything for d in v.document_ids if len(low) >= 4 and d.startswith(low)]
            if len(fitting) == 1:
                return fitting[0]
            raise NotFound(f"no granted document fits {prefix!r}", wanted=prefix)
        if len(low) >= 4:
            by_grant = [visit for visit in everything if visit.id.startswith(low)]
            if len(by_grant) == 1:
                return by_grant[0], None
            documents = {d for visit in everything for d in visit.document_ids if d.startswith(low)}
            if len(documents) == 1:
                document = documents.pop()
                rows = self._grants.visits_of(bytes.fromhex(document))
                row = rows[0]
                if any(r.issuer_sign != row.issuer_sign for r in rows if r.state == row.state):
                    raise NotFound(
                        f"several people granted {prefix!r}",
                        hint="Name the access too: ACCESS/DOCUMENT.",
                        wanted=prefix,
                    )
                return self._visit(row, self._grants.visit_items(row.number)), document
        raise NotFound(f"no granted document fits {prefix!r}", wanted=prefix)

    # Opening

    def begin(self, visit_id: str, document_ids: Sequence[str], why: str) -> Session:
        """The opening request for these documents of a grant. AccessEnded when it is over here already."""
        self.close_ended()
        number = bytes.fromhex(visit_id)
        visit = self._open_row(number)
        wanted = {bytes.fromhex(document) for document in document_ids}
        items = tuple(i for i in self._grants.visit_items(number) if i.document in wanted)
        if not items or visit.reader is None:
            raise NotFound("this grant holds no such document")
        if len(items) > MAX_TAGS:
            raise InputRefused(f"one opening is of at most {MAX_TAGS} documents", count=len(items))
        if any(item.masked is None for item in items):
            hint = "Ask for the access again: whoever gave it has to give it anew."
            raise SuiteRefused("this access was given by an earlier version", hint=hint)
        counter, fresh = self._grants.next_counter(number, self._now()), make_fresh()
        request = make_request(
            self._vault.identity,
            issuer_box=visit.issuer_box,
            number=number,
            grant_hash=visit.grant_hash,
            reader=SigningKey.from_seed(visit.reader),
            counter=counter,
            fresh=fresh,
            documents=[item.document for item in items],
            tags=[item.tag for item in items],
            why=why or visit.purpose,
            device=self._vault.device_id,
            now=self._now(),
        )
        return Session(visit, items, request, counter, fresh)

    def finish(self, session: Session, sealed: bytes) -> tuple[Unlocked, ...]:
        """The documents' keys from the relay's answer. VerificationFailed when it answers something else."""
        visit = session.visit
        tags = [item.tag for item in session.items]
        halves = read_release(sealed, session.fresh, visit.number, session.counter, tags)
        unlocked = tuple(self._unlock(visit, item, halves) for item in session.items)
        for item in session.items:
            self._grants.set_opened(visit.number, item.document, self._now())
        return unlocked

    def kept(self, visit_id: str, document_id: str) -> Unlocked | None:
        """A copy that the patient allowed to keep for a visit without network, if its time is not over."""
        self.close_ended()
        number, document = bytes.fromhex(visit_id), bytes.fromhex(document_id)
        visit = self._open_row(number)
        found = self._grants.kept(number, document, self._now())
        if found is None:
            return None
        content, replica, epoch, mailbox = found
        item = next(item for item in self._grants.visit_items(number) if item.document == document)
        if mailbox is not None:  # the epoch that it was kept in, whatever renewal came since
            item = replace(item, epoch=epoch, mailbox=mailbox)
        return Unlocked(visit, item, Content(**CONTENT.decode(content)), replica)

    def keep(self, unlocked: Unlocked, replica: bytes) -> None:
        """Keep an opened document for the time that the patient allowed, never past the end; nothing otherwise."""
        visit, now = unlocked.visit, self._now()
        if visit.offline > 0:
            content = CONTENT.encode(unlocked.content.fields())
            until = min(visit.until, now + visit.offline)
            self._grants.keep(unlocked.item, content, replica, until, now)

    def rewrite_kept(self, unlocked: Unlocked, replica: bytes) -> None:
        """What was written into a document that is kept. Reading or writing again does not prolong the keeping."""
        self._grants.rewrite_kept(unlocked.visit.number, unlocked.item.document, replica)

    def moved(self, unlocked: Unlocked) -> bool:
        """Whether a renewal came since: the document has a later epoch than the one that was opened."""
        items = {item.document: item for item in self._grants.visit_items(unlocked.visit.number)}
        return items[unlocked.item.document].epoch > unlocked.item.epoch

    def is_open(self, number: bytes) -> bool:
        """Whether this grant still goes on here: it may have ended while one of its documents was open."""
        return self._grants.is_open(number)

    def channel(self, unlocked: Unlocked) -> Channel:
        """The channel of an opened document, to be followed from its edition."""
        item = unlocked.item
        return Channel(
            mailbox=item.mailbox,
            document=item.document,
            epoch=item.epoch,
            issuer=unlocked.visit.issuer_sign,
            edition=item.edition,
        )

    # The end

    def end(self, visit_id: str) -> None:
        """The relay said that it is over: everything that could open it is wiped now."""
        self._end(bytes.fromhex(visit_id))

    def close_ended(self) -> tuple[str, ...]:
        """Wipe every grant past its end, and every kept copy past its time. The ids of what ended."""
        now = self._now()
        over = self._grants.past_end(now)
        for number in over:
            self._end(number)
        if self._grants.kept_past(now):
            with self._store.wiping():
                self._grants.drop_kept(now)
        return tuple(number.hex() for number in over)

    def _end(self, number: bytes) -> None:
        visit = self._grants.visit(number)
        with self._store.wiping():
            for mailbox in self._grants.end_visit(number):
                if visit is not None:
                    self._mailboxes.forget(place_of(mailbox, visit.relay_key, visit.issuer_sign))
        for left in (self._vault.path / "deposits").glob("*.visit"):
            left.unlink(missing_ok=True)  # a sealed file that was being read when this device stopped

    # Inside

    def _unlock(self, visit: VisitRow, item: VisitItem, halves: Mapping[bytes, bytes]) -> Unlocked:
        if visit.half is None or item.masked is None or item.label is None:
            raise AccessEnded("this grant is over", until=visit.until)
        half_tag, edit = halves[item.tag], visit.right == "edit"
        granted = _granted(item)
        content = unwrap(visit.half, half_tag, visit.grant_hash, granted, item.masked, item.label, edit=edit)
        return Unlocked(visit, item, content)

    def _open_row(self, number: bytes) -> VisitRow:
        visit = self._grants.visit(number)
        if visit is None:
            raise NotFound("no such grant")
        if visit.state != "open":
            raise AccessEnded("this grant is over", until=visit.until)
        return visit

    def _row(self, package: Package) -> VisitRow:
        fields = package.fields
        return VisitRow(
            number=fields["number"],
            issuer_sign=fields["issuer_sign"],
            issuer_box=fields["issuer_box"],
            patient=fields["issuer_name"],
            right=fields["right"],
            purpose=fields["purpose"],
            not_before=fields["not_before"],
            until=fields["until"],
            offline=fields["offline"],
            relay=fields["relay"],
            relay_key=fields["relay_key"],
            grant_hash=package.hash,
            half=package.half,
            reader=package.reader,
            counter=0,
            state="open",
            received=self._now(),
        )

    def _need_visit(self, number: bytes) -> Visit:
        row = self._grants.visit(number)
        if row is None:
            raise NotFound("no such grant")
        return self._visit(row, self._grants.visit_items(number))

    def _visit(self, row: VisitRow, items: Sequence[VisitItem]) -> Visit:
        return Visit(
            id=row.number.hex(),
            patient=row.patient,
            document_ids=tuple(item.document.hex() for item in items),
            right=row.right,
            purpose=row.purpose,
            until=row.until,
            received=row.received,
            state="open" if row.state == "open" and row.until > self._now() else "ended",
            opened=tuple(item.opened for item in items),
        )

    def _now(self) -> int:
        return int(self._vault.clock())


def _granted(item: VisitItem) -> Item:
    return Item(item.document, item.epoch, item.edition, item.tag, item.mailbox)


def _held(number: bytes, opened: Package | Renewal) -> list[VisitItem]:
    """The items as they are kept on this device."""
    return [
        VisitItem(number, item.document, item.epoch, item.edition, item.tag, item.mailbox, masked, label, None)
        for item, masked, label in zip(opened.items, opened.keys, opened.labels, strict=True)
    ]
