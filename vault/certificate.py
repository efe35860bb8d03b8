"""Certificates: an offline authority (a professional order, a health agency) vouches for an id, a role and two keys.

Roles are a closed list. A payer's role is denied here by name, and `grant.seal` refuses everything that is not allowed:
there is no path that seals to one. Normative text: spec/certificate.md.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from vault.encoding import Shape, blob, integer, list_of, moment, text
from vault.errors import Expired, InputRefused, Malformed, NotCertified, RoleDenied, WrongRecipient
from vault.identity import Card
from vault.log import LEAF, MAX_HEAD, MAX_PATH, Head, check_path, derive_leaf, read_head
from vault.primitives import KEY, SUITE, SigningKey, hash32, need_suite
from vault.statement import make_statement, read_statement

ROLES = (
    "doctor", "dentist", "pharmacist", "nurse", "midwife", "physiotherapist", "biologist", "laboratory", "hospital",
    "caregiver", "other_professional",
)  # fmt: skip
# Whoever pays for care, employs or lends never gets a key, whatever a certificate says (Code de la sante publique
# L.1111-18 forbids it for complementary contracts even with the patient's consent).
DENIED_ROLES = (
    "payer", "insurer", "insurance", "complementary_insurer", "mutual", "mutuelle", "assureur", "assurance", "broker",
    "courtier", "employer", "employeur", "occupational_insurer", "bank", "banque",
)  # fmt: skip
# Other words for the same roles, French and English, so that a form filled in either language says the same.
ALIASES = {
    "physician": "doctor", "medecin": "doctor", "gp": "doctor", "general_practitioner": "doctor", "surgeon": "doctor",
    "chirurgien": "doctor", "anaesthetist": "doctor", "anesthesiste": "doctor", "medecin_generaliste": "doctor",
    "dentiste": "dentist", "chirurgien_dentiste": "dentist", "pharmacien": "pharmacist", "pharmacienne": "pharmacist",
    "pharmacy": "pharmacist", "pharmacie": "pharmacist", "infirmier": "nurse", "infirmiere": "nurse",
    "sage_femme": "midwife", "kinesitherapeute": "physiotherapist", "biologiste": "biologist", "lab": "laboratory",
    "laboratoire": "laboratory", "hopital": "hospital", "clinic": "hospital", "clinique": "hospital",
    "aidant": "caregiver", "soignant": "other_professional", "professional": "other_professional",
}  # fmt: skip
MAX_DAYS = 90
DAY = 86_400
MAX_LOGGED = 8192

AUTHORITY = Shape(
    "authority", {"suite": integer(0, 255), "name": text(200), "sign": blob(KEY), "made": moment()}, limit=2048
)
CERTIFICATE = Shape(
    "certificate",
    {
        "suite": integer(0, 255),
        "authority": blob(KEY),
        "id": text(100),
        "name": text(200),
        "role": text(60),
        "sign": blob(KEY),
        "box": blob(KEY),
        "from": moment(),
        "until": moment(),
    },
    limit=4096,
)
# What a professional is given: the certificate with the proof that it stands in the authority's log.
LOGGED = Shape(
    "logged certificate",
    {
        "certificate": blob(at_most=4224),
        "head": blob(at_most=MAX_HEAD),
        "index": integer(),
        "path": list_of(blob(LEAF), at_most=MAX_PATH),
    },
    limit=MAX_LOGGED,
)


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority's public half, self-signed. Trusted only once the holder has pinned it."""

    name: str
    sign: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate whose signature and place in the log of `authority` were checked. `statement` is what was signed,
    `head` the log's head that covers it."""

    authority: bytes
    id: str
    name: str
    role: str
    sign: bytes
    box: bytes
    start: int
    until: int
    statement: bytes
    index: int
    head: Head

    @property
    def hash(self) -> bytes:
        """By this a revocation list names it."""
        return hash32(self.statement)

    @property
    def leaf(self) -> bytes:
        return derive_leaf(self.statement)


def fold_role(role: str) -> str:
    """A role as it is compared: no case, accents, spaces or hyphens, one word for one role."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", role.casefold()) if not unicodedata.combining(c))
    folded = "_".join(plain.replace("-", " ").replace("_", " ").split())
    return ALIASES.get(folded, folded)


def refuse_payer(role: str) -> None:
    """RoleDenied when this is a payer's role."""
    folded = fold_role(role)
    if folded in DENIED_ROLES:
        raise RoleDenied("nothing is ever granted to a payer", role=folded, payer=True)


def check_role(role: str) -> str:
    """The folded role; RoleDenied for a payer's and for every role that is not on the list."""
    refuse_payer(role)
    folded = fold_role(role)
    if folded not in ROLES:
        raise RoleDenied("this role is not one that can be granted to", role=folded, payer=False)
    return folded


def make_authority(name: str, key: SigningKey, now: int) -> bytes:
    return make_statement("authority", AUTHORITY, {"suite": SUITE, "name": name, "sign": key.public, "made": now}, key)


def read_authority(data: bytes) -> Authority:
    statement = read_statement("authority", AUTHORITY, data)
    need_suite(statement.fields["suite"])
    statement.by(statement.fields["sign"])
    return Authority(statement.fields["name"], statement.fields["sign"], data)


def certify(key: SigningKey, card: Card, *, unique_id: str, role: str, now: int, days: int) -> bytes:
    """A certificate for the keys and the name on `card`, to be logged. InputRefused over 90 days or without an id."""
    _need_days(days)
    if not unique_id.strip():
        raise InputRefused("a certificate needs the person's unique id")
    fields = {
        "suite": SUITE,
        "authority": key.public,
        "id": unique_id,
        "name": card.name,
        "role": fold_role(role),
        "sign": card.sign,
        "box": card.box,
        "from": now,
        "until": now + days * DAY,
    }
    return make_statement("certificate", CERTIFICATE, fields, key)


def sign_again(key: SigningKey, certificate: bytes, *, now: int, days: int) -> bytes:
    """A certificate that says the same as one of the same authority, with new dates."""
    _need_days(days)
    old = read_statement("certificate", CERTIFICATE, certificate).by(key.public).fields
    return make_statement("certificate", CERTIFICATE, {**old, "from": now, "until": now + days * DAY}, key)


def _need_days(days: int) -> None:
    if not 1 <= days <= MAX_DAYS:
        raise InputRefused(f"a certificate is valid for 1 to {MAX_DAYS} days", days=days)


def make_logged(certificate: bytes, head: bytes, index: int, path: Sequence[bytes]) -> bytes:
    return LOGGED.encode({"certificate": certificate, "head": head, "index": index, "path": list(path)})


def read_certificate(data: bytes, authority: Authority) -> Certificate:
    """A logged certificate by `authority`: NotCertified when another one issued it or the log does not hold it,
    BadSignature when none did."""
    logged = LOGGED.decode(data)
    statement = read_statement("certificate", CERTIFICATE, logged["certificate"])
    fields = statement.fields
    need_suite(fields["suite"])
    if fields["authority"] != authority.sign:
        raise NotCertified("another authority issued this certificate", reason="other-authority")
    statement.by(authority.sign)
    if fields["until"] <= fields["from"]:
        raise Malformed("a certificate that ends before it starts")
    if fields["until"] - fields["from"] > MAX_DAYS * DAY:
        raise NotCertified(f"valid for more than {MAX_DAYS} days", reason="too-long")
    head = read_head(logged["head"], authority.sign)
    check_path(derive_leaf(logged["certificate"]), logged["index"], logged["path"], head)
    return Certificate(
        authority=authority.sign,
        id=fields["id"],
        name=fields["name"],
        role=fields["role"],
        sign=fields["sign"],
        box=fields["box"],
        start=fields["from"],
        until=fields["until"],
        statement=logged["certificate"],
        index=logged["index"],
        head=head,
    )


def issuer_of(data: bytes) -> bytes:
    """The authority key that a logged certificate claims, to look for it among the pinned ones."""
    statement = LOGGED.decode(data)["certificate"]
    return bytes(read_statement("certificate", CERTIFICATE, statement).fields["authority"])


def check_certificate(certificate: Certificate, card: Card, now: int) -> None:
    """WrongRecipient when it is not for this card's keys and name, Expired outside of its dates."""
    if (certificate.sign, certificate.box) != (card.sign, card.box):
        raise WrongRecipient("the certificate is for other keys")
    if _fold_name(certificate.name) != _fold_name(card.name):
        raise WrongRecipient("the certificate is for another name")
    if not certificate.start <= now < certificate.until:
        raise Expired("the certificate is outside of its dates", start=certificate.start, until=certificate.until)


def _fold_name(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
