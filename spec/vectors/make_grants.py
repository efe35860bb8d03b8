"""spec/grant.md: the package that a grantee opens, renewals, the relay's half for one item, masked keys and labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from spec.vectors.people import (
    DAY,
    DOCTOR,
    HOLDER,
    NOW,
    OTHER,
    RELAY_KEY,
    card_fields,
    kem_of,
    secrets_of,
    signed,
    without,
)
from spec.vectors.sealing import seal_statement_fixed
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed, seal_padded
from vault import masking
from vault.encoding import encode
from vault.identity import Identity
from vault.primitives import SigningKey, derive_key, hash32, seal_box

S1, S2 = fixed("S1"), fixed("S2")
READER = SigningKey.from_seed(fixed("reader"))
NUMBER = fixed("grant number")
UNTIL = NOW + DAY


def item(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "document": fixed(f"{name} document", 16),
        "epoch": 1,
        "edition": fixed(f"{name} edition"),
        "tag": fixed(f"{name} tag", 16),
        "mailbox": fixed(f"{name} mailbox"),
    }
    return fields | changes


def columns(items: Sequence[dict[str, Any]]) -> dict[str, bytes]:
    """Without any of the product's checks."""
    epochs = [told["epoch"].to_bytes(8, "big") for told in items]
    plain = {name: [told[name] for told in items] for name in ("document", "edition", "tag", "mailbox")}
    return {f"{name}{'es' if name == 'mailbox' else 's'}": b"".join(column) for name, column in plain.items()} | {
        "epochs": b"".join(epochs)
    }


ITEMS = [item("medications"), item("letter", epoch=3)]


def grant_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "number": NUMBER,
        "issuer_sign": HOLDER.sign.public,
        "issuer_box": HOLDER.box.public,
        "issuer_name": HOLDER.name,
        "grantee_sign": DOCTOR.sign.public,
        "grantee_box": DOCTOR.box.public,
        "role": "doctor",
        "right": "edit",
        "purpose": "before the operation",
        "made": NOW,
        "not_before": NOW,
        "until": UNTIL,
        "openings": None,
        "offline": 12 * 3600,
        "relay": "https://relay.example",
        "relay_key": RELAY_KEY.public,
        "roster": bytes(32),
        "items": columns(ITEMS),
    }
    return fields | changes


GRANT_HASH = hash32(encode(grant_fields()))


CHANNEL_KEYS = [fixed("medications channel key"), fixed("letter channel key")]
TOLD = [{"title": "Medications", "kind": "medications"}, {"title": "Letter", "kind": "clinical"}]


def half_tag(fields: dict[str, Any], half: bytes = S2) -> bytes:
    return derive_key(half, "elpis-half-tag", fields["tag"])


def mask(fields: dict[str, Any], key: bytes) -> bytes:
    """The key, masked for the grantee: byte by byte, as the specification says it."""
    pad = derive_key(S1, "elpis-grant-key", half_tag(fields) + GRANT_HASH + fields["tag"])
    return bytes(one ^ other for one, other in zip(key, pad, strict=True))


def seal_label(fields: dict[str, Any], key: bytes, told: dict[str, Any]) -> bytes:
    place = fields["document"] + fields["epoch"].to_bytes(8, "big") + fields["edition"] + fields["mailbox"]
    nonce = fixed("label nonce" + fields["edition"].hex(), 24)
    return seal_box(key, "elpis-wrap", encode(told), b"\1wrap\0" + place, nonce=nonce)


def content(at: int, *, edit: bool) -> dict[str, Any]:
    """What an opening of one of the items gives."""
    place = half_tag(ITEMS[at]) + ITEMS[at]["tag"]
    read, append = derive_key(S1, "elpis-token-read", place), derive_key(S1, "elpis-token-add", place)
    return {"key": CHANNEL_KEYS[at], "read": read, "append": append if edit else None} | TOLD[at]


KEYS = [mask(fields, key) for fields, key in zip(ITEMS, CHANNEL_KEYS, strict=True)]
LABELS = [seal_label(fields, key, told) for fields, key, told in zip(ITEMS, CHANNEL_KEYS, TOLD, strict=True)]


def package_fields(inner: bytes, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "recipient": DOCTOR.box.public,
        "grant": inner,
        "half": S1,
        "reader": READER.seed,
        "keys": b"".join(KEYS),
        "labels": LABELS,
    }
    return fields | changes


def sealed_package(
    to: Identity = DOCTOR, signer: SigningKey = HOLDER.sign, outer: dict[str, Any] | None = None, **changes: Any
) -> bytes:
    """A package sealed to `to`; `changes` are of the grant inside, `outer` of the package around it."""
    inner = signed("grant", grant_fields(**changes), signer)
    package = signed("package", package_fields(inner, **(outer or {})), signer)
    return seal_padded(fixed("grant ephemeral"), to.box.public, package)


def make() -> list[Vectors]:
    return [_grant(), _renewal(), _half_tag(), _wrap()]


def _grant() -> Vectors:
    vectors = Vectors("grant")

    def given(sealed: bytes, person: Identity = DOCTOR, **changes: Any) -> dict[str, Any]:
        return {"sealed": sealed, "grantee": secrets_of(person), "now": NOW} | changes

    names = ("number", "right", "purpose", "until", "openings", "offline")

    def output(**changes: Any) -> dict[str, Any]:
        fields = grant_fields(**changes)
        told = {"hash": hash32(encode(fields)), "half": S1, "reader": READER.seed}
        return {name: fields[name] for name in names} | told | {"documents": [i["document"] for i in ITEMS]}

    vectors.valid(
        "two-documents", "two documents, edit, one day", given(sealed_package(), seed=HOLDER.sign.seed), output()
    )
    once = sealed_package(right="read", openings=1, offline=0)
    vectors.valid(
        "read-once", "to read, opened once, never offline", given(once), output(right="read", openings=1, offline=0)
    )
    vectors.valid("last-second", "in its last second", given(sealed_package(), now=UNTIL - 1), output())

    def hybrid(suite: int, *, byte: bytes = b"") -> bytes:
        """Sealed in suite 2, whatever the package says; `byte` in place of the one before the box."""
        package = signed(
            "package", package_fields(signed("grant", grant_fields(), HOLDER.sign), suite=suite), HOLDER.sign
        )
        sealed = seal_statement_fixed("grant 2", DOCTOR.box.public, package, kem_of(DOCTOR))
        return (byte or sealed[:1]) + sealed[1:]

    vectors.valid("suite-2", "sealed in suite 2", given(hybrid(2), seed=HOLDER.sign.seed), output())

    def refused(name: str, description: str, failure: str, sealed: bytes, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(sealed, **changes))

    refused("suite-2-says-1", "sealed in suite 2, signed for suite 1", "suite-refused", hybrid(1))
    refused(
        "suite-1-says-2", "sealed in suite 1, signed for suite 2", "suite-refused", sealed_package(outer={"suite": 2})
    )
    refused("suite-2-as-1", "sealed in suite 2, shown as suite 1", "cannot-open", hybrid(2, byte=b"\1"))
    refused("suite-1-as-2", "sealed in suite 1, shown as suite 2", "cannot-open", b"\2" + sealed_package()[1:])
    refused("suite-byte-3", "sealed in an unknown suite", "suite-refused", hybrid(2, byte=b"\3"))
    refused("suite-byte-0", "sealed in no suite", "suite-refused", hybrid(2, byte=b"\0"))
    refused("nothing", "no byte at all", "cannot-open", b"")
    inner = signed("grant", grant_fields(), HOLDER.sign)
    package = signed("package", package_fields(inner), HOLDER.sign)
    resealed = seal_padded(fixed("resealed"), OTHER.box.public, package)
    refused(
        "resealed",
        "taken out and sealed again to somebody else",
        "wrong-recipient",
        resealed,
        grantee=secrets_of(OTHER),
    )
    theirs = seal_padded(fixed("theirs"), DOCTOR.box.public, signed("package", package_fields(inner), OTHER.sign))
    refused("package-by-other", "the grant put into a package that somebody else signed", "bad-signature", theirs)
    forged = signed("grant", grant_fields(), OTHER.sign)
    around = seal_padded(fixed("around"), DOCTOR.box.public, signed("package", package_fields(forged), HOLDER.sign))
    refused("grant-by-other", "a grant that its issuer did not sign", "bad-signature", around)
    refused(
        "recipient-other",
        "the package names another recipient",
        "wrong-recipient",
        sealed_package(outer={"recipient": OTHER.box.public}),
    )
    refused(
        "grantee-box-other",
        "the grant names another box key",
        "wrong-recipient",
        sealed_package(grantee_box=OTHER.box.public),
    )
    refused(
        "grantee-sign-other",
        "the grant names another signing key",
        "wrong-recipient",
        sealed_package(grantee_sign=OTHER.sign.public),
    )
    refused("not-sealed-to-me", "sealed to somebody else", "cannot-open", sealed_package(to=OTHER))
    refused("bit", "one bit changed on the way", "cannot-open", flip(sealed_package(), 100))
    refused("over", "read at the second when it ends", "expired", sealed_package(), now=UNTIL)
    refused("ends-before-start", "ends before it starts", "malformed", sealed_package(not_before=UNTIL))
    refused("payer", "to a payer's role", "role-denied", sealed_package(role="insurer"))
    refused("role-unknown", "to a role that is not on the list", "role-denied", sealed_package(role="wizard"))
    refused("suite-grant", "a grant of an unknown suite", "suite-refused", sealed_package(suite=2))
    refused("suite-package", "a package of an unknown suite", "suite-refused", sealed_package(outer={"suite": 3}))
    refused("right-unknown", "a right that does not exist", "malformed", sealed_package(right="own"))
    refused("openings-0", "openings limited to none", "malformed", sealed_package(openings=0))
    refused("offline-week", "offline for more than a week", "malformed", sealed_package(offline=7 * DAY + 1))

    def items(name: str, description: str, *told: dict[str, Any]) -> None:
        refused(name, description, "malformed", sealed_package(items=columns(told)))

    def changed(name: str, description: str, **outer: Any) -> None:
        refused(name, description, "malformed", sealed_package(outer=outer))

    def column(name: str, description: str, key: str, value: bytes) -> None:
        refused(name, description, "malformed", sealed_package(items=columns(ITEMS) | {key: value}))

    empty = sealed_package(items=columns([]), outer={"keys": b"", "labels": []})
    refused("no-items", "nothing granted", "malformed", empty)
    many = [item(str(number)) for number in range(1025)]
    over = {"keys": bytes(32 * 1025), "labels": [b""] * 1025}
    refused("items-1025", "one document more than a grant may hold", "malformed",
            sealed_package(items=columns(many), outer=over))  # fmt: skip
    changed("key-missing", "fewer masked keys than items", keys=KEYS[0])
    changed("key-cut", "a masked key of 31 bytes", keys=b"".join(KEYS)[:-1])
    changed("label-missing", "fewer labels than items", labels=LABELS[:1])
    changed("label-more", "more labels than items", labels=[*LABELS, LABELS[0]])
    changed("label-2121", "a label of 2121 bytes", labels=[LABELS[0], bytes(2121)])
    changed("label-text", "a label that is text", labels=[LABELS[0], "Letter"])
    whole = columns(ITEMS)
    for name, width in masking.WIDTHS.items():
        column(f"{name}-short", f"a value less in the column of {name}", name, whole[name][:-width])
        column(f"{name}-cut", f"the column of {name} without its last byte", name, whole[name][:-1])
    extra = sealed_package(items=whole | {"titles": b""})
    refused("column-more", "a column more", "malformed", extra)
    lists = sealed_package(items=whole | {"documents": [told["document"] for told in ITEMS]})
    refused("column-list", "a column that is a list", "malformed", lists)
    items("tag-twice", "two items of one tag", ITEMS[0], item("letter", tag=ITEMS[0]["tag"]))
    items("document-twice", "one document twice", ITEMS[0], item("letter", document=ITEMS[0]["document"]))
    items("epoch-0", "an item of epoch 0, which is never granted", item("medications", epoch=0), ITEMS[1])
    items("epoch-2-63", "an item of epoch 2^63", ITEMS[0], item("letter", epoch=1 << 63))
    former = without(without(package_fields(inner), "keys"), "labels") | {"wraps": [b"wrap"] * 2}
    refused("form-before", "in the form before this one, with a wrap for each item", "suite-refused",
            seal_padded(fixed("form before"), DOCTOR.box.public, signed("package", former, HOLDER.sign)))  # fmt: skip
    refused("half-31", "a half of 31 bytes", "malformed", sealed_package(outer={"half": S1[:31]}))
    items("mailbox-twice", "two documents in one mailbox", ITEMS[0], item("letter", mailbox=ITEMS[0]["mailbox"]))
    refused("ten-years", "for more than ten years", "malformed", sealed_package(until=NOW + 3650 * DAY + 1))
    slash = sealed_package(relay="https://relay.example/")
    refused("relay-slash", "with a relay's address that ends with a slash", "malformed", slash)
    unpadded = b"\1" + seal_fixed(fixed("unpadded"), DOCTOR.box.public, package)
    refused("not-padded", "without padding", "malformed", unpadded)
    bare = seal_padded(fixed("bare"), DOCTOR.box.public, inner)
    refused("bare-grant", "a grant without its package", "malformed", bare)
    card = seal_padded(fixed("card"), DOCTOR.box.public, signed("card", card_fields(HOLDER), HOLDER.sign))
    refused("a-card", "a card in place of a package", "malformed", card)
    return vectors


def _renewal() -> Vectors:
    vectors = Vectors("renewal")
    items = [
        item("medications", epoch=2, tag=fixed("tag medications 2", 16)),
        item("letter", epoch=4, tag=fixed("tag letter 4", 16)),
    ]

    renewed: dict[str, Any] = {
        "suite": 1,
        "recipient": DOCTOR.box.public,
        "number": NUMBER,
        "items": columns(items),
        "keys": b"".join(KEYS),
        "labels": LABELS,
    }

    def sealed(signer: SigningKey = HOLDER.sign, to: Identity = DOCTOR, **changes: Any) -> bytes:
        return seal_padded(fixed("renewal"), to.box.public, signed("renewal", renewed | changes, signer))

    def given(data: bytes, person: Identity = DOCTOR) -> dict[str, Any]:
        return {"sealed": data, "grantee": secrets_of(person), "issuer": HOLDER.sign.public, "known": ITEMS}

    def hybrid(suite: int) -> bytes:
        data = signed("renewal", renewed | {"suite": suite}, HOLDER.sign)
        return seal_statement_fixed("renewal 2", DOCTOR.box.public, data, kem_of(DOCTOR))

    vectors.valid("suite-2", "sealed in suite 2", given(hybrid(2)), {"number": NUMBER, "epochs": [2, 4]})
    vectors.refused("suite-2-says-1", "sealed in 2, signed for 1", "suite-refused", given(hybrid(1)))
    vectors.valid(
        "next-epochs", "the next epochs of both documents", given(sealed()), {"number": NUMBER, "epochs": [2, 4]}
    )
    former = without(without(renewed, "keys"), "labels") | {"wraps": [b"wrap"] * 2}
    for name, description, failure, data in (
        ("by-other", "not by the grant's issuer", "bad-signature", sealed(OTHER.sign)),
        ("recipient-other", "names another recipient", "wrong-recipient", sealed(recipient=OTHER.box.public)),
        ("key-missing", "fewer masked keys than items", "malformed", sealed(keys=KEYS[1])),
        ("label-missing", "fewer labels than items", "malformed", sealed(labels=LABELS[1:])),
        ("tags-short", "a value less in a column", "malformed", sealed(items=columns(items) | {"tags": bytes(16)})),
        ("item-twice", "one item twice", "malformed", sealed(items=columns([items[0], items[0]]))),
        (
            "form-before",
            "with a wrap for each item",
            "suite-refused",
            seal_padded(fixed("renewal before"), DOCTOR.box.public, signed("renewal", former, HOLDER.sign)),
        ),
        ("suite-1-says-2", "sealed in suite 1, signed for suite 2", "suite-refused", sealed(suite=2)),
        ("suite-3", "an unknown suite", "suite-refused", sealed(suite=3)),
        ("a-package", "a package in place of a renewal", "malformed", sealed_package()),
        (
            "epoch-same",
            "the epoch that is known",
            "replayed",
            sealed(items=columns([item("medications", tag=items[0]["tag"]), items[1]])),
        ),
        (
            "tag-same",
            "the tag of the epoch before",
            "replayed",
            sealed(items=columns([item("medications", epoch=2), items[1]])),
        ),
        (
            "tag-of-other",
            "the tag that another item has",
            "replayed",
            sealed(items=columns([items[0] | {"tag": ITEMS[1]["tag"]}, items[1]])),
        ),
        (
            "document-unknown",
            "a document that was not granted",
            "not-found",
            sealed(items=columns([items[0], _unknown()])),
        ),
    ):
        vectors.refused(name, description, failure, given(data))
    again = b"\1" + seal_fixed(fixed("renewal again"), OTHER.box.public, DOCTOR.box.open(sealed()[1:]))
    vectors.refused("resealed", "sealed again to somebody else", "wrong-recipient", given(again, OTHER))
    return vectors


def _unknown() -> dict[str, Any]:
    return item("photo", epoch=9, tag=fixed("tag photo", 16))


def _half_tag() -> Vectors:
    vectors = Vectors("half-tag")
    for name, half, tag in (
        ("first", S2, ITEMS[0]["tag"]),
        ("other-tag", S2, ITEMS[1]["tag"]),
        ("other-half", fixed("another S2"), ITEMS[0]["tag"]),
    ):
        output = {"half_tag": masking.derive_half_tag(half, tag)}
        vectors.valid(name, "the relay's half for one item", {"half": half, "tag": tag}, output)
    return vectors


def _wrap() -> Vectors:
    vectors = Vectors("wrap")
    released = [half_tag(fields) for fields in ITEMS]

    def given(at: int = 0, **changes: Any) -> dict[str, Any]:
        told = {
            "half": S1,
            "half_tag": released[at],
            "grant_hash": GRANT_HASH,
            "item": ITEMS[at],
            "masked": KEYS[at],
            "label": LABELS[at],
            "right": "edit",
        }
        return told | changes

    vectors.valid("edit", "with the right to edit", given(), content(0, edit=True))
    vectors.valid("read", "with the right to read", given(1, right="read"), content(1, edit=False))

    def refused(name: str, description: str, failure: str = "cannot-open", at: int = 0, **changes: Any) -> None:
        vectors.refused(name, description, failure, given(at, **changes))

    refused("without-relay", "the grantee's half with no half from the relay", half_tag=bytes(32))
    refused("half-itself", "the relay's whole half in place of its half for the item", half_tag=S2)
    refused("other-item-half", "the relay's half for another item", half_tag=released[1])
    refused("other-half", "another grantee's half", half=fixed("another S1"))
    refused("halves-swapped", "both halves in the other order", half=released[0], half_tag=S1)
    refused("other-grant", "under another grant", grant_hash=fixed("another grant"))
    refused("other-item", "a masked key and its label moved to another item", at=1, masked=KEYS[0], label=LABELS[0])
    refused("key-of-other", "a masked key moved to another item", at=1, masked=KEYS[0])
    refused("label-of-other", "the label of another document", label=LABELS[1])
    refused("other-tag", "under another tag", item=item("medications", tag=ITEMS[1]["tag"]))
    refused("other-document", "told of another document", item=item("medications", document=ITEMS[1]["document"]))
    refused("other-epoch", "told of another epoch", item=item("medications", epoch=2))
    refused("other-edition", "told of another edition", item=item("medications", edition=fixed("another edition")))
    refused("other-mailbox", "told of another mailbox", item=item("medications", mailbox=fixed("elsewhere")))
    refused("key-bare", "the channel key in place of the masked one", masked=CHANNEL_KEYS[0])
    refused("bit-of-key", "one bit of the masked key changed", masked=flip(KEYS[0], -1))
    refused("bit", "one bit of the label changed", label=flip(LABELS[0], -1))
    refused("key-31", "a masked key of 31 bytes", "malformed", masked=KEYS[0][:31])
    long = seal_label(ITEMS[0], CHANNEL_KEYS[0], TOLD[0] | {"title": "t" * 501})
    refused("title-501", "a title of 501 characters", "malformed", label=long)
    bare = seal_label(ITEMS[0], CHANNEL_KEYS[0], without(TOLD[0], "kind"))
    refused("no-kind", "a field less", "malformed", label=bare)
    return vectors
