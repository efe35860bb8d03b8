"""The roster: which devices are the holder's, as hash-linked statements, and which of two histories holds.

Pure rules: nothing here knows a store or a relay. Normative text: spec/roster.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vault.encoding import Shape, blob, integer, list_of, moment
from vault.errors import BadSignature, InputRefused, Malformed, Replayed, SuiteRefused, TooLarge
from vault.primitives import KEY, SEALING, SUITE, SigningKey, hash32, need_suite
from vault.statement import Statement, make_statement, read_statement

MAX_DEVICES = 64
MAX_CHAIN = 4096
RESERVED = 64  # the last places of a chain, for removals alone: nobody fills it up to stay
DEVICE = Shape("device", {"id": blob(16), "sign": blob(KEY), "box": blob(KEY), "added": moment()})
ROSTER = Shape(
    "roster",
    {
        "suite": integer(0, 255),
        "min_suite": integer(1, 255),
        "vault": blob(16),
        "root": blob(KEY),
        "prev": blob(KEY),
        "count": integer(1),
        "epoch": integer(1),
        "signer": blob(KEY),
        "devices": list_of(DEVICE.check, at_most=MAX_DEVICES),
        "time": moment(),
    },
    limit=32_768,
)
FIRST = bytes(KEY)  # `prev` of the first statement


@dataclass(frozen=True, slots=True)
class Device:
    """One device of the holder: its public keys, and when it came."""

    id: bytes
    sign: bytes
    box: bytes
    added: int


@dataclass(frozen=True, slots=True)
class Roster:
    """A read statement and what its chain says: `gone` are the ids of devices that left."""

    vault: bytes
    root: bytes
    count: int
    epoch: int
    min_suite: int
    signer: bytes
    devices: tuple[Device, ...]
    head: bytes
    gone: frozenset[bytes] = field(default=frozenset())

    def device(self, device_id: bytes) -> Device | None:
        return next((device for device in self.devices if device.id == device_id), None)

    def has(self, device_id: bytes) -> bool:
        return self.device(device_id) is not None


def derive_device_id(sign: bytes) -> bytes:
    return hash32(b"device" + sign)[:16]


def make_device(sign: bytes, box: bytes, now: int) -> Device:
    return Device(derive_device_id(sign), sign, box, now)


def make_first(root: SigningKey, vault_id: bytes, device_sign: bytes, device_box: bytes, now: int) -> bytes:
    """The roster of a new vault: one device, vouched for by the root key, which is not needed again until recovery."""
    fields: Mapping[str, Any] = {
        "suite": SUITE,
        "min_suite": SUITE,
        "vault": vault_id,
        "root": root.public,
        "prev": FIRST,
        "count": 1,
        "epoch": 1,
        "signer": root.public,
        "devices": [_entry(make_device(device_sign, device_box, now))],
        "time": now,
    }
    return make_statement("roster", ROSTER, fields, root)


def make_next(
    before: Roster,
    key: SigningKey,
    *,
    add: Iterable[Device] = (),
    remove: Iterable[bytes] = (),
    root: bytes | None = None,
    new_epoch: bool = False,
    min_suite: int = SUITE,
    now: int,
) -> bytes:
    """The statement after `before`, signed by one of its devices or its root. InputRefused for what cannot be said."""
    leaving = set(remove)
    here = [device for device in before.devices if device.id not in leaving]
    here += [device for device in add if not before.has(device.id)]
    if not here or len(here) > MAX_DEVICES:
        raise InputRefused(f"a roster has 1 to {MAX_DEVICES} devices", count=len(here))
    fields: Mapping[str, Any] = {
        "suite": SUITE,
        "min_suite": max(min_suite, before.min_suite),
        "vault": before.vault,
        "root": root or before.root,
        "prev": before.head,
        "count": before.count + 1,
        "epoch": before.epoch + int(new_epoch or any(before.has(device) for device in leaving)),
        "signer": key.public,
        "devices": [_entry(device) for device in here],
        "time": now,
    }
    data = make_statement("roster", ROSTER, fields, key)
    read_next(data, before)
    return data


def read_first(data: bytes, root: bytes, vault_id: bytes) -> Roster:
    """The first statement, signed by this vault's root. Malformed, BadSignature or SuiteRefused."""
    statement = read_statement("roster", ROSTER, data).by(root)
    fields = statement.fields
    _check_suite(fields, SUITE)
    if (fields["vault"], fields["prev"], fields["count"]) != (vault_id, FIRST, 1):
        raise Malformed("not the first roster of this vault")
    if (fields["signer"], fields["root"]) != (root, root):
        raise Malformed("the first roster names another root")
    _check_devices(fields["devices"])
    return _roster(statement, data, frozenset())


def read_next(data: bytes, before: Roster) -> Roster:
    """The statement after `before`. BadSignature, SuiteRefused, Malformed or Replayed, in the order of the spec."""
    statement = read_statement("roster", ROSTER, data)
    fields = statement.fields
    signers = {before.root, *(device.sign for device in before.devices)}
    if fields["signer"] not in signers:
        raise BadSignature("neither the root nor a device of this vault signed this roster")
    statement.by(fields["signer"])
    _check_suite(fields, before.min_suite)
    if fields["vault"] != before.vault:
        raise Malformed("the roster of another vault")
    if (fields["prev"], fields["count"]) != (before.head, before.count + 1):
        raise Replayed("this roster does not follow the one before")
    _check_devices(fields["devices"])
    here = _devices(fields)
    ids = {device.id for device in here}
    if [device for device in before.devices if device.id in ids] != [d for d in here if before.has(d.id)]:
        raise Malformed("a device of this roster is not what it was")
    if ids & before.gone:
        raise Malformed("a device that was removed comes back")
    left = {device.id for device in before.devices} - ids
    if not 0 <= fields["epoch"] - before.epoch <= 1 or (left and fields["epoch"] == before.epoch):
        raise Malformed("the roster's epoch does not fit what it changes")
    _check_room(fields["count"], removes=bool(left), adds=any(not before.has(device) for device in ids))
    return _roster(statement, data, before.gone | left if left else before.gone)


def read_chain(statements: Sequence[bytes], root: bytes, vault_id: bytes) -> tuple[Roster, ...]:
    """Every statement of a chain, read in order. `root` is the key that the first one must be signed with."""
    if len(statements) > MAX_CHAIN:
        raise TooLarge("a roster of too many statements", limit=MAX_CHAIN)
    if not statements:
        raise Malformed("a roster without a statement")
    read = [read_first(statements[0], root, vault_id)]
    for data in statements[1:]:
        read.append(read_next(data, read[-1]))
    return tuple(read)


def rank(statement: Roster, before: Roster) -> tuple[int, bytes]:
    """The order of several statements after `before`: the root's, then those of the devices in theirs."""
    order = [before.root, *(device.sign for device in before.devices)]
    return order.index(statement.signer), statement.head


def derive_head(data: bytes) -> bytes:
    """What envelopes and grants name as the roster that they were made under."""
    return hash32(data)


def _check_suite(fields: Mapping[str, Any], minimum: int) -> None:
    need_suite(fields["suite"])
    if not minimum <= fields["min_suite"] <= max(SEALING):
        raise SuiteRefused("the least suite of this vault fell, or is not known here", minimum=fields["min_suite"])


def _check_room(count: int, *, removes: bool, adds: bool) -> None:
    if count > MAX_CHAIN or (count > MAX_CHAIN - RESERVED and (adds or not removes)):
        raise TooLarge("a roster of too many statements", limit=MAX_CHAIN)


def _check_devices(devices: Sequence[Mapping[str, Any]]) -> None:
    if not devices:
        raise Malformed("a roster without a device")
    if len({device["id"] for device in devices}) != len(devices):
        raise Malformed("a device stands twice in this roster")
    if any(device["id"] != derive_device_id(device["sign"]) for device in devices):
        raise Malformed("a device's id is not the one of its key")


def _devices(fields: Mapping[str, Any]) -> tuple[Device, ...]:
    return tuple(Device(**device) for device in fields["devices"])


def _entry(device: Device) -> dict[str, Any]:
    return {"id": device.id, "sign": device.sign, "box": device.box, "added": device.added}


def _roster(statement: Statement, data: bytes, gone: frozenset[bytes]) -> Roster:
    fields = statement.fields
    named = ("vault", "root", "count", "epoch", "min_suite", "signer")
    return Roster(**{name: fields[name] for name in named}, devices=_devices(fields), head=hash32(data), gone=gone)
