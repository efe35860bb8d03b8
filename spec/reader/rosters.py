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
    if told["count"] > (4096 if were - ids and not ids - were else 4032):
        raise Refused("too-large", "no room but for removals")
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


def tree(chains: Sequence[Sequence[bytes]], root: bytes, vault: bytes) -> dict[bytes, tuple[Told, list[bytes]]]:
    """Of every statement its content and the heads of its chain, itself the last. A chain that begins otherwise than
    the first one is left out."""
    known: dict[bytes, tuple[Told, list[bytes]]] = {}
    for chain in chains:
        if chain[0] != chains[0][0]:
            continue
        heads: list[bytes] = []
        for data, told in zip(chain, read_all(chain, root, vault), strict=True):
            heads.append(head(data))
            known[heads[-1]] = told, list(heads)
    return known


def void_among(known: Mapping[bytes, tuple[Told, list[bytes]]]) -> set[bytes]:
    """Section 4, rule 1."""
    came: dict[bytes, tuple[int, int, bytes]] = {}
    for told, _ in known.values():
        for place, device in enumerate(told["devices"]):
            here = (told["count"], place, device["sign"])
            came[device["sign"]] = min(here, came.get(device["sign"], here))
    removals = []
    for name, (told, line) in known.items():
        if len(line) == 1:
            continue
        before = known[line[-2]][0]
        here = [device["sign"] for device in told["devices"]]
        gone = [device["sign"] for device in before["devices"] if device["sign"] not in here]
        if len(gone) == 1 and len(here) == len(before["devices"]):
            continue
        by = (0, 0, b"") if told["signer"] == before["root"] else came[told["signer"]]
        removals += [(by, told["count"], name, sign) for sign in gone]
    strikes: dict[bytes, set[bytes]] = {}
    for _by, _count, name, gone in sorted(removals):
        strikes.setdefault(name, set()).update(
            other
            for other, (told, line) in known.items()
            if told["signer"] == gone and other not in known[name][1] and name not in line
        )

    def struck_by(names: Sequence[bytes]) -> set[bytes]:
        hit = {other for name in names for other in strikes[name]}
        return {other for other, (_, line) in known.items() if hit.intersection(line)}

    void: set[bytes] = set()
    undecided = list(strikes)
    for _ in range(64):
        if not undecided:
            break
        threatened = struck_by(undecided)
        counting = [name for name in undecided if name not in threatened] or undecided[:1]
        void |= struck_by(counting)
        undecided = [name for name in undecided if name not in void and name not in counting]
    return void


def held_among(chains: Sequence[Sequence[bytes]], root: bytes, vault: bytes) -> bytes:
    """Section 4: the head of the chain that holds among all that are known."""
    known = tree(chains, root, vault)
    void, at = void_among(known), head(chains[0][0])
    while True:
        before = known[at][0]
        signers = [before["root"], *(device["sign"] for device in before["devices"])]
        following = [
            (signers.index(told["signer"]), name)
            for name, (told, line) in known.items()
            if line[-2:-1] == [at] and name not in void
        ]
        if not following:
            return at
        at = min(following)[1]


def read_histories(chains: Sequence[Sequence[bytes]], root: bytes, vault: bytes) -> Told:
    """Section 4, of several."""
    return {"head": held_among(chains, root, vault)}


def read_choice(ours: Sequence[bytes], theirs: Sequence[bytes], root: bytes, vault: bytes) -> Told:
    """Section 4, of two: one that does not read counts for nothing."""
    chains = [ours]
    read_all(ours, root, vault)
    try:
        read_all(theirs, root, vault)
        chains.append(theirs)
    except Refused:
        pass
    return {"head": held_among(chains, root, vault)}
