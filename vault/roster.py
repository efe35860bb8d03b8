"""The roster: which devices are the holder's, as hash-linked statements. The first is signed by the root key.

Normative text: spec/roster.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vault.encoding import Shape, blob, integer, list_of, moment
from vault.errors import Malformed, SuiteRefused
from vault.primitives import KEY, SUITE, SigningKey, hash32, need_suite
from vault.statement import Statement, make_statement, read_statement

DEVICE = Shape("device", {"id": blob(16), "sign": blob(KEY), "box": blob(KEY), "added": moment()})
ROSTER = Shape(
    "roster",
    {
        "suite": integer(0, 255),
        "min_suite": integer(1, 255),
        "vault": blob(16),
        "prev": blob(KEY),
        "count": integer(1),
        "epoch": integer(1),
        "signer": blob(KEY),
        "devices": list_of(DEVICE.check, at_most=64),
        "time": moment(),
    },
    limit=32_768,
)
FIRST = bytes(KEY)  # `prev` of the first statement


def derive_device_id(sign: bytes) -> bytes:
    return hash32(b"device" + sign)[:16]


def make_first(root: SigningKey, vault_id: bytes, device_sign: bytes, device_box: bytes, now: int) -> bytes:
    """The roster of a new vault: one device, vouched for by the root key, which is not needed again until recovery."""
    device = {"id": derive_device_id(device_sign), "sign": device_sign, "box": device_box, "added": now}
    fields: Mapping[str, Any] = {
        "suite": SUITE,
        "min_suite": SUITE,
        "vault": vault_id,
        "prev": FIRST,
        "count": 1,
        "epoch": 1,
        "signer": root.public,
        "devices": [device],
        "time": now,
    }
    return make_statement("roster", ROSTER, fields, root)


def read_first(data: bytes, root: bytes, vault_id: bytes) -> Statement:
    """The first statement, signed by this vault's root. Malformed, BadSignature or SuiteRefused."""
    statement = read_statement("roster", ROSTER, data).by(root)
    fields = statement.fields
    need_suite(fields["suite"], fields["min_suite"])
    if fields["min_suite"] > SUITE:
        raise SuiteRefused("this vault asks for a newer suite", minimum=fields["min_suite"])
    if (fields["vault"], fields["prev"], fields["count"], fields["signer"]) != (vault_id, FIRST, 1, root):
        raise Malformed("not the first roster of this vault")
    devices = fields["devices"]
    if len({device["id"] for device in devices}) != len(devices):
        raise Malformed("a device stands twice in this roster")
    if any(device["id"] != derive_device_id(device["sign"]) for device in devices):
        raise Malformed("a device's id is not the one of its key")
    return statement


def derive_head(data: bytes) -> bytes:
    """What envelopes and grants name as the roster that they were made under."""
    return hash32(data)
