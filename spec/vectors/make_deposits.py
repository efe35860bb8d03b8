"""spec/deposit.md: a signed document put into somebody's inbox by whoever holds the contact card."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import DOCTOR, HOLDER, NOW, OTHER, kem_of, make_card, secrets_of, signed, without
from spec.vectors.sealing import seal_statement_fixed
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed, seal_padded
from vault import identity
from vault.identity import Identity
from vault.primitives import SigningKey

STATE: dict[str, Any] = {
    "meta": {"kind": "clinical", "title": "Laboratory result", "date": "2026-11-20"},
    "entries": {fixed("entry", 16).hex(): {"kind": "result", "label": "INR", "value": "2.4", "negated": False}},
    "attachments": {},
}
FILE: dict[str, Any] = {
    "sha256": fixed("file hash"),
    "inline": b"%PDF-1.7 example",
    "blob": None,
    "token": None,
    "key": None,
    "sealed_sha256": None,
    "sealed_size": 0,
    "media_type": "application/pdf",
    "name": "result.pdf",
    "size": 16,
}

OUTSIDE: dict[str, Any] = {
    "blob": fixed("blob address"),
    "token": fixed("blob token"),
    "key": fixed("blob key"),
    "sealed_sha256": fixed("sealed hash"),
    "sealed_size": 1 << 20,
}


def _outside(**changes: Any) -> dict[str, Any]:
    return FILE | OUTSIDE | {"inline": None, "size": 1_000_000} | changes


def deposit_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "recipient": HOLDER.box.public,
        "card": make_card(DOCTOR),
        "certificate": None,
        "authority": None,
        "unique": "lab:2026-0042",
        "made": NOW,
        "relay": "https://relay.example",
        "state": STATE,
        "files": [FILE],
    }
    return fields | changes


def sealed(signer: SigningKey = DOCTOR.sign, to: Identity = HOLDER, **changes: Any) -> bytes:
    return seal_padded(fixed("deposit"), to.box.public, signed("deposit", deposit_fields(**changes), signer))


def make() -> list[Vectors]:
    vectors = Vectors("deposit")

    def given(data: bytes, person: Identity = HOLDER) -> dict[str, Any]:
        return {"sealed": data, "recipient": secrets_of(person)}

    sender = {"sender": DOCTOR.name, "sender_id": identity.derive_person_id(DOCTOR.sign.public, DOCTOR.box.public)}
    told = sender | {"unique": "lab:2026-0042", "made": NOW, "state": STATE, "files": 1}
    vectors.valid("result", "a result with its file", given(sealed()), told)
    vectors.valid("file-outside", "a result whose file lies at a relay", given(sealed(files=[_outside()])), told)
    vectors.valid("no-file", "a result without a file", given(sealed(files=[])), told | {"files": 0})
    vectors.valid("suite-2", "sealed in suite 2", given(_hybrid(2)), told)
    again = b"\1" + seal_fixed(fixed("again"), OTHER.box.public, HOLDER.box.open(sealed()[1:]))
    vectors.refused("resealed", "sealed again to somebody else", "wrong-recipient", given(again, OTHER))
    inner = signed("card", {}, DOCTOR.sign)
    for name, description, failure, data in (
        ("recipient-other", "names another recipient", "wrong-recipient", sealed(recipient=OTHER.box.public)),
        ("by-other", "not signed by the key on its card", "bad-signature", sealed(OTHER.sign)),
        ("other-card", "under somebody else's card", "bad-signature", sealed(card=make_card(OTHER))),
        ("card-forged", "with a card of a broken signature", "bad-signature", sealed(card=_forged_card())),
        ("card-empty", "with a card that says nothing", "malformed", sealed(card=inner)),
        ("suite-1-says-2", "sealed in suite 1, signed for suite 2", "suite-refused", sealed(suite=2)),
        ("suite-2-says-1", "sealed in suite 2, signed for suite 1", "suite-refused", _hybrid(1)),
        ("suite-3", "an unknown suite", "suite-refused", sealed(suite=3)),
        ("bit", "one bit changed", "cannot-open", flip(sealed(), 60)),
        ("to-other", "sealed to somebody else", "cannot-open", sealed(to=OTHER)),
        ("state-part-missing", "a state without attachments", "malformed", sealed(state=without(STATE, "attachments"))),
        ("state-nested", "a list where a value belongs", "malformed", sealed(state=STATE | {"meta": {"title": ["x"]}})),
        ("state-bytes", "bytes where a value belongs", "malformed", sealed(state=STATE | {"meta": {"title": b"x"}})),
        ("file-hash-31", "a file's hash of 31 bytes", "malformed", sealed(files=[FILE | {"sha256": bytes(31)}])),
        ("file-field", "a file with one field more", "malformed", sealed(files=[FILE | {"path": "../x"}])),
        ("files-201", "201 files", "malformed", sealed(files=_many(201))),
        ("file-twice", "one file twice", "malformed", sealed(files=[FILE, FILE])),
        (
            "blob-twice",
            "two files at one place",
            "malformed",
            sealed(files=[_outside(), _outside(sha256=fixed("other file"))]),
        ),
        ("file-nowhere", "a file neither inside nor at a relay", "malformed", sealed(files=[FILE | {"inline": None}])),
        ("file-both", "a file inside and at a relay", "malformed", sealed(files=[FILE | OUTSIDE])),
        ("file-half-outside", "a file at a relay without its key", "malformed", sealed(files=[_outside(key=None)])),
        ("file-other-size", "a file inside that says another size", "malformed", sealed(files=[FILE | {"size": 15}])),
        ("relay-empty", "no relay's address", "malformed", sealed(relay="")),
    ):
        vectors.refused(name, description, failure, given(data))
    return [vectors]


def _hybrid(suite: int) -> bytes:
    """Sealed in suite 2, whatever the deposit says."""
    data = signed("deposit", deposit_fields(suite=suite), DOCTOR.sign)
    return seal_statement_fixed("deposit 2", HOLDER.box.public, data, kem_of(HOLDER))


def _many(count: int) -> list[dict[str, Any]]:
    return [FILE | {"sha256": fixed(f"file {n}")} for n in range(count)]


def _forged_card() -> bytes:
    card = make_card(DOCTOR)
    return flip(card, card.index(b"\x63sig\x58\x40") + 6)
