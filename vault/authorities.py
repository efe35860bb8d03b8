"""The authorities that a vault pinned: their bulletins taken and compared, certificates judged. spec/certificate.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vault.bulletin import Standing, read_bulletin, restore
from vault.certificate import Certificate, check_certificate, issuer_of, read_certificate
from vault.errors import AuthorityContradiction, NotCertified
from vault.identity import Card
from vault.log import LEAF, Head
from vault.store.connection import Store
from vault.store.people import AuthorityRow, PeopleStore


@dataclass(frozen=True, slots=True)
class KnownAuthority:
    """A pinned authority as people see it. `until`: when its list of revoked certificates is too old."""

    id: str
    name: str
    certificates: int
    revoked: int
    made: int
    until: int
    contradicted: bool


class Authorities:
    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._rows = PeopleStore(store)
        self._clock = clock
        # Reading an extract takes a millisecond for every few hundred leaves: once for each state of an authority.
        self._read: dict[bytes, tuple[tuple[object, ...], Standing]] = {}

    def pin(self, bulletin: bytes) -> KnownAuthority:
        """Trust this authority from now on, or take what a pinned one says now. Inside of `accusing`."""
        return self._take(read_bulletin(bulletin))

    def update(self, bulletin: bytes) -> KnownAuthority:
        """Take the newest bulletin of a pinned authority; NotCertified for any other."""
        new = read_bulletin(bulletin)
        if self._rows.authority(new.authority.sign) is None:
            raise _not_pinned()
        with self.accusing():
            return self._take(new)

    def list(self) -> tuple[KnownAuthority, ...]:
        return tuple(_shown(self._need(row.sign)) for row in self._rows.authorities())

    def read(self, certificate: bytes) -> Certificate:
        """A logged certificate by a pinned authority: rules 1 to 7 of spec/certificate.md."""
        return read_certificate(certificate, self._need(issuer_of(certificate)).authority)

    def judge(self, certificate: Certificate) -> None:
        """Rules 8 to 10: a sound authority, one history of its log, not revoked. Nothing is remembered."""
        standing = self._need(certificate.authority)
        standing.need_sound()
        standing.witness(certificate)
        standing.need_not_revoked(certificate)

    def check(self, certificate: Certificate, card: Card) -> None:
        """Rules 11 to 14: the card, the moment, and a list that is fresh enough."""
        now = int(self._clock())
        check_certificate(certificate, card, now)
        self._need(certificate.authority).need_fresh(now)

    def witness(self, certificate: Certificate) -> None:
        """Remember the head that came with a certificate: the next bulletin must hold it. Inside of `accusing`."""
        standing = self._need(certificate.authority)
        with_head = standing.witness(certificate)
        if with_head is not standing:
            self._keep(with_head)

    @contextmanager
    def accusing(self) -> Iterator[None]:
        """A block in which an AuthorityContradiction is kept as evidence, whatever else is rolled back with it."""
        try:
            yield
        except AuthorityContradiction as failure:
            evidence = failure.evidence
            self._rows.accuse(evidence.authority, evidence.first, evidence.second)
            raise

    def _take(self, new: Standing) -> KnownAuthority:
        known = self._standing(new.authority.sign)
        if known is not None and not known.contradicted:
            new = known.take(new)
        if known is None or not known.contradicted:
            self._keep(new)
        return _shown(self._need(new.authority.sign))

    def _need(self, sign: bytes) -> Standing:
        standing = self._standing(sign)
        if standing is None:
            raise _not_pinned()
        return standing

    def _standing(self, sign: bytes) -> Standing | None:
        row = self._rows.authority(sign)
        if row is None:
            return None
        promised = self._rows.promised(sign)
        state = (row.list, row.head, row.start, row.first, *promised)
        if sign not in self._read or self._read[sign][0] != state:
            fields = {
                "authority": row.data,
                "list": row.list,
                "head": row.head,
                "start": row.start,
                "peaks": [row.peaks[at : at + LEAF] for at in range(0, len(row.peaks), LEAF)],
                "leaves": row.leaves,
            }
            self._read[sign] = state, restore(fields, promised, contradicted=row.first is not None)
        return self._read[sign][1]

    def _keep(self, standing: Standing) -> None:
        authority, extract = standing.authority, standing.extract
        row = AuthorityRow(
            authority.sign,
            authority.name,
            authority.data,
            standing.revocations.data,
            standing.head.data,
            extract.start,
            b"".join(extract.peaks),
            b"".join(extract.leaves),
        )
        promised: tuple[Head, ...] = standing.promised
        self._rows.put_authority(row, ((head.size, head.data) for head in promised), int(self._clock()))


def _shown(standing: Standing) -> KnownAuthority:
    return KnownAuthority(
        id=standing.authority.sign.hex(),
        name=standing.authority.name,
        certificates=standing.head.size,
        revoked=len(standing.revocations.entries),
        made=standing.revocations.made,
        until=standing.revocations.next,
        contradicted=standing.contradicted,
    )


def _not_pinned() -> NotCertified:
    return NotCertified(
        "the authority that issued this certificate is not one that you pinned", reason="other-authority"
    )
