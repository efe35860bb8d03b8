"""The limits of statements about people: cards, authorities, certificates, grants, openings, deposits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from spec.vectors import make_deposits, make_grants, make_openings
from spec.vectors.edges import (
    LAST_SECOND,
    Edge,
    Edges,
    at_edge,
    at_most,
    beyond,
    exact,
    of_bytes,
    suite,
    text,
    time,
    whole,
)
from spec.vectors.make_certificates import bulletin, certificate_fields, head, leaves_of, logged, revocations
from spec.vectors.make_grants import ITEMS, LABELS, grant_fields, package_fields, seal_label
from spec.vectors.people import (
    AUTHORITY_KEY,
    DAY,
    DOCTOR,
    HOLDER,
    NOW,
    card_fields,
    kem_of,
    secrets_of,
    signed,
    without,
)
from spec.vectors.writing import Vectors, fixed, plain, seal_padded
from tui.vector_formats import FORMATS
from tui.vectors import Given
from vault import log
from vault.encoding import encode

Make = Callable[[Mapping[str, Any]], dict[str, Any]]
URL = Edge("https://" + "r" * 492, None, {"501": ("of 501 characters", "https://" + "r" * 493)})
ROLE = Edge("doctor" + " " * 54, None, text(60).beyond)
KEY = exact(32)


def accepted(vectors: Vectors, name: str, description: str, given: Mapping[str, Any]) -> None:
    """What comes out is what the product reads; the second reader has to read the same."""
    vectors.valid(name, description, given, FORMATS[vectors.format](Given(plain(given))))


def refused_beyond(
    vectors: Vectors, fields: Mapping[str, Any], edges: Edges, make: Make, failure: str = "malformed", prefix: str = ""
) -> None:
    for name, description, changed in beyond(fields, edges):
        vectors.refused(prefix + name, description, failure, make(changed))


def make() -> list[Vectors]:
    return [_card(), _authority(), _certificate(), _bulletin(), _grant(), _renewal(), _wrap(), _entry(), *_deposit()]


def _card() -> Vectors:
    vectors = Vectors("card")
    edges = {
        "name": Edge("\U0001f3e5" * 200, "", {}), "role": text(60), "sign": KEY, "relay": URL,
        "relay_key": KEY, "inbox": KEY, "deposit": KEY, "made": Edge(LAST_SECOND, 0, {}),
    }  # fmt: skip

    def given(fields: Mapping[str, Any]) -> dict[str, Any]:
        return {"data": signed("card", fields, DOCTOR.sign), "seed": DOCTOR.sign.seed}

    fields = card_fields(DOCTOR)
    whole_card = fields | {"suite": 2, "kem": kem_of(DOCTOR)}
    accepted(vectors, "greatest", "every field at its limit", given(at_edge(whole_card, edges, greatest=True)))
    accepted(vectors, "least", "every field at its least", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, lambda changed: {"data": given(changed)["data"]})
    for name, description, failure, changes in (
        ("suite-255", "the last number of a suite", "suite-refused", {"suite": 255}),
        ("suite-256", "a number that no suite can have", "suite-refused", {"suite": 256}),
        ("suite-negative", "a suite under zero", "suite-refused", {"suite": -1}),
        ("suite-true", "a suite that is true", "malformed", {"suite": True}),
        ("kem-31", "one byte less than a hash", "malformed", {"suite": 2, "kem": kem_of(DOCTOR)[:31]}),
        ("kem-1185", "one byte more than a key", "malformed", {"suite": 2, "kem": kem_of(DOCTOR) + b"\0"}),
        ("relay-empty", "an address of no characters", "malformed", {"relay": ""}),
        ("relay-accent", "an address with a letter outside of ASCII", "malformed", {"relay": "https://r\u00e9lais"}),
        ("relay-delete", "an address with an invisible character", "malformed", {"relay": "https://relay\x7f"}),
        ("body-4097", "a body one byte over its limit", "too-large", {"x": bytes(4097 - len(encode(fields)) - 5)}),
    ):
        data = signed("card", fields | changes, DOCTOR.sign)
        vectors.refused(name, description, failure, {"data": data})
    return vectors


def _authority() -> Vectors:
    vectors = Vectors("authority")
    fields = {"suite": 1, "name": "Order of Examples", "sign": AUTHORITY_KEY.public, "made": NOW}
    edges = {"suite": suite(), "name": text(200), "sign": KEY, "made": time()}

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return {"data": signed("authority", told, AUTHORITY_KEY)}

    accepted(vectors, "greatest", "every field at its limit", given(at_edge(fields, edges, greatest=True)))
    accepted(vectors, "least", "every field at its least", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    vectors.refused("suite-255", "the last number of a suite", "suite-refused", given(fields | {"suite": 255}))
    over = bytes(2049 - len(encode(fields)) - 5)
    vectors.refused("body-2049", "a body one byte over its limit", "too-large", given(fields | {"x": over}))
    return vectors


CERTIFICATE: Edges = {
    "suite": suite(), "authority": KEY, "id": text(100), "name": text(200), "role": ROLE, "sign": KEY, "box": KEY,
    "from": Edge(LAST_SECOND - 90 * DAY, 0, time().beyond), "until": Edge(LAST_SECOND, 1, time().beyond),
}  # fmt: skip
HEAD: Edges = {"suite": suite(), "authority": KEY, "size": whole(), "root": KEY, "time": time()}
LIST: Edges = {
    "suite": suite(), "authority": KEY, "number": Edge((1 << 63) - 1, 1, {}),
    "made": Edge(LAST_SECOND - 30 * DAY, 0, time().beyond), "next": Edge(LAST_SECOND, 1, time().beyond),
    "entries.0.certificate": KEY, "entries.0.time": time(),
}  # fmt: skip
REVOKED = {"entries": [{"certificate": fixed("somebody"), "time": NOW}]}


def _list_fields() -> dict[str, Any]:
    plain_list = {"suite": 1, "authority": AUTHORITY_KEY.public, "number": 1, "made": NOW, "next": NOW + 30 * DAY}
    return plain_list | REVOKED


def _certificate() -> Vectors:
    vectors = Vectors("certificate")
    fields = certificate_fields()

    def given(told: Mapping[str, Any], now: int = NOW + DAY, **changes: Any) -> dict[str, Any]:
        statement = signed("certificate", told, AUTHORITY_KEY)
        whole_log = bulletin(leaves_of(statement))
        card = signed("card", card_fields(DOCTOR), DOCTOR.sign)
        return {"data": logged(statement), "bulletins": [whole_log], "card": card, "now": now} | changes

    for name, greatest, now in (("greatest", True, LAST_SECOND - 1), ("least", False, 0)):
        told = at_edge(fields, CERTIFICATE, greatest=greatest)
        statement = signed("certificate", told, AUTHORITY_KEY)
        listed = signed("revocations", at_edge(_list_fields(), LIST, greatest=greatest), AUTHORITY_KEY)
        at = head(leaves_of(statement), time=LAST_SECOND if greatest else 0)
        around = {"list": listed, "head": at}
        more = {
            "bulletins": [bulletin(leaves_of(statement), **around)],
            "card": signed("card", card_fields(DOCTOR, name=told["name"]), DOCTOR.sign),
            "data": logged(statement, head=at),
        }
        accepted(vectors, name, "every field at its limit", given(told, now, **more))
    refused_beyond(vectors, fields, CERTIFICATE, given)
    good = signed("certificate", fields, AUTHORITY_KEY)
    leaves, path = leaves_of(good), log.make_path(leaves_of(good), 5)
    for name, description, changed in beyond({"index": 5, "path": path}, {"index": whole(), "path.0": KEY}):
        vectors.refused(name, description, "malformed", given(fields, data=logged(good, **changed)))
    for name, description, failure, changes in (
        ("index-greatest", "at the greatest place there is", "not-certified", {"index": (1 << 63) - 1}),
        ("index-0", "at the first place", "not-certified", {"index": 0}),
        ("path-40", "a proof of 40 steps, as many as are read", "not-certified", {"path": path[:1] * 40}),
        ("path-41", "a proof of 41 steps", "malformed", {"path": path[:1] * 41}),
        ("head-a-list", "a revocation list where the head belongs", "malformed", {"head": revocations()}),
        ("head-size-greatest", "a log of 2^63 - 1 entries", "not-certified", {"head": head(leaves, size=2**63 - 1)}),
        ("suite-255", "the last number of a suite", "suite-refused", {"certificate": signed(
            "certificate", fields | {"suite": 255}, AUTHORITY_KEY)}),
        ("body-4097", "a body one byte over its limit", "too-large", {"certificate": signed(
            "certificate", fields | {"x": bytes(4097 - len(encode(fields)) - 5)}, AUTHORITY_KEY)}),
    ):  # fmt: skip
        vectors.refused(name, description, failure, given(fields, data=logged(good, **changes)))
    later = [bulletin(leaves, list=revocations(number=2, made=NOW, next=NOW + 2 * DAY))]
    accepted(vectors, "list-last-second", "in the last second of the list",
             given(fields, NOW + 2 * DAY - 1, bulletins=later))  # fmt: skip
    extract = [bulletin([*leaves, *leaves], 8)]
    vectors.refused("before-the-extract", "at a place before the part of the log that is known", "not-certified",
                    given(fields, bulletins=extract))  # fmt: skip
    return vectors


def _bulletin() -> Vectors:
    vectors = Vectors("bulletin")
    some = [log.derive_leaf(b"entry %d" % number) for number in range(5)]
    head_fields = {
        "suite": 1, "authority": AUTHORITY_KEY.public, "size": 5, "root": log.derive_root(some), "time": NOW,
    }  # fmt: skip
    for prefix, kind, part, fields, edges in (
        ("head-", "log-head", "head", head_fields, HEAD),
        ("list-", "revocations", "list", _list_fields(), LIST),
    ):

        def given(told: Mapping[str, Any], kind: str = kind, part: str = part) -> dict[str, Any]:
            return {"bulletins": [bulletin(some, **{part: signed(kind, told, AUTHORITY_KEY)})]}

        refused_beyond(vectors, fields, edges, given, prefix=prefix)
        above = given({**fields, "suite": 255})
        vectors.refused(f"{prefix}suite-255", "the last number of a suite", "suite-refused", above)
    over = signed("log-head", head_fields | {"x": bytes(513 - len(encode(head_fields)) - 5)}, AUTHORITY_KEY)
    vectors.refused("head-body-513", "a head's body one byte over its limit", "too-large",
                    {"bulletins": [bulletin(some, head=over)]})  # fmt: skip
    for name, description, changed in beyond({"start": 0, "peaks": [some[0]]}, {"start": whole(), "peaks.0": KEY}):
        told = bulletin([*some, *some], 8, **(changed if name.startswith("peaks") else {"start": changed["start"]}))
        vectors.refused(name, description, "malformed", {"bulletins": [told]})
    peaks = [fixed(f"peak {number}") for number in range(63)]
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = log.derive_node(peak, root)
    far = {"start": (1 << 63) - 1, "peaks": peaks, "leaves": b"", "head": head(some, size=(1 << 63) - 1, root=root)}
    accepted(vectors, "greatest", "as many entries as a log may have, none of them given", {
        "bulletins": [bulletin(some, **far)]})  # fmt: skip
    return vectors


GRANT: Edges = {
    "suite": suite(), "number": KEY, "issuer_sign": KEY, "issuer_box": KEY, "issuer_name": text(200),
    "grantee_sign": KEY, "grantee_box": KEY, "role": ROLE, "purpose": text(500), "made": time(),
    "not_before": Edge(LAST_SECOND - 3650 * DAY, 0, time().beyond), "until": Edge(LAST_SECOND, 1, time().beyond),
    "openings": Edge(1_000_000, 1, {"1000001": ("over a million", 1_000_001)}),
    "offline": Edge(7 * DAY, 0, {"negative": ("under zero", -1)}), "relay": URL, "relay_key": KEY, "roster": KEY,
}  # fmt: skip


def _sealed(kind: str, fields: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    data = seal_padded(fixed("edge"), DOCTOR.box.public, signed(kind, fields, HOLDER.sign))
    return {"sealed": data, "grantee": secrets_of(DOCTOR)} | changes


def _grant() -> Vectors:
    vectors = Vectors("grant")
    fields = grant_fields()

    def given(told: Mapping[str, Any], now: int = NOW, **outer: Any) -> dict[str, Any]:
        package = package_fields(signed("grant", told, HOLDER.sign), **outer)
        return _sealed("package", package, now=now)

    last = make_grants.columns([ITEMS[0], ITEMS[1] | {"epoch": (1 << 63) - 1}])
    most = at_edge(fields, GRANT, greatest=True) | {"items": last}
    accepted(vectors, "greatest", "every field at its limit, for ten years",
             given(most, LAST_SECOND - 1, labels=[LABELS[0], bytes(2120)]))  # fmt: skip
    accepted(vectors, "least", "every field at its least, for one second",
             given(at_edge(fields, GRANT, greatest=False), 0, labels=[LABELS[0], b""]))  # fmt: skip
    refused_beyond(vectors, fields, GRANT, given)
    package = package_fields(signed("grant", fields, HOLDER.sign))
    edges = {"suite": suite(), "recipient": KEY, "reader": KEY}
    # A suite that is no suite cannot be the byte in front either: the page says which is looked at first.
    refused_beyond(vectors, package, {name: edges[name] for name in ("recipient", "reader")},
                   lambda told: _sealed("package", told, now=NOW), prefix="package-")  # fmt: skip
    vectors.refused("grant-suite-255", "a grant of the last number of a suite", "suite-refused",
                    given(fields | {"suite": 255}))  # fmt: skip
    vectors.refused("until-0", "over when it begins to be counted", "expired", given(fields | {"until": 0}))
    card = signed("card", card_fields(HOLDER), HOLDER.sign)
    vectors.refused("grant-a-card", "a card in place of the grant inside", "malformed", _sealed(
        "package", package_fields(card), now=NOW))  # fmt: skip
    return vectors


def _renewal() -> Vectors:
    vectors = Vectors("renewal")
    items = [ITEMS[0] | {"epoch": 2, "tag": fixed("edge tag 1", 16)}, ITEMS[1] | {"epoch": 2**63 - 1, "tag": bytes(16)}]
    fields = {
        "suite": 1, "recipient": DOCTOR.box.public, "number": make_grants.NUMBER, "items": make_grants.columns(items),
        "keys": bytes(64), "labels": [bytes(2120), b""],
    }  # fmt: skip

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return _sealed("renewal", told, issuer=HOLDER.sign.public, known=ITEMS)

    accepted(vectors, "greatest", "the last epoch there is, a label at its limit", given(fields))
    refused_beyond(vectors, fields, {"recipient": KEY, "number": KEY, "labels.0": at_most(2120)}, given)
    for name, description, changes in (
        ("keys-more", "more masked keys than items", {"keys": bytes(96)}),
        ("labels-more", "more labels than items", {"labels": [b""] * 3}),
        ("no-items", "nothing renewed", {"items": make_grants.columns([]), "keys": b"", "labels": []}),
        ("epoch-0", "an epoch that is none", {"items": make_grants.columns([items[0], items[1] | {"epoch": 0}])}),
    ):
        vectors.refused(name, description, "malformed", given(fields | changes))
    lower = make_grants.columns([items[0], items[1] | {"epoch": 2}])
    vectors.refused(
        "epoch-lower", "an epoch before the one that is known", "replayed", given(fields | {"items": lower})
    )
    return vectors


def _wrap() -> Vectors:
    vectors = Vectors("wrap")

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "half": make_grants.S1, "half_tag": make_grants.half_tag(ITEMS[0]), "grant_hash": make_grants.GRANT_HASH,
            "item": ITEMS[0], "masked": make_grants.KEYS[0], "right": "read",
            "label": seal_label(ITEMS[0], make_grants.CHANNEL_KEYS[0], dict(told)),
        }  # fmt: skip

    def of(size: int) -> dict[str, Any]:
        """A label whose content has so many bytes, with a title of 500 characters."""
        told = {"title": "t" * 500, "kind": "k" * 40}
        return told | {"title": of_bytes(size - len(encode(told)) + 500, 500)}

    accepted(vectors, "label-2048", "a title of 500 characters, a kind of 40, 2 048 bytes in all", given(of(2048)))
    vectors.refused("label-2049", "one byte over its limit", "too-large", given(of(2049)))
    accepted(vectors, "label-empty", "a document without a title", given({"title": "", "kind": ""}))
    long = {"title": "t", "kind": "k" * 41}
    vectors.refused("kind-41", "a kind of 41 characters", "malformed", given(long))
    return vectors


OPENING: Edges = {
    "recipient": KEY, "grant": KEY, "grant_hash": KEY, "counter": whole(1), "fresh": KEY,
    "documents.0": exact(16), "tags.0": exact(16), "name": Edge("n" * 200, "", text(200).beyond),
    "why": Edge("w" * 500, "", text(500).beyond), "time": Edge(LAST_SECOND, 0, {"negative": ("before 1970", -1)}),
    "device": exact(16),
}  # fmt: skip


def _entry() -> Vectors:
    vectors = Vectors("opening-entry")
    many_tags = [fixed(f"edge tag {number}", 16) for number in range(64)]
    known = {tag.hex(): fixed("edge document", 16) for tag in many_tags}

    def given(fields: Mapping[str, Any], counter: int = 7, tags: list[bytes] = make_openings.TAGS) -> dict[str, Any]:
        statement = signed("opening-statement", fields, DOCTOR.sign)
        sealed = seal_padded(fixed("edge"), HOLDER.box.public, statement)
        items = known | dict(zip((tag.hex() for tag in make_openings.TAGS), make_openings.DOCUMENTS, strict=True))
        return {
            "entry": make_openings.request(sealed, counter=counter, tags=tags), "reader": make_grants.READER.public,
            "grantee": DOCTOR.sign.public, "box": HOLDER.box.secret, "grant": make_grants.NUMBER,
            "grant_hash": make_grants.GRANT_HASH, "items": items, "after": counter - 1,
        }  # fmt: skip

    fields = make_openings.statement_fields()
    whole_list = {"documents": [fixed("edge document", 16)] * 64, "tags": many_tags}
    most = at_edge(fields, OPENING, greatest=True) | whole_list
    accepted(vectors, "greatest", "64 items, every field at its limit", given(most, (1 << 63) - 1, many_tags))
    least = at_edge(fields, OPENING, greatest=False)
    accepted(vectors, "least", "every field at its least, the first opening of a grant", given(least, 1))
    refused_beyond(vectors, fields, OPENING | {"counter": Edge(None, None, {
        "0-inside": ("of zero in the statement", 0)})}, given)  # fmt: skip
    for name, description, failure, changes in (
        ("documents-65", "65 documents in the statement", "malformed", {"documents": [bytes(16)] * 65}),
        ("tags-65", "65 items in the statement", "malformed", {"tags": [*many_tags, bytes(16)]}),
        ("document-more", "names one document more", "bad-signature", {"documents": [*fields["documents"], bytes(16)]}),
        ("tags-swapped", "states the items in another order", "verification-failed", {"tags": fields["tags"][::-1]}),
        ("suite-255", "the last number of a suite", "suite-refused", {"suite": 255}),
    ):
        vectors.refused(name, description, failure, given(fields | changes))
    full = most | {"counter": 7}
    full["why"] = of_bytes(3796 - len(encode(full)) + 500, 500)
    accepted(vectors, "body-3796", "a statement of as many bytes as it may have", given(full, 7, many_tags))
    over = full | {"why": of_bytes(len(full["why"].encode()) + 1, 500)}
    vectors.refused("body-3797", "a statement one byte over its limit", "too-large", given(over, 7, many_tags))
    both = given(fields)
    vectors.refused(
        "tags-unknown", "opens nothing that the grant is known to have", "not-found", both | {"items": known}
    )
    other = dict(zip((tag.hex() for tag in make_openings.TAGS), make_openings.DOCUMENTS[:1] * 2, strict=True))
    vectors.refused("document-other", "a known item with another document", "bad-signature", both | {"items": other})
    deposit = signed("deposit", make_deposits.deposit_fields(), DOCTOR.sign)
    card = signed("card", card_fields(DOCTOR), DOCTOR.sign)
    for name, description, statement in (
        ("a-card", "a card in place of the statement", card),
        ("a-deposit", "a deposit in place of the statement", deposit),
    ):
        told = given(fields)
        told["entry"] = make_openings.request(seal_padded(fixed("edge"), HOLDER.box.public, statement))
        vectors.refused(name, description, "malformed", told)
    return vectors


FILE: Edges = {
    "sha256": Edge(None, None, {}), "blob": KEY, "token": KEY, "key": KEY, "sealed_sha256": KEY,
    "sealed_size": Edge(1 << 40, 0, whole(0, 1 << 40).beyond), "media_type": text(200), "name": text(300),
    "size": Edge(1 << 40, 0, whole(0, 1 << 40).beyond),
}  # fmt: skip
DEPOSIT: Edges = {
    "recipient": KEY, "certificate": at_most(8192), "authority": at_most(2200), "unique": text(300), "made": time(),
    "relay": URL,
}  # fmt: skip


def _deposit() -> list[Vectors]:
    vectors = Vectors("deposit")

    def given(fields: Mapping[str, Any]) -> dict[str, Any]:
        data = seal_padded(fixed("edge"), HOLDER.box.public, signed("deposit", fields, DOCTOR.sign))
        return {"sealed": data, "recipient": secrets_of(HOLDER)}

    outside = make_deposits.FILE | make_deposits.OUTSIDE | {"inline": None, "size": 1_000_000}
    edges = DEPOSIT | {f"files.0.{name}": edge for name, edge in FILE.items()}
    fields = make_deposits.deposit_fields(files=[outside])
    accepted(vectors, "greatest", "every field at its limit", given(at_edge(fields, edges, greatest=True)))
    accepted(vectors, "least", "every field at its least", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    vectors.refused("inline-sealed-size", "a file inside that says a sealed size too", "malformed", given(
        make_deposits.deposit_fields(files=[make_deposits.FILE | {"sealed_size": 1}])))  # fmt: skip
    states(vectors, given)
    vectors.refused("a-card", "a card in place of a deposit", "malformed", {
        "sealed": seal_padded(fixed("edge"), HOLDER.box.public, signed("card", card_fields(DOCTOR), DOCTOR.sign)),
        "recipient": secrets_of(HOLDER)})  # fmt: skip
    return [vectors]


def states(vectors: Vectors, given: Make) -> None:
    """The document in it is one of replica.md, section 1."""
    state, (name, entry) = make_deposits.STATE, next(iter(make_deposits.STATE["entries"].items()))

    def deposit(meta: Mapping[str, Any] | None = None, **parts: Any) -> dict[str, Any]:
        whole_state = state | {"meta": state["meta"] | (meta or {})} | parts
        return given(make_deposits.deposit_fields(state=whole_state))

    def entries(fields: Mapping[str, Any], key: str = name) -> dict[str, Any]:
        return deposit(entries={key: entry | fields})

    largest = 2**53 - 1
    accepted(vectors, "state-title-1000", "a title of 1 000 characters", deposit({"title": "\u00e9" * 1000}))
    accepted(vectors, "state-numbers", "the greatest number and the least", entries(
        {"dose_number": largest, "value": -largest}))  # fmt: skip
    accepted(vectors, "state-values", "every kind of value", entries({"negated": True, "note": None, "unit": ""}))
    accepted(vectors, "state-empty", "a document that has a kind and nothing else", deposit(
        entries={}, meta={"kind": "clinical"}))  # fmt: skip
    file = {"media_type": "text/plain", "size": 1, "sealed_size": 99, "key": "0" * 64, "sealed_sha256": "1" * 64}
    for which, description, told in (
        ("title-1001", "a title of 1 001 characters", deposit({"title": "t" * 1001})),
        ("title-number", "a title that is a number", deposit({"title": 1})),
        ("meta-unknown", "a field that a document does not have", deposit({"patient": "Example"})),
        ("kind-unknown", "an unknown kind of document", deposit({"kind": "invoice"})),
        ("kind-missing", "a document without a kind", given(make_deposits.deposit_fields(
            state=state | {"meta": without(state["meta"], "kind")}))),
        ("entry-id-31", "an entry's id of 31 characters", entries({}, name[1:])),
        ("entry-id-capitals", "an entry's id in capitals", entries({}, "A" * 32)),
        ("entry-unknown", "a field that an entry does not have", entries({"price": "1"})),
        ("entry-kind-unknown", "an unknown kind of entry", entries({"kind": "invoice"})),
        ("entry-kind-missing", "an entry without a kind: it was removed", deposit(
            entries={name: without(entry, "kind")})),
        ("number-over", "a number over 2^53 - 1", entries({"value": largest + 1})),
        ("number-under", "a number under -(2^53 - 1)", entries({"value": -largest - 1})),
        ("attachment", "an attachment, with everything that one has", deposit(attachments={"2" * 64: file})),
    ):  # fmt: skip
        vectors.refused(f"state-{which}", description, "malformed", told)
