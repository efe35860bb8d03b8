"""Who somebody is: an Ed25519 and an X25519 key, a name, a role; and the contact card that carries them.

A card is self-signed. Whoever holds it can seal to its owner and put deposits into the owner's inbox; nobody can read
with it. Normative text: spec/card.md.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

from vault.encoding import Check, Shape, blob, integer, moment, optional, text
from vault.errors import Malformed, SuiteRefused
from vault.hybrid import PUBLIC, check_public, derive_public
from vault.primitives import (
    HYBRID,
    KEY,
    SUITE,
    BoxKey,
    SigningKey,
    check_box_public,
    hash32,
)
from vault.statement import make_statement, read_by_suite

CARD_PREFIX = "elpis-card:"
MAX_URL = 500


def relay_url() -> Check:
    """The address of a relay: visible ASCII, over HTTP or HTTPS, without a slash at its end."""

    def check(value: Any, where: str) -> None:
        text(MAX_URL)(value, where)
        visible = all("!" <= letter <= "~" for letter in value)
        if not visible or not value.startswith(("https://", "http://")) or value.endswith("/"):
            raise Malformed(f"{where}: not the address of a relay")

    return check


def kem_or_hash() -> Check:
    """An ML-KEM-768 public key, or the hash of one."""

    def check(value: Any, where: str) -> None:
        blob(at_most=PUBLIC)(value, where)
        if len(value) not in (KEY, PUBLIC):
            raise Malformed(f"{where}: neither an ML-KEM key nor the hash of one")

    return check


CARD = Shape(
    "card",
    {
        "suite": integer(0, 255),
        "name": text(200),
        "role": text(60),  # "" for a patient
        "sign": blob(KEY),
        "box": blob(KEY),
        "relay": optional(relay_url()),
        "relay_key": optional(blob(KEY)),
        "inbox": optional(blob(KEY)),
        "deposit": optional(blob(KEY)),
        "made": moment(),
    },
    limit=4096,
)
# The same with an ML-KEM-768 key beside `box`; in the short form, for a QR code, with the hash of that key.
CARD_HYBRID = Shape("card", {**CARD.fields, "kem": kem_or_hash()}, limit=4096)
CARDS = {SUITE: CARD, HYBRID: CARD_HYBRID}


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """A person's own keys: kept in the keyring, never elsewhere."""

    name: str
    role: str
    sign: SigningKey
    box: BoxKey

    @property
    def id(self) -> bytes:
        return derive_person_id(self.sign.public, self.box.public)


@dataclass(frozen=True, slots=True)
class Card:
    """A verified contact card. `relay` is the URL of the relay that has the inbox, "" when there is none yet.

    `kem` is the owner's ML-KEM key for suite 2; None on a card of suite 1, and on a short card, where `kem_hash` says
    which key it must be.
    """

    name: str
    role: str
    sign: bytes
    box: bytes
    relay: str
    relay_key: bytes | None
    inbox: bytes | None
    deposit: bytes | None
    made: int
    data: bytes
    suite: int = SUITE
    kem: bytes | None = None
    kem_hash: bytes | None = None

    def need_kem(self) -> bytes | None:
        """The key to seal to in suite 2, None in suite 1. SuiteRefused for a short card: nothing less will do."""
        if self.suite == HYBRID and self.kem is None:
            raise SuiteRefused(
                "only the short card of this person is here", hint="Ask for the card as a file.", suite=self.suite
            )
        return self.kem

    @property
    def id(self) -> bytes:
        return derive_person_id(self.sign, self.box)


def derive_person_id(sign: bytes, box: bytes) -> bytes:
    """16 bytes over both keys: who replaces either of them is somebody else."""
    return hash32(b"person" + sign + box)[:16]


def make_card(
    identity: Identity,
    *,
    relay: str = "",
    relay_key: bytes | None = None,
    inbox: bytes | None = None,
    deposit: bytes | None = None,
    now: int,
    short: bool = False,
) -> bytes:
    """A card of the greatest suite for which the identity has keys. `short`: with the hash of the ML-KEM key alone."""
    seed = identity.box.seed
    fields = {
        "suite": SUITE if seed is None else HYBRID,
        "name": identity.name,
        "role": identity.role,
        "sign": identity.sign.public,
        "box": identity.box.public,
        "relay": relay or None,
        "relay_key": relay_key,
        "inbox": inbox,
        "deposit": deposit,
        "made": now,
    }
    if seed is None:
        return make_statement("card", CARD, fields, identity.sign)
    kem = derive_public(seed)
    fields["kem"] = hash32(kem) if short else kem
    return make_statement("card", CARD_HYBRID, fields, identity.sign)


def read_card(data: bytes) -> Card:
    """A card from its bytes or its printed text. Malformed, BadSignature, BadKey or SuiteRefused."""
    raw = _unprint(data)
    card = read_by_suite("card", CARDS, raw)
    fields = card.fields
    card.by(fields["sign"])
    check_box_public(fields["box"])
    kem = fields.get("kem")
    whole = kem if kem is not None and len(kem) == PUBLIC else None
    if whole is not None:
        check_public(whole)
    if len({fields[name] is None for name in ("relay", "relay_key", "inbox", "deposit")}) != 1:
        raise Malformed("a card has a whole inbox or none")
    return Card(
        name=fields["name"],
        role=fields["role"],
        sign=fields["sign"],
        box=fields["box"],
        relay=fields["relay"] or "",
        relay_key=fields["relay_key"],
        inbox=fields["inbox"],
        deposit=fields["deposit"],
        made=fields["made"],
        data=raw,
        suite=fields["suite"],
        kem=whole,
        kem_hash=hash32(whole) if whole is not None else kem,
    )


def print_card(data: bytes) -> str:
    """The card as one line of text, for a file, a message or a QR code."""
    return CARD_PREFIX + base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def derive_safety_number(mine: tuple[bytes, bytes], theirs: tuple[bytes, bytes]) -> str:
    """Twelve groups of five digits over both people's (sign, box) keys; the same on both screens."""
    both = b"".join(part for pair in sorted((mine, theirs)) for part in pair)
    stream = b"".join(hash32(both + bytes([index]), "elpis-safety") for index in range(2))
    groups = (int.from_bytes(stream[start : start + 5], "big") % 100_000 for start in range(0, 60, 5))
    return " ".join(f"{group:05d}" for group in groups)


def _unprint(data: bytes) -> bytes:
    stripped = data.strip()
    if not stripped.startswith(CARD_PREFIX.encode()):
        return data
    body = stripped[len(CARD_PREFIX) :]
    try:
        raw = base64.b64decode(body + b"=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as failure:
        raise Malformed("the card's text is damaged") from failure
    if print_card(raw).encode() != stripped:
        raise Malformed("the card's text has another spelling")
    return raw
