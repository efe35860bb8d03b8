"""spec/roster.md, read a second time: the first statement, what follows it, and which of two histories holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spec.reader.cbor import Check, blob, list_of, moment, shape, whole
from spec.reader.primitives import blake2b, need_suite
from spec.reader.refusal import Refused, malformed
from spec.reader.statements import read

Told = dict[str, Any]

DEVICE: Mapping[str, Check] = {"id": blob(16), "sign": blob(32), "box": blob(32), "added": moment()}
ROSTER: Mapping[str, Check] = {
    "suite": whole(0, 255),
    "min_suite": whole(1, 255),
    "vault": blob(16),
    "root": blob(32),
    "prev": blob(32),
    "count": whole(1),
    "epoch": whole(1),
    "signer": blob(32),
    "devices": list_of(shape(DEVICE), 64),
    "time": moment(),
}


def head(data: bytes) -> bytes:
    return blake2b(data, "elpis-hash")


def check_suites(told: Told, least: int) -> None:
    need_suite(told["suite"])
    if told["min_suite"] > 2 or told["min_suite"] < least:
        raise Refused("suite-refused", "the least suite fell, or is unknown")


def check_devices(devices: Sequence[Told]) -> None:
    ids = [device["id"] for device in devices]
    if not ids or len(set(ids)) < len(ids):
        raise malformed("no device, or one twice")
    for device in devices:
        if device["id"] != blake2b(b"device" + device["sign"], "elpis-hash")[:16]:
            raise malformed("an id that does not follow from the key")


def read_one(data: bytes, root: bytes, vault: bytes) -> Told:
    """Section 2."""
    told = read("roster", ROSTER, 32_768, data).by(root).fields
    check_suites(told, 1)
    first = (vault, bytes(32), 1, root, root)
    if tuple(told[name] for name in ("vault", "prev", "count", "signer", "root")) != first:
        raise malformed("not the first roster of this vault")
    check_devices(told["devices"])
    return told


def read_roster(data: bytes, root: bytes, vault: bytes) -> Told:
    """The first roster of a vault."""
    told = read_one(data, root, vault)
    return {"head": head(data), "devices": [device["id"] for device in told["devices"]]}


def read_after(data: bytes, chain: Sequence[bytes], past: Sequence[Told]) -> Told:
    """Section 3. `past` is everything before, read."""
    before = past[-1]
    signed = read("roster", ROSTER, 32_768, data)
    signers = [before["root"]] + [device["sign"] for device in before["devices"]]
    if signed.fields["signer"] not in signers:
        raise Refused("bad-signature", "not somebody who may sign")
    told = signed.by(signed.fields["signer"]).fields
    check_suites(told, before["min_suite"])
    if told["vault"] != before["vault"]:
        raise malformed("of another vault")
    if told["prev"] != head(chain[-1]) or told["count"] != before["count"] + 1:
        raise Refused("replayed", "it follows something else")
    check_devices(told["devices"])
    ids, were = ({device["id"] for device in of["devices"]} for of in (told, before))
    stayed = [device for device in before["devices"] if device["id"] in ids]
    if stayed != [device for device in told["devices"] if device["id"] in were]:
        raise malformed("a device changed or moved")
    ever = {device["id"] for one in past for device in one["devices"]}
    if (ids - were) & ever:
        raise malformed("a device came back")
    if told["epoch"] - before["epoch"] not in ((1,) if were - ids else (0, 1)):
        raise malformed("an epoch that does not fit")
    return told


def read_all(chain: Sequence[bytes], root: bytes, vault: bytes) -> list[Told]:
    if len(chain) > 4096:
        raise Refused("too-large", "too many statements")
    if not chain:
        raise malformed("no statement")
    past = [read_one(chain[0], root, vault)]
    for at in range(1, len(chain)):
        past.append(read_after(chain[at], chain[:at], past))
    return past


def read_roster_chain(chain: Sequence[bytes], root: bytes, vault: bytes) -> Told:
    last = read_all(chain, root, vault)[-1]
    told = {name: last[name] for name in ("count", "epoch", "min_suite", "root")}
    return told | {"head": head(chain[-1]), "devices": [device["id"] for device in last["devices"]]}


def removes(branch: Sequence[Told], signer: bytes) -> bool:
    return not all(any(device["sign"] == signer for device in told["devices"]) for told in branch)


def holds(ours: Sequence[bytes], theirs: Sequence[bytes], root: bytes, vault: bytes) -> Sequence[bytes]:
    """Section 4."""
    mine = read_all(ours, root, vault)
    try:
        other = read_all(theirs, root, vault)
    except Refused:
        return ours
    common = 0
    while common < min(len(ours), len(theirs)) and ours[common] == theirs[common]:
        common += 1
    if common == 0:
        return ours
    if common == min(len(ours), len(theirs)):
        return max(ours, theirs, key=len)
    parent, a, b = mine[common - 1], mine[common], other[common]
    by_root = [told["signer"] == parent["root"] for told in (a, b)]
    if by_root[0] != by_root[1]:
        return ours if by_root[0] else theirs
    gone = removes(mine[common:], b["signer"]), removes(other[common:], a["signer"])
    if gone[0] != gone[1]:
        return ours if gone[0] else theirs
    if a["signer"] != b["signer"]:
        order = [device["sign"] for device in parent["devices"]]
        return min((ours, a), (theirs, b), key=lambda branch: order.index(branch[1]["signer"]))[0]
    return min(ours, theirs, key=lambda chain: head(chain[common]))


def rank(told: Told, parent: Told) -> tuple[int, bytes]:
    order = [parent["root"], *(device["sign"] for device in parent["devices"])]
    return order.index(told["signer"]), told["head"]


def held_among(chains: Sequence[Sequence[bytes]], at: int, root: bytes, vault: bytes) -> Sequence[bytes]:
    """The chain that holds among several that are one up to `at`: of every fork its branches first."""
    ended = [chain for chain in chains if len(chain) == at]
    branches: dict[bytes, list[Sequence[bytes]]] = {}
    for chain in chains:
        if len(chain) > at:
            branches.setdefault(chain[at], []).append(chain)
    if not branches:
        return ended[0]
    best = [held_among(group, at + 1, root, vault) for group in branches.values()]
    if len(best) == 1:
        return best[0]

    def place(chain: Sequence[bytes]) -> tuple[int, bytes]:
        told = read_all(chain, root, vault)
        return rank(dict(told[at]) | {"head": head(chain[at])}, told[at - 1])

    winner, *others = sorted(best, key=place)
    for other in others:
        winner = holds(winner, other, root, vault)
    return winner


def read_histories(chains: Sequence[Sequence[bytes]], root: bytes, vault: bytes) -> Told:
    """Section 4, more than two: the head of the chain that holds among all that are known."""
    for chain in chains:
        read_all(chain, root, vault)
    return {"head": head(held_among(chains, 1, root, vault)[-1])}


def read_choice(ours: Sequence[bytes], theirs: Sequence[bytes], root: bytes, vault: bytes) -> Told:
    """The head of the chain that holds."""
    return {"head": head(holds(ours, theirs, root, vault)[-1])}
