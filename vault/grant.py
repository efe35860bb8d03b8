"""A grant that ends: signed statements that carry document keys masked under two halves, one with the grantee, one with
the relay until the end (masking.py).

Neither half says anything about a key, and opening one document releases the half of that document alone. Normative
text: spec/grant.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.certificate import check_role
from vault.encoding import Shape, blob, decode, integer, moment, one_of, optional, text
from vault.errors import Expired, Malformed, NotFound, Replayed, SuiteRefused, WrongRecipient
from vault.identity import Identity, relay_url
from vault.masking import ITEMS, MAX_ITEMS, Item, count_of, label_list, read_items, values
from vault.primitives import KEY, SEALING, SUITE, hash32, need_suite
from vault.statement import (
    OVERHEAD,
    Statement,
    make_statement,
    read_statement,
    seal_statement,
    sign_body,
    suite_for,
    type_of,
)

MAX_SECONDS = 10 * 365 * 86_400  # a relay keeps no half for longer
MAX_MESSAGE = 1 << 20

GRANT = Shape(
    "grant",
    {
        "suite": integer(0, 255),
        "number": blob(KEY),
        "issuer_sign": blob(KEY),
        "issuer_box": blob(KEY),
        "issuer_name": text(200),
        "grantee_sign": blob(KEY),
        "grantee_box": blob(KEY),
        "role": text(60),
        "right": one_of("read", "edit"),
        "purpose": text(500),
        "made": moment(),
        "not_before": moment(),
        "until": moment(),
        "openings": optional(integer(1, 1_000_000)),
        "offline": integer(0, 7 * 86_400),  # seconds that an opened key may be kept on the grantee's device
        "relay": relay_url(),
        "relay_key": blob(KEY),
        "roster": blob(KEY),
        "items": ITEMS.check,
    },
    limit=120_000,
)
# What travels: signed as a whole for one recipient, then sealed to that recipient. A sealed box alone can be sealed
# again to somebody else; the recipient's key under the signature makes that visible.
PACKAGE = Shape(
    "package",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "grant": blob(at_most=GRANT.limit + OVERHEAD),
        "half": blob(KEY),
        "reader": blob(KEY),
        "keys": blob(at_most=KEY * MAX_ITEMS),
        "labels": label_list(),
    },
    limit=900_000,
)
# After a new epoch (somebody joined or left) the remaining grantees get the new key under the same two halves and a
# fresh tag: a half that was released for the epoch before opens nothing of it.
RENEWAL = Shape(
    "renewal",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "number": blob(KEY),
        "items": ITEMS.check,
        "keys": blob(at_most=KEY * MAX_ITEMS),
        "labels": label_list(),
    },
    limit=900_000,
)


@dataclass(frozen=True, slots=True, repr=False)
class Package:
    """A grant as its grantee holds it after `open_package`. `hash` is over `body`."""

    fields: Mapping[str, Any]
    body: bytes
    half: bytes
    reader: bytes
    items: tuple[Item, ...]
    keys: tuple[bytes, ...]
    labels: tuple[bytes, ...]
    hash: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Renewal:
    number: bytes
    items: tuple[Item, ...]
    keys: tuple[bytes, ...]
    labels: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Body:
    """A grant's body, before it is signed: its hash goes into every mask. Made by `make_body`."""

    role: str
    grantee_box: bytes
    count: int
    data: bytes
    hash: bytes


def make_body(fields: Mapping[str, Any], items: Mapping[str, bytes]) -> Body:
    """`items` as columns. RoleDenied for a payer and for every role that is not on the list."""
    check_role(fields["role"])
    count = count_of(items)
    data = GRANT.encode({**fields, "suite": SUITE, "items": items})
    return Body(fields["role"], fields["grantee_box"], count, data, hash32(data))


def seal(
    issuer: Identity,
    body: Body,
    half: bytes,
    reader: bytes,
    keys: bytes,
    labels: Sequence[bytes],
    kem: bytes | None = None,
) -> bytes:
    """The sealed package for the grantee's inbox, in suite 2 when the grantee's ML-KEM key is given.

    RoleDenied for a payer: this is the only way to seal a grant.
    """
    check_role(body.role)
    _need_count(body.count, keys, labels)
    package = {
        "suite": suite_for(kem),
        "recipient": body.grantee_box,
        "grant": sign_body("grant", GRANT, body.data, issuer.sign),
        "half": half,
        "reader": reader,
        "keys": keys,
        "labels": list(labels),
    }
    return seal_statement(body.grantee_box, make_statement("package", PACKAGE, package, issuer.sign), kem)


def seal_renewal(
    issuer: Identity,
    role: str,
    recipient: bytes,
    number: bytes,
    items: Mapping[str, bytes],
    keys: bytes,
    labels: Sequence[bytes],
    kem: bytes | None = None,
) -> bytes:
    check_role(role)
    _need_count(count_of(items), keys, labels)
    fields = {
        "suite": suite_for(kem),
        "recipient": recipient,
        "number": number,
        "items": items,
        "keys": keys,
        "labels": list(labels),
    }
    return seal_statement(recipient, make_statement("renewal", RENEWAL, fields, issuer.sign), kem)


def open_package(data: bytes, me: Identity, now: int) -> Package:
    """`data` is the statement inside the sealed box. Every check of spec/grant.md, section "Reading"."""
    outer = _read("package", PACKAGE, data)
    grant = read_statement("grant", GRANT, outer.fields["grant"])
    fields = grant.fields
    need_suite(outer.fields["suite"], known=SEALING)
    need_suite(fields["suite"])
    grant.by(fields["issuer_sign"])
    outer.by(fields["issuer_sign"])
    if outer.fields["recipient"] != me.box.public:
        raise WrongRecipient("this grant was made for somebody else")
    if (fields["grantee_sign"], fields["grantee_box"]) != (me.sign.public, me.box.public):
        raise WrongRecipient("this grant was made for somebody else")
    check_role(fields["role"])
    if fields["until"] <= now:
        raise Expired("this grant is already over", until=fields["until"])
    if not 0 < fields["until"] - fields["not_before"] <= MAX_SECONDS:
        raise Malformed("a grant that ends before it starts, or lasts longer than ten years")
    half, reader = outer.fields["half"], outer.fields["reader"]
    return Package(fields, grant.body, half, reader, *_items(fields["items"], outer), hash32(grant.body))


def open_renewal(data: bytes, me: Identity, issuer_sign: bytes) -> Renewal:
    outer = _read("renewal", RENEWAL, data).by(issuer_sign)
    need_suite(outer.fields["suite"], known=SEALING)
    if outer.fields["recipient"] != me.box.public:
        raise WrongRecipient("this renewal was made for somebody else")
    return Renewal(outer.fields["number"], *_items(outer.fields["items"], outer))


def check_renewal(renewal: Renewal, known: Mapping[bytes, Item]) -> None:
    """`known`: document -> its item as the grantee has it. NotFound or Replayed, and then nothing of it counts."""
    tags = {item.tag for item in known.values()}
    for item in renewal.items:
        here = known.get(item.document)
        if here is None:
            raise NotFound("a renewal of a document that was not granted")
        if item.epoch <= here.epoch:
            raise Replayed("a renewal of an epoch that is over")
        if item.tag in tags:
            raise Replayed("a renewal under a tag that was used before")


def renewal_number(data: bytes) -> bytes:
    """Which grant a renewal claims to renew, to look its issuer up."""
    return bytes(_read("renewal", RENEWAL, data).fields["number"])


def terms(body: bytes) -> tuple[int, int | None]:
    """(seconds offline, openings) of a grant that this vault made, in whatever form grants had then; Malformed."""
    fields = decode(body, limit=MAX_MESSAGE)
    if not isinstance(fields, dict) or not fields.keys() >= {"offline", "openings"}:
        raise Malformed("not the body of a grant")
    for name in ("offline", "openings"):
        GRANT.fields[name](fields[name], f"grant.{name}")
    return fields["offline"], fields["openings"]


def message_type(data: bytes) -> str:
    return type_of(data, MAX_MESSAGE)


def _read(kind: str, shape: Shape, data: bytes) -> Statement:
    """As `read_statement`; SuiteRefused for the form of earlier versions, in which each item had a wrap of its own."""
    try:
        return read_statement(kind, shape, data)
    except Malformed:
        if type_of(data, MAX_MESSAGE) == kind and _has_wraps(data):
            raise SuiteRefused(f"a {kind} of an earlier version: it must be granted again") from None
        raise


def _has_wraps(data: bytes) -> bool:
    body = decode(decode(data, limit=MAX_MESSAGE)["body"], limit=MAX_MESSAGE)
    return isinstance(body, dict) and "wraps" in body


def _items(
    columns: Mapping[str, bytes], outer: Statement
) -> tuple[tuple[Item, ...], tuple[bytes, ...], tuple[bytes, ...]]:
    """(items, masked keys, labels), as many of each."""
    items = read_items(columns)
    _need_count(len(items), outer.fields["keys"], outer.fields["labels"])
    return items, values(outer.fields["keys"], KEY), tuple(outer.fields["labels"])


def _need_count(count: int, keys: bytes, labels: Sequence[bytes]) -> None:
    if len(keys) != count * KEY or len(labels) != count:
        raise Malformed("a grant has as many keys and labels as items")
