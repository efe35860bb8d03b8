"""Deposit: putting a signed document into somebody's record without any right to read it.

The depositor needs the recipient's contact card alone. The sealed box has no sender; the signature inside names the
recipient's key, so that a deposit cannot be sealed again to somebody else. Normative text: spec/deposit.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.certificate import MAX_LOGGED
from vault.encoding import Shape, blob, integer, list_of, map_of, moment, optional, scalar, text
from vault.errors import InputRefused, Malformed, WrongRecipient
from vault.identity import Card, Identity, read_card, relay_url
from vault.primitives import KEY, SEALING, need_suite
from vault.shape import check_state
from vault.statement import make_statement, read_statement, seal_statement, suite_for

MAX_INLINE = 256 << 10  # a file up to this size travels inside; a larger one as a blob at the relay
MAX_DEPOSIT = 1_000_000

STATE = Shape(
    "state",
    {
        "meta": map_of(scalar(), at_most=40),
        "entries": map_of(map_of(scalar(), at_most=60), at_most=10_000),
        "attachments": map_of(scalar(), at_most=0),  # files are beside it
    },
    limit=900_000,
)
FILE = Shape(
    "file",
    {
        "sha256": blob(KEY),
        "inline": optional(blob(at_most=MAX_INLINE)),
        "blob": optional(blob(KEY)),
        "token": optional(blob(KEY)),
        "key": optional(blob(KEY)),
        "sealed_sha256": optional(blob(KEY)),
        "sealed_size": integer(0, 1 << 40),
        "media_type": text(200),
        "name": text(300),
        "size": integer(0, 1 << 40),
    },
)
DEPOSIT = Shape(
    "deposit",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "card": blob(at_most=4300),
        "certificate": optional(blob(at_most=MAX_LOGGED)),
        "authority": optional(blob(at_most=2200)),
        "unique": text(300),
        "made": moment(),
        "relay": relay_url(),
        "state": STATE.check,
        "files": list_of(FILE.check, at_most=200),
    },
    limit=MAX_DEPOSIT,
)


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit whose signature and recipient were checked. Who `sender` is must be judged by the holder's people."""

    sender: Card
    certificate: bytes | None
    authority: bytes | None
    unique: str
    made: int
    relay: str
    state: Mapping[str, Any]
    files: tuple[Mapping[str, Any], ...]


def seal_deposit(
    me: Identity,
    recipient: bytes,
    *,
    card: bytes,
    certificate: bytes | None,
    authority: bytes | None,
    unique: str,
    relay: str,
    state: Mapping[str, Any],
    files: Sequence[Mapping[str, Any]],
    now: int,
    kem: bytes | None = None,
) -> bytes:
    """The sealed deposit, in suite 2 when the recipient's ML-KEM key is given.

    Nobody but the recipient opens it: not the depositor either, whose fresh key is forgotten.
    """
    fields = {
        "suite": suite_for(kem),
        "recipient": recipient,
        "card": card,
        "certificate": certificate,
        "authority": authority,
        "unique": unique,
        "made": now,
        "relay": relay,
        "state": dict(state),
        "files": [dict(file) for file in files],
    }
    return seal_statement(recipient, make_statement("deposit", DEPOSIT, fields, me.sign), kem)


def open_deposit(data: bytes, me: Identity) -> Deposit:
    """`data` is the statement inside the sealed box."""
    statement = read_statement("deposit", DEPOSIT, data)
    fields = statement.fields
    need_suite(fields["suite"], known=SEALING)
    sender = read_card(fields["card"])
    statement.by(sender.sign)
    if fields["recipient"] != me.box.public:
        raise WrongRecipient("this deposit was made for somebody else")
    for file in fields["files"]:
        _check_file(file)
    if len({file["sha256"] for file in fields["files"]}) != len(fields["files"]):
        raise Malformed("a file stands twice in one deposit")
    places = [file["blob"] for file in fields["files"] if file["blob"] is not None]
    if len(set(places)) != len(places):
        raise Malformed("two files of one deposit lie at one place")
    try:
        check_state(fields["state"])
    except InputRefused as failure:
        raise Malformed(f"not a document: {failure}") from failure
    return Deposit(
        sender=sender,
        certificate=fields["certificate"],
        authority=fields["authority"],
        unique=fields["unique"],
        made=fields["made"],
        relay=fields["relay"],
        state=fields["state"],
        files=tuple(fields["files"]),
    )


def _check_file(file: Mapping[str, Any]) -> None:
    """A file is inside, or sealed at the relay; never both, never neither."""
    outside = [file[name] is not None for name in ("blob", "token", "key", "sealed_sha256")]
    if any(outside) != all(outside) or (file["inline"] is None) != all(outside):
        raise Malformed("a file of this deposit is neither inside nor at a relay, or both")
    if file["inline"] is not None and (len(file["inline"]), 0) != (file["size"], file["sealed_size"]):
        raise Malformed("a file inside of this deposit does not have its size")
