"""spec/vault-channel.md: codes, hellos, numbers, welcomes, and what the vault's channel carries."""

from __future__ import annotations

import base64
from typing import Any

from spec.vectors.make_rosters import DEVICE, FIRST, LAPTOP, ROOT, TWO, VAULT, key_of
from spec.vectors.people import HOLDER, NOW, OTHER, RELAY_KEY, signed, without
from spec.vectors.sealing import seal_statement_fixed
from spec.vectors.writing import Vectors, fixed, flip
from vault.encoding import encode
from vault.enrolment import derive_commit, derive_number, derive_transcript
from vault.hybrid import PUBLIC, SEED, derive_public
from vault.primitives import BoxKey, derive_key, pad, seal_box

SECRET = fixed("code secret", 16)
FRESH = BoxKey.from_secret(fixed("fresh of the new"), fixed("seed of the new", SEED))
KEM, OTHER_KEM = derive_public(FRESH.seed or b""), derive_public(fixed("another seed", SEED))
OLD_FRESH = BoxKey.from_secret(fixed("fresh of the old"))
LOW_ORDER = bytes(32)


def hello_fields(role: str, /, **changes: Any) -> dict[str, Any]:
    device, fresh = (DEVICE, OLD_FRESH) if role == "old" else (LAPTOP, FRESH)
    fields: dict[str, Any] = {
        "suite": 2,
        "role": role,
        "vault": VAULT if role == "old" else None,
        "sign": device["sign"],
        "box": device["box"],
        "fresh": fresh.public,
        "kem": KEM if role == "new" else None,
        "nonce": fixed(f"{role} nonce"),
        "name": "téléphone" if role == "new" else "portable",
        "proof": None,
    }
    return fields | changes


OLD, NEW = encode(hello_fields("old")), encode(hello_fields("new"))
OLD_WITH_KEM = encode(hello_fields("old", kem=KEM))
COMMIT = derive_commit(OLD)
PROVEN = encode(hello_fields("new", proof=derive_key(SECRET, "elpis-pair-proof", COMMIT + NEW)))
TRANSCRIPT = derive_transcript(COMMIT, NEW, OLD)


def code_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "relay": "https://relay.example",
        "relay_key": RELAY_KEY.public,
        "address": fixed("meeting"),
        "token": fixed("meeting token"),
        "commit": COMMIT,
        "key": fixed("meeting key"),
        "secret": None,
    }
    return fields | changes


def line(fields: dict[str, Any], prefix: str = "elpis-device:") -> str:
    return prefix + base64.urlsafe_b64encode(encode(fields)).decode().rstrip("=")


def make_codes() -> Vectors:
    vectors = Vectors("device-code")
    for name, description, fields in (
        ("number", "a code whose meeting is compared by a number", code_fields()),
        ("secret", "a code with a secret", code_fields(secret=SECRET)),
    ):
        vectors.valid(name, description, {"text": line(fields)}, without(fields, "suite"))
    for name, description, failure, text in (
        ("card", "a card in place of a code", "malformed", line(code_fields(), "elpis-card:")),
        ("suite-2", "an unknown suite", "suite-refused", line(code_fields(suite=2))),
        ("padded", "with its base64 padding", "malformed", line(code_fields()) + "="),
        ("commit-31", "a commitment of 31 bytes", "malformed", line(code_fields(commit=bytes(31)))),
        ("secret-15", "a secret of 15 bytes", "malformed", line(code_fields(secret=bytes(15)))),
        ("relay-slash", "a relay's address that ends with a slash", "malformed", line(code_fields(relay="https://r/"))),
        ("no-commit", "a field less", "malformed", line(without(code_fields(), "commit"))),
    ):
        vectors.refused(name, description, failure, {"text": text})
    return vectors


def make_hellos() -> Vectors:
    vectors = Vectors("device-hello")
    told = ("vault", "sign", "box", "fresh", "kem", "nonce", "name")

    def given(data: bytes, role: str, **changes: Any) -> dict[str, Any]:
        return {"data": data, "role": role, "commit": COMMIT} | changes

    for name, description, role, data, more in (
        ("old", "of the device that shows the code", "old", OLD, {}),
        ("new", "of the device that read it", "new", NEW, {}),
        ("new-proven", "with the proof that it read a secret", "new", PROVEN, {"secret": SECRET}),
    ):
        output = {key: hello_fields(role)[key] for key in told}
        vectors.valid(name, description, given(data, role, **more), output)
    for name, description, failure, role, data, more in (
        (
            "old-other",
            "not what the code is bound to",
            "bad-signature",
            "old",
            encode(hello_fields("old", name="x")),
            {},
        ),
        ("old-bit", "one bit of it changed", "bad-signature", "old", flip(OLD, 40), {}),
        ("reflected", "the old device's hello comes back as the new one's", "malformed", "new", OLD, {}),
        ("no-proof", "without the proof", "bad-signature", "new", NEW, {"secret": SECRET}),
        (
            "proof-other-code",
            "a proof for another code",
            "bad-signature",
            "new",
            PROVEN,
            {"secret": SECRET, "commit": fixed("another commit")},
        ),
        (
            "proof-other-secret",
            "a proof with another secret",
            "bad-signature",
            "new",
            PROVEN,
            {"secret": fixed("other secret", 16)},
        ),
        ("suite-1", "a suite that is too low here", "suite-refused", "new", encode(hello_fields("new", suite=1)), {}),
        ("suite-3", "an unknown suite", "suite-refused", "new", encode(hello_fields("new", suite=3)), {}),
        ("no-kem", "a new device without an ML-KEM key", "malformed", "new", encode(hello_fields("new", kem=None)), {}),
        ("kem-ones", "no ML-KEM key", "bad-key", "new", encode(hello_fields("new", kem=b"\xff" * PUBLIC)), {}),
        ("kem-1183", "an ML-KEM key too short", "malformed", "new", encode(hello_fields("new", kem=KEM[1:])), {}),
        (
            "old-kem",
            "an old device with an ML-KEM key",
            "malformed",
            "old",
            OLD_WITH_KEM,
            {"commit": derive_commit(OLD_WITH_KEM)},
        ),
        ("fresh-low", "a fresh key of small order", "bad-key", "new", encode(hello_fields("new", fresh=LOW_ORDER)), {}),
        ("box-low", "a device key of small order", "bad-key", "new", encode(hello_fields("new", box=LOW_ORDER)), {}),
        ("role-other", "a role that does not exist", "malformed", "new", encode(hello_fields("new", role="third")), {}),
        ("nonce-31", "a nonce of 31 bytes", "malformed", "new", encode(hello_fields("new", nonce=bytes(31))), {}),
        ("name-61", "a name of 61 letters", "malformed", "new", encode(hello_fields("new", name="x" * 61)), {}),
        ("field-more", "one field more", "malformed", "new", encode(hello_fields("new") | {"x": 1}), {}),
    ):
        vectors.refused(name, description, failure, given(data, role, **more))
    return vectors


def make_hello_boxes() -> Vectors:
    vectors = Vectors("hello-box")
    key, address = fixed("meeting key"), fixed("meeting")

    def sealed(hello: bytes = NEW, label: str = "elpis-pair-hello", padded: bool = True) -> bytes:
        aad = b"\1hello\0" + address
        return seal_box(key, label, pad(hello) if padded else hello, aad, nonce=fixed("hello nonce", 24))

    def given(box: bytes, **changes: Any) -> dict[str, Any]:
        return {"key": key, "address": address, "sealed": box} | changes

    for name, hello in (("new", NEW), ("old", OLD)):
        vectors.valid(name, f"the hello of the {name} device", given(sealed(hello)), {"hello": hello})
    for name, description, failure, value in (
        ("other-key", "the key of another code", "cannot-open", given(sealed(), key=fixed("another key"))),
        ("other-meeting", "from another meeting", "cannot-open", given(sealed(), address=fixed("another meeting"))),
        ("other-label", "a box for another purpose", "cannot-open", given(sealed(label="elpis-env"))),
        ("bit", "one bit changed", "cannot-open", given(flip(sealed(), -30))),
        ("readable", "a hello that everybody can read", "cannot-open", given(NEW)),
        ("not-padded", "without padding", "malformed", given(sealed(padded=False))),
    ):
        vectors.refused(name, description, failure, value)
    return vectors


def make_meetings() -> Vectors:
    vectors = Vectors("device-meeting")
    other = encode(hello_fields("new", nonce=fixed("another nonce")))
    for name, description, new in (
        ("number", "the number that both screens show", NEW),
        ("other", "another hello, another number", other),
    ):
        transcript = derive_transcript(COMMIT, new, OLD)
        told = {"commit": COMMIT, "transcript": transcript, "number": derive_number(transcript)}
        vectors.valid(name, description, {"old": OLD, "new": new}, told)
    return vectors


def tokens(name: str) -> dict[str, bytes]:
    return {part: fixed(f"{name} {part}") for part in ("address", "owner", "append", "key")}


def welcome_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 2,
        "recipient": FRESH.public,
        "transcript": TRANSCRIPT,
        "proof": None,
        "root": ROOT.public,
        "chain": TWO.statements,
        "about": {"name": "Holder Example", "birth": "1957-03-02", "role": "", "language": "fr"},
        "identity_sign": HOLDER.sign.seed,
        "identity_box": HOLDER.box.secret,
        "relay": "https://relay.example",
        "relay_key": RELAY_KEY.public,
        "epoch": 1,
        "count": 7,
        "chain_at": fixed("chain at"),
        "channel": tokens("channel"),
        "snapshot": tokens("snapshot"),
        "senders": [{"device": DEVICE["id"], "seq": 3, "head": fixed("sender head")}],
    }
    return fields | changes


def welcomed(sealed: bytes, **changes: Any) -> dict[str, Any]:
    """What the new device has when it is handed this."""
    fields = {
        "sealed": sealed,
        "sign": key_of("laptop").seed,
        "box": fixed("laptop box"),
        "fresh": FRESH.secret,
        "seed": FRESH.seed,
        "old_sign": DEVICE["sign"],
        "vault": VAULT,
        "transcript": TRANSCRIPT,
    }
    return fields | changes


def make_welcomes() -> Vectors:
    vectors = Vectors("welcome")
    by, given = key_of("device"), welcomed

    def made(key: Any = by, to: bytes = FRESH.public, kem: bytes = KEM, **changes: Any) -> bytes:
        return seal_statement_fixed("welcome", to, signed("welcome", welcome_fields(**changes), key), kem)

    low = signed("welcome", welcome_fields(suite=1), by)

    names = ("identity_sign", "identity_box", "relay", "epoch", "count", "chain_at")
    told = {name: welcome_fields()[name] for name in names} | {"channel": tokens("channel")["address"]}
    proof = derive_key(SECRET, "elpis-pair-proof", TRANSCRIPT)
    vectors.valid("compared", "after a number was compared", given(made()), told)
    vectors.valid("secret", "with the proof of a secret", given(made(proof=proof), secret=SECRET), told)
    gone = TWO.then(ROOT, devices=[LAPTOP], epoch=2).statements
    for name, description, failure, value in (
        ("other-fresh", "sealed to another meeting's key", "cannot-open", given(made(to=OLD_FRESH.public))),
        ("bit", "one bit changed", "cannot-open", given(flip(made(), 90))),
        ("by-other", "signed by another device", "bad-signature", given(made(key=OTHER.sign))),
        ("no-proof", "without the proof of the secret", "bad-signature", given(made(), secret=SECRET)),
        ("other-kem", "sealed to another meeting's ML-KEM key", "cannot-open", given(made(kem=OTHER_KEM))),
        ("suite-1", "sealed in suite 1", "suite-refused", given(seal_statement_fixed("low", FRESH.public, low))),
        ("suite-1-signed", "sealed in suite 2, signed for suite 1", "suite-refused", given(made(suite=1))),
        ("suite-3", "signed for an unknown suite", "suite-refused", given(made(suite=3))),
        ("recipient", "signed for another device and sealed again", "wrong-recipient", given(
            made(recipient=OLD_FRESH.public))),
        ("transcript", "of another meeting", "wrong-recipient", given(made(transcript=fixed("other transcript")))),
        ("other-vault", "a roster of another vault", "malformed", given(made(), vault=fixed("other vault", 16))),
        ("other-root", "a roster that another root signed", "bad-signature", given(made(root=OTHER.sign.public))),
        ("not-in-it", "a roster without the new device", "malformed", given(made(chain=[FIRST]))),
        ("old-not-in-it", "a roster without the old device", "malformed", given(made(chain=gone))),
        ("chain-empty", "no roster", "malformed", given(made(chain=[]))),
        ("field-less", "a field less", "malformed", given(seal_statement_fixed(
            "welcome", FRESH.public, signed("welcome", without(welcome_fields(), "count"), by), KEM))),
    ):  # fmt: skip
        vectors.refused(name, description, failure, value)
    return vectors


CLAIM = {"actor": fixed("actor", 16), "seq": 1, "deps": [], "hash": fixed("change"), "data": b"chunk"}
ITEM = {"change": CLAIM, "author": "Holder Example", "time": NOW, "own": True}
EDITION: dict[str, Any] = {
    "document": fixed("document", 16),
    "epoch": 0,
    "parent": None,
    "heads": [],
    "change": CLAIM,
    "added": NOW,
    "author": "Holder Example",
    "channel": None,
    "current": True,
}
CHANGES = {"document": fixed("document", 16), "edition": fixed("change"), "items": [ITEM], "again": []}
TURN = {"chain": TWO.statements, "epoch": 2, "boxes": [{"device": LAPTOP["id"], "sealed": fixed("box", 300)}]}
PLACE = {**tokens("document"), "relay": "https://relay.example", "writers": [
    {"sign": HOLDER.sign.public, "name": "Holder Example", "role": "", "right": "edit"}]}  # fmt: skip
ROW = {"name": "person", "key": fixed("person", 16).hex(), "value": encode({"name": "Doctor Example"})}


def make_operations() -> Vectors:
    vectors = Vectors("vault-operation")
    for name, description, kind, fields in (
        ("roster", "the chain of the roster", "roster", {"chain": TWO.statements}),
        ("row", "a row", "row", ROW),
        ("edition-new", "a new document", "edition", EDITION),
        (
            "edition-next",
            "the next epoch, with its channel",
            "edition",
            EDITION | {"epoch": 5, "parent": fixed("parent"), "heads": [fixed("head")], "channel": PLACE},
        ),
        ("changes", "a change", "changes", CHANGES),
        ("again", "late changes that were written again", "changes", CHANGES | {"items": [], "again": [fixed("late")]}),
        ("turn", "the next channel, for who stays", "turn", TURN),
        (
            "signed",
            "what a relay signed",
            "signed",
            {"relay": "https://relay.example", "checkpoints": [fixed("c", 146)]},
        ),
        ("end", "the snapshot is complete", "end", {}),
    ):
        vectors.valid(name, description, {"kind": kind, "data": encode(fields)}, {"fields": sorted(fields)})
    for name, description, kind, data in (
        ("changes-as-edition", "changes in place of an edition", "edition", encode(CHANGES)),
        (
            "edition-actor-15",
            "an actor of 15 bytes",
            "edition",
            encode(EDITION | {"change": CLAIM | {"actor": bytes(15)}}),
        ),
        ("edition-parent-31", "a parent of 31 bytes", "edition", encode(EDITION | {"parent": bytes(31)})),
        ("edition-epoch-negative", "a negative epoch", "edition", encode(EDITION | {"epoch": -1})),
        (
            "edition-epoch-large",
            "an epoch that leaves no room for the next",
            "edition",
            encode(EDITION | {"epoch": (1 << 62) + 1}),
        ),
        ("changes-own-1", "a number in place of true", "changes", encode(CHANGES | {"items": [ITEM | {"own": 1}]})),
        ("changes-field-more", "one field more", "changes", encode(CHANGES | {"x": 1})),
        ("turn-epoch-0", "a turn to epoch 0", "turn", encode(TURN | {"epoch": 0})),
        ("turn-65-boxes", "more boxes than devices", "turn", encode(TURN | {"boxes": TURN["boxes"] * 65})),
        ("signed-145", "a checkpoint of 145 bytes", "signed", encode({"relay": "", "checkpoints": [bytes(145)]})),
        ("end-field", "an end with a field", "end", encode({"x": 1})),
    ):
        vectors.refused(name, description, "malformed", {"kind": kind, "data": data})
    return vectors


def make_bodies() -> Vectors:
    vectors = Vectors("vault-body")
    operations = [["row", encode(ROW)], ["end", encode({})]]
    bundle = encode({"ops": [{"kind": kind, "body": body} for kind, body in operations]})

    def body(part: int, parts: int, data: bytes) -> bytes:
        return encode({"part": part, "parts": parts, "data": data})

    half = len(bundle) // 2
    whole = body(1, 1, bundle)
    vectors.valid("whole", "operations in one envelope", {"data": whole, "before": []}, {"operations": operations})
    first = {"data": body(1, 2, bundle[:half]), "before": []}
    vectors.valid("first-part", "the first of two parts", first, {"operations": None})
    second = {"data": body(2, 2, bundle[half:]), "before": [bundle[:half]]}
    vectors.valid("last-part", "the second, with the first", second, {"operations": operations})
    unknown = encode({"ops": [{"kind": "wipe", "body": b""}]})
    for name, description, failure, data, before in (
        ("part-missing", "the second part alone", "foreign-change", body(2, 2, bundle[half:]), []),
        ("part-over", "part two of one", "foreign-change", body(2, 1, bundle), [b"x"]),
        ("part-again", "the first part twice", "foreign-change", body(1, 2, bundle[:half]), [bundle[:half]]),
        ("part-0", "part zero", "malformed", body(0, 1, bundle), []),
        ("parts-65", "of 65 parts", "malformed", body(1, 65, bundle), []),
        ("kind-unknown", "an operation that does not exist", "malformed", body(1, 1, unknown), []),
        ("cut", "half of it as a whole", "malformed", body(1, 1, bundle[:half]), []),
        ("field-more", "one field more", "malformed", encode({"part": 1, "parts": 1, "data": bundle, "x": 1}), []),
    ):
        vectors.refused(name, description, failure, {"data": data, "before": before})
    return vectors


def make() -> list[Vectors]:
    return [
        make_codes(),
        make_hellos(),
        make_hello_boxes(),
        make_meetings(),
        make_welcomes(),
        make_operations(),
        make_bodies(),
    ]
