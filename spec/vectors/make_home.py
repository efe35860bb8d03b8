"""spec/storage.md, feeding.md, vault-channel.md: the head, a roster of patients, the box of a turn."""

from __future__ import annotations

import hashlib
from typing import Any

from spec.vectors.edges import Edge, Edges, at_edge, exact, suite, text, time, whole
from spec.vectors.make_devices import tokens
from spec.vectors.make_edges import KEY as KEY_LENGTH
from spec.vectors.make_edges import accepted, refused_beyond
from spec.vectors.make_rosters import LAPTOP, VAULT
from spec.vectors.people import DOCTOR, HOLDER, NOW, OTHER, make_card
from spec.vectors.writing import Vectors, fixed, flip, seal_fixed
from vault.encoding import encode
from vault.primitives import derive_key, pad, seal_box

VAULT_KEY = fixed("vault key")


def make() -> list[Vectors]:
    return [_head(), _patients(), _turn()]


def links(count: int) -> list[bytes]:
    """The chain of a database in which so many transactions wrote."""
    made = [bytes(32)]
    for number in range(1, count + 1):
        entry = made[-1] + number.to_bytes(8, "big") + fixed(f"link {number}", 16)
        made.append(hashlib.blake2b(entry, digest_size=32, person=b"elpis-chain".ljust(16, b"\0")).digest())
    return made


def head(count: int, link: bytes, *, key: bytes = VAULT_KEY, vault: bytes = VAULT, suite_byte: int = 1) -> bytes:
    body = bytes([suite_byte]) + vault + count.to_bytes(8, "big") + link
    return body + derive_key(derive_key(key, "elpis-head"), "elpis-head", body)


def _head() -> Vectors:
    vectors = Vectors("head")
    chain = links(4)

    def given(data: bytes, newest: int = 3, oldest: int = 1) -> dict[str, Any]:
        held = {str(number): chain[number] for number in range(oldest, newest + 1)}
        return {"key": VAULT_KEY, "vault": VAULT, "file": data, "links": held}

    good = head(3, chain[3])
    for name, description, told, count in (
        ("newest", "the newest link", given(good), 3),
        ("behind", "a head that a crash left behind the database", given(good, newest=4), 3),
        ("trimmed", "a database that keeps its last links alone", given(good, oldest=3), 3),
        ("nothing-written", "a vault in which nothing was written yet", given(head(0, chain[0]), newest=0), 0),
    ):
        vectors.valid(name, description, told, {"count": count})
    for name, description, told in (
        ("missing", "no head", given(b"")),
        ("cut", "88 bytes", given(good[:-1])),
        ("longer", "90 bytes", given(good + b"\0")),
        ("mac-bit", "one bit of the authentication", given(flip(good, -1))),
        ("count-bit", "another number under the authentication of this one", given(flip(good, 24))),
        ("other-key", "the head of a vault with another key", given(head(3, chain[3], key=fixed("another key")))),
        ("other-vault", "the head of another vault", given(head(3, chain[3], vault=fixed("other vault", 16)))),
        ("suite-2", "an unknown suite", given(head(3, chain[3], suite_byte=2))),
        ("older", "a database that was put back to an older copy", given(good, newest=2)),
        ("older-empty", "a database in which nothing was written, under the head of one with links", given(
            good, newest=0)),
        ("other-history", "a database with another link under that number", given(head(3, links(3)[2]))),
        ("zero-with-link", "number zero with a link", given(head(0, chain[1]))),
    ):  # fmt: skip
        vectors.refused(name, description, "rolled-back", told)
    return vectors


def patient(card: bytes, number: str, **changes: Any) -> dict[str, Any]:
    fields = {"card": card, "ids": [{"system": "", "number": number}], "name": "Example", "birth": "", "added": NOW}
    return fields | changes


def _patients() -> Vectors:
    vectors = Vectors("patient-roster")
    one, two = patient(make_card(HOLDER), "123"), patient(make_card(OTHER), "456", birth="1957-03-02")

    def sealed(fields: dict[str, Any], **by: Any) -> dict[str, Any]:
        plain = by.pop("plain", None) or encode(fields)
        told = {"key": VAULT_KEY, "vault": VAULT} | by.pop("as_given", {})
        key = derive_key(VAULT_KEY, "elpis-patients")
        box = seal_box(key, by.pop("label", "elpis-patients"), plain, encode(["patients", 1, VAULT]),
                       nonce=fixed("patients nonce", 24))  # fmt: skip
        return told | {"data": by.pop("change", lambda data: data)(box)}

    def roster(*patients: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {"suite": 1, "patients": list(patients)} | changes

    accepted(vectors, "two", "two patients", sealed(roster(one, two)))
    accepted(vectors, "nobody", "a roster without anybody", sealed(roster()))
    edges: Edges = {
        "suite": suite(), "patients.0.ids.0.system": text(200),
        "patients.0.ids.0.number": Edge("9" * 200, "9", text(200).beyond),
        "patients.0.name": Edge("n" * 200, "n", text(200).beyond), "patients.0.birth": text(10),
        "patients.0.added": time(),
    }  # fmt: skip
    for name, greatest in (("greatest", True), ("least", False)):
        accepted(vectors, name, "every field at its limit", sealed(at_edge(roster(one), edges, greatest=greatest)))
    refused_beyond(vectors, roster(one), edges, sealed)
    ids = [{"system": "", "number": str(number)} for number in range(21)]
    accepted(vectors, "20-ids", "as many numbers as a patient may have", sealed(roster(one | {"ids": ids[:20]})))
    forged = flip(one["card"], one["card"].index(b"\x63sig\x58\x40") + 6)
    for name, description, failure, told in (
        ("other-key", "another vault's key", "cannot-open", sealed(roster(one), as_given={"key": fixed("x key")})),
        ("other-vault", "another vault", "cannot-open", sealed(roster(one), as_given={"vault": fixed("x", 16)})),
        ("other-label", "a box for another purpose", "cannot-open", sealed(roster(one), label="elpis-wrap")),
        ("bit", "one bit", "cannot-open", sealed(roster(one), change=lambda data: flip(data, 100))),
        ("nothing", "an empty file", "cannot-open", sealed(roster(one), change=lambda data: b"")),
        ("trailing", "one byte more inside", "malformed", sealed({}, plain=encode(roster(one)) + b"\0")),
        ("field-unknown", "one field more", "malformed", sealed(roster(one, note="x"))),
        ("suite-2", "an unknown suite", "suite-refused", sealed(roster(one, suite=2))),
        ("no-ids", "a patient without a number", "malformed", sealed(roster(one | {"ids": []}))),
        ("21-ids", "one number more than a patient may have", "malformed", sealed(roster(one | {"ids": ids}))),
        ("number-empty", "an empty number", "malformed", sealed(roster(one | {"ids": [{"system": "", "number": ""}]}))),
        ("name-empty", "an empty name", "malformed", sealed(roster(one | {"name": ""}))),
        ("twice", "one person twice", "malformed", sealed(roster(one, one | {"name": "Exemple"}))),
        ("card-forged", "a card of a broken signature", "bad-signature", sealed(roster(one | {"card": forged}))),
        ("card-none", "no card", "malformed", sealed(roster(one | {"card": b""}))),
    ):
        vectors.refused(name, description, failure, told)
    return vectors


def _turn() -> Vectors:
    vectors = Vectors("turn-box")
    secret = fixed("laptop box")
    fields: dict[str, Any] = {"vault": VAULT, "device": LAPTOP["id"], "epoch": 2, **tokens("next channel")}

    def given(told: Any, *, to: bytes = LAPTOP["box"], padded: bool = True, **by: Any) -> dict[str, Any]:
        plain = encode(told)
        sealed = seal_fixed(fixed("turn ephemeral"), to, pad(plain) if padded else plain)
        return {"sealed": sealed, "box": secret, "vault": VAULT, "device": LAPTOP["id"]} | by

    accepted(vectors, "next", "the next channel, for a device that stays", given(fields))
    edges: Edges = dict.fromkeys(("address", "owner", "append", "key"), KEY_LENGTH)
    edges = {**edges, "vault": exact(16), "device": exact(16), "epoch": whole(1)}
    accepted(vectors, "last-epoch", "the last epoch there is", given(at_edge(fields, edges, greatest=True)))
    accepted(vectors, "first-epoch", "the first epoch", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    good = given(fields)
    for name, description, failure, told in (
        ("to-other", "for another device's key", "cannot-open", given(fields, to=DOCTOR.box.public)),
        ("bit", "one bit changed", "cannot-open", good | {"sealed": flip(good["sealed"], 50)}),
        ("nothing", "no byte", "cannot-open", good | {"sealed": b""}),
        ("not-padded", "without padding", "malformed", given(fields, padded=False)),
        ("field-more", "one field more", "malformed", given(fields | {"x": 1})),
        ("other-device", "another device's, sealed again", "verification-failed", given(
            fields | {"device": fixed("other device", 16)})),
        ("other-vault", "of another vault", "verification-failed", given(fields | {"vault": fixed("v", 16)})),
    ):  # fmt: skip
        vectors.refused(name, description, failure, told)
    return vectors
