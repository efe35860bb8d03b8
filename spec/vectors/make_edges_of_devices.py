"""The limits of what devices and relays exchange: envelopes, rosters, welcomes, operations, manifests, evidence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spec.vectors import make_backups, make_devices, make_envelopes, make_evidence, make_keyslots, make_rosters
from spec.vectors.edges import LAST_SECOND, Edge, Edges, at_edge, at_most, beyond, exact, suite, text, time, whole
from spec.vectors.make_bodies import CHANGES, CLAIM, EDITION, WRITERS
from spec.vectors.make_edges import KEY, URL, accepted, refused_beyond
from spec.vectors.people import HOLDER, signed
from spec.vectors.sealing import seal_statement_fixed
from spec.vectors.writing import Vectors
from vault.encoding import encode

ID = exact(16)
OPEN_TIME = Edge(LAST_SECOND, 0, {"negative": ("before 1970", -1)})


def make() -> list[Vectors]:
    return [
        _envelope(), _body(), _roster(), _code(), _hello(), _welcome(), _operations(), _vault_body(), _evidence(),
        _backup(), _keyslots(),
    ]  # fmt: skip


def _envelope() -> Vectors:
    vectors = Vectors("envelope")
    edges: Edges = {
        "suite": suite(), "channel": KEY, "epoch": whole(1), "device": ID, "signer": KEY, "seq": whole(1), "prev": KEY,
        "seen.0.mailbox": KEY, "seen.0.count": whole(), "roster": KEY, "time": OPEN_TIME,
    }  # fmt: skip
    edges = edges | {name: Edge(edge.most, edge.least, {}) for name, edge in edges.items() if name in ("epoch", "seq")}
    fields = make_envelopes.inner_fields()

    def given(told: Mapping[str, Any], **outer: Any) -> dict[str, Any]:
        inner = encode(dict(told))
        data = make_envelopes.sealed(outer={"inner": inner, "sig": HOLDER.sign.sign("env", inner)} | outer)
        return {"key": make_envelopes.KEY, "channel": make_envelopes.CHANNEL, "data": data}

    accepted(vectors, "greatest", "every number at its greatest", given(at_edge(fields, edges, greatest=True)))
    accepted(vectors, "least", "every number at its least", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    vectors.refused("suite-255", "the last number of a suite", "suite-refused", given(fields | {"suite": 255}))
    vectors.refused("sig-63", "a signature of 63 bytes", "malformed", given(fields, sig=bytes(63)))
    return vectors


def _body() -> Vectors:
    vectors = Vectors("channel-body")

    def given(kind: str, told: Mapping[str, Any]) -> dict[str, Any]:
        return {"type": kind, "data": encode(dict(told))}

    last = (1 << 63) - 1
    claim = CLAIM | {"actor": bytes(64), "seq": last, "data": b""}
    accepted(vectors, "changes-greatest", "an author of 200 characters, an actor of 64 bytes, the last number", given(
        "change", {"author": "\u00e9" * 200, "changes": [claim]}))  # fmt: skip
    accepted(vectors, "actor-empty", "an actor of no bytes: what it may be says replica.md", given(
        "change", CHANGES | {"changes": [CLAIM | {"actor": b""}]}))  # fmt: skip
    writer = WRITERS[0] | {"name": "\u00e9" * 200, "role": "\u00e9" * 60}
    accepted(vectors, "edition-greatest", "the last of sixteen parts, a name of 200 characters, a role of 60", given(
        "edition", EDITION | {"writers": [writer], "part": 16, "parts": 16}))  # fmt: skip
    accepted(vectors, "edition-nobody", "no writer at all: who must be among them says the page", given(
        "edition", EDITION | {"writers": []}))  # fmt: skip
    edges: Edges = {"writers.0.name": text(200), "writers.0.role": text(60), "part": Edge(16, 1, {
        "17": ("over sixteen", 17)}), "parts": Edge(16, 1, {"0": ("of none", 0)})}  # fmt: skip
    refused_beyond(vectors, EDITION, edges, lambda told: given("edition", told), prefix="edition-")
    return vectors


def _roster() -> Vectors:
    vectors = Vectors("roster")
    fields = make_rosters.roster_fields()
    device = {"devices.0.id": ID, "devices.0.sign": KEY, "devices.0.added": time()}
    edges: Edges = {
        "suite": suite(), "min_suite": Edge(None, 1, {"256": ("over 255", 256), "0": ("of none", 0)}), "vault": ID,
        "root": KEY, "prev": KEY, "count": Edge(None, 1, {"0": ("from zero", 0)}), "epoch": whole(1), "signer": KEY,
        "time": time(), **device,
    }  # fmt: skip

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        data = signed("roster", told, make_rosters.ROOT)
        return {"data": data, "root": make_rosters.ROOT.public, "vault": make_rosters.VAULT}

    everybody = [make_rosters.device(f"of many {number}", LAST_SECOND) for number in range(64)]
    most = at_edge(fields, edges, greatest=True) | {"devices": everybody, "min_suite": 2}
    accepted(vectors, "greatest", "64 devices, every number at its greatest", given(most))
    accepted(vectors, "least", "every number at its least", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    for name in ("suite", "min_suite"):
        changed = fields | {name: 255}
        vectors.refused(f"{name.replace('_', '-')}-255", "the last number of a suite", "suite-refused", given(changed))
    return vectors


def _code() -> Vectors:
    vectors = Vectors("device-code")
    fields = make_devices.code_fields()
    edges: Edges = {"suite": suite(), "relay": URL, "relay_key": KEY, "address": KEY, "token": KEY, "key": KEY}

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": make_devices.line(dict(told))}

    accepted(vectors, "greatest", "a relay's address of 500 characters", given(fields | {"relay": URL.most}))
    refused_beyond(vectors, fields, edges, given)
    vectors.refused("suite-255", "the last number of a suite", "suite-refused", given(fields | {"suite": 255}))
    over = bytes(2001 - len(encode(fields)) - 5)
    vectors.refused("size-2001", "a code one byte over its limit", "too-large", given(fields | {"x": over}))
    vectors.refused("size-2000", "a code at its limit, with one field more", "malformed", given(
        fields | {"x": over[1:]}))  # fmt: skip
    return vectors


def _hello() -> Vectors:
    vectors = Vectors("device-hello")
    fields = make_devices.hello_fields("new")
    edges: Edges = {
        "suite": suite(), "vault": ID, "sign": KEY, "box": KEY, "fresh": KEY, "name": Edge("\u00e9" * 60, "", {}),
        "proof": KEY,
    }  # fmt: skip

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return {"data": encode(dict(told)), "role": "new", "commit": make_devices.COMMIT}

    accepted(vectors, "greatest", "a name of 60 characters", given(at_edge(fields, edges, greatest=True)))
    accepted(vectors, "least", "a device without a name", given(at_edge(fields, edges, greatest=False)))
    refused_beyond(vectors, fields, edges, given)
    vectors.refused("suite-255", "the last number of a suite", "suite-refused", given(fields | {"suite": 255}))
    over = bytes(3001 - len(encode(fields)) - 5)
    vectors.refused("size-3001", "a hello one byte over its limit", "too-large", given(fields | {"x": over}))
    vectors.refused("size-3000", "a hello at its limit, with one field more", "malformed", given(
        fields | {"x": over[1:]}))  # fmt: skip
    return vectors


PLACES = {f"{place}.{part}": KEY for place in ("channel", "snapshot") for part in ("address", "owner", "append", "key")}
WELCOME: Edges = {
    "recipient": KEY, "transcript": KEY, "proof": KEY, "root": KEY, "about.name": text(200), "about.birth": text(40),
    "about.role": text(60), "about.language": text(10), "identity_sign": KEY, "identity_box": KEY, "relay": URL,
    "relay_key": KEY, "epoch": whole(1), "count": whole(), "chain_at": KEY, "senders.0.device": ID,
    "senders.0.seq": whole(1), "senders.0.head": KEY, **PLACES,
}  # fmt: skip


def _welcome() -> Vectors:
    vectors = Vectors("welcome")
    fields = make_devices.welcome_fields()

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return make_devices.welcomed(seal_statement_fixed(
            "welcome", make_devices.FRESH.public, signed("welcome", told, make_devices.key_of("device")),
            make_devices.KEM))  # fmt: skip

    accepted(vectors, "greatest", "every field at its limit", given(at_edge(fields, WELCOME, greatest=True)))
    accepted(vectors, "least", "every field at its least", given(
        at_edge(fields, WELCOME, greatest=False) | {"senders": []}))  # fmt: skip
    accepted(vectors, "sender-first", "a device that has sent one envelope", given(
        at_edge(fields, {"senders.0.seq": whole(1)}, greatest=False)))  # fmt: skip
    refused_beyond(vectors, fields, WELCOME, given)
    other = make_rosters.LAPTOP | {"box": make_rosters.PHONE["box"]}
    chain = make_rosters.START.then(make_rosters.key_of("device"), devices=[make_rosters.DEVICE, other]).statements
    vectors.refused("other-box", "a roster that has another box key of the new device", "malformed", given(
        fields | {"chain": chain}))  # fmt: skip
    return vectors


OPERATIONS: Mapping[str, tuple[dict[str, Any], Edges]] = {
    "row": (make_devices.ROW, {"name": text(40), "key": text(500)}),
    "edition": (
        make_devices.EDITION | {"channel": make_devices.PLACE, "heads": [bytes(32)]},
        {
            "document": ID, "epoch": Edge(1 << 62, 0, {}), "heads.0": KEY, "added": time(), "author": text(200),
            "change.seq": whole(1), "change.hash": KEY, "channel.address": KEY, "channel.owner": KEY,
            "channel.append": KEY, "channel.key": KEY, "channel.relay": text(500), "channel.writers.0.sign": KEY,
            "channel.writers.0.name": text(200), "channel.writers.0.role": text(60),
        },
    ),
    "changes": (
        make_devices.CHANGES | {"items": [make_devices.ITEM | {
            "change": make_devices.CLAIM | {"deps": [bytes(32)]}}], "again": [bytes(32)]},
        {
            "document": ID, "edition": KEY, "items.0.author": text(200), "items.0.time": time(), "again.0": KEY,
            "items.0.change.deps.0": KEY, "items.0.change.actor": Edge(None, None, {"17": ("of 17 bytes", bytes(17))}),
        },
    ),
    "turn": (
        make_devices.TURN,
        {"epoch": Edge((1 << 63) - 1, 1, {}), "boxes.0.device": ID, "boxes.0.sealed": at_most(2000)},
    ),
    "signed": ({"relay": "https://relay.example", "checkpoints": [bytes(146)]},
               {"relay": text(500), "checkpoints.0": Edge(None, None, {"147": ("of 147 bytes", bytes(147))})}),
}  # fmt: skip


def _operations() -> Vectors:
    vectors = Vectors("vault-operation")
    for kind, (fields, edges) in OPERATIONS.items():

        def given(told: Mapping[str, Any], kind: str = kind) -> dict[str, Any]:
            return {"kind": kind, "data": encode(dict(told))}

        accepted(vectors, f"{kind}-greatest", "every field at its limit", given(at_edge(fields, edges, greatest=True)))
        accepted(vectors, f"{kind}-least", "every field at its least", given(at_edge(fields, edges, greatest=False)))
        refused_beyond(vectors, fields, edges, given, prefix=f"{kind}-")
    boxes = make_devices.TURN | {"boxes": [{"device": bytes(16), "sealed": b""}] * 64}
    accepted(vectors, "turn-64-boxes", "a box for as many devices as there may be", {
        "kind": "turn", "data": encode(boxes)})  # fmt: skip
    return vectors


def _vault_body() -> Vectors:
    vectors = Vectors("vault-body")
    operations = encode({"ops": []})

    def given(part: int, parts: int, before: int) -> dict[str, Any]:
        data = encode({"part": part, "parts": parts, "data": operations if part == 64 else b""})
        return {"data": data, "before": [b""] * before}

    accepted(vectors, "part-64", "the last of 64 parts, the others empty", given(64, 64, 63))
    vectors.refused("part-65", "a part over 64", "malformed", given(65, 64, 64))
    vectors.refused("parts-0", "of no part", "malformed", given(1, 0, 0))
    return vectors


def _evidence() -> Vectors:
    vectors = Vectors("evidence")
    edges: Edges = {
        "suite": suite(), "relay": text(500), "key": KEY, "first": exact(146), "second": exact(146), "chain": KEY,
        "entries.0.time": time(), "entries.0.hash": KEY,
    }  # fmt: skip
    for name, greatest in (("greatest", True), ("least", False)):
        fields = make_evidence.contradiction(LAST_SECOND if greatest else 0)
        told = at_edge(fields, {"relay": edges["relay"]}, greatest=greatest)
        accepted(vectors, name, "an entry at the edge of time, an address at its limit", {"data": encode(told)})
    fields = make_evidence.contradiction(0)
    refused_beyond(vectors, fields, edges, lambda told: {"data": encode(dict(told))})
    vectors.refused(
        "suite-255", "the last number of a suite", "suite-refused", {"data": encode(fields | {"suite": 255})}
    )
    return vectors


def _backup() -> Vectors:
    vectors = Vectors("backup")
    edges: Edges = {
        "suite": Edge(None, None, {"256": ("over 255", 256), "0": ("of none", 0)}), "vault": ID,
        "made": Edge(LAST_SECOND, 0, {"10000": ("in the year 10000", LAST_SECOND + 1)}), "documents": whole(),
        "key": KEY, "size": whole(), "sha256": KEY, "files.0": exact(64),
    }  # fmt: skip

    def given(told: Mapping[str, Any]) -> dict[str, Any]:
        return make_backups.opened(make_backups.manifest(**told))

    accepted(vectors, "greatest", "every number at its greatest", given(
        at_edge(make_backups.TOLD, edges, greatest=True)))  # fmt: skip
    accepted(vectors, "least", "every number at its least", given(at_edge(make_backups.TOLD, edges, greatest=False)))
    refused_beyond(vectors, make_backups.TOLD, edges, given)
    vectors.refused(
        "suite-255", "the last number of a suite", "suite-refused", given(make_backups.TOLD | {"suite": 255})
    )
    return vectors


def _keyslots() -> Vectors:
    """Every refusal is one; the box is right for what the slot says."""
    vectors = Vectors("keyslots")
    kit = make_keyslots.slot("kit", make_keyslots.KIT.entropy)
    for name, _, changed in beyond(kit, {"id": ID, "salt": ID, "ops": whole(0, 1 << 16), "memory": whole(0, 1 << 40)}):
        told = make_keyslots.slot(
            "kit", make_keyslots.KIT.entropy, **{key: changed[key] for key in ("id", "salt", "ops", "memory")}
        )
        data = make_keyslots.file([told])
        vectors.refused(f"kit-{name}", "a field of the slot beyond its limit", "unlock-failed", {
            "file": data, "kit": make_keyslots.KIT.entropy})  # fmt: skip
    for name, changes in (
        ("mac-31", {"mac": bytes(31)}), ("vault-15", {"vault": bytes(15)}), ("suite-0", {"suite": 0}),
        ("suite-256", {"suite": 256}),
    ):  # fmt: skip
        data = make_keyslots.file([kit], **changes)
        vectors.refused(name, "a field of the file beyond its limit", "unlock-failed", {
            "file": data, "kit": make_keyslots.KIT.entropy})  # fmt: skip
    return vectors
