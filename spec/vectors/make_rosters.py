"""spec/roster.md: the first roster of a vault, what may follow it, and which of two histories holds."""

from __future__ import annotations

from itertools import permutations
from typing import Any

from spec.vectors.people import NOW, OTHER, signed, without
from spec.vectors.writing import Vectors, fixed, flip
from vault.primitives import BoxKey, SigningKey, hash32
from vault.roster import derive_device_id

ROOT, VAULT = SigningKey.from_seed(fixed("root")), fixed("vault id", 16)
NEW_ROOT = SigningKey.from_seed(fixed("new root"))


def key_of(name: str) -> SigningKey:
    return SigningKey.from_seed(fixed(f"{name} sign"))


def device(name: str, added: int = NOW) -> dict[str, Any]:
    sign = key_of(name).public
    box = BoxKey.from_secret(fixed(f"{name} box")).public
    return {"id": derive_device_id(sign), "sign": sign, "box": box, "added": added}


DEVICE, LAPTOP, PHONE, TABLET = device("device"), device("laptop"), device("phone"), device("tablet")


def roster_fields(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "suite": 1,
        "min_suite": 1,
        "vault": VAULT,
        "root": ROOT.public,
        "prev": bytes(32),
        "count": 1,
        "epoch": 1,
        "signer": ROOT.public,
        "devices": [DEVICE],
        "time": NOW,
    }
    return fields | changes


def made(key: SigningKey = ROOT, /, **changes: Any) -> bytes:
    return signed("roster", roster_fields(**changes), key)


FIRST = made()


class Chain:
    """Statements one after another; each is what the last one says with some changes, signed by `by`."""

    def __init__(self, *before: bytes, fields: dict[str, Any] | None = None) -> None:
        self.statements = list(before or (FIRST,))
        self.fields = fields or roster_fields()

    def then(self, by: SigningKey, /, *, key: SigningKey | None = None, **changes: Any) -> Chain:
        count = self.fields["count"] + 1
        follows = {"prev": hash32(self.statements[-1]), "count": count, "signer": by.public}
        fields = self.fields | follows | changes
        return Chain(*self.statements, signed("roster", fields, key or by), fields=fields)

    def given(self) -> dict[str, Any]:
        return {"statements": self.statements, "root": ROOT.public, "vault": VAULT}


START = Chain()
TWO = START.then(key_of("device"), devices=[DEVICE, LAPTOP])
THREE = TWO.then(key_of("laptop"), devices=[DEVICE, LAPTOP, PHONE])


def make_first() -> Vectors:
    vectors = Vectors("roster")

    def given(data: bytes) -> dict[str, Any]:
        return {"data": data, "root": ROOT.public, "vault": VAULT}

    told = {"head": hash32(FIRST), "devices": [DEVICE["id"]]}
    vectors.valid("first", "one device, vouched for by the root key", given(FIRST) | {"seed": ROOT.seed}, told)
    for name, description, failure, data in (
        ("by-other", "signed by another key than the root", "bad-signature", made(OTHER.sign)),
        ("suite-2", "an unknown suite", "suite-refused", made(suite=2)),
        ("min-suite-3", "a minimum over every suite that is known", "suite-refused", made(min_suite=3)),
        ("other-vault", "of another vault", "malformed", made(vault=fixed("other vault", 16))),
        ("not-first", "that follows another roster", "malformed", made(prev=fixed("before"))),
        ("count-2", "that counts from two", "malformed", made(count=2)),
        ("signer-other", "that names another signer", "malformed", made(signer=OTHER.sign.public)),
        ("root-other", "that names another root", "malformed", made(root=NEW_ROOT.public)),
        ("no-device", "without a device", "malformed", made(devices=[])),
        ("device-twice", "a device that stands twice", "malformed", made(devices=[DEVICE, DEVICE])),
        ("device-id", "an id that is not the key's", "malformed", made(devices=[DEVICE | {"id": bytes(16)}])),
        ("device-key-31", "a device with a key of 31 bytes", "malformed", made(devices=[DEVICE | {"box": bytes(31)}])),
        ("device-name", "a device with one field more", "malformed", made(devices=[DEVICE | {"name": "x"}])),
        ("no-epoch", "a field less", "malformed", signed("roster", without(roster_fields(), "epoch"), ROOT)),
        ("no-root", "no root", "malformed", signed("roster", without(roster_fields(), "root"), ROOT)),
    ):
        vectors.refused(name, description, failure, given(data))
    return vectors


def make_chains() -> Vectors:
    vectors = Vectors("roster-chain")
    by = key_of("device")
    gone = THREE.then(by, devices=[DEVICE, PHONE], epoch=2)
    for name, description, chain in (
        ("first-alone", "the first statement is a chain", START),
        ("added", "a device adds another", TWO),
        ("added-by-the-second", "the second adds a third", THREE),
        ("removed", "a device removes another: a new epoch", gone),
        ("removes-itself", "a device leaves", TWO.then(key_of("laptop"), devices=[DEVICE], epoch=2)),
        ("by-root", "the root adds and removes at once", TWO.then(ROOT, devices=[LAPTOP, PHONE], epoch=2)),
        ("new-root", "a device names a new root", TWO.then(by, root=NEW_ROOT.public)),
        ("by-the-new-root", "which signs from then on", TWO.then(by, root=NEW_ROOT.public).then(NEW_ROOT, epoch=2)),
        ("new-epoch", "a new epoch, and nobody leaves", TWO.then(by, epoch=2)),
        ("min-suite-raised", "nothing below suite 2 from here on", TWO.then(by, min_suite=2).then(by)),
        ("earlier-time", "a clock that goes back decides nothing", TWO.then(by, time=NOW - 9999)),
    ):
        fields = chain.fields
        told = {name: fields[name] for name in ("count", "epoch", "min_suite", "root")}
        told |= {"head": hash32(chain.statements[-1]), "devices": [item["id"] for item in fields["devices"]]}
        vectors.valid(name, description, chain.given(), told)
    moved = TWO.then(by, devices=[LAPTOP, DEVICE])
    other_box = LAPTOP | {"box": PHONE["box"]}
    forged = TWO.then(by)
    forged.statements[-1] = flip(forged.statements[-1], 20)
    old_root = TWO.then(by, root=NEW_ROOT.public).then(ROOT, epoch=2)
    for name, description, failure, chain in (
        ("by-nobody", "signed by a key that is no device's", "bad-signature", TWO.then(OTHER.sign)),
        (
            "by-a-device-to-come",
            "signed by the device that it adds",
            "bad-signature",
            TWO.then(key_of("phone"), devices=[DEVICE, LAPTOP, PHONE]),
        ),
        ("by-a-removed-device", "signed by a device that was removed", "bad-signature", gone.then(key_of("laptop"))),
        ("by-the-old-root", "signed by a root that was replaced", "bad-signature", old_root),
        (
            "names-another",
            "names one signer and is signed by another",
            "bad-signature",
            TWO.then(by, key=key_of("laptop")),
        ),
        ("bit", "one bit of it changed", "bad-signature", forged),
        ("suite-2", "an unknown suite", "suite-refused", TWO.then(by, suite=2)),
        ("min-suite-3", "a minimum over what is known", "suite-refused", TWO.then(by, min_suite=3)),
        ("min-suite-falls", "a minimum that falls", "suite-refused", TWO.then(by, min_suite=2).then(by, min_suite=1)),
        ("min-suite-0", "a minimum that is none", "malformed", TWO.then(by, min_suite=0)),
        ("other-vault", "of another vault", "malformed", TWO.then(by, vault=fixed("other vault", 16))),
        ("prev-other", "follows something else", "replayed", TWO.then(by, prev=fixed("before"))),
        ("prev-earlier", "follows the first, not the last", "replayed", TWO.then(by, prev=hash32(FIRST))),
        ("count-same", "counts no further", "replayed", TWO.then(by, count=2)),
        ("count-skips", "skips a number", "replayed", TWO.then(by, count=4)),
        ("again", "a statement stands twice", "replayed", Chain(*TWO.statements, TWO.statements[-1])),
        ("no-device", "nobody stays", "malformed", TWO.then(by, devices=[], epoch=2)),
        ("device-twice", "a device twice", "malformed", TWO.then(by, devices=[DEVICE, LAPTOP, LAPTOP])),
        (
            "device-id",
            "an id that is not the key's",
            "malformed",
            TWO.then(by, devices=[DEVICE, LAPTOP, PHONE | {"id": TABLET["id"]}]),
        ),
        ("device-changed", "a device with another box key", "malformed", TWO.then(by, devices=[DEVICE, other_box])),
        (
            "device-older",
            "a device that came earlier than it did",
            "malformed",
            TWO.then(by, devices=[DEVICE, LAPTOP | {"added": 1}]),
        ),
        ("devices-moved", "devices in another order", "malformed", moved),
        (
            "device-returns",
            "a device that was removed comes back",
            "malformed",
            gone.then(by, devices=[DEVICE, PHONE, LAPTOP]),
        ),
        ("epoch-falls", "an epoch that falls", "malformed", gone.then(by, epoch=1)),
        ("epoch-skips", "an epoch that skips one", "malformed", TWO.then(by, epoch=3)),
        ("epoch-stays", "somebody leaves, and the epoch stays", "malformed", TWO.then(by, devices=[DEVICE])),
        (
            "65-devices",
            "more devices than there may be",
            "malformed",
            TWO.then(by, devices=[DEVICE, LAPTOP, *(device(f"extra {n}") for n in range(63))]),
        ),
        ("nothing", "no statement at all", "malformed", Chain()),
    ):
        given = chain.given() if name != "nothing" else {"statements": [], "root": ROOT.public, "vault": VAULT}
        vectors.refused(name, description, failure, given)
    return vectors


def make_void(vectors: Vectors) -> None:
    """A removal beats what the removed device does concurrently, in whichever branch."""
    first, second, third = key_of("device"), key_of("laptop"), key_of("phone")
    everybody, watch = [DEVICE, LAPTOP, PHONE], device("watch")
    by_first = THREE.then(first, devices=[*everybody, TABLET])
    by_second = THREE.then(second, devices=[*everybody, watch])
    removal = THREE.then(second, devices=[DEVICE, LAPTOP], epoch=2)
    goes_on = by_second.then(third, devices=[LAPTOP, PHONE, watch], epoch=2)
    rooted = THREE.then(ROOT, devices=[*everybody, TABLET])
    crossed = [
        by_second.then(first, devices=[DEVICE, LAPTOP, watch], epoch=2),
        THREE.then(third, devices=[*everybody, TABLET]).then(first, devices=[DEVICE, PHONE, TABLET], epoch=2),
    ]
    crossed.sort(key=lambda chain: hash32(chain.statements[-1]))
    for name, description, winner, loser, left in (
        (
            "void-in-the-branch-that-holds",
            "a removed device goes on where a senior added a device: that counts, what it does there does not",
            by_first.then(third, devices=[DEVICE, PHONE, TABLET], epoch=2),
            removal,
            1,
        ),
        (
            "void-in-the-branch-that-does-not",
            "a removed device takes up a branch that lost, and removes who removed it",
            THREE.then(first, devices=[DEVICE, LAPTOP], epoch=2),
            goes_on,
            1,
        ),
        (
            "void-behind-the-root",
            "the root's word holds, what a device that was removed meanwhile says after it does not",
            rooted.then(third, devices=[DEVICE, PHONE, TABLET], epoch=2),
            removal,
            1,
        ),
        (
            "void-removal",
            "a removal that is void counts for nothing",
            by_first.then(second, devices=[DEVICE, LAPTOP, TABLET], epoch=2),
            THREE.then(third, devices=[*everybody, watch]).then(third, devices=[DEVICE, PHONE, watch], epoch=2),
            2,
        ),
        (
            "void-by-the-senior",
            "two remove each other, the senior later in its chain: its removal counts",
            by_first.then(second, devices=[DEVICE, LAPTOP, TABLET], epoch=2),
            THREE.then(third, devices=[DEVICE, PHONE], epoch=2),
            2,
        ),
        (
            "void-crosswise",
            "one device removes two others, each of whom acted in the other branch: the removal with the lesser head",
            crossed[0],
            crossed[1],
            2,
        ),
    ):
        head = hash32(winner.statements[len(THREE.statements) + left - 1])
        for side, ours, theirs in (("", winner, loser), ("-seen-from-there", loser, winner)):
            given = {"ours": ours.statements, "theirs": theirs.statements, "root": ROOT.public, "vault": VAULT}
            vectors.valid(name + side, description, given, {"head": head})


def make_choices() -> Vectors:
    vectors = Vectors("roster-choice")
    make_void(vectors)
    first, second, third = key_of("device"), key_of("laptop"), key_of("phone")
    everybody = [DEVICE, LAPTOP, PHONE]
    by_first = THREE.then(first, devices=[*everybody, TABLET])
    by_second = THREE.then(second, devices=[*everybody, device("watch")])
    without_first = THREE.then(second, devices=[LAPTOP, PHONE], epoch=2)
    without_second = THREE.then(first, devices=[DEVICE, PHONE], epoch=2)
    late_removal = by_second.then(second, devices=[LAPTOP, PHONE, device("watch")], epoch=2)
    smuggled = by_second.then(key_of("watch"), devices=[LAPTOP, PHONE, device("watch")], epoch=2)
    by_root = THREE.then(ROOT, devices=[DEVICE, LAPTOP], epoch=2)
    twice = sorted((THREE.then(first, time=NOW + n) for n in (1, 2)), key=lambda chain: hash32(chain.statements[-1]))
    broken = THREE.then(OTHER.sign, devices=[TABLET], epoch=2)
    elsewhere = Chain(made(time=NOW + 5), fields=roster_fields(time=NOW + 5)).then(first, devices=[DEVICE, TABLET])
    for name, description, winner, loser in (
        ("longer", "one continues the other", by_first, THREE),
        ("senior", "two devices add one each: the senior's holds", by_first, by_second),
        ("removal", "a removal holds against what the removed device did", without_first, by_first),
        ("removal-later", "also when it comes later in its chain", late_removal, by_first),
        ("removal-by-the-added", "also by a device that the chain added", smuggled, by_first),
        ("removal-of-each-other", "two remove each other: the senior's holds", without_second, without_first),
        (
            "removal-of-a-third",
            "a removal of somebody else is no trump",
            by_first,
            THREE.then(second, devices=[DEVICE, LAPTOP], epoch=2),
        ),
        ("root", "the root holds against every device", by_root, without_first),
        ("root-shorter", "however long the other chain is", by_root, late_removal),
        ("equivocation", "one device, two statements: the lesser head", twice[0], twice[1]),
        (
            "third-removed",
            "the removed device's own removal is beaten",
            THREE.then(second, devices=[DEVICE, LAPTOP], epoch=2),
            THREE.then(third, devices=[*everybody, TABLET]),
        ),
    ):
        for side, ours, theirs in (("", winner, loser), ("-seen-from-there", loser, winner)):
            given = {"ours": ours.statements, "theirs": theirs.statements, "root": ROOT.public, "vault": VAULT}
            vectors.valid(name + side, description, given, {"head": hash32(winner.statements[-1])})
    for name, description, theirs in (
        ("theirs-broken", "a chain that does not read changes nothing", broken),
        ("theirs-elsewhere", "nor one with another beginning", elsewhere),
    ):
        given = {"ours": TWO.statements, "theirs": theirs.statements, "root": ROOT.public, "vault": VAULT}
        vectors.valid(name, description, given, {"head": hash32(TWO.statements[-1])})
    mine = {"ours": broken.statements, "theirs": TWO.statements, "root": ROOT.public, "vault": VAULT}
    vectors.refused("ours-broken", "a device's own chain must read", "bad-signature", mine)
    return vectors


def make_histories() -> Vectors:
    """Three histories, in every order in which they may come: the winner is one."""
    vectors = Vectors("roster-histories")
    first, second, third = key_of("device"), key_of("laptop"), key_of("phone")
    everybody = [DEVICE, LAPTOP, PHONE]
    added = [THREE.then(key, devices=[*everybody, device(f"of {n}")]) for n, key in enumerate((first, second, third))]
    # Each removes the next: the first makes the second's removal void, which spares the third's, which makes the
    # first's void.
    circle = [
        THREE.then(first, devices=[DEVICE, PHONE], epoch=2),
        THREE.then(second, devices=[DEVICE, LAPTOP], epoch=2),
        THREE.then(third, devices=[LAPTOP, PHONE], epoch=2),
    ]
    branch = added[1]
    inner = [
        branch.then(first, devices=[*everybody, device("of 1"), TABLET]),
        branch.then(third, devices=[LAPTOP, PHONE, device("of 1")], epoch=2),
        added[0],
    ]
    by_senior = added[0]
    elsewhere = [by_senior, circle[1], circle[2]]
    spared = [circle[0], added[1], circle[2]]
    again = [
        THREE.then(second, devices=[DEVICE, LAPTOP], epoch=2),
        by_senior.then(third, devices=[DEVICE, PHONE, device("of 0")], epoch=2),
        by_senior.then(second, devices=[DEVICE, LAPTOP, device("of 0")], epoch=2),
    ]
    for name, description, chains, winner in (
        ("senior", "three add one each: the senior's holds", added, added[0]),
        ("circle", "each removes the next: taken in the order of the devices", circle, circle[2]),
        ("longer", "two of them are one history", [THREE, branch, inner[0]], inner[0]),
        ("inner-fork", "a removal in a fork within one branch counts in the others", inner, inner[1]),
        ("removal-void-too", "a removal that is void makes nothing void", spared, spared[1]),
        ("removal-elsewhere", "a removal in a branch that lost counts in the others", elsewhere, elsewhere[0]),
        (
            "removal-again",
            "a removal that lost to a senior's act, made again after it: it counts there too",
            again,
            again[2],
        ),
    ):
        for number, order in enumerate(permutations(chains)):
            given = dict(zip(("first", "second", "third"), (chain.statements for chain in order), strict=True))
            given |= {"root": ROOT.public, "vault": VAULT}
            vectors.valid(f"{name}-{number + 1}", description, given, {"head": hash32(winner.statements[-1])})
    broken = THREE.then(OTHER.sign, devices=[TABLET], epoch=2)
    given = {"first": THREE.statements, "second": branch.statements, "third": broken.statements}
    given |= {"root": ROOT.public, "vault": VAULT}
    vectors.refused("unread", "a history that does not read is none", "bad-signature", given)
    return vectors


def make() -> list[Vectors]:
    return [make_first(), make_chains(), make_choices(), make_histories()]
