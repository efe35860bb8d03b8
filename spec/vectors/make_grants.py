"""spec/grant.md: the package that a grantee opens, renewals, the relay's half for one item, wraps."""

from __future__ import annotations

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
from vault import grant
from vault.encoding import encode
from vault.identity import Identity
from vault.primitives import SigningKey, hash32, seal_box

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
        "items": ITEMS,
    }
    return fields | changes


GRANT_HASH = hash32(encode(grant_fields()))


def content(name: str, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "key": fixed(f"{name} document key"),
        "read": fixed(f"{name} read token"),
        "append": fixed(f"{name} append token"),
        "title": "Medications",
        "kind": "medications",
    }
    return fields | changes


def wrap(fields: dict[str, Any], told: dict[str, Any], half: bytes = S1, released: bytes | None = None) -> bytes:
    released = grant.derive_half_tag(S2, fields["tag"]) if released is None else released
    key = grant.derive_item_key(half, released, GRANT_HASH, fields["tag"])
    aad = b"\1wrap\0" + GRANT_HASH + encode(fields)
    return seal_box(key, "elpis-wrap", encode(told), aad, nonce=fixed("wrap nonce" + fields["tag"].hex(), 24))


WRAPS = [
    wrap(ITEMS[0], content("medications")),
    wrap(ITEMS[1], content("letter", append=None, title="Letter", kind="clinical")),
]


def package_fields(inner: bytes, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "recipient": DOCTOR.box.public,
        "grant": inner,
        "half": S1,
        "reader": READER.seed,
        "wraps": WRAPS,
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
        return {name: fields[name] for name in names} | told | {"documents": [i["document"] for i in fields["items"]]}

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
    refused("no-items", "nothing granted", "malformed", sealed_package(items=[], outer={"wraps": []}))
    refused("wrap-missing", "fewer wraps than items", "malformed", sealed_package(outer={"wraps": WRAPS[:1]}))
    refused(
        "tag-twice",
        "two items of one tag",
        "malformed",
        sealed_package(items=[ITEMS[0], item("letter", tag=ITEMS[0]["tag"])]),
    )
    same = item("letter", document=ITEMS[0]["document"])
    refused("document-twice", "one document twice", "malformed", sealed_package(items=[ITEMS[0], same]))
    refused(
        "epoch-0",
        "an item of epoch 0, which is never granted",
        "malformed",
        sealed_package(items=[item("medications", epoch=0), ITEMS[1]]),
    )
    refused(
        "item-field",
        "an item with one field more",
        "malformed",
        sealed_package(items=[item("medications", title="x"), ITEMS[1]]),
    )
    refused("half-31", "a half of 31 bytes", "malformed", sealed_package(outer={"half": S1[:31]}))
    together = item("letter", mailbox=ITEMS[0]["mailbox"])
    refused("mailbox-twice", "two documents in one mailbox", "malformed", sealed_package(items=[ITEMS[0], together]))
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

    def sealed(signer: SigningKey = HOLDER.sign, to: Identity = DOCTOR, **changes: Any) -> bytes:
        fields = {"suite": 1, "recipient": DOCTOR.box.public, "number": NUMBER, "items": items, "wraps": WRAPS}
        return seal_padded(fixed("renewal"), to.box.public, signed("renewal", fields | changes, signer))

    def given(data: bytes, person: Identity = DOCTOR) -> dict[str, Any]:
        return {"sealed": data, "grantee": secrets_of(person), "issuer": HOLDER.sign.public, "known": ITEMS}

    def hybrid(suite: int) -> bytes:
        fields = {"suite": suite, "recipient": DOCTOR.box.public, "number": NUMBER, "items": items, "wraps": WRAPS}
        data = signed("renewal", fields, HOLDER.sign)
        return seal_statement_fixed("renewal 2", DOCTOR.box.public, data, kem_of(DOCTOR))

    vectors.valid("suite-2", "sealed in suite 2", given(hybrid(2)), {"number": NUMBER, "epochs": [2, 4]})
    vectors.refused("suite-2-says-1", "sealed in 2, signed for 1", "suite-refused", given(hybrid(1)))
    vectors.valid(
        "next-epochs", "the next epochs of both documents", given(sealed()), {"number": NUMBER, "epochs": [2, 4]}
    )
    for name, description, failure, data in (
        ("by-other", "not by the grant's issuer", "bad-signature", sealed(OTHER.sign)),
        ("recipient-other", "names another recipient", "wrong-recipient", sealed(recipient=OTHER.box.public)),
        ("wrap-missing", "fewer wraps than items", "malformed", sealed(wraps=WRAPS[1:])),
        ("item-twice", "one item twice", "malformed", sealed(items=[items[0], items[0]])),
        ("suite-1-says-2", "sealed in suite 1, signed for suite 2", "suite-refused", sealed(suite=2)),
        ("suite-3", "an unknown suite", "suite-refused", sealed(suite=3)),
        ("a-package", "a package in place of a renewal", "malformed", sealed_package()),
        (
            "epoch-same",
            "the epoch that is known",
            "replayed",
            sealed(items=[item("medications", tag=items[0]["tag"]), items[1]]),
        ),
        ("tag-same", "the tag of the epoch before", "replayed", sealed(items=[item("medications", epoch=2), items[1]])),
        (
            "tag-of-other",
            "the tag that another item has",
            "replayed",
            sealed(items=[items[0] | {"tag": ITEMS[1]["tag"]}, items[1]]),
        ),
        ("document-unknown", "a document that was not granted", "not-found", sealed(items=[items[0], _unknown()])),
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
        output = {"half_tag": grant.derive_half_tag(half, tag)}
        vectors.valid(name, "the relay's half for one item", {"half": half, "tag": tag}, output)
    return vectors


def _wrap() -> Vectors:
    vectors = Vectors("wrap")
    released = [grant.derive_half_tag(S2, fields["tag"]) for fields in ITEMS]

    def given(**changes: Any) -> dict[str, Any]:
        told = {"half": S1, "half_tag": released[0], "grant_hash": GRANT_HASH, "item": ITEMS[0], "wrap": WRAPS[0]}
        return told | changes

    vectors.valid("edit", "with the right to edit", given(), content("medications"))
    letter = given(half_tag=released[1], item=ITEMS[1], wrap=WRAPS[1])
    vectors.valid(
        "read", "with the right to read", letter, content("letter", append=None, title="Letter", kind="clinical")
    )

    def refused(name: str, description: str, failure: str = "cannot-open", **changes: Any) -> None:
        vectors.refused(name, description, failure, given(**changes))

    refused("without-relay", "the grantee's half with no half from the relay", half_tag=bytes(32))
    refused("half-itself", "the relay's whole half in place of its half for the item", half_tag=S2)
    refused("other-item-half", "the relay's half for another item", half_tag=released[1])
    refused("other-half", "another grantee's half", half=fixed("another S1"))
    refused("halves-swapped", "both halves in the other order", half=released[0], half_tag=S1)
    refused("other-grant", "under another grant", grant_hash=fixed("another grant"))
    refused("other-item", "moved to another item", item=ITEMS[1], half_tag=released[1])
    refused("other-epoch", "moved to another epoch", item=item("medications", epoch=2))
    refused("other-mailbox", "moved to another mailbox", item=item("medications", mailbox=fixed("elsewhere")))
    refused("bit", "one bit changed", wrap=flip(WRAPS[0], -1))
    long = wrap(ITEMS[0], content("medications", title="t" * 501))
    refused("title-501", "a title of 501 characters", "malformed", wrap=long)
    refused("no-key", "a field less", "malformed", wrap=wrap(ITEMS[0], without(content("medications"), "key")))
    return vectors
