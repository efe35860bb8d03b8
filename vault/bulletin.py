"""What an authority publishes, and what a vault keeps of it: the newest revocation list, and the log to compare with.

A bulletin is one file; it may come by any way, also from a relay that nobody trusts. Normative: spec/certificate.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from vault.certificate import DAY, Authority, Certificate, read_authority
from vault.encoding import Shape, blob, integer, list_of, moment
from vault.errors import AuthorityContradiction, BadSignature, Malformed, NotCertified, VerificationFailed
from vault.log import LEAF, MAX_HEAD, Extract, Head, compare, compare_unknown, need_peaks, not_logged, read_head
from vault.primitives import KEY, SUITE, SigningKey, need_suite
from vault.statement import make_statement, read_statement

MAX_BULLETIN = 4 << 20
MAX_LEAVES = 100_000
MAX_REVOKED = 10_000
MAX_LIST_DAYS = 30  # nobody believes a list, and so a certificate, for longer without hearing again

ENTRY = Shape("entry", {"certificate": blob(KEY), "time": moment()})
REVOCATIONS = Shape(
    "revocations",
    {
        "suite": integer(0, 255),
        "authority": blob(KEY),
        "number": integer(1),
        "made": moment(),
        "next": moment(),
        "entries": list_of(ENTRY.check, at_most=MAX_REVOKED),
    },
    limit=900_000,
)
BULLETIN = Shape(
    "bulletin",
    {
        "authority": blob(at_most=2176),
        "list": blob(at_most=900_128),
        "head": blob(at_most=MAX_HEAD),
        "start": integer(),
        "peaks": list_of(blob(LEAF), at_most=63),
        "leaves": blob(at_most=LEAF * MAX_LEAVES),
    },
    limit=MAX_BULLETIN,
)


@dataclass(frozen=True, slots=True)
class Revocations:
    """A revocation list whose signature was checked. `entries`: hash of a certificate -> when it was revoked."""

    number: int
    made: int
    next: int
    entries: Mapping[bytes, int]
    data: bytes


@dataclass(frozen=True, slots=True)
class Standing:
    """An authority as a vault knows it. `promised`: heads beyond `head` that came with certificates."""

    authority: Authority
    revocations: Revocations
    head: Head
    extract: Extract
    promised: tuple[Head, ...] = ()
    contradicted: bool = False

    def take(self, new: Standing) -> Standing:
        """With what a bulletin says beyond this. AuthorityContradiction when the two are not of one history."""
        ours, theirs = self.revocations, new.revocations
        if ours.number == theirs.number and ours.data != theirs.data:
            raise AuthorityContradiction(
                "the authority signed two lists of one number",
                authority=self.authority.sign,
                first=ours.data,
                second=theirs.data,
            )
        small, large = sorted((self, new), key=lambda standing: standing.head.size)
        compare(large.extract, large.head, (small.head, *self.promised))
        return replace(
            self,
            revocations=max(ours, theirs, key=lambda one: one.number),
            head=large.head,
            extract=large.extract,
            promised=tuple(head for head in self.promised if head.size > large.head.size),
        )

    def witness(self, certificate: Certificate) -> Standing:
        """With the head that came with this certificate. AuthorityContradiction when it is of another history."""
        head = certificate.head
        if head.size > self.head.size:
            for known in (self.head, *self.promised):
                compare_unknown(known, head)
            seen = {known.size for known in self.promised}
            return self if head.size in seen else replace(self, promised=(*self.promised, head))
        if head.size >= self.extract.start:
            compare(self.extract, self.head, (head,))
        if self.extract.leaf(certificate.index) != certificate.leaf:
            raise not_logged()
        return self

    def need_sound(self) -> None:
        if self.contradicted:
            raise NotCertified("the authority contradicted itself", reason="contradiction")

    def need_not_revoked(self, certificate: Certificate) -> None:
        when = self.revocations.entries.get(certificate.hash)
        if when is not None:
            raise NotCertified("the authority revoked the certificate", reason="revoked", when=when)

    def need_fresh(self, now: int) -> None:
        if now >= self.revocations.next:
            raise NotCertified(
                "the authority's list of revoked certificates is too old",
                reason="list-too-old",
                hint="Get the newest file of the authority: `elpis authority update FILE`.",
                made=self.revocations.made,
                authority=self.authority.name,
            )


def make_revocations(key: SigningKey, number: int, made: int, following: int, entries: Mapping[bytes, int]) -> bytes:
    listed = [{"certificate": certificate, "time": time} for certificate, time in sorted(entries.items())]
    fields = {
        "suite": SUITE, "authority": key.public, "number": number, "made": made, "next": following, "entries": listed,
    }  # fmt: skip
    return make_statement("revocations", REVOCATIONS, fields, key)


def read_revocations(data: bytes, authority: bytes) -> Revocations:
    statement = read_statement("revocations", REVOCATIONS, data)
    fields = statement.fields
    need_suite(fields["suite"])
    statement.by(authority)
    if fields["authority"] != authority:
        raise BadSignature("a list in another authority's name")
    hashes = [entry["certificate"] for entry in fields["entries"]]
    if fields["next"] <= fields["made"] or any(one >= two for one, two in pairwise(hashes)):
        raise Malformed("a list that ends before it starts, or is not in its order")
    if fields["next"] - fields["made"] > MAX_LIST_DAYS * DAY:
        raise NotCertified(f"a list that wants to be believed for more than {MAX_LIST_DAYS} days", reason="too-long")
    entries = {entry["certificate"]: entry["time"] for entry in fields["entries"]}
    return Revocations(fields["number"], fields["made"], fields["next"], entries, data)


def make_bulletin(authority: bytes, revocations: bytes, head: bytes, extract: Extract) -> bytes:
    return BULLETIN.encode({
        "authority": authority,
        "list": revocations,
        "head": head,
        "start": extract.start,
        "peaks": list(extract.peaks),
        "leaves": b"".join(extract.leaves),
    })  # fmt: skip


def read_bulletin(data: bytes) -> Standing:
    """An authority's file, every signature and the root of its log checked."""
    return restore(BULLETIN.decode(data))


def restore(fields: Mapping[str, object], promised: Iterable[bytes] = (), *, contradicted: bool = False) -> Standing:
    """A standing from its parts, as a bulletin or the vault's own table has them."""
    BULLETIN.check(fields)
    parts: Mapping[str, bytes] = {name: value for name, value in fields.items() if isinstance(value, bytes)}
    authority = read_authority(parts["authority"])
    revocations = read_revocations(parts["list"], authority.sign)
    head = read_head(parts["head"], authority.sign)
    extract = _extract(fields, head)
    if extract.roots([head.size]).get(head.size) != head.root:
        raise VerificationFailed("the authority's file is damaged: its log does not give its root")
    heads = tuple(read_head(one, authority.sign) for one in promised)
    return Standing(authority, revocations, head, extract, heads, contradicted)


def _extract(fields: Mapping[str, object], head: Head) -> Extract:
    start, peaks, leaves = fields["start"], fields["peaks"], fields["leaves"]
    if not isinstance(start, int) or not isinstance(peaks, list) or not isinstance(leaves, bytes):
        raise Malformed("not an extract of a log")
    need_peaks(start, peaks)
    if len(leaves) % LEAF or start + len(leaves) // LEAF != head.size:
        raise Malformed("the extract does not end where the log does")
    cut = tuple(leaves[at : at + LEAF] for at in range(0, len(leaves), LEAF))
    return Extract(start, tuple(peaks), cut)
