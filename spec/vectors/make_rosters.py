"""spec/roster.md: the first roster of a vault."""

from __future__ import annotations

from typing import Any

from spec.vectors.people import NOW, OTHER, signed, without
from spec.vectors.writing import Vectors, fixed
from vault.primitives import BoxKey, SigningKey, hash32
from vault.roster import derive_device_id

ROOT, VAULT = SigningKey.from_seed(fixed("root")), fixed("vault id", 16)
DEVICE_SIGN = SigningKey.from_seed(fixed("device sign")).public
DEVICE_BOX = BoxKey.from_secret(fixed("device box")).public
DEVICE = {"id": derive_device_id(DEVICE_SIGN), "sign": DEVICE_SIGN, "box": DEVICE_BOX, "added": NOW}


def roster_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "min_suite": 1,
        "vault": VAULT,
        "prev": bytes(32),
        "count": 1,
        "epoch": 1,
        "signer": ROOT.public,
        "devices": [DEVICE],
        "time": NOW,
    }
    return fields | changes


def make() -> list[Vectors]:
    vectors = Vectors("roster")

    def made(key: SigningKey = ROOT, /, **changes: Any) -> bytes:
        return signed("roster", roster_fields(**changes), key)

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "root": ROOT.public, "vault": VAULT}

    first = made()
    told = {"head": hash32(first), "devices": [DEVICE["id"]]}
    vectors.valid("first", "one device, vouched for by the root key", given(first) | {"seed": ROOT.seed}, told)
    for name, description, failure, data in (
        ("by-other", "signed by another key than the root", "bad-signature", made(OTHER.sign)),
        ("suite-2", "an unknown suite", "suite-refused", made(suite=2)),
        ("min-suite-2", "a minimum over the suite that is known", "suite-refused", made(min_suite=2)),
        ("other-vault", "of another vault", "malformed", made(vault=fixed("other vault", 16))),
        ("not-first", "that follows another roster", "malformed", made(prev=fixed("before"))),
        ("count-2", "that counts from two", "malformed", made(count=2)),
        ("signer-other", "that names another signer", "malformed", made(signer=OTHER.sign.public)),
        ("device-key-31", "a device with a key of 31 bytes", "malformed", made(devices=[DEVICE | {"box": bytes(31)}])),
        ("device-name", "a device with one field more", "malformed", made(devices=[DEVICE | {"name": "x"}])),
        ("no-epoch", "a field less", "malformed", signed("roster", without(roster_fields(), "epoch"), ROOT)),
    ):
        vectors.refused(name, description, failure, given(data))
    return [vectors]
