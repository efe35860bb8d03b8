"""spec/card.md, roles, grant.md, opening.md, deposit.md, read a second time."""

from __future__ import annotations

import base64
import binascii
import struct
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from spec.reader.cbor import (
    Check,
    blob,
    decode,
    list_of,
    map_of,
    moment,
    one_of,
    or_null,
    shape,
    statement,
    text,
    whole,
)
from spec.reader.ciphers import open_xchacha20_poly1305
from spec.reader.hybrid import RELEASE, check_key, open_hybrid, seed_of
from spec.reader.primitives import (
    blake2b,
    check_box_public,
    derive,
    need_suite,
    open_box,
    open_sealed,
    unpad,
    verify,
    x25519_public,
)
from spec.reader.refusal import Refused, malformed
from spec.reader.states import check_state

OVERHEAD = 128  # of the map around a body
DAY = 86_400
ROLES = {
    "doctor", "dentist", "pharmacist", "nurse", "midwife", "physiotherapist", "biologist", "laboratory", "hospital",
    "caregiver", "other_professional",
}  # fmt: skip
# Other words for the same roles (spec/certificate.md, section "Roles").
OTHER_WORDS = {
    "doctor": "physician medecin gp general_practitioner surgeon chirurgien anaesthetist anesthesiste"
    " medecin_generaliste",
    "dentist": "dentiste chirurgien_dentiste",
    "pharmacist": "pharmacien pharmacienne pharmacy pharmacie",
    "nurse": "infirmier infirmiere",
    "midwife": "sage_femme",
    "physiotherapist": "kinesitherapeute",
    "biologist": "biologiste",
    "laboratory": "lab laboratoire",
    "hospital": "hopital clinic clinique",
    "caregiver": "aidant",
    "other_professional": "soignant professional",
}
ALIASES = {word: role for role, words in OTHER_WORDS.items() for word in words.split()}


def relay_url(value: Any) -> bool:
    """Visible ASCII, over HTTP or HTTPS, without a slash at its end."""
    visible = isinstance(value, str) and len(value) <= 500 and all("!" <= letter <= "~" for letter in value)
    return visible and value.startswith(("https://", "http://")) and not value.endswith("/")


def key_or_hash(value: Any) -> bool:
    """An ML-KEM-768 key, or the hash of one."""
    return isinstance(value, bytes) and len(value) in (32, 1184)


CARD: dict[str, Check] = {
    "suite": whole(0, 255),
    "name": text(200),
    "role": text(60),
    "sign": blob(32),
    "box": blob(32),
    "relay": or_null(relay_url),
    "relay_key": or_null(blob(32)),
    "inbox": or_null(blob(32)),
    "deposit": or_null(blob(32)),
    "made": moment(),
}
# Bytes of each value in the columns of a grant.
WIDTHS = {"documents": 16, "epochs": 8, "editions": 32, "tags": 16, "mailboxes": 32}
ITEMS: Mapping[str, Check] = {name: blob(most=width * 1024) for name, width in WIDTHS.items()}
GRANT: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "number": blob(32),
    "issuer_sign": blob(32),
    "issuer_box": blob(32),
    "issuer_name": text(200),
    "grantee_sign": blob(32),
    "grantee_box": blob(32),
    "role": text(60),
    "right": one_of("read", "edit"),
    "purpose": text(500),
    "made": moment(),
    "not_before": moment(),
    "until": moment(),
    "openings": or_null(whole(1, 1_000_000)),
    "offline": whole(0, 7 * DAY),
    "relay": relay_url,
    "relay_key": blob(32),
    "roster": blob(32),
    "items": shape(ITEMS),
}
PACKAGE: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "recipient": blob(32),
    "grant": blob(most=120_000 + OVERHEAD),
    "half": blob(32),
    "reader": blob(32),
    "keys": blob(most=32 * 1024),
    "labels": list_of(blob(most=2048 + 72), 1024),
}
RENEWAL: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "recipient": blob(32),
    "number": blob(32),
    "items": shape(ITEMS),
    "keys": blob(most=32 * 1024),
    "labels": list_of(blob(most=2048 + 72), 1024),
}
LABEL: Mapping[str, Check] = {"title": text(500), "kind": text(40)}
OPENING: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "recipient": blob(32),
    "grant": blob(32),
    "grant_hash": blob(32),
    "counter": whole(1),
    "fresh": blob(32),
    "documents": list_of(blob(16), 64),
    "tags": list_of(blob(16), 64),
    "name": text(200),
    "why": text(500),
    "time": moment(),
    "device": blob(16),
}


def scalar(value: Any) -> bool:
    """Text, a whole number, true, false or null."""
    number = isinstance(value, int) and abs(value) <= 2**63 - 1
    return value is None or number or (isinstance(value, str) and len(value) <= 100_000)


STATE: Mapping[str, Check] = {
    "meta": map_of(scalar, 40),
    "entries": map_of(map_of(scalar, 60), 10_000),
    "attachments": map_of(scalar, 0),
}
FILE: Mapping[str, Check] = {
    "sha256": blob(32),
    "inline": or_null(blob(most=256 << 10)),
    "blob": or_null(blob(32)),
    "token": or_null(blob(32)),
    "key": or_null(blob(32)),
    "sealed_sha256": or_null(blob(32)),
    "sealed_size": whole(0, 1 << 40),
    "media_type": text(200),
    "name": text(300),
    "size": whole(0, 1 << 40),
}
DEPOSIT: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "recipient": blob(32),
    "card": blob(most=4300),
    "certificate": or_null(blob(most=8192)),
    "authority": or_null(blob(most=2200)),
    "unique": text(300),
    "made": moment(),
    "relay": relay_url,
    "state": shape(STATE),
    "files": list_of(shape(FILE), 200),
}


OUTER: Mapping[str, Check] = {"type": text(32), "body": blob(), "sig": blob(64)}


@dataclass(frozen=True)
class Person:
    """The secrets of whoever reads."""

    seed: bytes
    secret: bytes
    sign: bytes
    box: bytes


@dataclass(frozen=True)
class Signed:
    """A statement's fields, not believed before `by` was called."""

    type: str
    fields: dict[str, Any]
    body: bytes
    sig: bytes

    def by(self, public: bytes) -> Signed:
        verify(public, self.type, self.body, self.sig)
        return self


def read(kind: str, fields: Mapping[str, Check], limit: int, data: bytes) -> Signed:
    outer = statement(data, limit + OVERHEAD, OUTER)
    if outer["type"] != kind:
        raise malformed(f"a {outer['type']!r} statement")
    return Signed(kind, statement(outer["body"], limit, fields), outer["body"], outer["sig"])


def opened(secret: bytes, sealed: bytes, signing: bytes | None = None) -> bytes:
    """The statement inside a message that was sealed to a person, who has the ML-KEM key of the signing seed."""
    return opened_by(secret, seed_of(signing) if signing else None, sealed)


def opened_by(secret: bytes, seed: bytes | None, sealed: bytes) -> bytes:
    """The statement inside a sealed message, which must name the suite that it was sealed in."""
    if not sealed:
        raise Refused("cannot-open", "nothing")
    suite, box = sealed[0], sealed[1:]
    need_suite(suite, known=(1, 2))
    if suite == 2 and seed is None:
        raise Refused("cannot-open", "no key for suite 2")
    plain = open_hybrid(seed, secret, box) if suite == 2 and seed else open_sealed(secret, box)
    data = unpad(plain)
    outer = statement(data, (1 << 20) + OVERHEAD, OUTER)
    body = decode(outer["body"], 1 << 20)
    if not isinstance(body, dict) or body.get("suite") != suite:
        raise Refused("suite-refused", "sealed in another suite than was signed")
    return data


def person_id(sign: bytes, box: bytes) -> bytes:
    return blake2b(b"person" + sign + box, "elpis-hash")[:16]


def read_card(data: bytes) -> dict[str, Any]:
    body = decode(statement(data, 4096 + OVERHEAD, OUTER)["body"], 4096)
    suite = body.get("suite") if isinstance(body, dict) else None
    if not isinstance(suite, int) or isinstance(suite, bool):
        raise malformed("a card names its suite")
    need_suite(suite, known=(1, 2))
    card = read("card", CARD if suite == 1 else CARD | {"kem": key_or_hash}, 4096, data)
    card.by(card.fields["sign"])
    check_box_public(card.fields["box"])
    told = {"kem": None} | card.fields
    kem = told["kem"]
    if kem is not None and len(kem) > 32:
        check_key(kem)
        told["kem"] = blake2b(kem, "elpis-hash")
    if len({told[name] is None for name in ("relay", "relay_key", "inbox", "deposit")}) > 1:
        raise malformed("half an inbox")
    return told | {"relay": told["relay"] or "", "id": person_id(told["sign"], told["box"])}


def read_card_text(printed: str) -> bytes:
    prefix, body = "elpis-card:", printed.strip().removeprefix("elpis-card:")
    if not printed.strip().startswith(prefix):
        raise malformed("not a printed card")
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise malformed("not base64url") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != body:
        raise malformed("another spelling of the same bytes")
    return data


def safety_number(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> str:
    both = b"".join(sign + box for sign, box in sorted((one, other)))
    stream = blake2b(both + b"\0", "elpis-safety") + blake2b(both + b"\1", "elpis-safety")
    return " ".join(f"{int.from_bytes(stream[5 * i : 5 * i + 5], 'big') % 100_000:05d}" for i in range(12))


def fold_role(role: str) -> str:
    letters = unicodedata.normalize("NFKD", role.casefold())
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    folded = "_".join(bare.replace("-", " ").replace("_", " ").split())
    return ALIASES.get(folded, folded)


def check_role(role: str) -> str:
    """The closed list is what decides; the denied names only make a better sentence."""
    folded = fold_role(role)
    if folded not in ROLES:
        raise Refused("role-denied", folded)
    return folded


def fold_name(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def read_items(columns: Mapping[str, bytes], keys: bytes, labels: Sequence[bytes]) -> list[dict[str, Any]]:
    """The items of the columns, with a key and a label for each."""
    count, rest = divmod(len(columns["documents"]), 16)
    if rest or count == 0 or len(keys) != 32 * count or len(labels) != count:
        raise malformed("not one key and one label for each item")
    if any(len(columns[name]) != width * count for name, width in WIDTHS.items()):
        raise malformed("columns of different lengths")
    items = []
    for place in range(count):
        values = {name: columns[name][place * width : (place + 1) * width] for name, width in WIDTHS.items()}
        epoch = int.from_bytes(values["epochs"], "big")
        if not 1 <= epoch <= 2**63 - 1:
            raise malformed("an epoch that is none")
        items.append(
            {"document": values["documents"], "epoch": epoch, "edition": values["editions"], "tag": values["tags"],
             "mailbox": values["mailboxes"]}
        )  # fmt: skip
    for name in ("tag", "document", "mailbox"):
        if len({item[name] for item in items}) != count:
            raise malformed(f"a {name} stands twice")
    return items


def read_granting(kind: str, fields: Mapping[str, Check], data: bytes) -> Signed:
    """A package or a renewal, in this form of them alone."""
    try:
        return read(kind, fields, 900_000, data)
    except Refused as failure:
        if failure.code != "malformed":
            raise
        outer = statement(data, 900_000 + OVERHEAD, OUTER)
        body = decode(outer["body"], 900_000)
        if outer["type"] == kind and isinstance(body, dict) and "wraps" in body:
            raise Refused("suite-refused", "the form before this one") from None
        raise


def read_grant(sealed: bytes, me: Person, now: int) -> dict[str, Any]:
    package = read_granting("package", PACKAGE, opened(me.secret, sealed, me.seed))
    grant = read("grant", GRANT, 120_000, package.fields["grant"])
    told = grant.fields
    need_suite(package.fields["suite"], known=(1, 2))
    need_suite(told["suite"])
    grant.by(told["issuer_sign"])
    package.by(told["issuer_sign"])
    if package.fields["recipient"] != me.box or (told["grantee_sign"], told["grantee_box"]) != (me.sign, me.box):
        raise Refused("wrong-recipient", "made for somebody else")
    check_role(told["role"])
    if told["until"] <= now:
        raise Refused("expired", "over")
    if not 0 < told["until"] - told["not_before"] <= 3650 * DAY:
        raise malformed("ends before it starts, or after more than ten years")
    items = read_items(told["items"], package.fields["keys"], package.fields["labels"])
    names = ("number", "right", "purpose", "until", "openings", "offline")
    return {name: told[name] for name in names} | {
        "hash": blake2b(grant.body, "elpis-hash"),
        "half": package.fields["half"],
        "reader": package.fields["reader"],
        "documents": [item["document"] for item in items],
    }


def read_renewal(sealed: bytes, me: Person, issuer: bytes, known: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """`known`: the items of the grant as its grantee has them."""
    renewal = read_granting("renewal", RENEWAL, opened(me.secret, sealed, me.seed)).by(issuer)
    told = renewal.fields
    need_suite(told["suite"], known=(1, 2))
    if told["recipient"] != me.box:
        raise Refused("wrong-recipient", "made for somebody else")
    items = read_items(told["items"], told["keys"], told["labels"])
    epochs = {item["document"]: item["epoch"] for item in known}
    for item in items:
        if item["document"] not in epochs:
            raise Refused("not-found", "a document that was not granted")
        if item["epoch"] <= epochs[item["document"]]:
            raise Refused("replayed", "an epoch that is over")
        if item["tag"] in [one["tag"] for one in known]:
            raise Refused("replayed", "a tag that was used before")
    return {"number": told["number"], "epochs": [item["epoch"] for item in items]}


def half_tag(half: bytes, tag: bytes) -> bytes:
    return derive(half, "elpis-half-tag", tag)


def unwrap(
    half: bytes, released: bytes, grant_hash: bytes, item: Mapping[str, Any], masked: bytes, label: bytes, right: str
) -> dict[str, Any]:
    mask = derive(half, "elpis-grant-key", released + grant_hash + item["tag"])
    if len(masked) != 32:
        raise malformed("a masked key of another length")
    key = bytes(one ^ other for one, other in zip(masked, mask, strict=True))
    place = item["document"] + item["epoch"].to_bytes(8, "big") + item["edition"] + item["mailbox"]
    told = statement(open_box(key, "elpis-wrap", label, b"\1wrap\0" + place), 2048, LABEL)
    read_token = derive(half, "elpis-token-read", released + item["tag"])
    append_token = derive(half, "elpis-token-add", released + item["tag"]) if right == "edit" else None
    return {"key": key, "read": read_token, "append": append_token} | told


REQUESTS = {1: struct.Struct(">B32sQ32sB"), 2: struct.Struct(">B32sQ32s32sB")}


def read_request(data: bytes, reader: bytes) -> dict[str, Any]:
    """suite | grant | counter | fresh key | in suite 2 a hash | n | n tags | length | statement | signature."""
    if len(data) < REQUESTS[1].size + 4 + 64:
        raise malformed("too short")
    need_suite(data[0], known=(1, 2))
    layout = REQUESTS[data[0]]
    _suite, grant, counter, fresh, *known, count = layout.unpack_from(data)
    at = layout.size + 16 * count
    if not 1 <= count <= 64 or len(data) < at + 4 + 64:
        raise malformed("the number of tags")
    tags = [data[place : place + 16] for place in range(layout.size, at, 16)]
    if len(set(tags)) != count or not 1 <= counter <= 2**63 - 1:
        raise malformed("a tag named twice, or no counter")
    length = int.from_bytes(data[at : at + 4], "big")
    if length > 4096 or len(data) != at + 4 + length + 64:
        raise malformed("the length of the statement")
    verify(reader, "opening", data[:-64], data[-64:])
    told = {"grant": grant, "counter": counter, "fresh": fresh, "kem_hash": known[0] if known else None}
    return told | {"tags": tags, "statement": data[at + 4 : -64]}


def read_release(
    sealed: bytes, fresh: bytes, seed: bytes, grant: bytes, counter: int, tags: Sequence[bytes]
) -> dict[bytes, bytes]:
    """`seed` is that of the fresh ML-KEM key, and empty when it was asked for in suite 1."""
    if seed:
        key = open_hybrid(seed, fresh, sealed[:1168], RELEASE)
        plain = open_xchacha20_poly1305(key, bytes(24), sealed[1168:], b"")
    else:
        plain = open_sealed(fresh, sealed)
    if len(plain) < 41:
        raise malformed("too short")
    if plain[:40] != grant + counter.to_bytes(8, "big"):
        raise Refused("wrong-recipient", "the answer to another opening")
    if plain[40] != len(tags) or len(plain) != 41 + 48 * len(tags):
        raise malformed("another number of halves")
    halves = {plain[at : at + 16]: plain[at + 16 : at + 48] for at in range(41, len(plain), 48)}
    if set(halves) != set(tags):
        raise malformed("halves of other items")
    return halves


def read_opening(
    entry: bytes,
    reader: bytes,
    grantee: bytes,
    secret: bytes,
    grant: bytes,
    grant_hash: bytes,
    items: Mapping[bytes, bytes],
    after: int,
) -> dict[str, Any]:
    """An entry of the trace, as the patient checks it."""
    request = read_request(entry, reader)
    told = read("opening-statement", OPENING, 4096 - 300, opened(secret, request["statement"])).by(grantee).fields
    need_suite(told["suite"])
    if told["recipient"] != x25519_public(secret):
        raise Refused("wrong-recipient", "stated to somebody else")
    agrees = told["grant_hash"] == grant_hash and told["grant"] == request["grant"] == grant
    if not agrees or any(told[name] != request[name] for name in ("counter", "fresh", "tags")):
        raise Refused("verification-failed", "the statement is about another opening")
    if not all(tag in items for tag in told["tags"]):
        raise Refused("not-found", "a tag that this grant is not known to have")
    if [items[tag] for tag in told["tags"]] != told["documents"]:
        raise Refused("bad-signature", "the statement names other documents")
    if request["counter"] <= after:
        raise Refused("replayed", "an opening that was recorded before")
    return {name: told[name] for name in ("name", "why", "time", "documents")}


def check_file(file: Mapping[str, Any]) -> None:
    """Inside with its size, or at the relay with everything that opens it."""
    outside = [file[name] is not None for name in ("blob", "token", "key", "sealed_sha256")]
    inside = file["inline"] is not None
    if len(set(outside)) > 1 or inside == outside[0]:
        raise malformed("a file that is neither inside nor outside, or both")
    if inside and (len(file["inline"]) != file["size"] or file["sealed_size"] != 0):
        raise malformed("a file of another size")


def read_deposit(sealed: bytes, me: Person) -> dict[str, Any]:
    deposit = read("deposit", DEPOSIT, 1_000_000, opened(me.secret, sealed, me.seed))
    told = deposit.fields
    need_suite(told["suite"], known=(1, 2))
    sender = read_card(told["card"])
    deposit.by(sender["sign"])
    if told["recipient"] != me.box:
        raise Refused("wrong-recipient", "made for somebody else")
    for file in told["files"]:
        check_file(file)
    if len({file["sha256"] for file in told["files"]}) != len(told["files"]):
        raise malformed("a file stands twice")
    places = [file["blob"] for file in told["files"] if file["blob"] is not None]
    if len(set(places)) != len(places):
        raise malformed("two files at one place")
    check_state(told["state"])
    return {
        "sender": sender["name"],
        "sender_id": sender["id"],
        "unique": told["unique"],
        "made": told["made"],
        "state": told["state"],
        "files": len(told["files"]),
    }
