"""The holder's side of grants: make, renew, revoke, end; take what grantees write; keep and verify the trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.channel import Channel, Incoming, Pending, Taken, Writer, read_claim, write_claim
from vault.document import Document
from vault.encoding import decode, encode
from vault.epochs import Epochs, Member, Started, make_member
from vault.errors import InputRefused, NotFound, VerificationFailed
from vault.grant import (
    GRANT,
    MAX_ITEMS,
    Content,
    Item,
    derive_half_tag,
    derive_item_key,
    make_body,
    make_tag,
    seal,
    seal_renewal,
    wrap,
)
from vault.opening import verify_opening
from vault.people import Person
from vault.primitives import SigningKey, hash32, make_key
from vault.replica import flatten
from vault.shape import edits_between
from vault.store.grants import Given, GivenItem, GrantStore
from vault.store.mailboxes import ZERO, Mailbox, MailboxStore

if TYPE_CHECKING:
    from vault.vault import Vault

MAX_CLAIM = 1 << 20
TRACE_KEPT = 7 * 86_400  # seconds after the end during which a relay is still asked for late trace entries


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as people see it. Times are seconds since 1970; `state`: active, revoked, ended."""

    id: str
    person_id: str
    person: str
    role: str
    documents: tuple[str, ...]
    titles: tuple[str, ...]
    right: str
    purpose: str
    made: int
    until: int
    state: str


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One line of the journal. "opened" and `verified` only when the professional's own signature proves it."""

    time: int
    person: str
    role: str
    document: str
    document_id: str
    purpose: str
    state: str
    verified: bool
    detail: str = ""


class Sharing:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._grants = GrantStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._documents = vault.documents
        self._epochs = Epochs(vault.store, vault.documents, vault.identity)

    # Making

    def grant(
        self,
        person: Person,
        document_ids: Sequence[str],
        *,
        right: str,
        purpose: str,
        seconds: int | None = None,
        until: int | None = None,
        offline: int = 0,
        openings: int | None = None,
    ) -> Grant:
        """Give `person` these documents until the end. Everything is queued for the relay; nothing is sent here.

        `offline` in seconds. InputRefused for what cannot be granted; RoleDenied, NotCertified, Expired for whom.
        """
        role = self._vault.people.need_grantable(person)
        relay, relay_key = self._need_relay(person)
        now = self._now()
        end = until if until is not None else now + (seconds or 0)
        documents = tuple(dict.fromkeys(document_ids))
        self._check(documents, right, now, end)
        half, relay_half, owner, number = make_key(), make_key(), make_key(), make_key()
        reader = SigningKey.make()
        with self._store.transaction():
            opened = [self._join(document, person, role, right, end, relay) for document in documents]
            items = [Item(s.document, s.epoch, s.edition, make_tag(), s.mailbox) for s, _ in opened]
            fields = {
                "number": number,
                "issuer_sign": self._vault.identity.sign.public,
                "issuer_box": self._vault.identity.box.public,
                "issuer_name": self._vault.holder_name,
                "grantee_sign": person.card.sign,
                "grantee_box": person.card.box,
                "role": role,
                "right": right,
                "purpose": purpose[:500],
                "made": now,
                "not_before": now,
                "until": end,
                "openings": openings,
                "offline": min(offline, end - now),
                "relay": relay,
                "relay_key": relay_key,
                "roster": self._vault.roster_head,
            }
            body = make_body(fields, items)
            wraps = [
                _wrap(half, relay_half, hash32(body), item, started, member)
                for item, (started, member) in zip(items, opened, strict=True)
            ]
            arguments = {
                "owner": owner,
                "half": relay_half,
                "reader": reader.public,
                "not_before": now,
                "until": end,
                "openings": openings,
            }
            self._mailboxes.queue(relay, "put_half", number, arguments)
            sealed = seal(self._vault.identity, fields, items, half, reader.seed, wraps)
            self._send(person, sealed)
            given = Given(
                number, bytes.fromhex(person.id), person.name, role, body, half, relay_half, reader.public, owner, relay,
                right, purpose[:500], now, end, "active", None, None, 0, ZERO,
            )  # fmt: skip
            titles = [started.title for started, _ in opened]
            rows = [GivenItem(item.document, item.tag, title) for item, title in zip(items, titles, strict=True)]
            self._grants.add_given(given, rows)
            self._vault.people.touch(person)
        return self._grant(given)

    def revoke(self, grant_id: str) -> Grant:
        """End a grant now: the relay's half is destroyed first, then the others move to the next epoch."""
        given = self._need(grant_id)
        if given.state == "active":
            self._end(given, "revoked")
        return self._grant(self._need(grant_id))

    def expire(self) -> tuple[Grant, ...]:
        """End every grant whose end has passed."""
        now = self._now()
        over = [given for given in self._grants.active() if given.until <= now]
        for given in over:
            self._end(given, "ended")
        return tuple(self._grant(self._need(given.number.hex())) for given in over)

    def grants(self) -> tuple[Grant, ...]:
        """Newest first, ended ones too."""
        return tuple(self._grant(given) for given in self._grants.all_given())

    def find(self, prefix: str) -> Grant:
        """By a unique prefix of its id, at least 4 characters."""
        low = prefix.strip().casefold()
        fitting = [given for given in self._grants.all_given() if len(low) >= 4 and given.number.hex().startswith(low)]
        if len(fitting) != 1:
            raise NotFound(f"{len(fitting)} grants fit {prefix!r}", wanted=prefix, count=len(fitting))
        return self._grant(fitting[0])

    # Taking what grantees wrote

    def apply(self, address: bytes, incoming: Incoming) -> Document | None:
        """Merge one opened envelope of a channel of this vault. None when it was this device's own.

        A bad one raises ForeignChange or Replayed and changes nothing: the caller keeps it as evidence.
        """
        if incoming.device == self._vault.device_id and incoming.signer == self._vault.identity.sign.public:
            return None
        return self._merge(self._need_mailbox(address), incoming)

    def _merge(self, mailbox: Mailbox, incoming: Incoming) -> Document:
        document_id = (mailbox.document or b"").hex()
        channel = self._channel(mailbox, self._documents.replica_save(document_id, mailbox.epoch))
        with self._store.transaction():
            taken = channel.take(incoming, self._vault.quarantine.merge)
            self._remember(mailbox.address, channel)
            if not taken.applied:
                pass
            elif self._documents.epoch(document_id) == mailbox.epoch:
                self._documents.applied(
                    document_id, taken.merged, [(p.change, p.author, p.time) for p in taken.applied]
                )
            else:
                self._rescue(document_id, mailbox.epoch, taken)
        if taken.refused is not None:
            raise taken.refused
        return self._documents.state(document_id)

    def _rescue(self, document_id: str, epoch: int, taken: Taken) -> None:
        """Changes that came on an older epoch are written again into the present one, their author named."""
        before = self._documents.replica_save(document_id, epoch)
        edits = edits_between(flatten(before), taken.merged.state)
        self._documents.archive(document_id, epoch, taken.merged.save)
        if edits and taken.applied:
            written = taken.applied[-1]
            self._documents.edit(document_id, edits, author=written.author, time=written.time)

    def _channel(self, mailbox: Mailbox, save: bytes) -> Channel:
        address = mailbox.address
        pending = [
            Pending(read_claim(decode(claim, limit=MAX_CLAIM)), author, time)
            for claim, author, time in self._mailboxes.pending(address)
        ]
        writers = {sign: Writer(sign, *fields) for sign, fields in self._mailboxes.writers(address).items()}
        return Channel(
            mailbox=address,
            document=mailbox.document or b"",
            epoch=mailbox.epoch,
            issuer=self._vault.identity.sign.public,
            save=save,
            writers=writers,
            senders=self._mailboxes.senders(address),
            actors=self._mailboxes.actors(address),
            pending=pending,
        )

    def _remember(self, address: bytes, channel: Channel) -> None:
        for device, (seq, head) in channel.senders.items():
            self._mailboxes.put_sender(address, device, seq, head)
        for actor, signer in channel.actors.items():
            self._mailboxes.put_actor(address, actor, signer)
        claims = [(p.change.hash, encode(write_claim(p.change)), p.author, p.time) for p in channel.pending]
        self._mailboxes.set_pending(address, claims)

    # The trace

    def to_trace(self) -> list[Given]:
        return self._grants.to_trace(self._now(), TRACE_KEPT)

    def take_opening(self, number: bytes, position: int, time: int, entry: bytes) -> TraceLine:
        """Check and keep one trace entry that followed the relay's chain."""
        given = self._grants.given(number)
        if given is None:
            raise NotFound("the trace of an unknown grant")
        items = {item.tag: item.document for item in self._grants.items(number)}
        try:
            opened = verify_opening(
                entry,
                reader=given.reader,
                grantee=GRANT.decode(given.body)["grantee_sign"],
                me=self._vault.identity.box,
                number=number,
                grant_hash=hash32(given.body),
                items=items,
            )
            documents, why, state, detail = opened.documents, opened.why, "opened", ""
        except VerificationFailed as failure:
            documents, why, state, detail = (), "", "unknown", failure.code
        joined = b"".join(documents)
        self._grants.add_opening(number, position, time, entry, joined, why, state, detail)
        titles = {item.document: item.title for item in self._grants.items(number)}
        title = titles.get(documents[0], "") if documents else ""
        document_id = documents[0].hex() if documents else ""
        return TraceLine(
            time, given.name, given.role, title, document_id, why or given.purpose, state, state == "opened", detail
        )

    def advance_trace(self, number: bytes, count: int, chain: bytes) -> None:
        self._grants.advance_trace(number, count, chain)

    def put_receipt(self, number: bytes, receipt: bytes) -> None:
        self._grants.put_receipt(number, receipt)

    def trace(self) -> tuple[TraceLine, ...]:
        """Everything that happened to grants, oldest first: granted, opened, revoked, ended, unknown."""
        lines: list[TraceLine] = []
        given = {row.number: row for row in self._grants.all_given()}
        titles = {number: {i.document: i.title for i in self._grants.items(number)} for number in given}
        for number, row in given.items():
            for document, title in titles[number].items():
                base = (row.name, row.role, title, document.hex(), row.purpose)
                lines.append(TraceLine(row.made, *base, "granted", True))
                if row.ended is not None:
                    end = row.until if row.state == "ended" else row.ended
                    lines.append(TraceLine(end, *base, row.state, row.receipt is not None))
        for opening in self._grants.openings():
            row = given[opening.number]
            for document in opening.documents or (b"",):
                title = titles[opening.number].get(document, "")
                lines.append(
                    TraceLine(
                        opening.time, row.name, row.role, title, document.hex(), opening.why or row.purpose,
                        opening.state, opening.state == "opened", opening.detail,
                    )
                )  # fmt: skip
        order = {"granted": 0, "opened": 1, "unknown": 1, "revoked": 2, "ended": 2}
        return tuple(sorted(lines, key=lambda line: (line.time, order[line.state])))

    # Inside

    def _now(self) -> int:
        return int(self._vault.clock())

    def _need_relay(self, person: Person) -> tuple[str, bytes]:
        relay = self._vault.people.relay()
        if relay is None:
            raise InputRefused("no relay is remembered yet", hint="run `elpis sync --relay URL` once")
        if person.card.inbox is None or not person.card.relay:
            raise InputRefused("this person's card has no inbox", hint="ask for a new card, made after a first sync")
        return relay

    def _check(self, documents: Sequence[str], right: str, now: int, end: int) -> None:
        if right not in ("read", "edit"):
            raise InputRefused("the right is read or edit", right=right)
        if not 1 <= len(documents) <= MAX_ITEMS:
            raise InputRefused(f"a grant is for 1 to {MAX_ITEMS} documents", count=len(documents))
        if end <= now:
            raise InputRefused("the end of a grant lies in the future")

    def _join(
        self, document: str, person: Person, role: str, right: str, until: int, relay: str
    ) -> tuple[Started, Member]:
        """A new epoch of a document with everybody who has it now, and this person."""
        member = make_member(person.card.sign, person.name, role, right, until)
        started = self._next_epoch(document, relay, member)
        return started, member

    def _next_epoch(self, document: str, relay: str, joining: Member | None = None) -> Started:
        remaining = self._grants.active_for(bytes.fromhex(document))
        members = [(given, _member_of(given)) for given in remaining]
        everybody = [member for _, member in members] + ([joining] if joining else [])
        started = self._epochs.start(document, everybody, relay)
        for given, member in members:
            self._renew(given, member, started)
        return started

    def _renew(self, given: Given, member: Member, started: Started) -> None:
        """The new epoch's key for somebody who stays, under the halves that both sides still have."""
        person = self._vault.people.get(given.person)
        if given.relay_half is None or person is None:
            return
        tag = next(item.tag for item in self._grants.items(given.number) if item.document == started.document)
        item = Item(started.document, started.epoch, started.edition, tag, started.mailbox)
        wrapped = _wrap(given.half, given.relay_half, hash32(given.body), item, started, member)
        box = GRANT.decode(given.body)["grantee_box"]
        self._send(person, seal_renewal(self._vault.identity, given.role, box, given.number, [item], [wrapped]))

    def _end(self, given: Given, state: str) -> None:
        with self._store.transaction():
            self._mailboxes.queue(given.relay, "destroy_half", given.number, {"owner": given.owner}, urgent=True)
            self._grants.end_given(given.number, state, self._now())
            for item in self._grants.items(given.number):
                document = item.document.hex()
                if not self._documents.exists(document):
                    continue
                if self._grants.active_for(item.document):
                    self._next_epoch(document, given.relay)
                else:
                    self._epochs.close(document)

    def _send(self, person: Person, sealed: bytes) -> None:
        card = person.card
        if card.inbox is None or card.deposit is None:
            raise InputRefused("this person's card has no inbox")
        self._mailboxes.queue(card.relay, "append", card.inbox, {"token": card.deposit}, sealed)

    def _need(self, grant_id: str) -> Given:
        given = self._grants.given(bytes.fromhex(grant_id))
        if given is None:
            raise NotFound("no such grant", wanted=grant_id)
        return given

    def _need_mailbox(self, address: bytes) -> Mailbox:
        mailbox = self._mailboxes.mailbox(address)
        if mailbox is None or mailbox.document is None:
            raise NotFound("no such channel")
        return mailbox

    def _grant(self, given: Given) -> Grant:
        items = self._grants.items(given.number)
        return Grant(
            id=given.number.hex(),
            person_id=given.person.hex(),
            person=given.name,
            role=given.role,
            documents=tuple(item.document.hex() for item in items),
            titles=tuple(item.title for item in items),
            right=given.right,
            purpose=given.purpose,
            made=given.made,
            until=given.until,
            state=given.state,
        )


def _member_of(given: Given) -> Member:
    sign = GRANT.decode(given.body)["grantee_sign"]
    return make_member(sign, given.name, given.role, given.right, given.until)


def _wrap(half: bytes, relay_half: bytes, grant_hash: bytes, item: Item, started: Started, member: Member) -> bytes:
    key = derive_item_key(half, derive_half_tag(relay_half, item.tag), grant_hash, item.tag)
    content = Content(started.key, member.read, member.append, started.title[:500], started.kind)
    return wrap(key, content, grant_hash, item)
