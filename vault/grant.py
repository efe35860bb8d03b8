"""A grant that ends: a document key wrapped under two halves, one with the grantee, one with the relay until the end.

Each item (document) has a random tag; the relay's half for it is `half_tag = KDF(S2, tag)`. The key of an item is
`KG = KDF(S1, half_tag | grant_hash | tag)`: neither half says anything about it, and opening one document
releases the half of that document alone. Normative text: spec/grant.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.certificate import check_role
from vault.encoding import Shape, blob, integer, list_of, moment, one_of, optional, text
from vault.errors import Expired, Malformed, NotFound, Replayed, WrongRecipient
from vault.identity import Identity, relay_url
from vault.primitives import (
    KEY,
    SEALING,
    SUITE,
    derive_key,
    hash32,
    make_id,
    need_suite,
    open_box,
    seal_box,
)
from vault.statement import (
    Statement,
    make_statement,
    read_statement,
    seal_statement,
    sign_body,
    suite_for,
    type_of,
)

TAG = 16
MAX_ITEMS = 1024
MAX_SECONDS = 10 * 365 * 86_400  # a relay keeps no half for longer
MAX_TITLE = 400  # bytes of a title in a wrap: with this, a grant of MAX_ITEMS documents always fits one message
MAX_MESSAGE = 1 << 20

ITEM = Shape(
    "item",
    {
        "document": blob(16),
        "epoch": integer(1),
        "edition": blob(KEY),  # hash of the edition's change: what the grantee must find first in the channel
        "tag": blob(TAG),
        "mailbox": blob(KEY),
    },
)
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
        "items": list_of(ITEM.check, at_most=MAX_ITEMS),
    },
    limit=400_000,
)
# What travels: signed as a whole for one recipient, then sealed to that recipient. A sealed box alone can be sealed
# again to somebody else; the recipient's key under the signature makes that visible.
PACKAGE = Shape(
    "package",
    {
        "suite": integer(0, 255),
        "recipient": blob(KEY),
        "grant": blob(at_most=410_000),
        "half": blob(KEY),
        "reader": blob(KEY),
        "wraps": list_of(blob(at_most=4096), at_most=MAX_ITEMS),
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
        "items": list_of(ITEM.check, at_most=MAX_ITEMS),
        "wraps": list_of(blob(at_most=4096), at_most=MAX_ITEMS),
    },
    limit=900_000,
)
# Inside a wrap: everything about the document that nobody may know before opening it, the title included.
CONTENT = Shape(
    "content",
    {"key": blob(KEY), "read": blob(KEY), "append": optional(blob(KEY)), "title": text(500), "kind": text(40)},
    limit=2048,
)


@dataclass(frozen=True, slots=True)
class Item:
    document: bytes
    epoch: int
    edition: bytes
    tag: bytes
    mailbox: bytes

    def fields(self) -> dict[str, Any]:
        return {
            "document": self.document,
            "epoch": self.epoch,
            "edition": self.edition,
            "tag": self.tag,
            "mailbox": self.mailbox,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Content:
    """What opening an item reveals. `append` is None for the right to read."""

    key: bytes
    read: bytes
    append: bytes | None
    title: str
    kind: str

    def fields(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "read": self.read,
            "append": self.append,
            "title": self.title,
            "kind": self.kind,
        }


@dataclass(frozen=True, slots=True, repr=False)
class Package:
    """A grant as its grantee holds it after `open_package`. `hash` is over `body`."""

    fields: Mapping[str, Any]
    body: bytes
    half: bytes
    reader: bytes
    items: tuple[Item, ...]
    wraps: tuple[bytes, ...]
    hash: bytes


@dataclass(frozen=True, slots=True, repr=False)
class Renewal:
    number: bytes
    items: tuple[Item, ...]
    wraps: tuple[bytes, ...]


def make_tag() -> bytes:
    return make_id()


def derive_half_tag(half: bytes, tag: bytes) -> bytes:
    """The relay's half for one item. The relay computes the same from its S2."""
    return derive_key(half, "elpis-half-tag", tag)


def derive_item_key(half: bytes, half_tag: bytes, grant_hash: bytes, tag: bytes) -> bytes:
    return derive_key(half, "elpis-grant-key", half_tag + grant_hash + tag)


def wrap(item_key: bytes, content: Content, grant_hash: bytes, item: Item) -> bytes:
    return seal_box(item_key, "elpis-wrap", CONTENT.encode(content.fields()), _wrap_aad(grant_hash, item))


def unwrap(item_key: bytes, wrapped: bytes, grant_hash: bytes, item: Item) -> Content:
    """The document key and tokens; CannotOpen when a half, the grant or the item is another one."""
    return Content(**CONTENT.decode(open_box(item_key, "elpis-wrap", wrapped, _wrap_aad(grant_hash, item))))


@dataclass(frozen=True, slots=True, repr=False)
class Body:
    """A grant's body, before it is signed: its hash goes into every item key. Made by `make_body`."""

    role: str
    grantee_box: bytes
    data: bytes
    hash: bytes


def make_body(fields: Mapping[str, Any], items: Sequence[Item]) -> Body:
    """RoleDenied for a payer and for every role that is not on the list."""
    check_role(fields["role"])
    data = GRANT.encode({**fields, "suite": SUITE, "items": [item.fields() for item in items]})
    return Body(fields["role"], fields["grantee_box"], data, hash32(data))


def seal(
    issuer: Identity, body: Body, half: bytes, reader: bytes, wraps: Sequence[bytes], kem: bytes | None = None
) -> bytes:
    """The sealed package for the grantee's inbox, in suite 2 when the grantee's ML-KEM key is given.

    RoleDenied for a payer: this is the only way to seal a grant.
    """
    check_role(body.role)
    package = {
        "suite": suite_for(kem),
        "recipient": body.grantee_box,
        "grant": sign_body("grant", GRANT, body.data, issuer.sign),
        "half": half,
        "reader": reader,
        "wraps": list(wraps),
    }
    return seal_statement(body.grantee_box, make_statement("package", PACKAGE, package, issuer.sign), kem)


def seal_renewal(
    issuer: Identity,
    role: str,
    recipient: bytes,
    number: bytes,
    items: Sequence[Item],
    wraps: Sequence[bytes],
    kem: bytes | None = None,
) -> bytes:
    check_role(role)
    fields = {
        "suite": suite_for(kem),
        "recipient": recipient,
        "number": number,
        "items": [item.fields() for item in items],
        "wraps": list(wraps),
    }
    return seal_statement(recipient, make_statement("renewal", RENEWAL, fields, issuer.sign), kem)


def open_package(data: bytes, me: Identity, now: int) -> Package:
    """`data` is the statement inside the sealed box. Every check of spec/grant.md, section "Reading"."""
    outer = read_statement("package", PACKAGE, data)
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
    items, wraps = _items(fields, outer)
    return Package(fields, grant.body, outer.fields["half"], outer.fields["reader"], items, wraps, hash32(grant.body))


def open_renewal(data: bytes, me: Identity, issuer_sign: bytes) -> Renewal:
    outer = read_statement("renewal", RENEWAL, data).by(issuer_sign)
    need_suite(outer.fields["suite"], known=SEALING)
    if outer.fields["recipient"] != me.box.public:
        raise WrongRecipient("this renewal was made for somebody else")
    items, wraps = _items(outer.fields, outer)
    return Renewal(outer.fields["number"], items, wraps)


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
    return bytes(read_statement("renewal", RENEWAL, data).fields["number"])


def message_type(data: bytes) -> str:
    return type_of(data, MAX_MESSAGE)


def _items(fields: Mapping[str, Any], outer: Statement) -> tuple[tuple[Item, ...], tuple[bytes, ...]]:
    items = tuple(Item(**item) for item in fields["items"])
    wraps = tuple(outer.fields["wraps"])
    if not items or len(items) != len(wraps):
        raise Malformed("a grant with as many wraps as items, at least one, is expected")
    for name in ("tag", "document", "mailbox"):
        if len({getattr(item, name) for item in items}) != len(items):
            raise Malformed("an item stands twice in one grant")
    return items, wraps


def _wrap_aad(grant_hash: bytes, item: Item) -> bytes:
    return bytes([SUITE]) + b"wrap\0" + grant_hash + ITEM.encode(item.fields())
