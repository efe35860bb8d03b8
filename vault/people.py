"""The people whom a vault knows: their cards, certificates, pinned authorities, and whether they may be granted to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vault.authorities import Authorities, KnownAuthority
from vault.certificate import Certificate, check_role, refuse_payer
from vault.errors import InputRefused, NotCertified, NotFound, SuiteRefused, VerificationFailed, WrongRecipient
from vault.identity import Card, Identity, derive_safety_number, make_card, print_card, read_card
from vault.primitives import hash32, make_key
from vault.store.connection import Store
from vault.store.mailboxes import MailboxStore
from vault.store.outbox import OutboxStore
from vault.store.people import PeopleStore, PersonRow


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody known. `reason` is the failure class for which a grant would be refused, "" when it would not;
    `detail` says more about a certificate that does not count (spec/certificate.md)."""

    id: str
    name: str
    role: str
    certified: bool
    certificate_id: str
    met: bool
    reason: str
    card: Card
    detail: str = ""


class People:
    """Cards in and out; who is certified, met, or denied."""

    def __init__(
        self, store: Store, identity: Identity, clock: Callable[[], float], min_suite: Callable[[], int]
    ) -> None:
        self._store = store
        self._min_suite = min_suite
        self._people = PeopleStore(store)
        self._mailboxes = MailboxStore(store)
        self._outbox = OutboxStore(store)
        self._identity = identity
        self._clock = clock
        self._authorities = Authorities(store, lambda: self._clock())

    # This vault's own card and inbox

    def set_relay(self, url: str, verify_key: bytes) -> None:
        """Remember the relay that has this vault's inbox, its key pinned; make the inbox. VerificationFailed when the
        relay at this address had another key before."""
        known = self._people.relay_key(url)
        if known is not None and known != verify_key:
            raise VerificationFailed("this relay's key has changed", relay=url)
        with self._store.transaction():
            if known is None or self.relay() != (url, verify_key):
                self._people.put_relay(url, verify_key, home=True)
            if self._mailboxes.inbox(url) is None:
                self._make_inbox(url)

    def _make_inbox(self, url: str) -> None:
        address, owner, deposit = make_key(), make_key(), make_key()
        self._mailboxes.add(address, url, "inbox", owner=owner, append=deposit)
        tokens = [{"token": deposit, "right": "append", "until": None}]
        self._outbox.queue(url, "create_mailbox", address, {"owner": owner, "tokens": tokens})

    def renew_inbox(self) -> None:
        """A new inbox at the home relay; every other one closes, at whatever relay, and what lies in it is still read.
        Cards change."""
        home = self.relay()
        if home is None:
            return
        with self._store.transaction():
            for old in self._mailboxes.open_inboxes():
                self._mailboxes.set_state(old.address, "closing")
                arguments = {"owner": old.owner, "purge": False}
                self._outbox.queue(old.relay, "close_mailbox", old.address, arguments)
            self._make_inbox(home[0])

    def relay(self) -> tuple[str, bytes] | None:
        """(url, verify key) of the remembered relay."""
        return self._people.home_relay()

    def relay_key(self, url: str) -> bytes | None:
        return self._people.relay_key(url)

    def pin_relay(self, url: str, verify_key: bytes) -> None:
        """Remember the key of a relay that somebody else uses, at first contact."""
        self._people.put_relay(url, verify_key, home=False)

    def card(self, *, short: bool = False) -> bytes:
        """This vault's contact card, with the inbox when a relay is remembered."""
        now = int(self._clock())
        relay = self.relay()
        inbox = self._mailboxes.inbox(relay[0]) if relay is not None else None
        if relay is None or inbox is None:
            return make_card(self._identity, now=now, short=short)
        return make_card(
            self._identity,
            relay=relay[0],
            relay_key=relay[1],
            inbox=inbox.address,
            deposit=inbox.append,
            now=now,
            short=short,
        )

    def card_text(self, *, short: bool = False) -> str:
        """The card as a line; `short` for a QR code, which would be too large with the whole of the second key."""
        return print_card(self.card(short=short))

    def fingerprint(self) -> str:
        return self._identity.id.hex()

    # Others

    def read_card(self, data: bytes) -> Card:
        return read_card(data)

    def add(
        self, card: bytes, *, certificate: bytes | None = None, authority: bytes | None = None, met: bool = False
    ) -> Person:
        """Remember somebody. A certificate must be by a pinned authority (or the one whose bulletin is given, which is
        pinned by that) and fit the card; anything else raises and nothing is remembered but evidence."""
        read = read_card(card)
        if read.id == self._identity.id:
            raise InputRefused("this is your own card")
        now = int(self._clock())
        known = self._people.person(read.id)
        if known is not None:
            before = read_card(known.card)
            if before.made > read.made:
                read = before  # an old card, shown again, leads nowhere that its owner gave up
            _need_no_less(before, read)
        with self._authorities.accusing(), self._store.transaction():
            if authority is not None:
                self._authorities.pin(authority)
            if certificate is not None:
                checked = self._authorities.read(certificate)
                self._authorities.judge(checked)
                self._authorities.check(checked, read)
                self._authorities.witness(checked)
                self._refuse_other_keys(checked)
            self._people.put_person(
                PersonRow(read.id, read.name, read.role, read.data, certificate, met, now, now, _kem(read, known))
            )
        return self._need(read.id)

    def pin_authority(self, bulletin: bytes) -> KnownAuthority:
        """Trust the authority whose file this is from now on."""
        with self._authorities.accusing(), self._store.transaction():
            return self._authorities.pin(bulletin)

    def update_authority(self, bulletin: bytes) -> KnownAuthority:
        """The newest file of a pinned authority: who was revoked since, and its log, compared with what was seen."""
        return self._authorities.update(bulletin)

    def authorities(self) -> tuple[KnownAuthority, ...]:
        return self._authorities.list()

    def list(self) -> tuple[Person, ...]:
        """Everybody, most recently used first."""
        return tuple(self._person(row) for row in self._people.people())

    def find(self, wanted: str) -> Person:
        """By id (a prefix of at least 4 characters), certificate id or name. NotFound, also when several fit."""
        low = wanted.strip().casefold()
        everybody = self.list()
        exact = [p for p in everybody if low in (p.id, p.name.casefold(), p.certificate_id.casefold())]
        some = exact or [p for p in everybody if len(low) >= 4 and (p.id.startswith(low) or low in p.name.casefold())]
        if len(some) != 1:
            raise NotFound(f"{len(some)} people fit {wanted!r}", wanted=wanted, count=len(some))
        return some[0]

    def get(self, person_id: bytes) -> Person | None:
        row = self._people.person(person_id)
        return self._person(row) if row else None

    def card_of(self, person_id: bytes) -> Card | None:
        """The card that is kept of somebody who was judged before: to go on sealing to them, nothing is asked anew."""
        row = self._people.person(person_id)
        return _card(row) if row else None

    def set_met(self, person_id: str) -> None:
        """The holder compared the safety number with this person."""
        self._people.set_met(bytes.fromhex(person_id))

    def safety_number(self, person: Person) -> str:
        mine = (self._identity.sign.public, self._identity.box.public)
        return derive_safety_number(mine, (person.card.sign, person.card.box))

    def need_grantable(self, person: Person) -> str:
        """The role under which a grant may be made. RoleDenied for a payer, NotCertified or Expired for a stranger."""
        row = self._people.person(bytes.fromhex(person.id))
        if row is None:
            raise NotFound(f"nobody is called {person.name!r}", wanted=person.name)
        return self._grantable(row, person.card)

    def key_for(self, card: Card) -> bytes | None:
        """The ML-KEM key for sealing to this card's owner, None for suite 1. SuiteRefused for less than was seen."""
        self._need_suite(card)
        row = self._people.person(card.id)
        if row is None:
            return card.need_kem()
        known = _card(row)
        _need_no_less(known, card)
        if card.kem is None and known.kem is not None and known.kem_hash == card.kem_hash:
            return known.kem  # a short card of somebody whose whole card came before
        return card.need_kem()

    def witness(self, certificate: bytes) -> None:
        """Remember the log's head that came with the certificate of a deposit that was believed."""
        with self._authorities.accusing():
            self._authorities.witness(self._authorities.read(certificate))

    def touch(self, person: Person) -> None:
        self._people.touch(bytes.fromhex(person.id), int(self._clock()))

    def vouched(self, card: Card, certificate: bytes | None) -> bool:
        """Whether a pinned authority vouches for this card now, for a role that is not a payer's."""
        if certificate is None:
            return False
        try:
            checked = self._authorities.read(certificate)
            self._authorities.judge(checked)
            self._authorities.check(checked, card)
            check_role(checked.role)
        except VerificationFailed:
            return False
        return True

    def _refuse_other_keys(self, certificate: Certificate) -> None:
        """A certificate for other keys under a known id is taken only when it is the newer one."""
        for row in self._people.people():
            known = self._readable(row)
            if known is None or (known.authority, known.id) != (certificate.authority, certificate.id):
                continue
            if (known.sign, known.box) != (certificate.sign, certificate.box) and certificate.start <= known.start:
                raise WrongRecipient("an older certificate for other keys of a person you know")

    def _readable(self, row: PersonRow) -> Certificate | None:
        """The certificate, whether or not it still counts."""
        try:
            return self._authorities.read(row.certificate) if row.certificate is not None else None
        except VerificationFailed:
            return None

    def _grantable(self, row: PersonRow, card: Card) -> str:
        refuse_payer(row.role)  # what somebody states is enough to refuse, never enough to accept
        self._need_suite(card)
        if row.certificate is None:
            if not row.met:
                raise NotCertified(
                    "no pinned authority vouches for this person and the safety number is not compared", reason="nobody"
                )
            return check_role(row.role)
        certificate = self._authorities.read(row.certificate)
        role = check_role(certificate.role)
        self._authorities.judge(certificate)  # what was withdrawn is withdrawn, also for people who met
        if not row.met:
            self._authorities.check(certificate, card)
        return role

    def _need_suite(self, card: Card) -> None:
        least = self._min_suite()
        if card.suite < least:
            hint = "Ask for the card of a current Elpis."
            raise SuiteRefused("this person's card has less than this vault asks for", hint=hint, minimum=least)

    def _person(self, row: PersonRow) -> Person:
        card, certificate, reason, detail = _card(row), self._readable(row), "", ""
        try:
            self._grantable(row, card)
            card.need_kem()
        except VerificationFailed as failure:
            reason, detail = failure.code, str(failure.facts.get("reason", ""))
        return Person(
            id=row.id.hex(),
            name=row.name,
            role=certificate.role if certificate else row.role,
            certified=self.vouched(card, row.certificate),
            certificate_id=certificate.id if certificate else "",
            met=row.met,
            reason=reason,
            card=card,
            detail=detail,
        )

    def _need(self, person_id: bytes) -> Person:
        person = self.get(person_id)
        if person is None:
            raise NotFound("this person was not remembered")
        return person


def _card(row: PersonRow) -> Card:
    """The card that is kept, with the ML-KEM key that a card before it brought."""
    card = read_card(row.card)
    return replace(card, kem=row.kem) if card.kem is None and row.kem is not None else card


def _kem(card: Card, known: PersonRow | None) -> bytes | None:
    """The card's ML-KEM key; for a short card, the one that is known already, if it is that one."""
    if card.kem is not None or known is None or known.kem is None:
        return card.kem
    return known.kem if hash32(known.kem) == card.kem_hash else None


def _need_no_less(before: Card, card: Card) -> None:
    """SuiteRefused for a card with less protection than one that this person gave before."""
    if card.suite < before.suite:
        raise SuiteRefused(
            "this card asks for a weaker protection than this person had before",
            hint="Ask the person for a new card.",
            suite=card.suite,
            minimum=before.suite,
        )
