"""The holder's side of grants: make, renew, revoke, end; and what of them people see. Normative text: spec/grant.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vault.channel import Incoming
from vault.circle import Part, make_part
from vault.document import Document
from vault.epochs import Epochs, Member, Started
from vault.errors import InputRefused, NotFound, VerificationFailed
from vault.following import Following
from vault.grant import MAX_SECONDS, make_body, seal, seal_renewal, terms
from vault.masking import MAX_ITEMS
from vault.people import Person
from vault.primitives import SUITE, SigningKey, make_key
from vault.store.grants import Given, GivenItem, GrantStore
from vault.store.mailboxes import ZERO, MailboxStore
from vault.store.outbox import OutboxStore
from vault.trace import Trace, TraceLine

if TYPE_CHECKING:
    from vault.identity import Card
    from vault.vault import Vault

__all__ = ["Grant", "Sharing", "TraceLine"]
MAX_OFFLINE = 7 * 86_400


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


class Sharing:
    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._store = vault.store
        self._grants = GrantStore(vault.store)
        self._outbox = OutboxStore(vault.store)
        self._mailboxes = MailboxStore(vault.store)
        self._documents = vault.documents
        self._epochs = Epochs(vault)
        self._following = Following(vault)
        self.journal = Trace(vault)

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
        kem = person.card.need_kem()
        now = self._now()
        end = until if until is not None else now + (seconds or 0)
        documents = tuple(dict.fromkeys(document_ids))
        self._check(documents, right, now, end, openings)
        half, relay_half, owner, number = make_key(), make_key(), make_key(), make_key()
        reader = SigningKey.make()
        with self._store.transaction():
            part = make_part(
                documents, half, relay_half, sign=person.card.sign, name=person.name, role=role, right=right, until=end
            )
            started = self._next_epochs(documents, relay, part)
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
                "offline": max(0, min(offline, end - now, MAX_OFFLINE)),
                "relay": relay,
                "relay_key": relay_key,
                "roster": self._vault.roster_head,
            }
            body = make_body(fields, part.items(started))
            arguments = {
                "owner": owner,
                "half": relay_half,
                "reader": reader.public,
                "not_before": now,
                "until": end,
                "openings": openings,
            }
            self._outbox.queue(relay, "put_half", number, arguments, belongs=number)
            keys, labels = part.keys(started, body.hash), part.labels(started)
            self._send(person.card, seal(self._vault.identity, body, half, reader.seed, keys, labels, kem), number)
            given = Given(
                number, bytes.fromhex(person.id), person.card.sign, person.card.box, body.hash, person.name, role,
                body.data, half, relay_half, reader.public, owner, relay, right, purpose[:500], now, end,
                "active", None, None, 0, ZERO, 0,
            )  # fmt: skip
            rows = [
                GivenItem(started[document].document, tag, started[document].title)
                for document, tag in zip(documents, part.tags, strict=True)
            ]
            self._grants.add_given(given, rows)
            self._vault.people.touch(person)
        return _shown(given, rows)

    def revoke(self, grant_id: str) -> Grant:
        """End a grant now: the relay's half is destroyed first, then the others move to the next epoch."""
        given = self._need(grant_id)
        if given.state == "active":
            self._end([given], "revoked")
        return self._again(given)

    def expire(self) -> tuple[Grant, ...]:
        """End every grant whose end has passed."""
        now = self._now()
        over = [given for given in self._grants.active() if given.until <= now]
        if over:
            self._end(over, "ended")
        return tuple(self._again(given) for given in over)

    def grants(self) -> tuple[Grant, ...]:
        """Newest first, ended ones too."""
        items = self._grants.all_items()
        return tuple(_shown(given, items.get(given.number, [])) for given in self._grants.all_given())

    def find(self, prefix: str) -> Grant:
        """By a unique prefix of its id, at least 4 characters."""
        low = prefix.strip().casefold()
        usable = len(low) >= 4 and set(low) <= set("0123456789abcdef")
        fitting = self._grants.find_given(low) if usable else []
        if len(fitting) != 1:
            raise NotFound(f"{'no grant fits' if not fitting else 'several grants fit'} {prefix[:80]!r}", wanted=prefix)
        return self._again(fitting[0])

    # What others wrote, and who looked

    def apply(self, address: bytes, incoming: Incoming) -> Document | None:
        """Merge one opened envelope of a channel of this vault (following.py)."""
        return self._following.apply(address, incoming)

    def publish(self, document_id: str, relay: str) -> None:
        """Queue files that the holder attached to a shared document, and put their places into it."""
        self._epochs.publish(document_id, relay)

    def close_channel(self, document_id: str) -> None:
        """Close the channel of an epoch that another device's came before."""
        self._epochs.close_channel(bytes.fromhex(document_id))

    def reconcile(self, document_id: str, *, lost: bool) -> bool:
        """After another device's epoch: who should have the document and is not in it, or was given it in an epoch of
        this device that gave way (`lost`), gets it anew. False when an access that is in it is not known here yet."""
        document = bytes.fromhex(document_id)
        active = self._grants.active_for([document]).get(document, [])
        channel = self._mailboxes.channel(document)
        inside = set(self._mailboxes.writers(channel.address)) if channel else set()
        wanted, others = {given.sign for given in active}, inside - {self._vault.identity.sign.public}
        if not others <= self._grants.signs_of(document):
            return False
        if active and (lost or wanted != others):
            with self._store.transaction():
                self._next_epochs([document_id], active[0].relay)
        elif not active and channel is not None:
            self._epochs.close(document_id)
        return True

    def give_anew(self) -> tuple[Grant, ...]:
        """Every active access as a new grant (new number, halves, epoch) and the former one ended: whoever knew its
        tokens can neither end it nor follow its trace. Those that could not be given today stay as they are."""
        stayed: list[Grant] = []
        for given in self._grants.active():
            person = self._vault.people.get(given.person)
            offline, openings = terms(given.body)
            documents = [item.document.hex() for item in self._grants.items(given.number)]
            try:
                if person is None:
                    raise NotFound("somebody who is not known any more")
                with self._store.transaction():
                    self.grant(
                        person,
                        documents,
                        right=given.right,
                        purpose=given.purpose,
                        until=given.until,
                        offline=offline,
                        openings=openings,
                    )
                    self.revoke(given.number.hex())
            except (VerificationFailed, InputRefused, NotFound):
                stayed.append(_shown(given, self._grants.items(given.number)))
        return tuple(stayed)

    def trace(self) -> tuple[TraceLine, ...]:
        """Everything that happened to grants, oldest first: granted, opened, revoked, ended, unknown."""
        return self.journal.lines()

    # Inside

    def _now(self) -> int:
        return int(self._vault.clock())

    def _need_relay(self, person: Person) -> tuple[str, bytes]:
        relay = self._vault.people.relay()
        if relay is None:
            raise InputRefused("no relay is remembered yet", hint="run `elpis sync --relay URL` once")
        if person.card.inbox is None:
            raise InputRefused("this person's card has no inbox", hint="ask for a new card, made after a first sync")
        return relay

    def _check(self, documents: Sequence[str], right: str, now: int, end: int, openings: int | None) -> None:
        if right not in ("read", "edit"):
            raise InputRefused("the right is read or edit", right=right)
        if not 1 <= len(documents) <= MAX_ITEMS:
            raise InputRefused(f"a grant is for 1 to {MAX_ITEMS} documents", count=len(documents))
        if not now < end <= now + MAX_SECONDS:
            raise InputRefused("the end of a grant lies in the future, at most ten years away")
        if openings is not None and not 1 <= openings <= 1_000_000:
            raise InputRefused("a number of openings is from 1 to 1 000 000", openings=openings)

    def _next_epochs(self, documents: Sequence[str], relay: str, joining: Part | None = None) -> dict[str, Started]:
        """The next epoch of documents; who stays gets one renewal for all of them."""
        held: dict[bytes, tuple[Given, list[str]]] = {}
        for key, grants in self._grants.active_for([bytes.fromhex(document) for document in documents]).items():
            for given in grants:
                held.setdefault(given.number, (given, []))[1].append(key.hex())
        staying = [(given, _part_of(given, theirs)) for given, theirs in held.values()]
        members: dict[str, list[Member]] = {document: [] for document in documents}
        for part in [part for _, part in staying] + ([joining] if joining else []):
            for document, member in zip(part.documents, part.members, strict=True):
                members[document].append(member)
        started = {
            document: self._epochs.start(document, members[document], relay, need_files=joining is not None)
            for document in documents
        }
        for given, part in staying:
            self._renew(given, part, started)
        return started

    def _renew(self, given: Given, part: Part, started: Mapping[str, Started]) -> None:
        """The new keys for somebody who stays, under the halves that both sides still have and a fresh tag for each."""
        card = self._vault.people.card_of(given.person)
        if given.relay_half is None or card is None or not can_be_sent_to(card):
            return  # whose card leads nowhere stays behind: nobody else's end may wait for a new one
        tags = ((tag, started[document].document) for document, tag in zip(part.documents, part.tags, strict=True))
        self._grants.add_tags(given.number, tags)
        sealed = seal_renewal(
            self._vault.identity, given.role, given.box, given.number, part.items(started),
            part.keys(started, given.hash), part.labels(started), card.need_kem(),
        )  # fmt: skip
        self._send(card, sealed, given.number)

    def _end(self, over: Sequence[Given], state: str) -> None:
        """What was not sent yet is taken back; the halves go before everything else; then the documents move on."""
        with self._store.transaction():
            touched: dict[str, str] = {}
            for given in over:
                self._outbox.take_back(given.number)
                self._outbox.queue(given.relay, "destroy_half", given.number, {"owner": given.owner}, urgent=True)
                self._grants.end_given(given.number, state, self._now())
                touched |= {item.document.hex(): given.relay for item in self._grants.items(given.number)}
            here = {document: relay for document, relay in touched.items() if self._documents.exists(document)}
            # No document may keep an access from ending: where no epoch can start, it ends for everybody.
            able = [bytes.fromhex(document) for document in here if self._epochs.can_start(document)]
            staying = self._grants.active_for(able)
            for relay in dict.fromkeys(here.values()):
                going_on = [d for d, r in here.items() if r == relay and bytes.fromhex(d) in staying]
                self._next_epochs(going_on, relay)
            for document in here:
                if bytes.fromhex(document) not in staying:
                    self._epochs.close(document)

    def _send(self, card: Card, sealed: bytes, belongs: bytes) -> None:
        if card.inbox is None or card.deposit is None:
            raise InputRefused("this person's card has no inbox")
        arguments = {"token": card.deposit, "relay_key": card.relay_key}
        self._outbox.queue(card.relay, "append", card.inbox, arguments, sealed, belongs=belongs)

    def _need(self, grant_id: str) -> Given:
        try:
            given = self._grants.given(bytes.fromhex(grant_id))
        except ValueError:
            given = None
        if given is None:
            raise NotFound("no such grant", wanted=grant_id)
        return given

    def _again(self, given: Given) -> Grant:
        return _shown(self._need(given.number.hex()), self._grants.items(given.number))


def _shown(given: Given, items: Iterable[GivenItem]) -> Grant:
    held = tuple(items)
    return Grant(
        id=given.number.hex(),
        person_id=given.person.hex(),
        person=given.name,
        role=given.role,
        documents=tuple(item.document.hex() for item in held),
        titles=tuple(item.title for item in held),
        right=given.right,
        purpose=given.purpose,
        made=given.made,
        until=given.until,
        state=given.state,
    )


def can_be_sent_to(card: Card) -> bool:
    """Whether something can be sealed to this card's owner, and put somewhere."""
    return card.inbox is not None and (card.suite == SUITE or card.kem is not None)


def _part_of(given: Given, documents: Sequence[str]) -> Part:
    return make_part(
        documents, given.half, given.relay_half, sign=given.sign, name=given.name, role=given.role, right=given.right,
        until=given.until,
    )  # fmt: skip
