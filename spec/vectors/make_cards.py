"""spec/card.md: contact cards, their printed text, safety numbers."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import DOCTOR, HOLDER, OTHER, card_fields, kem_of, make_card, signed, without
from spec.vectors.writing import Vectors, fixed, flip
from vault import identity
from vault.encoding import encode
from vault.primitives import hash32


def make() -> list[Vectors]:
    return [_card(), _text(), _safety()]


def _card() -> Vectors:
    vectors = Vectors("card")
    fields = card_fields(DOCTOR)
    good = make_card(DOCTOR)

    def output(told: dict[str, Any]) -> dict[str, Any]:
        number = identity.derive_person_id(told["sign"], told["box"])
        return {"kem": None} | told | {"relay": told["relay"] or "", "id": number}

    vectors.valid("doctor", "a professional's card", {"data": good, "seed": DOCTOR.sign.seed}, output(fields))
    bare = card_fields(HOLDER, relay=None, relay_key=None, inbox=None, deposit=None)
    data = signed("card", bare, HOLDER.sign)
    vectors.valid("no-relay", "a card before there is a relay", {"data": data, "seed": HOLDER.sign.seed}, output(bare))

    def refused(name: str, description: str, failure: str, data: bytes) -> None:
        vectors.refused(name, description, failure, {"data": data})

    def changed(**changes: Any) -> bytes:
        return signed("card", fields | changes, DOCTOR.sign)

    refused(
        "keys-replaced",
        "the box key replaced, the old signature kept",
        "bad-signature",
        _replaced("box", OTHER.box.public),
    )
    refused(
        "name-replaced",
        "the name replaced, the old signature kept",
        "bad-signature",
        _replaced("name", "Docteur Example"),
    )
    refused(
        "signed-by-other", "signed by another key than it carries", "bad-signature", signed("card", fields, OTHER.sign)
    )
    refused("other-context", "signed as a grant", "bad-signature", _signed_as(fields, "grant"))
    refused("other-type", "a card that says it is a grant", "malformed", signed("grant", fields, DOCTOR.sign))
    kem = kem_of(DOCTOR)
    whole, short = fields | {"suite": 2, "kem": kem}, fields | {"suite": 2, "kem": hash32(kem)}
    for name, description, told in (
        ("suite-2", "a card with the key for suite 2", whole),
        ("short", "a short card, with the hash of that key", short),
    ):
        card = {"data": signed("card", told, DOCTOR.sign), "seed": DOCTOR.sign.seed}
        vectors.valid(name, description, card, output(short))

    def hybrid(**changes: Any) -> bytes:
        return signed("card", whole | changes, DOCTOR.sign)

    refused("suite-3", "an unknown suite", "suite-refused", changed(suite=3))
    refused("suite-0", "no suite at all", "suite-refused", changed(suite=0))
    refused("suite-text", "a suite that is text", "malformed", changed(suite="2"))
    refused("suite-2-no-kem", "suite 2 without its key", "malformed", changed(suite=2))
    refused("suite-1-kem", "suite 1 with a key of suite 2", "malformed", hybrid(suite=1))
    refused("kem-33", "neither a key nor a hash", "malformed", hybrid(kem=kem[:33]))
    refused("kem-null", "no key, said to be there", "malformed", hybrid(kem=None))
    refused("kem-not-a-key", "a key with a coefficient over the modulus", "bad-key", hybrid(kem=b"\xff" * 1184))
    sig = DOCTOR.sign.sign("card", encode(whole))
    swapped = encode({"type": "card", "body": encode(whole | {"kem": kem_of(OTHER)}), "sig": sig})
    refused("kem-replaced", "the key of suite 2 replaced, the old signature kept", "bad-signature", swapped)
    refused("low-order", "a box key of low order", "bad-key", changed(box=bytes(32)))
    refused("name-201", "a name of 201 characters", "malformed", changed(name="n" * 201))
    refused("key-31", "a box key of 31 bytes", "malformed", changed(box=fields["box"][:31]))
    refused("made-negative", "made before 1970", "malformed", changed(made=-1))
    refused("made-10000", "made in the year 10000", "malformed", changed(made=253_402_300_800))
    refused("half-inbox", "an inbox without its token", "malformed", changed(deposit=None))
    for name, relay in (
        ("ftp", "ftp://relay.example"),
        ("slash", "https://relay.example/"),
        ("space", "https://relay example"),
    ):
        refused(f"relay-{name}", f"a relay at {relay!r}", "malformed", changed(relay=relay))
    refused("name-bytes", "a name that is bytes", "malformed", changed(name=b"name"))
    refused("field-unknown", "one field more", "malformed", changed(extra=1))
    refused("field-missing", "one field less", "malformed", signed("card", without(fields, "inbox"), DOCTOR.sign))
    refused(
        "outer-unknown", "one field more around the body", "malformed", signed("card", fields, DOCTOR.sign, extra=1)
    )
    refused("signature-cut", "a signature of 63 bytes", "malformed", signed("card", fields, DOCTOR.sign, sig=bytes(63)))
    refused("trailing", "one byte more", "malformed", good + b"\0")
    refused("too-large", "over its size limit", "too-large", encode({"x": bytes(5000)}))
    return vectors


def _replaced(name: str, value: Any) -> bytes:
    """Another field under the signature of the card as it was."""
    fields = card_fields(DOCTOR)
    sig = DOCTOR.sign.sign("card", encode(fields))
    return encode({"type": "card", "body": encode(fields | {name: value}), "sig": sig})


def _signed_as(fields: dict[str, Any], kind: str) -> bytes:
    body = encode(fields)
    return encode({"type": "card", "body": body, "sig": DOCTOR.sign.sign(kind, body)})


def _text() -> Vectors:
    vectors = Vectors("card-text")
    card = make_card(DOCTOR)
    printed = identity.print_card(card)
    vectors.valid("printed", "a card as one line of text", {"text": printed}, {"data": card})
    vectors.valid(
        "spaces", "with the spaces and the line end of a message around it", {"text": f"  {printed}\n"}, {"data": card}
    )
    spare = printed[:-1] + chr(ord(printed[-1]) + 1)
    for name, description, text in (
        ("padded", "with base64 padding", printed + "="),
        ("plain-alphabet", "in the alphabet of plain base64", printed.replace("-", "+").replace("_", "/")),
        ("spare-bits", "with the unused last bits set", spare),
        ("not-base64", "a letter that base64 does not have", printed[:-4] + "é" + printed[-3:]),
        ("broken-line", "a line break inside", printed[:40] + "\n" + printed[40:]),
    ):
        vectors.refused(name, description, "malformed", {"text": text})
    vectors.refused(
        "bit", "a letter changed in the signature", "bad-signature", {"text": identity.print_card(_sig_flipped(card))}
    )
    return vectors


def _sig_flipped(card: bytes) -> bytes:
    """One bit of the signature, which follows its key in the encoding."""
    at = card.index(b"\x63sig\x58\x40") + 6
    return flip(card, at)


def _safety() -> Vectors:
    vectors = Vectors("safety-number")

    def given(mine: identity.Identity, theirs: identity.Identity, **changes: bytes) -> dict[str, bytes]:
        keys = {"my_sign": mine.sign.public, "my_box": mine.box.public}
        return keys | {"their_sign": theirs.sign.public, "their_box": theirs.box.public} | changes

    def number(told: dict[str, bytes]) -> dict[str, str]:
        mine, theirs = (told["my_sign"], told["my_box"]), (told["their_sign"], told["their_box"])
        return {"number": identity.derive_safety_number(mine, theirs)}

    for name, description, told in (
        ("holder-doctor", "as the holder sees it", given(HOLDER, DOCTOR)),
        ("doctor-holder", "as the doctor sees it: the same", given(DOCTOR, HOLDER)),
        ("other-box", "another box key gives another number", given(HOLDER, DOCTOR, their_box=fixed("replaced"))),
    ):
        vectors.valid(name, description, told, number(told))
    return vectors
